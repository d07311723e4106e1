//! A look at learning rates before a search: one short training on a ramp, and what its losses tell.
//!
//! A probe is a trial with settings of its own, as a refit is, so that leases, checkpoints, recovery and records need
//! to know nothing of it.

mod reading;

pub use reading::{NoRange, Point, Range, Reading, read};

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::metric::TRAIN_LOSS;
use crate::objective::{At, Goal, Objective};
use crate::ramp::Ramp;
use crate::sampler::dependency_order;
use crate::search_space::{Configuration, Domain};
use crate::settings::{MaxLength, Optimizer, Settings};
use crate::steps::steps_per_epoch;
use crate::sweep::Sweep;
use crate::value::Value;

/// Steps of a ramp, unless the user says otherwise: twenty for each factor of ten.
pub const STEPS: u64 = 120;
/// What a probe is about.
const LEARNING_RATE: &str = "learning_rate";

/// The configuration that a probe looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// A value of every parameter that is searched, but for the learning rate.
    pub configuration: Configuration,
    /// The parameters of which it is one value of several.
    pub of_several: BTreeSet<String>,
}

/// Returns what a probe of a sweep looks at: of every parameter the first value, or the middle of its range; `given`
/// wins over both.
pub fn choice(sweep: &Sweep, given: &Configuration) -> Choice {
    let mut values = given.clone();
    let mut of_several = BTreeSet::new();
    for parameter in dependency_order(sweep).into_iter().map(|place| &sweep.parameters[place]) {
        let value_of = |name: &str| values.get(name).cloned().or_else(|| sweep.fixed(name));
        let case = parameter.active_case(&value_of).map(|case| &parameter.cases[case].domain);
        match case {
            Some(domain) if !given.contains_key(&parameter.name) => {
                if !matches!(domain.grid().as_deref(), Some([_])) {
                    of_several.insert(parameter.name.clone());
                }
                values.insert(parameter.name.clone(), typical(domain));
            }
            Some(_) | None => {}
        }
    }
    values.remove(LEARNING_RATE);
    of_several.remove(LEARNING_RATE);
    Choice { configuration: values, of_several }
}

fn typical(domain: &Domain) -> Value {
    match domain {
        Domain::Values(values) => values[0].clone(),
        Domain::Integers { .. } | Domain::Steps { .. } => domain.at(0.5),
        Domain::Uniform { .. } | Domain::LogUniform { .. } => match domain.at(0.5) {
            Value::Float(number) => Value::Float(rounded(number)),
            other => other,
        },
    }
}

/// Returns a number with two digits.
pub(crate) fn rounded(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

/// Returns the learning rates between which an optimizer's are looked for, unless the user says otherwise.
///
/// Adam and its kin move each weight by about the learning rate, whatever the gradient is; SGD by the gradient's size,
/// which clipping bounds, and needs rates about a hundred times larger. Six factors of ten each.
pub fn ramp(optimizer: Optimizer) -> Ramp {
    match optimizer {
        Optimizer::AdamW | Optimizer::Adam | Optimizer::RmsProp => Ramp { from: 1e-7, to: 1e-1 },
        Optimizer::AdaGrad => Ramp { from: 1e-6, to: 1.0 },
        Optimizer::Sgd => Ramp { from: 1e-5, to: 10.0 },
    }
}

/// Returns the settings of a probe, given those of a trial of the same configuration and the facts of its data.
pub fn settings(trial: &Settings, facts: &Facts, ramp: Ramp, steps: u64) -> Settings {
    let mut settings = trial.clone();
    let train = &mut settings.train;
    // What the head learns by follows the ramp.
    train.head_learning_rate_multiplier = trial.train.head_multiplier();
    train.head_learning_rate = None;
    train.learning_rate = ramp.to;
    train.ramp = Some(ramp);
    train.max_length = MaxLength::Tokens(facts.max_length);
    train.max_steps = Some(steps);
    train.epochs = steps.div_ceil(steps_per_epoch(facts.train.examples, train).max(1));
    settings
}

/// Returns what stands in for the objective: a probe is ranked by nothing.
pub fn objective() -> Objective {
    Objective { metric: TRAIN_LOSS.into(), goal: Goal::Minimize, at: At::Last }
}

#[cfg(test)]
mod tests;
