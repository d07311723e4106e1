//! The splits of one sweep: which examples of which tokenised file serve for what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use converge_core::facts::{SplitFacts, TargetFacts};
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::{DataSettings, MaxLength};
use converge_core::task::Task;

use crate::data::cache::{self, Key};
use crate::data::labels::{FileTargets, Meaning, Target};
use crate::data::split::{self, Shares};
use crate::data::table::{self, Columns, Row};
use crate::data::tokens::{Example, FileTokens};
use crate::durable;
use crate::regular_file;
use crate::source::{Source, unreadable};

/// Classes without examples that are listed; the rest is counted.
const LISTED_CLASSES: usize = 5;

/// The data of one trial.
pub(crate) struct Dataset {
    pub(crate) task: Task,
    /// Why it is that.
    pub(crate) task_reason: String,
    /// Names of the classes or labels; the index of one is its place. The column of a regression.
    pub(crate) labels: Vec<String>,
    pub(crate) train: Examples,
    pub(crate) validation: Option<Examples>,
    pub(crate) test: Option<Examples>,
    /// In force for all splits, special tokens included.
    pub(crate) max_length: usize,
    /// SHA-256 by role: `train`, `validation`, `test`.
    pub(crate) hashes: BTreeMap<String, String>,
}

/// Some examples of a file, in order.
#[derive(Clone)]
pub(crate) struct Examples {
    pub(crate) file: Arc<FileTokens>,
    /// Places in the file.
    pub(crate) places: Vec<usize>,
    /// Right answer by label of the file.
    targets: Arc<[Target]>,
    /// What examples are drawn by, by label of the file.
    strata: Arc<[u32]>,
}

impl Examples {
    /// Returns all examples of a file whose labels are the classes.
    #[cfg(test)]
    pub(crate) fn all(file: FileTokens) -> Self {
        let places = (0..file.examples.len()).collect();
        let targets = (0..file.labels.len()).map(Target::Class).collect();
        let strata = (0..file.labels.len() as u32).collect();
        Self { file: Arc::new(file), places, targets, strata }
    }

    /// Returns all examples of a file, in its order, for a model that is trained already.
    ///
    /// # Errors
    /// A problem for each label that the model does not know.
    pub(crate) fn of_file(
        file: FileTokens,
        meaning: &Meaning,
        path: &str,
        train_path: &str,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let FileTargets { targets, strata } =
            meaning.targets(&file, path, train_path, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let places = (0..file.examples.len()).collect();
        Ok(Self { places, file: Arc::new(file), targets, strata })
    }

    /// Returns these examples and then those, whichever files they are from.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        if Arc::ptr_eq(&self.file, &other.file) {
            let places = self.places.iter().chain(&other.places).copied().collect();
            return Self { places, ..self.clone() };
        }
        let mut file = (*self.file).clone();
        let examples = file.examples.len();
        let (labels, ids) = (file.labels.len() as u32, file.ids.len() as u64);
        file.labels.extend(other.file.labels.iter().cloned());
        file.ids.extend(&other.file.ids);
        file.examples.extend(other.file.examples.iter().map(|example| Example {
            label: example.label + labels,
            start: example.start + ids,
            ..example.clone()
        }));
        let further = other.places.iter().map(|place| place + examples);
        Self {
            places: self.places.iter().copied().chain(further).collect(),
            targets: self.targets.iter().chain(other.targets.iter()).cloned().collect(),
            strata: self.strata.iter().chain(other.strata.iter()).copied().collect(),
            file: Arc::new(file),
        }
    }

    /// Returns the hashes of their texts.
    pub(crate) fn texts(&self) -> BTreeSet<u64> {
        (0..self.len()).map(|position| self.example(position).text_hash).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns one of the examples by its position among them.
    pub(crate) fn example(&self, position: usize) -> &Example {
        &self.file.examples[self.places[position]]
    }

    /// Returns the right answer to an example by its position.
    pub(crate) fn target(&self, position: usize) -> &Target {
        &self.targets[self.example(position).label as usize]
    }

    /// Returns what an example is drawn by: its class, its rarest label, or the bin of its number.
    pub(crate) fn stratum(&self, position: usize) -> u32 {
        self.strata[self.example(position).label as usize]
    }

    /// Returns the strata of all examples, in order.
    pub(crate) fn all_strata(&self) -> Vec<u32> {
        (0..self.len()).map(|position| self.stratum(position)).collect()
    }

    /// Returns how many examples have each class or label; nothing in a regression.
    pub(crate) fn class_counts(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for position in 0..self.len() {
            match self.target(position) {
                Target::Class(class) => counts[*class] += 1,
                Target::Labels(has) => {
                    counts
                        .iter_mut()
                        .zip(has.iter())
                        .for_each(|(count, has)| *count += u64::from(*has));
                }
                Target::Number(_) => return Vec::new(),
            }
        }
        counts
    }

    /// Returns the numbers to be answered; nothing but in a regression.
    fn numbers(&self) -> Vec<f64> {
        let number = |position| match self.target(position) {
            Target::Number(number) => Some(*number),
            Target::Class(_) | Target::Labels(_) => None,
        };
        (0..self.len()).filter_map(number).collect()
    }

    /// Returns the examples at these positions.
    pub(crate) fn subset(&self, positions: impl Iterator<Item = usize>) -> Self {
        let places = positions.map(|position| self.places[position]).collect();
        Self { places, ..self.clone() }
    }

    fn lengths(&self) -> Vec<u64> {
        let mut lengths: Vec<u64> =
            (0..self.len()).map(|position| u64::from(self.example(position).length)).collect();
        lengths.sort_unstable();
        lengths
    }

    fn facts(&self, classes: usize, max_length: usize) -> SplitFacts {
        let lengths = self.lengths();
        let truncated = lengths.iter().filter(|length| **length > max_length as u64).count();
        let (mut content, mut unknown) = (0, 0);
        for position in 0..self.len() {
            content += u64::from(self.example(position).content);
            unknown += u64::from(self.example(position).unknown);
        }
        SplitFacts {
            examples: self.len() as u64,
            class_counts: self.class_counts(classes),
            targets: TargetFacts::of(&self.numbers()),
            token_lengths: [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&lengths, share)),
            truncated_share: truncated as f64 / self.len().max(1) as f64,
            unknown_token_share: unknown as f64 / content.max(1) as f64,
        }
    }
}

/// Returns the smallest of `sorted` that at least `share` of them do not exceed.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

/// Reads data files, each once as long as it is not dropped.
pub(crate) struct Loader {
    cache_directory: PathBuf,
    /// SHA-256 of the files read so far.
    hashes: BTreeMap<PathBuf, String>,
    /// By the name of the file in the cache.
    tokens: BTreeMap<PathBuf, Arc<FileTokens>>,
    /// Files that the cache would not take: trials can do without, but each tokenises again.
    pub(crate) unwritable: Vec<Problem>,
}

impl Loader {
    pub(crate) fn new(cache_directory: &Path) -> Self {
        Self {
            cache_directory: cache_directory.to_owned(),
            hashes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            unwritable: Vec::new(),
        }
    }

    /// Reads the rows of a file without tokenising them.
    pub(crate) fn rows(&mut self, path: &str, columns: &Columns) -> Result<Vec<Row>, Vec<Problem>> {
        let path = Path::new(path);
        let content = regular_file::read(path).map_err(|error| vec![unreadable(path, &error)])?;
        self.hashes.insert(path.to_owned(), durable::sha256(&content));
        table::read(path, &content, columns)
    }

    fn hash(&mut self, path: &Path) -> Result<String, Vec<Problem>> {
        if let Some(hash) = self.hashes.get(path) {
            return Ok(hash.clone());
        }
        let hash = regular_file::sha256(path).map_err(|error| vec![unreadable(path, &error)])?;
        self.hashes.insert(path.to_owned(), hash.clone());
        Ok(hash)
    }

    /// Returns a tokenised file and its hash: from memory, from the cache, or made now.
    fn tokens(
        &mut self,
        path: &str,
        columns: &Columns,
        source: &Source,
    ) -> Result<(Arc<FileTokens>, String), Vec<Problem>> {
        let path = Path::new(path);
        let hash = self.hash(path)?;
        let longest = source.config.max_sequence();
        let tokenizer = source.hashes.get("tokenizer").map_or("", String::as_str);
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let key = Key { content: &hash, extension: &extension, columns, tokenizer, longest };
        let cached = key.path(&self.cache_directory);
        if let Some(file) = self.tokens.get(&cached) {
            return Ok((Arc::clone(file), hash));
        }
        let file = match cache::read(&cached) {
            Some(file) => file,
            None => self.tokenise(path, columns, source, &cached)?,
        };
        let file = Arc::new(file);
        self.tokens.insert(cached, Arc::clone(&file));
        Ok((file, hash))
    }

    fn tokenise(
        &mut self,
        path: &Path,
        columns: &Columns,
        source: &Source,
        cached: &Path,
    ) -> Result<FileTokens, Vec<Problem>> {
        let place = path.to_string_lossy();
        let known = self.hashes.get(path).cloned();
        let rows = self.rows(&place, columns)?;
        if known != self.hashes.get(path).cloned() {
            return Err(vec![Problem::new(place, "was changed while it was read")]);
        }
        let longest = source.config.max_sequence();
        let file = source
            .encoder
            .encode(&rows, longest)
            .map_err(|error| vec![Problem::new(place, error.to_string())])?;
        if let Err(error) = cache::write(cached, &file) {
            tracing::warn!(path = %cached.display(), %error, "cannot write the token cache");
            let message = format!("cannot be written: {error}");
            self.unwritable.push(Problem::new(cached.to_string_lossy(), message));
        }
        Ok(file)
    }
}

/// Returns the columns that the settings name.
pub(crate) fn columns(settings: &DataSettings) -> Columns {
    Columns {
        text: settings.text.clone(),
        text_pair: settings.text_pair.clone(),
        label: Some(settings.label.clone()),
        empty_labels: settings.label_separator.is_some()
            || settings.task.task() == Some(Task::MultiLabel),
    }
}

/// Returns the files that the settings name, by role.
pub(crate) fn files(settings: &DataSettings) -> Vec<(&'static str, &str)> {
    let mut files = vec![("train", settings.train.as_str())];
    files.extend(own_validation(settings).map(|path| ("validation", path)));
    files.extend(settings.test.as_deref().map(|path| ("test", path)));
    files
}

fn own_validation(settings: &DataSettings) -> Option<&str> {
    settings.validation.as_deref().filter(|path| *path != "none")
}

impl Dataset {
    /// Reads, tokenises and splits the data.
    ///
    /// # Errors
    /// Every problem found; a later kind of check waits until the earlier ones pass.
    pub(crate) fn load(
        settings: &DataSettings,
        max_length: MaxLength,
        source: &Source,
        split_seed: Seed,
        loader: &mut Loader,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let columns = columns(settings);
        let mut loaded = BTreeMap::new();
        let mut hashes = BTreeMap::new();
        for (role, path) in files(settings) {
            match loader.tokens(path, &columns, source) {
                Ok((file, hash)) => {
                    loaded.insert(role, file);
                    hashes.insert(role.to_owned(), hash);
                }
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(share_problems(settings));
        let Some(train_file) = loaded.remove("train").filter(|_| problems.is_empty()) else {
            return Err(problems);
        };

        let meaning = Meaning::of(settings, &train_file)?;
        let mut own = |role: &str, path: Option<&str>| {
            let (file, path) = (loaded.remove(role)?, path?);
            let FileTargets { targets, strata } =
                meaning.targets(&file, path, &settings.train, &mut problems);
            Some(Examples { places: (0..file.examples.len()).collect(), file, targets, strata })
        };
        let validation = own("validation", own_validation(settings));
        let test = own("test", settings.test.as_deref());
        let FileTargets { targets, strata } =
            meaning.targets(&train_file, &settings.train, "", &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let train = Examples { places: Vec::new(), file: train_file, targets, strata };
        let splits = Splits { train, validation, test };
        splits.draw(settings, meaning, max_length, source, split_seed, hashes)
    }

    /// Returns the facts of the splits, in the order train, validation, test.
    pub(crate) fn split_facts(&self) -> (SplitFacts, Option<SplitFacts>, Option<SplitFacts>) {
        let facts = |examples: &Examples| examples.facts(self.labels.len(), self.max_length);
        (facts(&self.train), self.validation.as_ref().map(facts), self.test.as_ref().map(facts))
    }

    /// Returns how many texts stand in training and in validation or test as well.
    pub(crate) fn duplicates_between_splits(&self) -> u64 {
        let held_out: BTreeSet<u64> = [&self.validation, &self.test]
            .into_iter()
            .flatten()
            .flat_map(Examples::texts)
            .collect();
        self.train.texts().intersection(&held_out).count() as u64
    }

    /// Returns how many texts stand in training and in validation or test with different answers.
    pub(crate) fn contradicted_between_splits(&self) -> u64 {
        let answers = |examples: &Examples| {
            let answer = |position| {
                (examples.example(position).text_hash, examples.target(position).clone())
            };
            (0..examples.len()).map(answer).collect::<Vec<_>>()
        };
        let held_out: BTreeMap<u64, Target> =
            [&self.validation, &self.test].into_iter().flatten().flat_map(answers).collect();
        let differs = |(text, answer): &(u64, Target)| {
            held_out.get(text).is_some_and(|held_out| held_out != answer)
        };
        let texts = answers(&self.train).into_iter().filter(differs).map(|(text, _)| text);
        texts.collect::<BTreeSet<u64>>().len() as u64
    }

    /// Returns the places of the validation examples that are longer than `max_length`.
    pub(crate) fn truncated_validation(&self) -> Vec<u32> {
        let Some(validation) = &self.validation else { return Vec::new() };
        let is_cut =
            |position: &usize| validation.example(*position).length as usize > self.max_length;
        (0..validation.len()).filter(is_cut).map(|position| position as u32).collect()
    }
}

/// The files of the splits before anything is drawn; training still empty.
struct Splits {
    train: Examples,
    validation: Option<Examples>,
    test: Option<Examples>,
}

impl Splits {
    fn draw(
        self,
        settings: &DataSettings,
        meaning: Meaning,
        max_length: MaxLength,
        source: &Source,
        seed: Seed,
        hashes: BTreeMap<String, String>,
    ) -> Result<Dataset, Vec<Problem>> {
        let Self { mut train, mut validation, mut test } = self;
        let shares = Shares {
            test: if test.is_some() { 0.0 } else { settings.test_fraction },
            validation: if settings.validation.is_some() {
                0.0
            } else {
                settings.validation_fraction
            },
        };
        let all: Vec<usize> = (0..train.file.examples.len()).collect();
        let strata_of = |examples: &Examples| -> Vec<u32> {
            let stratum = |example: &Example| examples.strata[example.label as usize];
            examples.file.examples.iter().map(stratum).collect()
        };
        let strata = strata_of(&train);
        let drawn = split::split(&strata, shares, seed);
        let held_out = |places: Vec<usize>| Some(Examples { places, ..train.clone() });
        if shares.validation > 0.0 {
            validation = held_out(drawn.validation);
        }
        if shares.test > 0.0 {
            test = held_out(drawn.test);
        }
        train.places = drawn.train;

        let mut problems = Vec::new();
        let specials = source.encoder.special_tokens(train.file.has_pairs);
        let max_length =
            resolve_max_length(max_length, &train, source, specials).unwrap_or_else(|problem| {
                problems.push(problem);
                0
            });
        if let Some(examples) = &mut validation {
            let strata = strata_of(examples);
            let places = std::mem::take(&mut examples.places);
            examples.places = split::limit(places, &strata, settings.validation_limit, seed);
        }
        let places = std::mem::take(&mut train.places);
        train.places = split::limit(places, &strata, settings.train_limit, seed);

        for (name, split) in [("validation", &validation), ("test", &test)] {
            if split.as_ref().is_some_and(|examples| examples.len() == 0) {
                let message = format!("leaves no example of {} for the {name} split", all.len());
                problems.push(Problem::new(format!("data.{name}_fraction"), message));
            }
        }
        let Meaning { task, reason, names: labels, .. } = meaning;
        // A label that no example has can still be answered: never.
        if task == Task::Classes {
            problems.extend(missing_classes(&train, &labels, &settings.train));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if settings.train_on_validation
            && let Some(added) = validation.take()
        {
            train = train.joined(&added);
        }
        Ok(Dataset {
            task,
            task_reason: reason,
            labels,
            train,
            validation,
            test,
            max_length,
            hashes,
        })
    }
}

/// Returns a problem for each class that no example of the training split has, up to a number.
fn missing_classes(train: &Examples, labels: &[String], path: &str) -> Vec<Problem> {
    let counts = train.class_counts(labels.len());
    let missing: Vec<&String> = labels
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count == 0)
        .map(|(label, _)| label)
        .collect();
    let examples = train.len();
    let problem = |label: &&String| {
        let message =
            format!("class `{label}` has no example among the {examples} of the training split");
        Problem::new(path, message)
            .hint("raise `train_limit`, lower the fractions, or remove the class")
    };
    let mut problems: Vec<Problem> = missing.iter().take(LISTED_CLASSES).map(problem).collect();
    if missing.len() > LISTED_CLASSES {
        let message = format!(
            "{} more of {} classes have no example there",
            missing.len() - LISTED_CLASSES,
            labels.len()
        );
        problems.push(
            Problem::new(path, message)
                .hint("if the labels are numbers, write task = \"regression\" in [data]"),
        );
    }
    problems
}

fn share_problems(settings: &DataSettings) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut sum = 0.0;
    let shares = [
        ("data.validation_fraction", settings.validation_fraction, settings.validation.is_none()),
        ("data.test_fraction", settings.test_fraction, settings.test.is_none()),
    ];
    for (key, share, used) in shares {
        if !used {
            continue;
        }
        if (0.0..1.0).contains(&share) {
            sum += share;
        } else {
            problems.push(Problem::new(key, format!("is {share}: expected at least 0, below 1")));
        }
    }
    if sum >= 1.0 {
        let message = format!("and test_fraction add up to {sum}: nothing is left for training");
        problems.push(Problem::new("data.validation_fraction", message));
    }
    problems
}

/// Returns `max_length` in tokens: as given, or the 99th percentile of the training split before
/// its limit, so that trials with other limits cut alike.
fn resolve_max_length(
    max_length: MaxLength,
    train: &Examples,
    source: &Source,
    specials: usize,
) -> Result<usize, Problem> {
    let most = source.config.max_sequence();
    let least = specials + 1;
    match max_length {
        MaxLength::Auto => Ok((quantile(&train.lengths(), 0.99) as usize).max(least).min(most)),
        MaxLength::Tokens(tokens) if tokens > most as u64 => {
            let message = format!("is {tokens}: the model has positions for {most} tokens");
            Err(Problem::new("train.max_length", message))
        }
        MaxLength::Tokens(tokens) if tokens < least as u64 => {
            let message = format!("is {tokens}: special tokens alone take {specials}");
            Err(Problem::new("train.max_length", message))
        }
        MaxLength::Tokens(tokens) => Ok(tokens as usize),
    }
}
