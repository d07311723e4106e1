//! Where a model comes from: a directory, the Hugging Face hub, or a preset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_bert::{
    BertClassifier, BertConfig, ClassifierOptions, ConfigError, LoadError, weights,
};
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::{ModelSettings, Preset};

use burn::tensor::Device;

use crate::data::table::Row;
use crate::data::tokens::TextEncoder;
use crate::durable;
use crate::hub::Hub;
use crate::regular_file;
use crate::vocabulary;

/// A model that can be loaded, and the tokenizer that goes with it.
pub(crate) struct Source {
    pub(crate) config: BertConfig,
    pub(crate) encoder: TextEncoder,
    /// The content of the tokenizer's file.
    pub(crate) tokenizer_json: Vec<u8>,
    /// SHA-256 by role: `model`, `config`, `tokenizer`.
    pub(crate) hashes: BTreeMap<String, String>,
    weights: Weights,
}

enum Weights {
    File(PathBuf),
    /// Made from a seed.
    Random,
}

/// Files of a model, as published on the Hugging Face hub.
pub(crate) const MODEL_FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

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
        let files = hub.fetch(name, MODEL_FILES)?;
        Self::from_files(&files)
    }

    fn from_directory(directory: &Path) -> Result<Self, Vec<Problem>> {
        if !directory.is_dir() {
            let problem = Problem::new(directory.to_string_lossy(), "is not a directory").hint(
                "give a directory with config.json, tokenizer.json and model.safetensors, or \
                 `hf:org/name`",
            );
            return Err(vec![problem]);
        }
        Self::from_files(&MODEL_FILES.map(|name| directory.join(name)))
    }

    /// Opens files in the order of [`MODEL_FILES`].
    fn from_files(files: &[PathBuf; 3]) -> Result<Self, Vec<Problem>> {
        let [config_path, tokenizer_path, weights_path] = files;
        let mut problems = Vec::new();
        let config_text = read_file(config_path, &mut problems);
        let tokenizer_json = read_file(tokenizer_path, &mut problems);
        let weights_hash = match regular_file::sha256(weights_path) {
            Ok(hash) => Some(hash),
            Err(error) => {
                problems.push(unreadable(weights_path, &error));
                None
            }
        };
        let config_hash = config_text.as_deref().map(durable::sha256);
        let config = config_text.and_then(|text| {
            let text = String::from_utf8_lossy(&text).into_owned();
            BertConfig::from_json(&text)
                .map_err(|error| problems.extend(config_problems(config_path, &error)))
                .ok()
        });
        let encoder = tokenizer_json.as_deref().zip(config.as_ref()).and_then(|(json, config)| {
            TextEncoder::from_json(json, config.vocab_size)
                .map_err(|error| {
                    let place = tokenizer_path.to_string_lossy();
                    problems.push(Problem::new(place, error.to_string()));
                })
                .ok()
        });
        match (config, config_hash, encoder, tokenizer_json, weights_hash) {
            (Some(config), Some(config_hash), Some(encoder), Some(json), Some(weights_hash)) => {
                let hashes = hashes(weights_hash, config_hash, durable::sha256(&json));
                let weights = Weights::File(weights_path.clone());
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
            Weights::File(path) => {
                let loaded = weights::load_file(path, &self.config, options, head_seed.0, device);
                let (model, report) = loaded.map_err(|error| load_problems(path, &error))?;
                tracing::debug!(
                    used = report.used.len(),
                    ignored = report.ignored.len(),
                    new = ?report.newly_initialised,
                    "loaded the weights"
                );
                Ok(model)
            }
        }
    }
}

fn hashes(model: String, config: String, tokenizer: String) -> BTreeMap<String, String> {
    [("model", model), ("config", config), ("tokenizer", tokenizer)]
        .into_iter()
        .map(|(role, hash)| (role.to_owned(), hash))
        .collect()
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    regular_file::read(path).map_err(|error| problems.push(unreadable(path, &error))).ok()
}

/// Says why a file cannot be read, and what to do where it is absent.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let place = path.to_string_lossy();
    if error.kind() != std::io::ErrorKind::NotFound {
        return Problem::new(place, format!("cannot be read: {error}"));
    }
    let problem = Problem::new(place, "does not exist");
    match path.file_name().and_then(|name| name.to_str()) {
        Some("tokenizer.json") => problem.hint(
            "make it from vocab.txt with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`",
        ),
        Some("model.safetensors") => problem.hint(
            "make it from pytorch_model.bin with `AutoModel.from_pretrained(DIR).save_pretrained(DIR)`",
        ),
        _ => problem,
    }
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

pub(crate) fn load_problems(path: &Path, error: &LoadError) -> Vec<Problem> {
    let place = path.to_string_lossy();
    match error {
        LoadError::Read { source, .. } => vec![unreadable(path, source)],
        LoadError::Corrupt { source, .. } => {
            let message = format!("is not a complete safetensors file: {source}");
            vec![Problem::new(place, message).hint("download or copy it again")]
        }
        LoadError::Config(error) => config_problems(Path::new("model"), error),
        LoadError::Tensors { problems } => problems
            .iter()
            .map(|problem| Problem::new(place.clone(), problem.to_string()))
            .collect(),
    }
}
