//! What other trials of a sweep prove: one that differs in a single setting and works is an experiment, not a guess.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::objective::Goal;
use converge_core::settings::Optimizer;
use converge_core::value::Value;
use serde::Serialize;

use crate::cause::Cause;
use crate::record::Record;
use crate::rules::Case;
use crate::standing::Standing;

/// A change of one parameter, and what came of it in trials that are otherwise the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The parameter; `replicate` where only the seed differs.
    pub parameter: String,
    /// What the others have of it, and of what came with it: an optimizer brings its own learning rate. None where a
    /// parameter does not apply.
    pub to: BTreeMap<String, Option<Value>>,
    /// What the change speaks for.
    pub cause: Option<Cause>,
    /// The otherwise equal trial whose objective is best.
    pub trial: u64,
    /// Its objective.
    pub value: f64,
    /// Whether it works, and is better by more than noise.
    pub helps: bool,
    /// In how many pairs of trials of the sweep that differ in just this change, the first fails.
    pub pairs: u64,
    /// In how many of these the second one works.
    pub helped: u64,
}

/// Returns the changes that trials of the sweep made of this one, those that help first, the most telling ahead.
pub fn counterfactuals(case: &Case<'_>, all: &[Case<'_>]) -> Vec<Counterfactual> {
    let mut by_change: BTreeMap<String, Vec<(&Case<'_>, Change)>> = BTreeMap::new();
    for other in all {
        let Some(change) = only_change(case.record, other.record) else { continue };
        by_change.entry(change.key()).or_default().push((other, change));
    }
    let mut found: Vec<Counterfactual> = by_change
        .into_values()
        .filter_map(|others| {
            let better = |case: &Case<'_>| signed(case.record, case.judged.value);
            let (best, change) = others
                .into_iter()
                .filter(|(other, _)| other.judged.value.is_some())
                .reduce(|best, one| if better(one.0) > better(best.0) { one } else { best })?;
            let (pairs, helped) = pairs(&change, all);
            Some(Counterfactual {
                cause: cause_of(case.record, &change),
                trial: best.record.number,
                value: best.judged.value?,
                helps: helps(case, best),
                pairs,
                helped,
                to: change.values.into_iter().map(|(name, (_, to))| (name, to)).collect(),
                parameter: change.parameter,
            })
        })
        .collect();
    found.sort_by(|left, right| {
        let rank = |one: &Counterfactual| (one.helps, one.helped);
        rank(right).cmp(&rank(left)).then_with(|| left.trial.cmp(&right.trial))
    });
    found
}

/// A difference in one parameter.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    parameter: String,
    /// What it and what it brings with it change from, and to.
    values: BTreeMap<String, (Option<Value>, Option<Value>)>,
}

impl Change {
    fn key(&self) -> String {
        format!("{} {:?}", self.parameter, self.values)
    }
}

/// Returns the one parameter in which two trials differ. The optimizer brings its own learning rate and momentum with it:
/// these then count as one.
fn only_change(from: &Record, to: &Record) -> Option<Change> {
    if from.number == to.number {
        return None;
    }
    if from.fingerprint == to.fingerprint {
        let parameter = "replicate".to_owned();
        return Some(Change { parameter, values: BTreeMap::new() });
    }
    let names: BTreeSet<&String> =
        from.configuration.keys().chain(to.configuration.keys()).collect();
    let differs = |name: &&&String| {
        let (left, right) = (from.configuration.get(**name), to.configuration.get(**name));
        match (left, right) {
            (Some(left), Some(right)) => !left.means(right),
            _ => true,
        }
    };
    let all: Vec<&String> = names.iter().filter(differs).copied().collect();
    let mut different = all.clone();
    if different.iter().any(|name| *name == "optimizer") {
        different.retain(|name| !matches!(name.as_str(), "learning_rate" | "momentum"));
    }
    let [name] = different.as_slice() else { return None };
    let of = |record: &Record, name: &String| record.configuration.get(name).cloned();
    let values = all.into_iter().map(|name| (name.clone(), (of(from, name), of(to, name))));
    Some(Change { parameter: (*name).clone(), values: values.collect() })
}

/// Returns in how many pairs with this change the first trial fails, and in how many of these the second works.
fn pairs(change: &Change, all: &[Case<'_>]) -> (u64, u64) {
    let (mut pairs, mut helped) = (0, 0);
    for first in all.iter().filter(|case| failed(case)) {
        let same = |case: &&Case<'_>| only_change(first.record, case.record).as_ref() == Some(change);
        let ended = |case: &&Case<'_>| case.judged.standing != Standing::Unknown;
        for second in all.iter().filter(same).filter(ended) {
            pairs += 1;
            helped += u64::from(helps(first, second));
        }
    }
    (pairs, helped)
}

fn failed(case: &Case<'_>) -> bool {
    matches!(case.judged.standing, Standing::Diverged | Standing::AtChance | Standing::Poor)
}

/// Returns whether a trial works where another does not, by more than noise.
fn helps(failing: &Case<'_>, other: &Case<'_>) -> bool {
    if other.judged.standing != Standing::Converged || !failed(failing) {
        return false;
    }
    let (Some(own), Some(value)) = (failing.judged.value, other.judged.value) else {
        return other.judged.value.is_some();
    };
    let error = failing.judged.error.unwrap_or(0.0).hypot(other.judged.error.unwrap_or(0.0));
    signed(failing.record, Some(value)) - signed(failing.record, Some(own)) > 2.0 * error
}

/// Returns a value, larger being better; none is worst of all.
pub(crate) fn signed(record: &Record, value: Option<f64>) -> f64 {
    let sign = if record.objective.goal == Goal::Minimize { -1.0 } else { 1.0 };
    value.map_or(f64::NEG_INFINITY, |value| sign * value)
}

/// Returns which cause a change speaks for, if it helps.
fn cause_of(record: &Record, change: &Change) -> Option<Cause> {
    let train = record.train();
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::number);
    let (from, to) = change.values.get(&change.parameter).cloned().unwrap_or_default();
    let less = match (number(&from), number(&to)) {
        (Some(from), Some(to)) => Some(to < from),
        _ => None,
    };
    let is_sgd = train.optimizer == Optimizer::Sgd;
    match (change.parameter.as_str(), less) {
        ("replicate", _) => Some(Cause::UnluckySeed),
        ("learning_rate", Some(true)) | ("max_grad_norm", _) => Some(Cause::LearningRateTooHigh),
        ("learning_rate", Some(false)) if is_sgd => Some(Cause::OptimizerMismatch),
        ("learning_rate", Some(false)) => Some(Cause::LearningRateTooLow),
        ("momentum", Some(false)) if is_sgd => Some(Cause::OptimizerMismatch),
        ("optimizer", _) if is_sgd => Some(Cause::OptimizerMismatch),
        ("warmup_ratio" | "warmup_steps", Some(less)) => {
            Some(if less { Cause::WarmupTooLong } else { Cause::LearningRateTooHigh })
        }
        ("epochs" | "max_steps", Some(false)) | ("batch_size", Some(true)) => Some(Cause::TooFewSteps),
        (
            "dropout" | "hidden_dropout" | "attention_dropout" | "classifier_dropout" | "weight_decay"
            | "label_smoothing",
            Some(true),
        ) => Some(Cause::RegularisationTooStrong),
        ("freeze", _) => Some(Cause::Frozen),
        ("class_weights" | "sampling", _) => Some(Cause::ClassImbalance),
        ("data.train_limit", Some(false)) => Some(Cause::TooLittleData),
        ("epsilon", Some(true)) => Some(Cause::EpsilonTooLarge),
        ("max_length", Some(false)) => Some(Cause::Truncation),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
