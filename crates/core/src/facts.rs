//! What a worker found out about model and data before the first trial: the static facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Sorted label names; a class's index is its place here.
    pub labels: Vec<String>,
    /// The splits as they will be used, limits applied.
    pub train: SplitFacts,
    /// None with `validation = "none"`.
    pub validation: Option<SplitFacts>,
    /// None without a test split.
    pub test: Option<SplitFacts>,
    /// `max_length` in force, in tokens.
    pub max_length: u64,
    /// Texts that stand in the training split and in validation or test as well.
    pub duplicates_between_splits: u64,
    /// The model's size.
    pub model: ModelFacts,
}

/// Facts of one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitFacts {
    /// Examples in the split.
    pub examples: u64,
    /// Examples by class, in the order of the labels.
    pub class_counts: Vec<u64>,
    /// Tokens before truncation, special tokens included: minimum, median, 99th percentile, maximum.
    pub token_lengths: [u64; 4],
    /// Share of examples longer than `max_length`.
    pub truncated_share: f64,
    /// Share of tokens that the tokenizer does not know.
    pub unknown_token_share: f64,
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
