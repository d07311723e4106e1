//! What is asked of a trained model, and the answers: JSON, one object a line.
//!
//! The question is the first line on the worker's stdin; what follows it there is text to be judged, where the question
//! says so. Answers come on stdout, in order, and end with [`Answer::Done`] or [`Answer::Refused`]. Whoever stops reading
//! ends the worker with its next answer.

use std::collections::BTreeMap;

use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::Settings;
use converge_core::task::Task;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// The model's answer to every row.
    Predict {
        /// The model.
        model: Model,
        /// Where the texts are.
        input: Input,
        /// Most rows computed together; none: the worker's choice.
        batch_size: Option<u64>,
    },
    /// How good its answers to a labelled file are.
    Evaluate {
        /// The model.
        model: Model,
        /// A csv, tsv or jsonl file; absolute.
        file: String,
        /// Its columns.
        columns: Columns,
        /// Column of the label.
        label: String,
        /// What the model was trained on; none: not known.
        origin: Option<Box<Origin>>,
    },
    /// How good its answers to the test split of its own sweep are.
    Test {
        /// The model.
        model: Model,
        /// What the model was trained on: the splits are drawn again.
        origin: Box<Origin>,
    },
    /// A folder that Hugging Face's libraries open.
    Save {
        /// The model.
        model: Model,
        /// The folder to make; absolute.
        directory: String,
        /// Whether an earlier model there is replaced.
        replace: bool,
        /// The model card.
        card: String,
        /// What becomes `converge.json`; the hash of the weights is added.
        description: serde_json::Value,
    },
}

/// A trained model on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its folder; absolute.
    pub directory: String,
    /// SHA-256 (hex) of the weights, where somebody wrote it down.
    pub weights: Option<String>,
}

/// Columns of the texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Of the text.
    pub text: String,
    /// Of the second text, in sentence-pair tasks.
    pub text_pair: Option<String>,
}

/// Where the texts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// In a csv, tsv or jsonl file.
    File {
        /// Absolute.
        path: String,
        /// Its columns.
        columns: Columns,
    },
    /// On stdin behind the question, one a line.
    Lines,
}

/// What a model was trained on, to tell whether a file is new to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Settings of its trial.
    pub settings: Settings,
    /// Seed of the splits.
    pub split_seed: Seed,
    /// SHA-256 (hex) by role.
    pub hashes: BTreeMap<String, String>,
    /// Where tokenised data is kept; absolute.
    pub cache_directory: String,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The model is loaded and the input was found sound; comes before the first row.
    Ready {
        /// What it answers.
        task: Task,
        /// Names of classes, of labels, or of the one number.
        labels: Vec<String>,
    },
    /// The answer to the next row.
    Row {
        /// One value for each label, unnormalised.
        #[serde(with = "crate::number::list")]
        logits: Vec<f64>,
        /// The same as probabilities: of the classes, or of each label by itself. Empty for a number.
        #[serde(with = "crate::number::list")]
        probabilities: Vec<f64>,
    },
    /// It gets on.
    Beat,
    /// How good the model is on the file.
    Scores {
        /// Rows.
        examples: u64,
        /// By name, without a split.
        #[serde(with = "crate::number::pairs")]
        metrics: Vec<(String, f64)>,
        /// What of the file is not new to the model.
        overlap: Overlap,
    },
    /// The folder is there.
    Saved {
        /// SHA-256 (hex) of the weights.
        weights: String,
        /// Its size. Unit: bytes.
        bytes: u64,
    },
    /// All rows are answered.
    Done,
    /// Nothing more comes.
    Refused {
        /// Why: all that was found.
        problems: Vec<Problem>,
    },
}

/// What of a file is not new to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlap {
    /// Roles of the sweep's files that have the very same content.
    pub same_file: Vec<String>,
    /// Rows whose texts stand in the training split; none: not known.
    pub in_training: Option<u64>,
    /// Rows whose texts stand in the validation split, by which the model was chosen; none: not known.
    pub in_validation: Option<u64>,
    /// Why it is not known.
    pub unknown: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_number_survives_its_line() {
        let (logits, probabilities) = (vec![f64::NAN, f64::NEG_INFINITY, 0.1], vec![1.0, 0.0, 0.0]);
        let line = serde_json::to_string(&Answer::Row { logits, probabilities }).unwrap();
        assert_eq!(
            line,
            r#"{"type":"row","logits":["nan","-inf",0.1],"probabilities":[1.0,0.0,0.0]}"#
        );
        let Ok(Answer::Row { logits, .. }) = serde_json::from_str(&line) else { panic!("{line}") };
        assert!(logits[0].is_nan());
        assert_eq!(logits[1..], [f64::NEG_INFINITY, 0.1]);
    }
}
