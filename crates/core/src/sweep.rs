//! A sweep: its search space, its fixed settings, and how it is to be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::constraint::Constraint;
use crate::early_stop::EarlyStop;
use crate::key::Key;
use crate::metric::default_of;
use crate::objective::Objective;
use crate::script::Script;
use crate::search_space::{Configuration, Parameter};
use crate::seed::Seed;
use crate::settings::Settings;
use crate::task::Task;
use crate::trial::Retries;
use crate::value::Value;

/// A sweep as its file says, every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Its name, unique in a home.
    pub name: String,
    /// How configurations are chosen.
    pub method: Method,
    /// How many trials a model-based method draws ahead of the results that it has: trial `n` is drawn from those of
    /// trials 1 to `n - ahead`.
    // Left out where it has its default: sweeps of other methods know nothing of it.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub ahead: u64,
    /// Every draw, split and mask follows from it.
    pub seed: Seed,
    /// Seeds per configuration.
    pub replicates: u64,
    /// Whether configurations that are tied for best get further seeds.
    // As the two after it, left out where it has its default: for the sake of sweeps from before it was there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub racing: bool,
    /// Seeds of a configuration at most, where racing gives it more.
    #[serde(default = "six", skip_serializing_if = "is_six")]
    pub max_replicates: u64,
    /// Whether the defaults are tried too, beside the search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
    /// What trials are ranked by.
    pub objective: Objective,
    /// The file names no metric, and the data say which task it is: see [`fit::objective`](crate::fit::objective).
    // Decided before anything is stored.
    #[serde(skip)]
    pub objective_follows_task: bool,
    /// The axes, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// Configurations that run before the search, as far as the file gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enqueue: Vec<Configuration>,
    /// What is left out of the search space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// The settings that all trials share.
    pub settings: Settings,
    /// Where and how it runs; may change at any time.
    pub run: RunSettings,
    /// Totals for the sweep's life; may change at any time.
    pub budget: Budget,
    /// What is done about failures; may change at any time.
    pub failure: FailurePolicy,
    /// Which trials go on after a part of their training; like the objective it does not change.
    // Left out where it is off, so that sweeps from before it could be written stay what they are.
    #[serde(default, skip_serializing_if = "EarlyStop::is_off")]
    pub early_stop: EarlyStop,
}

/// The default of [`Sweep::max_replicates`]: the fewest paired seeds of which a sign test can tell one from another.
pub(crate) const MAX_REPLICATES: u64 = 6;

fn six() -> u64 {
    MAX_REPLICATES
}

fn is_six(most: &u64) -> bool {
    *most == MAX_REPLICATES
}

/// `[sweep] method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every combination; the last parameter runs fastest.
    Grid,
    /// Independent draws, `budget.max_trials` of them.
    Random,
    /// Draws that fill the search space evenly: a scrambled Sobol sequence.
    Sobol,
    /// As many strata of each parameter as there are draws, each hit once.
    LatinHypercube,
    /// Draws that follow the results of earlier trials: a tree-structured Parzen estimator.
    Tpe,
}

impl Method {
    /// All of them, in the order in which documents show them.
    pub const ALL: [Self; 5] =
        [Self::Grid, Self::Random, Self::Sobol, Self::LatinHypercube, Self::Tpe];

    /// Their words.
    pub const WORDS: [&str; 5] = ["grid", "random", "sobol", "latin_hypercube", "tpe"];

    /// Returns the word used in sweep files and messages.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Whether configurations are drawn, `budget.max_trials` of them, from ranges that need no points.
    pub fn draws(self) -> bool {
        self != Self::Grid
    }

    /// Whether draws follow from results, so that they are made while the sweep runs.
    pub fn is_adaptive(self) -> bool {
        self == Self::Tpe
    }
}

/// `[run]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Workers at once.
    pub workers: Workers,
    /// Device name: `auto`, `cpu`, `cuda`, `cuda:0`, `wgpu`, `libtorch`, `scripted`, …
    pub device: String,
    /// Workers that share a GPU.
    #[serde(default = "one")]
    pub workers_per_gpu: u64,
    /// Finished trials whose best weights stay.
    pub keep_best: u64,
    /// Wall time between checkpoints; 0 writes one after every step. Unit: seconds.
    pub checkpoint_seconds: f64,
    /// Computes each layer again in the backward pass instead of keeping what it needs: less memory, more time.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Another worker program.
    pub worker: Option<String>,
    /// What the device `scripted` plays; the first rule that fits a configuration counts.
    pub script: Vec<ScriptRule>,
}

/// For sweeps that were stored before the key was there.
fn one() -> u64 {
    1
}

/// The default of [`Sweep::ahead`].
pub(crate) const AHEAD: u64 = 4;

fn four() -> u64 {
    AHEAD
}

fn is_four(ahead: &u64) -> bool {
    *ahead == AHEAD
}

/// `[run] workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workers {
    /// As many as cores and memory allow.
    Auto,
    /// So many.
    Count(u64),
}

/// A script and the configurations that play it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptRule {
    /// Values of parameters that must fit; empty: all trials.
    #[serde(default)]
    pub when: BTreeMap<String, Value>,
    /// What is played.
    pub script: Script,
}

/// `[failure]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// Sweeps that were stored before a key was there get its default.
#[serde(deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// Retries by class.
    pub retries: Retries,
    /// An attempt that makes no progress for so long is hung, and its worker is killed. Unit: seconds.
    pub timeout_seconds: u64,
    /// Failed trials of the sweep, in all, at which it stops; none: it never does.
    pub max_failed: Option<u64>,
    /// Trials that fail in a row, without one that completes or diverges in between, at which the sweep stops.
    pub max_consecutive: Option<u64>,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            retries: Retries::default(),
            timeout_seconds: 600,
            max_failed: None,
            max_consecutive: Some(5),
        }
    }
}

impl Sweep {
    /// Returns whether trials are added while it runs.
    pub fn grows(&self) -> bool {
        self.racing || self.method.is_adaptive()
    }

    /// Returns the settings of a trial: the fixed ones with the configuration applied.
    ///
    /// # Panics
    /// Where a value does not fit its key: values are checked when the sweep file is read.
    pub fn settings_of(&self, configuration: &Configuration) -> Settings {
        let mut document = serde_json::to_value(&self.settings).expect("settings are plain data");
        for (name, value) in configuration {
            let key = Key::find(name).expect("parameter names are checked");
            let (section, field) = key.section();
            document[section][field] = serde_json::to_value(value).expect("values are plain data");
        }
        serde_json::from_value(document).expect("values are checked against their keys")
    }

    /// Takes over the objective of a stored sweep, where the file names none and it may be what the file meant then.
    pub fn follow_objective(&mut self, stored: &Objective) {
        let Objective { goal, at, .. } = self.objective;
        let is_default = Task::ALL.into_iter().any(|task| default_of(task) == stored.metric);
        if self.objective_follows_task && is_default && (stored.goal, stored.at) == (goal, at) {
            self.objective = stored.clone();
            self.objective_follows_task = false;
        }
    }

    /// Returns the value of a fixed setting, by the name that users write.
    pub fn fixed(&self, name: &str) -> Option<Value> {
        fixed(&self.settings, name)
    }

    /// Returns the first constraint that leaves a configuration out.
    pub fn constraint_on(&self, configuration: &Configuration) -> Option<usize> {
        let value_of = |name: &str| configuration.get(name).cloned().or_else(|| self.fixed(name));
        self.constraints.iter().position(|constraint| constraint.fits(&value_of))
    }

    /// Returns the script of a configuration on the device `scripted`.
    pub fn script_of(&self, configuration: &Configuration) -> Script {
        let fits = |rule: &&ScriptRule| {
            rule.when.iter().all(|(name, expected)| {
                let value = configuration.get(name).cloned().or_else(|| self.fixed(name));
                value.is_some_and(|value| value.means(expected))
            })
        };
        self.run.script.iter().find(fits).map(|rule| rule.script.clone()).unwrap_or_default()
    }
}

/// Returns the value of a setting, by the name that users write; none where it is unset.
pub(crate) fn fixed(settings: &Settings, name: &str) -> Option<Value> {
    let (section, field) = Key::find(name)?.section();
    let document = serde_json::to_value(settings).expect("settings are plain data");
    let value = match &document[section][field] {
        // What has its default may be left out.
        serde_json::Value::Null => left_out(name)?,
        value => value.clone(),
    };
    serde_json::from_value(value).ok()
}

/// Returns the default of a key that is left out of the settings where it has that.
pub(crate) fn left_out(name: &str) -> Option<serde_json::Value> {
    Some(match Key::find(name)?.name {
        "train.precision" => "float32".into(),
        "train.reinit_layers" => 0.into(),
        "train.reinit_pooler" => false.into(),
        "train.layerwise_decay" => 1.0.into(),
        "train.sampling" => "shuffle".into(),
        "data.task" => "auto".into(),
        _ => return None,
    })
}
