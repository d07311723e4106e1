//! Random: draw `i` of parameter `p` is a function of (sweep seed, i, p). Equal draws are skipped.

use std::collections::BTreeSet;

use super::{Sample, dependency_order};
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// A small discrete space is exhausted long before this many draws in a row bring nothing new.
const FRUITLESS_DRAWS: u64 = 10_000;

pub(super) fn sample(sweep: &Sweep) -> Sample {
    let wanted = sweep.budget.max_trials.unwrap_or(0) as usize;
    let order = dependency_order(sweep);
    let mut configurations: Vec<Configuration> = Vec::new();
    // By their written form, which numbers have one of, so that a hundred thousand draws are not compared in pairs.
    let mut drawn: BTreeSet<String> = BTreeSet::new();
    let (mut index, mut skipped, mut fruitless) = (0, 0, 0);
    while configurations.len() < wanted && fruitless < FRUITLESS_DRAWS {
        let configuration = draw(sweep, &order, index);
        index += 1;
        if !drawn.insert(serde_json::json!(configuration).to_string()) {
            fruitless += 1;
        } else {
            skipped += fruitless;
            fruitless = 0;
            configurations.push(configuration);
        }
    }
    Sample { configurations, skipped, kind: TrialKind::Random }
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
