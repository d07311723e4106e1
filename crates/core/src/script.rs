//! What the scripted trainer does in place of training: for null trials, chaos and tests.

use serde::{Deserialize, Serialize};

/// A scripted trial: a smooth curve of given length, and an end at a given step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Steps of the trial.
    pub steps: u64,
    /// Sleep at each step. Unit: milliseconds.
    pub step_milliseconds: u64,
    /// A checkpoint every so many steps; 0: only when asked to stop.
    pub checkpoint_every: u64,
    /// The step at which `end` happens; none: after the last.
    pub at_step: Option<u64>,
    /// What happens there.
    pub end: ScriptEnd,
    /// Whether evaluations tell what was said of each validation example: as many as the facts say, of which the curve's
    /// share is right.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub items: bool,
    /// The end happens only in the trial's first so many attempts; later ones complete. None: in all.
    pub attempts: Option<u64>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            steps: 10,
            step_milliseconds: 0,
            checkpoint_every: 0,
            at_step: None,
            end: ScriptEnd::Complete,
            items: false,
            attempts: None,
        }
    }
}

/// Evaluations of a scripted trial, the one after the last step included.
const EVALUATIONS: u64 = 4;

impl Script {
    /// Returns the steps that are evaluated, in order.
    pub fn evaluations(&self) -> impl Iterator<Item = u64> + use<> {
        let steps = self.steps;
        let mut last = 0;
        (1..=EVALUATIONS).filter_map(move |index| {
            let step = (steps * index).div_ceil(EVALUATIONS);
            (std::mem::replace(&mut last, step) < step).then_some(step)
        })
    }
}

/// How a scripted trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptEnd {
    /// With all steps done.
    Complete,
    /// By a loss of NaN.
    Diverge,
    /// By a panic of the training code.
    Panic,
    /// By `kill -9` of its own process.
    Kill,
    /// By an error of class `oom`.
    Oom,
    /// By an error of class `data`.
    Data,
    /// Never: no further frame.
    Hang,
}
