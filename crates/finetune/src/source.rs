//! Where a model comes from: a directory, the Hugging Face hub, or a preset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_bert::weights::{self, FileProblem, TensorProblem};
use converge_bert::{
    BertClassifier, BertConfig, ClassifierOptions, ConfigError, LoadError, LoadReport, WeightFiles,
};
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::{ModelSettings, Preset};

use burn::tensor::Device;

use crate::data::table::Row;
use crate::data::tokens::TextEncoder;
use crate::durable;
use crate::hub::Hub;
use crate::model_files::ModelFiles;
use crate::regular_file;
use crate::tokenizer_files;
use crate::vocabulary;

/// A model that can be loaded, and the tokenizer that goes with it.
pub(crate) struct Source {
    pub(crate) config: BertConfig,
    pub(crate) encoder: TextEncoder,
    /// The content of the tokenizer's file, or of the one that its files amount to.
    pub(crate) tokenizer_json: Vec<u8>,
    /// SHA-256 by role: `model`, `config`, `tokenizer`.
    pub(crate) hashes: BTreeMap<String, String>,
    weights: Weights,
}

enum Weights {
    Files(WeightFiles),
    /// Made from a seed.
    Random,
}

impl Source {
    /// Finds the model that `settings` name.
    ///
    /// `rows` are those of the training file: a preset takes its vocabulary from them.
    ///
    /// # Errors
    /// Every problem with its files.
    pub(crate) fn open(
        settings: &ModelSettings,
        rows: impl FnOnce() -> Result<Vec<Row>, Vec<Problem>>,
    ) -> Result<Self, Vec<Problem>> {
        match (&settings.path, settings.preset) {
            (Some(path), None) => match path.strip_prefix("hf:") {
                Some(name) => Self::from_hub(name, &Hub::from_environment()),
                None => Self::from_directory(Path::new(path)),
            },
            (None, Some(Preset::Tiny)) => Self::tiny(&rows()?),
            _ => Err(vec![
                Problem::new("model", "needs exactly one of `path` and `preset`")
                    .hint("such as `path = \"models/minilm\"` or `preset = \"tiny\"`"),
            ]),
        }
    }

    fn from_hub(name: &str, hub: &Hub) -> Result<Self, Vec<Problem>> {
        Self::from_files(hub.fetch(name)?)
    }

    fn from_directory(directory: &Path) -> Result<Self, Vec<Problem>> {
        if !directory.is_dir() {
            let problem = Problem::new(directory.to_string_lossy(), "is not a directory").hint(
                "give a directory with config.json, tokenizer.json (or vocab.txt) and \
                 model.safetensors (or pytorch_model.bin), or `hf:org/name`",
            );
            return Err(vec![problem]);
        }
        let mut folder = directory;
        let files = ModelFiles::of(&mut folder).map_err(|mut problems| {
            // Where something is missing, what is there can still be wrong.
            let config = directory.join("config.json");
            if config.exists() {
                problems.extend(read_config(&config).err().into_iter().flatten());
            }
            problems
        })?;
        Self::from_files(files)
    }

    fn from_files(files: ModelFiles) -> Result<Self, Vec<Problem>> {
        let ModelFiles { config, tokenizer, weights, index } = files;
        let mut problems = Vec::new();
        let config = read_config(&config).map_err(|found| problems.extend(found)).ok();
        let json =
            tokenizer_files::to_json(&tokenizer).map_err(|found| problems.extend(found)).ok();
        let weights_hash = hash_of(&weights, index.as_deref(), &mut problems);
        let encoder = json.as_deref().zip(config.as_ref()).and_then(|(json, (config, _))| {
            TextEncoder::from_json(json, config.vocab_size)
                .map_err(|error| {
                    let place = tokenizer.path().to_string_lossy();
                    problems.push(Problem::new(place, error.to_string()));
                })
                .ok()
        });
        match (config, encoder, json, weights_hash) {
            (Some((config, config_hash)), Some(encoder), Some(json), Some(weights_hash)) => {
                let hashes = hashes(weights_hash, config_hash, durable::sha256(&json));
                let weights = Weights::Files(weights);
                Ok(Self { config, encoder, tokenizer_json: json, hashes, weights })
            }
            _ => Err(problems),
        }
    }

    fn tiny(rows: &[Row]) -> Result<Self, Vec<Problem>> {
        let (tokenizer_json, vocabulary) = vocabulary::of(rows);
        let config = BertConfig::tiny(vocabulary);
        let encoder = TextEncoder::from_json(&tokenizer_json, vocabulary)
            .map_err(|error| vec![Problem::new("model.preset", error.to_string())])?;
        let hashes = hashes(
            durable::sha256(b"preset tiny, version 1"),
            durable::sha256(config.to_json().as_bytes()),
            durable::sha256(&tokenizer_json),
        );
        Ok(Self { config, encoder, tokenizer_json, hashes, weights: Weights::Random })
    }

    /// Loads the model with a head for the task; what no file provides is drawn from `head_seed`.
    ///
    /// # Errors
    /// Every reason why weights, configuration and options do not fit together.
    pub(crate) fn load(
        &self,
        options: &ClassifierOptions,
        head_seed: Seed,
        device: &Device,
    ) -> Result<BertClassifier, Vec<Problem>> {
        match &self.weights {
            Weights::Random => BertClassifier::new(&self.config, options, head_seed.0, device)
                .map_err(|error| config_problems(Path::new("model"), &error)),
            Weights::Files(files) => {
                let loaded = weights::load_files(files, &self.config, options, head_seed.0, device);
                let (model, report) = loaded.map_err(|error| load_problems(files, &error))?;
                tell(&report);
                Ok(model)
            }
        }
    }
}

/// Says what became of the files' tensors, in the log.
fn tell(report: &LoadReport) {
    let mut ignored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in &report.ignored {
        ignored.entry(why).or_default().push(name);
    }
    for (why, names) in ignored {
        let (first, more) = (names[0], names.len() - 1);
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        tracing::info!("ignored `{first}`{others} of the weights: {why}");
    }
    if !report.newly_initialised.is_empty() {
        tracing::info!("drawn from the seed: {}", report.newly_initialised.join(", "));
    }
    tracing::debug!(used = report.used.len(), "loaded the weights");
}

/// Returns a configuration and its SHA-256.
fn read_config(path: &Path) -> Result<(BertConfig, String), Vec<Problem>> {
    let text = regular_file::read(path).map_err(|error| vec![unreadable(path, &error)])?;
    let config = BertConfig::from_json(&String::from_utf8_lossy(&text))
        .map_err(|error| config_problems(path, &error))?;
    Ok((config, durable::sha256(&text)))
}

/// Returns the SHA-256 of the weights: of the one file, or of the hashes of all.
fn hash_of(
    files: &WeightFiles,
    index: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let mut hashes = Vec::new();
    for path in files.paths.iter().map(PathBuf::as_path).chain(index) {
        match regular_file::sha256(path) {
            Ok(hash) => hashes.push(hash),
            Err(error) => problems.push(unreadable(path, &error)),
        }
    }
    let all = hashes.len() == files.paths.len() + usize::from(index.is_some());
    match hashes.as_slice() {
        _ if !all => None,
        [one] => Some(one.clone()),
        several => Some(durable::sha256(several.join("\n").as_bytes())),
    }
}

fn hashes(model: String, config: String, tokenizer: String) -> BTreeMap<String, String> {
    [("model", model), ("config", config), ("tokenizer", tokenizer)]
        .into_iter()
        .map(|(role, hash)| (role.to_owned(), hash))
        .collect()
}

/// Says why a file cannot be read.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let place = path.to_string_lossy();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Problem::new(place, "does not exist");
    }
    Problem::new(place, format!("cannot be read: {error}"))
}

/// Returns what is wrong with a configuration, one problem each.
pub(crate) fn config_problems(path: &Path, error: &ConfigError) -> Vec<Problem> {
    let place = path.to_string_lossy();
    match error {
        ConfigError::Syntax { source } => {
            vec![Problem::new(place, format!("is not a JSON object: {source}"))]
        }
        ConfigError::Invalid { problems } => {
            problems.iter().map(|problem| Problem::new(place.clone(), problem)).collect()
        }
    }
}

pub(crate) fn load_problems(files: &WeightFiles, error: &LoadError) -> Vec<Problem> {
    match error {
        LoadError::Files { problems } => problems.iter().map(file_problem).collect(),
        LoadError::Config(error) => config_problems(Path::new("model"), error),
        LoadError::Tensors { problems } => {
            let first = files.paths.first().map_or(Path::new("model"), PathBuf::as_path);
            // Of several files, none can be named: the folder is.
            let place = if files.paths.len() > 1 { first.parent().unwrap_or(first) } else { first };
            let place = place.to_string_lossy();
            let problem = |problem: &TensorProblem| Problem::new(&*place, problem.to_string());
            problems.iter().map(problem).collect()
        }
    }
}

fn file_problem(problem: &FileProblem) -> Problem {
    match problem {
        FileProblem::Read { path, source } => unreadable(path, source),
        FileProblem::Corrupt { path, format, reason } => {
            let place = path.as_deref().unwrap_or(Path::new("model")).to_string_lossy();
            let message = format!("is not a complete {format} file: {reason}");
            Problem::new(place, message).hint("download or copy it again")
        }
    }
}
