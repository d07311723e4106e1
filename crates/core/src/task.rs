//! What a model learns to answer.

use serde::{Deserialize, Serialize};

/// The kind of answer. Whether a question is one text or two is another matter: `text_pair`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One class of two or more.
    #[default]
    Classes,
    /// Any number of labels, each by itself.
    MultiLabel,
    /// A number.
    Regression,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Classes, Self::MultiLabel, Self::Regression];

    /// Returns its name in files, in the database and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::MultiLabel => "multi_label",
            Self::Regression => "regression",
        }
    }

    /// Returns `problem_type` of a Hugging Face `config.json`.
    pub fn problem_type(self) -> &'static str {
        match self {
            Self::Classes => "single_label_classification",
            Self::MultiLabel => "multi_label_classification",
            Self::Regression => "regression",
        }
    }
}
