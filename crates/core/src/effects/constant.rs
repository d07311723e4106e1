//! What a model would get that always says the same: a trial that is no better has learnt nothing.

use serde::Serialize;

use crate::facts::Facts;
use crate::objective::Goal;
use crate::task::Task;

/// The value of a constant answer, and what counts as better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Constant {
    /// The objective of always answering the same.
    pub value: f64,
    /// A trial works if its objective is better than this.
    pub beaten_beyond: f64,
}

impl Constant {
    /// Returns what a constant answer gets of a metric; none where that is not known.
    ///
    /// # Source
    /// Dodge et al. 2020 (arXiv:2002.06305): a fine-tune has failed that is no better than the majority class. For
    /// accuracies the margin is that of a one-sided test at 5 %, since the best of a few evaluations of a model that
    /// guesses is a little above.
    pub fn of(facts: &Facts, metric: &str) -> Option<Self> {
        let validation = facts.validation.as_ref()?;
        match (facts.task, metric) {
            (Task::Classes, "validation/accuracy") if validation.examples > 0 => {
                let value = validation.majority_share();
                let error = (value * (1.0 - value) / validation.examples as f64).sqrt();
                Some(Self { value, beaten_beyond: value + 1.64 * error })
            }
            (Task::Regression, "validation/rmse" | "validation/loss") => {
                let rmse = validation.targets?.rmse_of(facts.train.targets?.mean);
                let value = if metric == "validation/loss" { rmse * rmse } else { rmse };
                Some(Self { value, beaten_beyond: value })
            }
            _ => None,
        }
    }

    /// Returns whether a value is no better than a constant answer.
    pub fn holds(&self, value: f64, goal: Goal) -> bool {
        match goal {
            Goal::Maximize => value <= self.beaten_beyond,
            Goal::Minimize => value >= self.beaten_beyond,
        }
    }
}
