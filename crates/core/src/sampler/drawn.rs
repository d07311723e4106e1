//! Drawn configurations, however their numbers are made: equal draws are skipped, and those that a constraint refuses.
//! The next index is drawn, so that all other draws stay what they are.

use std::collections::BTreeSet;

use super::{Dry, Sample, dependency_order, enqueued, written};
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// A small discrete space is exhausted long before this many draws in a row bring nothing new.
pub(super) const FRUITLESS_DRAWS: u64 = 10_000;

/// Fills a sample that holds the enqueued configurations up to `wanted`.
///
/// `unit` returns the number in [0, 1) of a draw, by its index, for a parameter, by its place in the file.
pub(super) fn fill(
    sweep: &Sweep,
    mut sample: Sample,
    wanted: usize,
    mut unit: impl FnMut(u64, usize) -> f64,
) -> Sample {
    let order = dependency_order(sweep);
    // By their written form, which numbers have one of, so that a hundred thousand draws are not compared in pairs.
    let mut drawn: BTreeSet<String> = sample.configurations.iter().map(written).collect();
    // Of the draws since the last that brought something: all, those that were there already, and those refused.
    let (mut index, mut fruitless, mut repeated) = (0, 0, 0);
    let mut refused: Vec<(usize, Configuration)> = Vec::new();
    while sample.configurations.len() < wanted && fruitless < FRUITLESS_DRAWS {
        let configuration = draw(sweep, &order, |place| unit(index, place));
        index += 1;
        let is_new = drawn.insert(written(&configuration));
        let constraint = sweep.constraint_on(&configuration);
        if let Some(constraint) = constraint.filter(|_| is_new) {
            refused.push((constraint, configuration));
        } else if is_new {
            sample.skipped += repeated;
            (fruitless, repeated) = (0, 0);
            take_note(&mut sample, &mut refused);
            sample.configurations.push(configuration);
            sample.kinds.push(TrialKind::Random);
            continue;
        } else if constraint.is_none() {
            repeated += 1;
        }
        fruitless += 1;
    }
    if sample.configurations.len() < wanted {
        let constrained = repeated == 0 && !sweep.constraints.is_empty();
        sample.dry = Some(if constrained { Dry::Constrained } else { Dry::Exhausted });
        take_note(&mut sample, &mut refused);
    }
    sample
}

/// Independent draws: draw `i` of parameter `p` is a function of (sweep seed, i, name of p).
pub(super) fn random(sweep: &Sweep) -> Sample {
    let names: Vec<&str> = sweep.parameters.iter().map(|parameter| &*parameter.name).collect();
    fill(sweep, enqueued::sample(sweep), wanted(sweep), |index, place| {
        sweep.seed.draw(index, names[place])
    })
}

/// Returns how many configurations a sweep asks for.
pub(super) fn wanted(sweep: &Sweep) -> usize {
    usize::try_from(sweep.budget.max_trials.unwrap_or(0)).unwrap_or(usize::MAX)
}

fn take_note(sample: &mut Sample, refused: &mut Vec<(usize, Configuration)>) {
    for (constraint, configuration) in refused.drain(..) {
        sample.left_out[constraint].add(&configuration);
    }
}

/// Returns the configuration that a number for each parameter stands for; numbers of those that have no place in it
/// are not asked for.
pub(super) fn draw(
    sweep: &Sweep,
    order: &[usize],
    mut unit: impl FnMut(usize) -> f64,
) -> Configuration {
    let mut configuration = Configuration::new();
    for place in order.iter().copied() {
        let parameter = &sweep.parameters[place];
        let value_of = |name: &str| configuration.get(name).cloned().or_else(|| sweep.fixed(name));
        if let Some(case) = parameter.active_case(&value_of) {
            let value = parameter.cases[case].domain.at(unit(place));
            configuration.insert(parameter.name.clone(), value);
        }
    }
    configuration
}
