//! Random: draw `i` of parameter `p` is a function of (sweep seed, i, p). Equal draws are skipped, and those that a
//! constraint refuses: the next index is drawn, so that all other draws stay what they are.

use std::collections::BTreeSet;

use super::{Dry, Sample, dependency_order, enqueued, written};
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// A small discrete space is exhausted long before this many draws in a row bring nothing new.
const FRUITLESS_DRAWS: u64 = 10_000;

pub(super) fn sample(sweep: &Sweep) -> Sample {
    let wanted = sweep.budget.max_trials.unwrap_or(0) as usize;
    let order = dependency_order(sweep);
    let mut sample = enqueued::sample(sweep);
    // By their written form, which numbers have one of, so that a hundred thousand draws are not compared in pairs.
    let mut drawn: BTreeSet<String> = sample.configurations.iter().map(written).collect();
    // Of the draws since the last that brought something: all, those that were there already, and those refused.
    let (mut index, mut fruitless, mut repeated) = (0, 0, 0);
    let mut refused: Vec<(usize, Configuration)> = Vec::new();
    while sample.configurations.len() < wanted && fruitless < FRUITLESS_DRAWS {
        let configuration = draw(sweep, &order, index);
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

fn take_note(sample: &mut Sample, refused: &mut Vec<(usize, Configuration)>) {
    for (constraint, configuration) in refused.drain(..) {
        sample.left_out[constraint].add(&configuration);
    }
}

fn draw(sweep: &Sweep, order: &[usize], index: u64) -> Configuration {
    let mut configuration = Configuration::new();
    for parameter in order.iter().map(|place| &sweep.parameters[*place]) {
        let value_of = |name: &str| configuration.get(name).cloned().or_else(|| sweep.fixed(name));
        if let Some(case) = parameter.active_case(&value_of) {
            let unit = sweep.seed.draw(index, &parameter.name);
            configuration.insert(parameter.name.clone(), parameter.cases[case].domain.at(unit));
        }
    }
    configuration
}
