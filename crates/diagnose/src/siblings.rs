//! What other trials of a sweep prove: one that differs in a single setting and works is an experiment, not a guess.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::objective::Goal;
use converge_core::settings::{ClassWeights, Freeze, Optimizer, Sampling};
use converge_core::value::Value;
use serde::Serialize;

use crate::cause::Cause;
use crate::record::Record;
use crate::rules::{Case, usual};
use crate::standing::Standing;

/// A change of one parameter, and what came of it in trials that are otherwise the same. An optimizer brings its own
/// learning rate and momentum with it: these then count as one.
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
    /// Whether there is anything to say of it yet.
    #[serde(skip)]
    pub is_judged: bool,
    /// In how many pairs of trials of the sweep that differ in just this change, the first fails.
    pub pairs: u64,
    /// In how many of these the second one works.
    pub helped: u64,
}

/// Which trials of a sweep differ in one parameter alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Family {
    /// By parameter and all that is otherwise the same: places of the trials.
    alike: BTreeMap<(String, String), Vec<usize>>,
    /// By change: in how many pairs of trials the first fails, and in how many of these the second works.
    tallies: BTreeMap<Change, (u64, u64)>,
}

/// Trials up to which those that differ in one parameter alone are counted pair by pair.
const MOST_ALIKE: usize = 200;

/// A difference in one parameter: its name, and what it and what it brings with it change from, and to, as text.
type Change = (String, String);

/// What an optimizer brings with it.
const OF_OPTIMIZER: [&str; 2] = ["learning_rate", "momentum"];

impl Family {
    pub(crate) fn new(cases: &[Case<'_>]) -> Self {
        let mut family = Self::default();
        for (place, case) in cases.iter().enumerate() {
            let seeds = ("replicate".to_owned(), case.record.fingerprint.clone());
            family.alike.entry(seeds).or_default().push(place);
            for name in case.record.configuration.keys() {
                let key = (name.clone(), rest(case.record, name));
                family.alike.entry(key).or_default().push(place);
            }
        }
        for ((parameter, _), places) in &family.alike {
            if places.len() > MOST_ALIKE {
                continue;
            }
            for first in places.iter().map(|place| &cases[*place]).filter(|case| failed(case)) {
                for second in places.iter().map(|place| &cases[*place]) {
                    let Some(change) = change(parameter, first.record, second.record) else {
                        continue;
                    };
                    // Seeds of one configuration are not as many experiments.
                    let paired = parameter == "replicate"
                        || first.record.replicate == second.record.replicate;
                    if second.judged.standing == Standing::Unknown || !paired {
                        continue;
                    }
                    let tally = family.tallies.entry(change).or_default();
                    tally.0 += 1;
                    tally.1 += u64::from(helps(first, second));
                }
            }
        }
        family
    }

    /// Returns the changes that trials of the sweep made of this one, those that help first, the most telling ahead.
    pub(crate) fn counterfactuals(&self, case: &Case<'_>, all: &[Case<'_>]) -> Vec<Counterfactual> {
        let record = case.record;
        let mut by_change: BTreeMap<Change, &Case<'_>> = BTreeMap::new();
        let seeds = ("replicate".to_owned(), record.fingerprint.clone());
        let keys = record.configuration.keys().map(|name| (name.clone(), rest(record, name)));
        for key in keys.chain([seeds]) {
            for other in self.alike.get(&key).into_iter().flatten().map(|place| &all[*place]) {
                let Some(change) = change(&key.0, record, other.record) else { continue };
                if other.judged.value.is_none() {
                    continue;
                }
                let best = by_change.entry(change).or_insert(other);
                let value = |case: &Case<'_>| signed(case.record, case.judged.value);
                if value(other) > value(best) {
                    *best = other;
                }
            }
        }
        let mut found: Vec<Counterfactual> = by_change
            .into_iter()
            .filter_map(|(change, best)| {
                let (pairs, helped) = self.tallies.get(&change).copied().unwrap_or_default();
                let (parameter, _) = change;
                Some(Counterfactual {
                    cause: cause_of(record, &parameter, best.record),
                    to: different(&parameter, record, best.record),
                    trial: best.record.number,
                    value: best.judged.value?,
                    helps: helps(case, best),
                    is_judged: best.judged.standing != Standing::Unknown,
                    pairs,
                    helped,
                    parameter,
                })
            })
            .collect();
        found.sort_by(|left, right| {
            let rank = |one: &Counterfactual| (one.helps, one.helped);
            rank(right).cmp(&rank(left)).then_with(|| left.trial.cmp(&right.trial))
        });
        found
    }
}

/// Returns whether a parameter is another one, or comes with it.
fn belongs(name: &str, parameter: &str) -> bool {
    name == parameter || parameter == "optimizer" && OF_OPTIMIZER.contains(&name)
}

/// Writes all of a configuration but one parameter and what comes with it.
fn rest(record: &Record, parameter: &str) -> String {
    let others = record.configuration.iter().filter(|(name, _)| !belongs(name, parameter));
    others.map(|(name, value)| format!("{name}={value};")).collect()
}

/// Returns what a trial changes of another that is otherwise the same; none where nothing.
fn change(parameter: &str, from: &Record, to: &Record) -> Option<Change> {
    if from.number == to.number {
        return None;
    }
    if parameter == "replicate" {
        return Some((parameter.to_owned(), String::new()));
    }
    let of = |record: &Record| record.configuration.get(parameter).cloned();
    if of(from) == of(to) {
        return None;
    }
    let own = |record: &Record| -> String {
        let own = record.configuration.iter().filter(|(name, _)| belongs(name, parameter));
        own.map(|(name, value)| format!("{name}={value};")).collect()
    };
    Some((parameter.to_owned(), format!("{} {}", own(from), own(to))))
}

/// Returns what another trial has of a parameter and of what comes with it, where that differs.
fn different(parameter: &str, from: &Record, to: &Record) -> BTreeMap<String, Option<Value>> {
    let names: BTreeSet<&String> =
        from.configuration.keys().chain(to.configuration.keys()).collect();
    let of = |record: &Record, name: &String| record.configuration.get(name).cloned();
    names
        .into_iter()
        .filter(|name| belongs(name, parameter) && of(from, name) != of(to, name))
        .map(|name| (name.clone(), of(to, name)))
        .collect()
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
fn cause_of(record: &Record, parameter: &str, other: &Record) -> Option<Cause> {
    let train = record.train();
    let number = |record: &Record| record.configuration.get(parameter).and_then(Value::number);
    let less = match (number(record), number(other)) {
        (Some(from), Some(to)) => Some(to < from),
        _ => None,
    };
    // At a rate that suits SGD, another optimizer that does better says nothing of this one's rate.
    let is_sgd = train.optimizer == Optimizer::Sgd
        && 3.0 * train.learning_rate < usual::rate(train, &record.facts);
    match (parameter, less) {
        ("replicate", _) => Some(Cause::UnluckySeed),
        ("learning_rate", Some(true)) => Some(Cause::LearningRateTooHigh),
        ("max_grad_norm", Some(less)) if less || train.max_grad_norm == 0.0 => {
            Some(Cause::LearningRateTooHigh)
        }
        ("learning_rate", Some(false)) if is_sgd => Some(Cause::OptimizerMismatch),
        ("learning_rate", Some(false)) => Some(Cause::LearningRateTooLow),
        ("momentum", Some(false)) if is_sgd => Some(Cause::OptimizerMismatch),
        ("optimizer", _) if is_sgd => Some(Cause::OptimizerMismatch),
        ("warmup_ratio" | "warmup_steps", Some(less)) => {
            Some(if less { Cause::WarmupTooLong } else { Cause::LearningRateTooHigh })
        }
        ("epochs" | "max_steps", Some(false)) | ("batch_size", Some(true)) => {
            Some(Cause::TooFewSteps)
        }
        (
            "dropout" | "hidden_dropout" | "attention_dropout" | "classifier_dropout"
            | "weight_decay" | "label_smoothing",
            Some(true),
        ) => Some(Cause::RegularisationTooStrong),
        ("freeze", _) if train.freeze != Freeze::None => Some(Cause::Frozen),
        ("class_weights", _) if train.class_weights == ClassWeights::None => {
            Some(Cause::ClassImbalance)
        }
        ("sampling", _) if train.sampling != Sampling::Balanced => Some(Cause::ClassImbalance),
        ("data.train_limit", Some(false)) => Some(Cause::TooLittleData),
        ("epsilon", Some(true)) => Some(Cause::EpsilonTooLarge),
        ("max_length", Some(false)) => Some(Cause::Truncation),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
