//! A sweep as a whole: what works, what fails and why, and what limits the best.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::value::Value;
use serde::Serialize;

use crate::cause::{Cause, Confidence};
use crate::diagnosis::{Cases, Diagnosis, Verdict, value_text};
use crate::rules::{Case, percent};
use crate::siblings::signed;
use crate::standing::{By, Standing};

/// Why the trials of a sweep did not converge, and what works.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Trials by how they stand.
    pub converged: Vec<u64>,
    /// See `converged`.
    pub failed: Vec<u64>,
    /// Waiting, running, stopped without an evaluation, or failed for other reasons than training.
    pub not_judged: Vec<u64>,
    /// What the working trials have in common that the failed ones do not share.
    pub works: Vec<Region>,
    /// Causes, the most frequent first.
    pub causes: Vec<Group>,
    /// Trials that failed and whose cause is not known.
    pub inconclusive: Vec<u64>,
    /// What keeps the best trial from being better.
    pub limits: Vec<String>,
    /// The diagnoses behind it, by trial.
    pub diagnoses: Vec<Diagnosis>,
}

/// Trials with the same cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The cause.
    pub cause: Cause,
    /// The trials.
    pub trials: Vec<u64>,
    /// How many of them are how sure: proven, likely, suspected.
    pub proven: usize,
    /// See `proven`.
    pub likely: usize,
    /// See `proven`.
    pub suspected: usize,
    /// Where all of them lie, and no trial that works.
    pub region: Vec<Region>,
}

/// A part of the search space along one parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// The parameter.
    pub parameter: String,
    /// Its values there, in order.
    pub values: Vec<Value>,
    /// The same in words: `learning_rate at least 1e-3`.
    pub text: String,
}

/// Diagnoses all trials of a sweep.
pub fn overview(cases: &Cases<'_>) -> Overview {
    let diagnoses: Vec<Diagnosis> =
        cases.all().iter().filter_map(|case| cases.diagnose(case.record.number)).collect();
    let with = |keep: &dyn Fn(&Case<'_>) -> bool| -> Vec<&Case<'_>> {
        cases.all().iter().filter(|case| keep(case)).collect()
    };
    let numbers = |cases: &[&Case<'_>]| cases.iter().map(|case| case.record.number).collect();
    let works = with(&|case| case.judged.standing == Standing::Converged);
    let unknown = with(&|case| case.judged.standing == Standing::Unknown);
    let failed = with(&|case| {
        matches!(case.judged.standing, Standing::Diverged | Standing::AtChance | Standing::Poor)
    });
    let mut by_cause: BTreeMap<Cause, Vec<(&Case<'_>, Confidence)>> = BTreeMap::new();
    let mut inconclusive = Vec::new();
    for case in &failed {
        let diagnosis = diagnoses.iter().find(|found| found.trial == case.record.number);
        match diagnosis.map(|diagnosis| &diagnosis.verdict) {
            Some(Verdict::Cause(claim)) => {
                by_cause.entry(claim.cause).or_default().push((case, claim.confidence));
            }
            _ => inconclusive.push(case.record.number),
        }
    }
    let mut causes: Vec<Group> = by_cause
        .into_iter()
        .map(|(cause, members)| {
            let count = |confidence| members.iter().filter(|(_, own)| *own == confidence).count();
            let cases: Vec<&Case<'_>> = members.iter().map(|(case, _)| *case).collect();
            Group {
                cause,
                trials: numbers(&cases),
                proven: count(Confidence::Proven),
                likely: count(Confidence::Likely),
                suspected: count(Confidence::Suspected),
                region: regions(&cases, &works),
            }
        })
        .collect();
    causes.sort_by_key(|group| std::cmp::Reverse(group.trials.len()));
    Overview {
        works: regions(&works, &failed),
        limits: limits(&works),
        converged: numbers(&works),
        failed: numbers(&failed),
        not_judged: numbers(&unknown),
        causes,
        inconclusive,
        diagnoses,
    }
}

/// Returns the parameters along which all of `inside` lie apart from all of `outside`.
fn regions(inside: &[&Case<'_>], outside: &[&Case<'_>]) -> Vec<Region> {
    if inside.is_empty() || outside.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<&String> =
        inside.iter().flat_map(|case| case.record.configuration.keys()).collect();
    names.into_iter().filter_map(|name| region(name, inside, outside)).collect()
}

fn region(name: &str, inside: &[&Case<'_>], outside: &[&Case<'_>]) -> Option<Region> {
    let of = |cases: &[&Case<'_>]| -> Option<Vec<Value>> {
        let mut distinct: Vec<Value> = Vec::new();
        for case in cases {
            let value = case.record.configuration.get(name)?;
            if !distinct.iter().any(|known| known.means(value)) {
                distinct.push(value.clone());
            }
        }
        Some(distinct)
    };
    let (mut own, others) = (of(inside)?, of(outside)?);
    let numbers = |values: &[Value]| values.iter().map(Value::number).collect::<Option<Vec<f64>>>();
    let text = match (numbers(&own), numbers(&others)) {
        (Some(own), Some(others)) => {
            let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if let [only] = own.as_slice()
                && !others.contains(only)
            {
                format!("{name} {}", Value::Float(*only))
            } else if least(&own) > most(&others) {
                format!("{name} at least {}", Value::Float(least(&own)))
            } else if most(&own) < least(&others) {
                format!("{name} at most {}", Value::Float(most(&own)))
            } else if own.iter().all(|value| !others.contains(value))
                && others.iter().all(|value| *value < least(&own) || *value > most(&own))
            {
                format!("{name} from {} to {}", Value::Float(least(&own)), Value::Float(most(&own)))
            } else {
                return None;
            }
        }
        _ => {
            if own.iter().any(|value| others.iter().any(|other| other.means(value))) {
                return None;
            }
            let words: Vec<String> = own.iter().map(Value::to_string).collect();
            format!("{name} {}", words.join(" or "))
        }
    };
    own.sort_by(|left, right| match (left.number(), right.number()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => left.to_string().cmp(&right.to_string()),
    });
    Some(Region { parameter: name.to_owned(), values: own, text })
}

/// Returns what keeps the best of the working trials from being better.
fn limits(works: &[&Case<'_>]) -> Vec<String> {
    let better = |case: &Case<'_>| signed(case.record, case.judged.value);
    let Some(best) = works
        .iter()
        .copied()
        .reduce(|best, one| if better(one) > better(best) { one } else { best })
    else {
        return Vec::new();
    };
    let signals = &best.signals;
    let mut limits = Vec::new();
    if let (Some(train), Some(accuracy)) = (signals.train_accuracy, signals.accuracy)
        && train > 0.97
        && train - accuracy > 0.03
    {
        limits.push(format!(
            "data: the best trial, {}, has {} of its training examples right and {} of the validation examples; more examples would help most",
            best.record.number,
            percent(train),
            percent(accuracy)
        ));
    }
    if let Some(gain) = signals.late_gain.filter(|gain| *gain > 0.03) {
        limits.push(format!(
            "steps: the last third of trial {} still saved {} of what a constant answer costs; try more epochs",
            best.record.number,
            percent(gain)
        ));
    }
    let fits = signals.train_accuracy.is_some_and(|accuracy| accuracy > 0.9);
    if let Some(skill) = signals.train_skill.filter(|skill| *skill < 0.5 && !fits) {
        limits.push(format!(
            "fit: trial {} saves only {} of what a constant answer costs on its own training examples; more steps, a larger model, or less regularisation",
            best.record.number,
            percent(skill)
        ));
    }
    if let (Some(possible), Some(value)) = (best.judged.possible, best.judged.value)
        && possible.by == By::BagOfWords
        && possible.value > value
    {
        let objective = &best.record.objective;
        limits.push(format!(
            "a count of words gets {}, more than the best trial's {}: the search has not found what is possible",
            value_text(objective, possible.value),
            value_text(objective, value)
        ));
    }
    limits
}

#[cfg(test)]
mod tests;
