//! A trained model, opened to be asked: what [`best`](crate::best) keeps of an attempt, or what
//! [`package`](crate::package) made of it.

use std::path::Path;

use burn::tensor::Device;
use converge_bert::{
    BertClassifier, BertConfig, ClassifierOptions, WeightFiles, WeightFormat, weights,
};
use converge_core::problem::Problem;
use converge_core::settings::Pooling;
use converge_core::task::Task;
use serde_json::Value;

use crate::data::tokens::TextEncoder;
use crate::device;
use crate::regular_file;
use crate::source::{config_problems, load_problems, unreadable};

/// A trained model, ready to answer.
pub struct TrainedModel {
    pub(crate) model: BertClassifier,
    pub(crate) encoder: TextEncoder,
    pub(crate) device: Device,
    /// Tokens that texts are cut to.
    pub(crate) max_length: usize,
    task: Task,
    labels: Vec<String>,
}

/// What a `config.json` of ours says beside the model's architecture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) task: Task,
    /// By number.
    pub(crate) labels: Vec<String>,
    pub(crate) pooling: Pooling,
    pub(crate) max_length: usize,
}

impl TrainedModel {
    /// Opens the model of a folder on a device. `hash` is the SHA-256 of its weights, where somebody wrote it down.
    ///
    /// # Errors
    /// Every problem with its files.
    pub fn open(directory: &Path, hash: Option<&str>, device: &str) -> Result<Self, Vec<Problem>> {
        let device = device::open(device)
            .map_err(|error| vec![Problem::new("device", error.to_string())])?;
        let [config_path, tokenizer_path, weights_path] =
            ["config.json", "tokenizer.json", "model.safetensors"].map(|name| directory.join(name));
        let mut problems = Vec::new();
        let mut read = |path: &Path| {
            regular_file::read(path).map_err(|error| problems.push(unreadable(path, &error))).ok()
        };
        let (config_text, tokenizer) = (read(&config_path), read(&tokenizer_path));
        match regular_file::sha256(&weights_path) {
            Err(error) => problems.push(unreadable(&weights_path, &error)),
            Ok(found) if hash.is_some_and(|hash| hash != found) => {
                problems.push(
                    Problem::new(
                        weights_path.to_string_lossy(),
                        "are not the weights that were saved",
                    )
                    .hint("copy or save the folder again; `converge.json` in it has their SHA-256"),
                );
            }
            Ok(_) => {}
        }
        let (Some(config_text), Some(tokenizer)) = (config_text, tokenizer) else {
            return Err(problems);
        };
        let config_text = String::from_utf8_lossy(&config_text).into_owned();
        let config = BertConfig::from_json(&config_text)
            .map_err(|error| problems.extend(config_problems(&config_path, &error)))
            .ok();
        let head = Head::read(&config_text);
        if head.is_none() {
            problems.push(
                Problem::new(
                    config_path.to_string_lossy(),
                    "is not of a model that converge trained",
                )
                .hint("`converge save` makes folders that can be used here"),
            );
        }
        let (Some(config), Some(head)) = (config, head) else { return Err(problems) };
        let encoder = TextEncoder::from_json(&tokenizer, config.vocab_size).map_err(|error| {
            problems.push(Problem::new(tokenizer_path.to_string_lossy(), error.to_string()));
        });
        let (Ok(encoder), true) = (encoder, problems.is_empty()) else { return Err(problems) };
        let options = ClassifierOptions {
            pooling: match head.pooling {
                Pooling::Cls => converge_bert::Pooling::Cls,
                Pooling::Mean => converge_bert::Pooling::Mean,
            },
            ..ClassifierOptions::new(head.labels.len())
        };
        let paths = vec![weights_path.clone()];
        let files = WeightFiles { format: WeightFormat::SafeTensors, paths };
        let (model, report) = weights::load_files(&files, &config, &options, 0, &device)
            .map_err(|error| load_problems(&files, &error))?;
        if !report.newly_initialised.is_empty() {
            let missing = report.newly_initialised.join("`, `");
            let message = format!("lacks `{missing}`: it is not a whole trained model");
            return Err(vec![Problem::new(weights_path.to_string_lossy(), message)]);
        }
        let Head { task, labels, max_length, .. } = head;
        Ok(Self { model, encoder, device, max_length, task, labels })
    }

    /// Returns what it answers.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Returns the names of its classes or labels, by number.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl Head {
    /// Reads what `best` wrote; none where somebody else wrote the file.
    pub(crate) fn read(config: &str) -> Option<Self> {
        let config: Value = serde_json::from_str(config).ok()?;
        let ours = config.get("converge")?;
        let names = config.get("id2label")?.as_object()?;
        let labels = (0..names.len())
            .map(|id| Some(names.get(&id.to_string())?.as_str()?.to_owned()))
            .collect::<Option<_>>()?;
        // Models from before there was a choice do not name their task.
        let problem_type = config.get("problem_type").and_then(Value::as_str);
        let task = match problem_type {
            Some(name) => Task::ALL.into_iter().find(|task| task.problem_type() == name)?,
            None => Task::Classes,
        };
        Some(Self {
            task,
            labels,
            pooling: serde_json::from_value(ours.get("pooling")?.clone()).ok()?,
            max_length: usize::try_from(ours.get("max_length")?.as_u64()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_the_order_of_their_numbers() {
        let names: Vec<String> = (0..12).map(|id| format!("\"{id}\": \"l{id}\"")).collect();
        let text = format!(
            "{{\"id2label\": {{{}}}, \"converge\": {{\"pooling\": \"mean\", \"max_length\": 7}}}}",
            names.join(", ")
        );
        let head = Head::read(&text).unwrap();
        assert_eq!(head.labels[10], "l10");
        assert_eq!((head.task, head.pooling, head.max_length), (Task::Classes, Pooling::Mean, 7));
        assert_eq!(Head::read("{\"id2label\": {\"0\": \"a\"}}"), None);
    }
}
