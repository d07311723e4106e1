//! The best weights of an attempt, as a directory that Hugging Face's libraries read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use converge_bert::{BertClassifier, BertConfig, weights};
use converge_core::settings::Pooling;
use converge_core::task::Task;
use converge_faults::{disk, point};
use serde_json::{Value, json};

use crate::durable::{self, Sync};
use crate::job::{BestWeights, FineTuneError};

/// `best/` of an attempt.
pub(crate) struct BestDirectory {
    directory: PathBuf,
    /// Files that do not change during the training, by name.
    constant: [(&'static str, Vec<u8>); 2],
}

impl BestDirectory {
    /// Names the directory; nothing is written before there are best weights.
    pub(crate) fn new(
        attempt_directory: &Path,
        model: &BertClassifier,
        labels: &[String],
        usage: Usage,
        tokenizer_json: Vec<u8>,
    ) -> Self {
        let config = config_json(model.config(), labels, usage).into_bytes();
        Self {
            directory: attempt_directory.join("best"),
            constant: [("config.json", config), ("tokenizer.json", tokenizer_json)],
        }
    }

    /// Returns where the weights are kept. The file is replaced, never written in place.
    pub(crate) fn weights(&self) -> PathBuf {
        self.directory.join("model.safetensors")
    }

    /// Makes the directory with everything but the weights.
    pub(crate) fn create(&self) -> Result<(), FineTuneError> {
        let failed = |error| FineTuneError::io("write", &self.directory, error);
        if !self.directory.exists() {
            fs::create_dir_all(&self.directory).map_err(failed)?;
            disk::created(&self.directory);
        }
        for (name, content) in &self.constant {
            let path = self.directory.join(name);
            durable::write(&path, Sync::Yes, |writer| writer.write_all(content)).map_err(failed)?;
        }
        Ok(())
    }

    /// Replaces the weights. Durable with the next checkpoint, which links to them, or with
    /// [`finish`](Self::finish).
    pub(crate) fn write(&self, model: &BertClassifier) -> Result<(), FineTuneError> {
        let path = self.weights();
        if !path.exists() {
            self.create()?;
        }
        durable::write(&path, Sync::No, |mut writer| {
            weights::save(model, &mut writer).map_err(|error| error.source)
        })
        .map(drop)
        .map_err(|error| FineTuneError::io("write the best weights", &path, error))
    }

    /// Makes the directory durable and says what is in it.
    pub(crate) fn finish(&self, step: u64, value: f64) -> Result<BestWeights, FineTuneError> {
        point("best.before");
        let synced = || -> io::Result<()> {
            durable::sync_file(&self.weights())?;
            // Also the attempt's own name: nobody synced it when it was made.
            self.directory.ancestors().take(3).try_for_each(durable::sync_directory)?;
            point("best.after");
            Ok(())
        };
        synced().map_err(|error| FineTuneError::io("write", &self.directory, error))?;
        Ok(BestWeights { step, value, directory: self.directory.clone() })
    }
}

/// How a trained model is used, beside what its published configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tokens that texts are cut to.
    pub(crate) max_length: usize,
    pub(crate) pooling: Pooling,
    pub(crate) task: Task,
}

/// Returns a model's configuration with the names of the labels, what Hugging Face's libraries need to know of the
/// task, and what only we need to know.
fn config_json(config: &BertConfig, labels: &[String], usage: Usage) -> String {
    let text = config.to_json();
    let architecture = config.architecture;
    let mut config: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(keys) = config.as_object_mut() {
        let by_number = labels.iter().enumerate();
        let id2label: serde_json::Map<_, _> =
            by_number.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
        let label2id: serde_json::Map<_, _> =
            by_number.map(|(id, label)| (label.clone(), json!(id))).collect();
        // A class that computes something else is not named.
        let class = match usage.pooling {
            Pooling::Cls => architecture.classifier_class(),
            Pooling::Mean => architecture.encoder_class(),
        };
        keys.insert("architectures".to_owned(), json!([class]));
        keys.insert("id2label".to_owned(), id2label.into());
        keys.insert("label2id".to_owned(), label2id.into());
        keys.insert("num_labels".to_owned(), json!(labels.len()));
        keys.insert("problem_type".to_owned(), json!(usage.task.problem_type()));
        let ours = json!({ "pooling": usage.pooling, "max_length": usage.max_length });
        keys.insert("converge".to_owned(), ours);
    }
    // Strings and numbers under fixed names always serialise.
    serde_json::to_string_pretty(&config).unwrap_or(text)
}
