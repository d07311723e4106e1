//! Early stopping: which trials of a sweep go on after a part of their training, and which are stopped there.
//!
//! A *rung* is a step at which trials are compared. A trial that reaches one pauses; it is *promoted* and goes on, bit
//! for bit as if it had never paused, or it is *stopped*: a result that is censored, and no failure. All rungs lie on
//! the schedule of the whole training: neither its length nor its learning rates change, so a trial at a rung has not
//! had its decay yet, and a slow starter looks worse than it will be.
//!
//! In reading order: `rung` (at which steps), `standing` (what a trial has reached, and when two of them are tied),
//! `ladder` (who goes on). Everything is decided in the order of trial numbers, so nothing depends on which worker was
//! faster, on how many there are, or on what was killed.
//!
//! # Source
//! Jamieson & Talwalkar 2016 (successive halving), Li et al. 2020 (ASHA), Golovin et al. 2017 (median stopping rule),
//! Egele et al. 2024, "The unreasonable effectiveness of early discarding after one epoch" (`top_k`).

mod ladder;
mod median;
mod race;
mod rung;
mod standing;

use serde::{Deserialize, Serialize};

pub use ladder::{Decision, Ended, Known, KnownRung, Ladder, Verdict};
pub use standing::{Marks, Standing};

/// `[early_stop]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// Who goes on.
    #[serde(rename = "type")]
    pub rule: Rule,
    /// The first rung. Unit: epochs.
    pub first: f64,
    /// One of so many goes on; the rungs of `halving` and `asha` are so many times further each.
    pub eta: u64,
    /// Trials that go on after the one rung of `top_k`: a share below 1, or a number of them; none: 1 / `eta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<f64>,
    /// Trials that the median is taken over at least.
    pub min_trials: u64,
    /// Whether what is within one standard error of the last one that goes on goes on as well.
    pub ties: bool,
    /// Evaluations without a better objective after which a trial ends by itself, with its best weights; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
}

/// `[early_stop] type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// All trials run to their end.
    None,
    /// One rung: all trials reach it, the best few go on to the end.
    TopK,
    /// Successive halving: at each rung all are waited for, and the best 1 / `eta` go on.
    Halving,
    /// The same without waiting for all: whoever is among the best 1 / `eta` of the first so many goes on.
    Asha,
    /// A rung every `first` epochs: who is worse than the median of the trials before it is stopped.
    Median,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self {
            rule: Rule::None,
            first: 1.0,
            eta: 3,
            keep: None,
            min_trials: 5,
            ties: true,
            patience: None,
        }
    }
}

impl EarlyStop {
    /// Returns whether nothing is stopped early.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how many of `trials` go on for their place alone, ties apart.
    pub fn promoted(&self, trials: u64) -> u64 {
        match (self.rule, self.keep) {
            (Rule::TopK, Some(count)) if count >= 1.0 => count as u64,
            // Rounded down, but for what floating point makes of a third of 24.
            (Rule::TopK, Some(share)) => (share * trials as f64 + 1e-9).floor() as u64,
            _ => trials / self.eta.max(2),
        }
    }
}

impl Rule {
    /// All of them, as they are listed.
    pub const ALL: [Self; 5] = [Self::None, Self::TopK, Self::Halving, Self::Asha, Self::Median];

    /// Returns the word used in sweep files and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TopK => "top_k",
            Self::Halving => "halving",
            Self::Asha => "asha",
            Self::Median => "median",
        }
    }
}

#[cfg(test)]
mod tests;
