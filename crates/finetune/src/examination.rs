//! How good a trained model is on a file, and whether the file is new to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::{ModelSettings, Settings};
use converge_core::task::Task;

use crate::data::dataset::{self, Dataset, Examples, Loader};
use crate::data::labels::Meaning;
use crate::data::table::{self, Columns};
use crate::durable;
use crate::evaluation::{Sequences, evaluate};
use crate::job::Control;
use crate::regular_file;
use crate::source::{Source, unreadable};
use crate::trained::TrainedModel;

/// A split's name before the slash of its metrics; it is taken off again.
const SPLIT: &str = "file";

/// A labelled file, and what the model was trained on.
#[derive(Debug, Clone)]
pub struct Examination {
    /// A csv, tsv or jsonl file.
    pub file: PathBuf,
    /// Column of the text.
    pub text: String,
    /// Column of the second text.
    pub text_pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// The model's folder.
    pub model: PathBuf,
    /// None: not known.
    pub origin: Option<Origin>,
}

/// What a model was trained on.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Settings of its trial.
    pub settings: Settings,
    /// Seed of the splits.
    pub split_seed: Seed,
    /// SHA-256 by role.
    pub hashes: BTreeMap<String, String>,
    /// Where tokenised data is kept.
    pub cache_directory: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Rows.
    pub examples: u64,
    /// All metrics of the task.
    pub metrics: Vec<(String, f64)>,
    /// What of the file is not new to the model.
    pub overlap: Overlap,
}

/// What of a file is not new to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlap {
    /// `train` or `validation`, where the sweep's file has the very same content.
    pub same_file: Vec<String>,
    /// Rows whose texts stand in the training split.
    pub in_training: Option<u64>,
    /// Rows whose texts stand in the validation split.
    pub in_validation: Option<u64>,
    /// Why that is not known.
    pub unknown: Option<String>,
}

/// Examines a model, without a split in the names of metrics; none if `control` said to stop.
///
/// # Errors
/// Every problem with the file, each with its line.
pub fn examine(
    model: &TrainedModel,
    examination: &Examination,
    control: &mut dyn FnMut() -> Control,
) -> Result<Option<Scores>, Vec<Problem>> {
    let Examination { file: path, text, text_pair, label, origin, .. } = examination;
    let content = regular_file::read(path).map_err(|error| vec![unreadable(path, &error)])?;
    let columns = Columns {
        text: text.clone(),
        text_pair: text_pair.clone(),
        label: Some(label.clone()),
        empty_labels: model.task() == Task::MultiLabel,
    };
    let rows = table::read(path, &content, &columns)?;
    let place = path.to_string_lossy();
    let tokens = model
        .encoder
        .encode(&rows, model.model.config().max_sequence())
        .map_err(|error| vec![Problem::new(place.clone(), error.to_string())])?;
    let trained_on =
        origin.as_ref().map_or("the training data", |o| o.settings.data.train.as_str());
    let separator = origin.as_ref().and_then(|o| o.settings.data.label_separator.clone());
    let meaning = Meaning::known(model.task(), model.labels(), separator);
    let examples = Examples::of_file(tokens, &meaning, &place, trained_on)?;
    let sequences = Sequences { encoder: &model.encoder, max_length: model.max_length };
    let labels = model.labels();
    let found = evaluate(&model.model, &examples, sequences, labels.len(), &model.device, control);
    let Some(found) = found else { return Ok(None) };
    let short =
        |name: &str| name.strip_prefix(SPLIT).map(|name| name.trim_start_matches('/').to_owned());
    let metrics = found.metrics(SPLIT, model.task(), labels).into_iter();
    let metrics = metrics.filter_map(|(name, value)| Some((short(&name)?, value))).collect();
    let hash = durable::sha256(&content);
    let overlap = match origin {
        Some(origin) => overlap(&examples, &hash, origin, &examination.model),
        None => Overlap {
            unknown: Some("nothing says what the model was trained on".into()),
            ..Overlap::default()
        },
    };
    Ok(Some(Scores { examples: examples.len() as u64, metrics, overlap }))
}

/// Judges a model on the test split of its own sweep, with `test/` before the names of metrics; none if `control` said
/// to stop.
///
/// # Errors
/// Where the split cannot be drawn again, or there is none.
pub fn test(
    model: &TrainedModel,
    folder: &Path,
    origin: &Origin,
    control: &mut dyn FnMut() -> Control,
) -> Result<Option<Scores>, Vec<Problem>> {
    let refused = |message: String| vec![Problem::new("", message)];
    let dataset = splits(origin, folder)
        .map_err(|why| refused(format!("the test split cannot be drawn again: {why}")))?;
    let examples = dataset.test.ok_or_else(|| refused("the sweep has no test split".into()))?;
    let sequences = Sequences { encoder: &model.encoder, max_length: model.max_length };
    let labels = model.labels();
    let found = evaluate(&model.model, &examples, sequences, labels.len(), &model.device, control);
    Ok(found.map(|found| Scores {
        examples: examples.len() as u64,
        metrics: found.metrics("test", model.task(), labels),
        overlap: Overlap::default(),
    }))
}

fn overlap(examples: &Examples, hash: &str, origin: &Origin, model: &Path) -> Overlap {
    let same = |role: &&str| origin.hashes.get(*role).is_some_and(|known| known == hash);
    let same_file =
        ["train", "validation"].iter().filter(|role| same(role)).map(|role| (*role).to_owned());
    let mut overlap = Overlap { same_file: same_file.collect(), ..Overlap::default() };
    match splits(origin, model) {
        Ok(dataset) => {
            let count = |split: &Examples| {
                let texts = split.texts();
                let known =
                    |position: &usize| texts.contains(&examples.example(*position).text_hash);
                (0..examples.len()).filter(known).count() as u64
            };
            overlap.in_training = Some(count(&dataset.train));
            overlap.in_validation = dataset.validation.as_ref().map(count);
        }
        Err(why) => overlap.unknown = Some(why),
    }
    overlap
}

/// Draws the splits of the model's trial again; the model's own folder serves as the source of its tokenizer.
fn splits(origin: &Origin, model: &Path) -> Result<Dataset, String> {
    let told = |problems: Vec<Problem>| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    };
    let Settings { data, train, .. } = &origin.settings;
    for (role, path) in dataset::files(data) {
        let found = regular_file::sha256(Path::new(path))
            .map_err(|error| unreadable(Path::new(path), &error).to_string())?;
        if origin.hashes.get(role) != Some(&found) {
            return Err(format!("{path}: has changed since the model was trained"));
        }
    }
    let settings = ModelSettings {
        path: Some(model.to_string_lossy().into_owned()),
        preset: None,
        layers: None,
    };
    let source = Source::open(&settings, || Ok(Vec::new())).map_err(told)?;
    let mut loader = Loader::new(&origin.cache_directory);
    Dataset::load(data, train.max_length, &source, origin.split_seed, &mut loader).map_err(told)
}
