//! What a model said of each example of a split, and how wrong that was: what paired comparisons of trials are made from.

use serde::{Deserialize, Serialize};

mod confusion;
mod correlation;
mod measure;
#[cfg(test)]
mod tests;

pub use measure::{Measure, metric};

/// An answer to each example, in the order of the split: the right ones, or a model's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answers {
    /// A class each: its place among the labels.
    Classes {
        /// By example.
        classes: Vec<u32>,
    },
    /// A set of labels each.
    Labels {
        /// Labels that there are.
        labels: u32,
        /// Whether the example has the label: by example, then by label.
        has: Vec<bool>,
    },
    /// A number each.
    Numbers {
        /// By example.
        numbers: Vec<f32>,
    },
}

/// What a model said of each example of a split at one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemResults {
    /// Its answers.
    pub answers: Answers,
    /// Its loss on each, by example; what the split's loss is the mean of.
    pub losses: Vec<f32>,
}

impl Answers {
    /// Returns how many examples they are about.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { classes } => classes.len(),
            Self::Labels { labels, has } => has.len() / (*labels).max(1) as usize,
            Self::Numbers { numbers } => numbers.len(),
        }
    }

    /// Returns whether every example has the same.
    pub fn are_all_the_same(&self) -> bool {
        fn equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
            let first = values.next();
            values.all(|value| Some(&value) == first.as_ref())
        }
        match self {
            Self::Classes { classes } => equal(classes.iter()),
            Self::Labels { labels, has } => equal(has.chunks_exact((*labels).max(1) as usize)),
            Self::Numbers { numbers } => equal(numbers.iter()),
        }
    }

    /// Returns whether they are about no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
