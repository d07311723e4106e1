//! The metric and direction by which trials are ranked.

use serde::{Deserialize, Serialize};

/// `[sweep] objective`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Metric name, such as `validation/accuracy`.
    pub metric: String,
    /// Direction.
    pub goal: Goal,
    /// Which evaluation of a trial counts.
    pub at: At,
}

/// Direction of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Larger is better.
    Maximize,
    /// Smaller is better.
    Minimize,
}

/// Which evaluation of a trial counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The best one.
    Best,
    /// The last one.
    Last,
}

impl Objective {
    /// Returns whether `candidate` is strictly better than `incumbent`; NaN is never better and always beaten.
    pub fn improves(&self, candidate: f64, incumbent: f64) -> bool {
        if candidate.is_nan() {
            return false;
        }
        if incumbent.is_nan() {
            return true;
        }
        match self.goal {
            Goal::Maximize => candidate > incumbent,
            Goal::Minimize => candidate < incumbent,
        }
    }
}
