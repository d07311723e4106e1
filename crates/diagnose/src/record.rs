//! What is known of a trial.

use std::collections::BTreeMap;
use std::sync::Arc;

use converge_core::facts::Facts;
use converge_core::objective::{At, Goal, Objective};
use converge_core::search_space::Configuration;
use converge_core::settings::{Settings, TrainSettings};

use crate::curve::Curve;

/// A trial, as far as it went.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its number in the sweep.
    pub number: u64,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// Equal for the replicates of one configuration.
    pub fingerprint: String,
    /// Which seed: from 0.
    pub replicate: u64,
    /// Everything that decided what it computed.
    pub settings: Settings,
    /// What was found out about model and data.
    pub facts: Arc<Facts>,
    /// What it is ranked by.
    pub objective: Objective,
    /// How it ended.
    pub end: End,
    /// Steps of its schedule.
    pub total_steps: u64,
    /// By metric, in step order.
    pub curves: BTreeMap<String, Curve>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It has not: it waits or runs.
    Open,
    /// All steps done.
    Completed,
    /// Its loss or gradient was not finite.
    Diverged {
        /// Where.
        step: u64,
        /// Which of them.
        quantity: String,
    },
    /// Others were better at a rung.
    Stopped,
    /// The user did not want it.
    Cancelled,
    /// The process went wrong: nothing that training could say.
    Failed,
}

/// The metrics whose curves are looked at, beside the objective: all others are not needed in [`Record::curves`].
pub fn is_needed(metric: &str) -> bool {
    const OF_EVALUATIONS: [&str; 7] = [
        "loss",
        "loss_deviation",
        "accuracy",
        "macro_f1",
        "confidence",
        "confidently_wrong",
        "rmse",
    ];
    let prefixes = ["train/", "travel/", "validation/predicted/", "validation/recall/"];
    prefixes.iter().any(|prefix| metric.starts_with(prefix)) && metric != "train/seconds"
        || ["validation/", "train_subset/"].iter().any(|split| {
            metric.strip_prefix(split).is_some_and(|name| OF_EVALUATIONS.contains(&name))
        })
}

impl Record {
    /// Returns `[train]`.
    pub fn train(&self) -> &TrainSettings {
        &self.settings.train
    }

    /// Returns the curve of a metric; empty where there is none.
    pub fn curve(&self, metric: &str) -> Curve {
        self.curves.get(metric).cloned().unwrap_or_default()
    }

    /// Returns the objective as the sweep counts it; none where it was never a number.
    pub fn value(&self) -> Option<f64> {
        let curve = self.curves.get(&self.objective.metric)?;
        match (self.objective.at, self.objective.goal) {
            (At::Last, _) => curve.last(),
            (At::Best, Goal::Maximize) => curve.largest().map(|(_, value)| value),
            (At::Best, Goal::Minimize) => curve.smallest().map(|(_, value)| value),
        }
    }

    /// Returns the last step that is known of.
    pub fn last_step(&self) -> u64 {
        self.curves.values().filter_map(Curve::last_step).max().unwrap_or(0)
    }

    /// Returns how much of its schedule is done, from 0 to 1.
    pub fn progress(&self) -> f64 {
        self.last_step() as f64 / self.total_steps.max(1) as f64
    }
}
