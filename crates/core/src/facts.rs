//! What a worker found out about model and data before the first trial: the static facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::items::Answers;
use crate::packed::answers_text;
use crate::task::Task;

/// Facts of one combination of model and data settings; several configurations share them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// SHA-256 (hex) by role: `train`, `validation`, `test`, `model`, `config`, `tokenizer`.
    pub content_hashes: BTreeMap<String, String>,
    /// What the model learns to answer.
    // Facts from before there was a choice do not name it.
    #[serde(default)]
    pub task: Task,
    /// Why it is that.
    #[serde(default)]
    pub task_reason: String,
    /// Sorted names of the classes or labels, whose index is their place here; the one column of a regression.
    pub labels: Vec<String>,
    /// The splits as they will be used, limits applied.
    pub train: SplitFacts,
    /// None with `validation = "none"`.
    pub validation: Option<SplitFacts>,
    /// None without a test split.
    pub test: Option<SplitFacts>,
    /// What would be right of each validation example, in the order of the item results; none where the split is too
    /// large for those ([`MOST_BYTES`](crate::packed::MOST_BYTES)), and in facts from before there were any.
    #[serde(with = "answers_text", default, skip_serializing_if = "Option::is_none")]
    pub validation_answers: Option<Answers>,
    /// `max_length` in force, in tokens.
    pub max_length: u64,
    /// Texts that stand in the training split and in validation or test as well.
    pub duplicates_between_splits: u64,
    // Facts from before there were these have none of them.
    /// Those of them that have another answer there.
    #[serde(default)]
    pub contradicted_between_splits: u64,
    /// Places of the validation examples that are longer than `max_length`, in the order of the item results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated_validation: Vec<u32>,
    /// What words alone tell, without their order; none but in a task of classes with a validation split, of a size at
    /// which that takes seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bag_of_words: Option<BagOfWords>,
    /// The model's size.
    pub model: ModelFacts,
}

/// How well a logistic regression on the words of a text does on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BagOfWords {
    /// Texts cut off as for the model.
    pub accuracy: f64,
    /// The same answers.
    pub macro_f1: f64,
    /// With texts as long as the model's longest sequence; none where none is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_untruncated: Option<f64>,
}

/// Facts of one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitFacts {
    /// Examples in the split.
    pub examples: u64,
    /// Examples that have a class or label, in the order of the labels; none in a regression.
    pub class_counts: Vec<u64>,
    /// The numbers to be answered, in a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetFacts>,
    /// Tokens before truncation, special tokens included: minimum, median, 99th percentile, maximum.
    pub token_lengths: [u64; 4],
    /// Share of examples longer than `max_length`.
    pub truncated_share: f64,
    /// Share of tokens that the tokenizer does not know.
    pub unknown_token_share: f64,
}

/// The numbers that a regression is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Their mean.
    pub mean: f64,
    /// The root of the mean of their squared distance from it.
    pub deviation: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl TargetFacts {
    /// Returns the facts of some numbers; none of no number.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares = numbers.iter().map(|number| (number - mean).powi(2));
        let fold = |by: fn(f64, f64) -> f64| numbers.iter().copied().reduce(by);
        Some(Self {
            mean,
            deviation: (squares.sum::<f64>() / count).sqrt(),
            min: fold(f64::min)?,
            max: fold(f64::max)?,
        })
    }

    /// Returns the root of the mean squared error of always answering `answer`.
    pub fn rmse_of(&self, answer: f64) -> f64 {
        self.deviation.hypot(self.mean - answer)
    }
}

impl SplitFacts {
    /// Returns the share of the largest class: the accuracy of always answering it.
    pub fn majority_share(&self) -> f64 {
        let largest = self.class_counts.iter().max().copied().unwrap_or(0);
        largest as f64 / self.examples.max(1) as f64
    }
}

/// The model's size, for the prediction of memory and disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// All parameters, head included.
    pub parameters: u64,
    /// Width of a token's vector.
    pub hidden_size: u64,
    /// Encoder layers in use.
    pub layers: u64,
    /// Attention heads.
    pub heads: u64,
    /// Width of the feed-forward layer.
    pub intermediate_size: u64,
    /// Rows of the token embedding.
    pub vocabulary_size: u64,
    /// Longest sequence that the model has positions for.
    pub max_positions: u64,
}
