//! Grid: every combination. In the order of the file, the last parameter runs fastest.

use std::collections::BTreeSet;

use super::{Sample, dependency_order, enqueued, written};
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// A combination on the way: its place in the grid (case and value of each parameter) and its values.
type Point = (Vec<(usize, usize)>, Configuration);

pub(super) fn sample(sweep: &Sweep) -> Sample {
    let mut points: Vec<Point> = vec![(vec![(0, 0); sweep.parameters.len()], Configuration::new())];
    // Decided in the order of their dependencies, sorted into the order of the file at the end.
    for index in dependency_order(sweep) {
        points = points.into_iter().flat_map(|point| extend(sweep, index, point)).collect();
    }
    points.sort_by(|left, right| left.0.cmp(&right.0));
    let limit = sweep.budget.max_trials.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(usize::MAX);
    let mut sample = enqueued::sample(sweep);
    let known: BTreeSet<String> = sample.configurations.iter().map(written).collect();
    for (_, configuration) in points {
        if let Some(constraint) = sweep.constraint_on(&configuration) {
            sample.left_out[constraint].add(&configuration);
        } else if sample.configurations.len() >= limit
            || (!known.is_empty() && known.contains(&written(&configuration)))
        {
            sample.skipped += 1;
        } else {
            sample.configurations.push(configuration);
            sample.kinds.push(TrialKind::Grid);
        }
    }
    sample
}

fn extend(sweep: &Sweep, index: usize, (place, configuration): Point) -> Vec<Point> {
    let parameter = &sweep.parameters[index];
    let value_of = |name: &str| configuration.get(name).cloned().or_else(|| sweep.fixed(name));
    let Some(case) = parameter.active_case(&value_of) else {
        return vec![(place, configuration)];
    };
    let values = parameter.cases[case].domain.grid().unwrap_or_default();
    values
        .into_iter()
        .enumerate()
        .map(|(number, value)| {
            let (mut place, mut configuration) = (place.clone(), configuration.clone());
            place[index] = (case, number);
            configuration.insert(parameter.name.clone(), value);
            (place, configuration)
        })
        .collect()
}
