//! Importances of all parameters, with what they would be by luck and how much they move with the trials.

use serde::Serialize;

use super::candidate::{Candidate, Space};
use super::draws::Draws;
use super::ped_anova::{Axis, Scale, best_quantile};
use super::share_interval::quantile;
use crate::search_space::Domain;
use crate::value::Value;

/// Configurations of the target at least.
const TARGET: usize = 5;
/// The best that count as such.
const BEST: f64 = 0.1;
/// The region around them.
const REGION: f64 = 0.5;

/// How much is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Lots behind a null level.
    pub(crate) lots: usize,
    /// Resamples behind an interval.
    pub(crate) resamples: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { lots: 500, resamples: 400 }
    }
}

/// What the importances are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// What decides whether a configuration works at all.
    Working,
    /// What decides, among those that work, whether it is among the best.
    Best,
}

/// The importances of all parameters for one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importances {
    /// What they are about.
    pub question: Question,
    /// Configurations that were compared.
    pub region: u64,
    /// Those of them that are the target.
    pub target: u64,
    /// From the most important.
    pub parameters: Vec<Importance>,
}

/// The importance of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// Its name.
    pub parameter: String,
    /// Pearson's divergence, as Optuna gives it before it makes them add up to 1.
    pub importance: f64,
    /// Of the sum over all parameters.
    pub share: f64,
    /// Lower end of the 95 % bootstrap interval of the share.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What 95 % of importances are below where the target is drawn by lot.
    pub null_level: f64,
    /// Share of such lots that come to as much.
    pub p: f64,
    /// Whether the importance is above the null level.
    pub significant: bool,
}

/// Why there are no importances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoImportances {
    /// All configurations work.
    AllWork,
    /// Too few to tell one group from another.
    TooFew,
    /// All values are the same.
    AllEqual,
}

/// Returns which parameters decide whether a configuration works: the target are those that do, the region is all.
pub(crate) fn of_working(
    axes: &[(String, Axis)],
    candidates: &[Candidate<'_>],
    effort: Effort,
    draws: &mut Draws,
) -> Result<Importances, NoImportances> {
    let region: Vec<usize> = (0..candidates.len()).collect();
    let works = |place: &usize| candidates[*place].works();
    let target: Vec<usize> = region.iter().copied().filter(works).collect();
    if target.len() == region.len() {
        return Err(NoImportances::AllWork);
    }
    if target.len() < TARGET || region.len() - target.len() < 2 {
        return Err(NoImportances::TooFew);
    }
    let mut resample = |draws: &mut Draws| {
        let drawn: Vec<usize> = region.iter().map(|_| draws.below(region.len())).collect();
        let target = drawn.iter().copied().filter(works).collect();
        (target, drawn)
    };
    let groups = (&target[..], &region[..]);
    Ok(importances(Question::Working, axes, groups, &mut resample, effort, draws))
}

/// Returns which parameters decide whether a configuration that works is among the best.
///
/// The target are the best tenth, five at least; the region is the best half, twice as many as the target at least.
pub(crate) fn of_best(
    axes: &[(String, Axis)],
    candidates: &[Candidate<'_>],
    effort: Effort,
    draws: &mut Draws,
) -> Result<Importances, NoImportances> {
    let costs: Vec<f64> =
        candidates.iter().map(|candidate| candidate.cost.unwrap_or(f64::NAN)).collect();
    let mut ranked: Vec<usize> =
        (0..candidates.len()).filter(|place| candidates[*place].works()).collect();
    ranked.sort_by(|left, right| costs[*left].total_cmp(&costs[*right]));
    if ranked.len() < 2 * TARGET {
        return Err(NoImportances::TooFew);
    }
    let all = ranked.len() as f64;
    let of_target = BEST.max(TARGET as f64 / all);
    let of_region = REGION.max(2.0 * of_target).min(1.0);
    let split = |ranked: &[usize]| {
        let best = |share| ranked[..best_quantile(&costs, ranked, share)].to_vec();
        (best(of_target), best(of_region))
    };
    let (target, region) = split(&ranked);
    if target.len() == region.len() {
        return Err(NoImportances::AllEqual);
    }
    let mut resample = |draws: &mut Draws| {
        let mut times = vec![0u32; ranked.len()];
        ranked.iter().for_each(|_| times[draws.below(ranked.len())] += 1);
        let repeated = ranked.iter().zip(&times);
        let drawn: Vec<usize> = repeated
            .flat_map(|(place, times)| std::iter::repeat_n(*place, *times as usize))
            .collect();
        split(&drawn)
    };
    let groups = (&target[..], &region[..]);
    Ok(importances(Question::Best, axes, groups, &mut resample, effort, draws))
}

/// Draws a target and its region from the configurations with replacement.
type Resample<'a> = dyn FnMut(&mut Draws) -> (Vec<usize>, Vec<usize>) + 'a;

fn importances(
    question: Question,
    axes: &[(String, Axis)],
    (target, region): (&[usize], &[usize]),
    resample: &mut Resample<'_>,
    effort: Effort,
    draws: &mut Draws,
) -> Importances {
    let found: Vec<f64> = axes.iter().map(|(_, axis)| axis.importance(target, region)).collect();
    let sum: f64 = found.iter().sum();

    // By lot: any part of the region could be the target.
    let mut by_lot: Vec<Vec<f64>> = vec![Vec::with_capacity(effort.lots); axes.len()];
    let regions: Vec<_> = axes.iter().map(|(_, axis)| axis.against(region)).collect();
    let mut lots = region.to_vec();
    for _ in 0..effort.lots {
        draws.choose(&mut lots, target.len());
        for (values, region) in by_lot.iter_mut().zip(&regions) {
            values.push(region.of(&lots[..target.len()]));
        }
    }
    let mut resampled: Vec<Vec<f64>> = vec![Vec::with_capacity(effort.resamples); axes.len()];
    for _ in 0..effort.resamples {
        let (target, region) = resample(draws);
        let values: Vec<f64> =
            axes.iter().map(|(_, axis)| axis.importance(&target, &region)).collect();
        let sum: f64 = values.iter().sum();
        for (shares, value) in resampled.iter_mut().zip(values) {
            shares.push(if sum > 0.0 { value / sum } else { 0.0 });
        }
    }
    let mut parameters: Vec<Importance> = axes
        .iter()
        .zip(found)
        .zip(by_lot.into_iter().zip(resampled))
        .map(|(((name, _), importance), (mut by_lot, mut shares))| {
            by_lot.sort_by(f64::total_cmp);
            shares.sort_by(f64::total_cmp);
            let null_level = quantile(&by_lot, 0.95);
            // A lot that is the same set comes to the same but for rounding.
            let less = by_lot.partition_point(|value| *value < importance * (1.0 - 1e-9));
            // The target itself is one of the lots.
            let p = (by_lot.len() - less + 1) as f64 / (by_lot.len() + 1) as f64;
            Importance {
                parameter: name.clone(),
                importance,
                share: if sum > 0.0 { importance / sum } else { 0.0 },
                low: quantile(&shares, 0.025),
                high: quantile(&shares, 0.975),
                null_level,
                p,
                significant: p <= 0.05,
            }
        })
        .collect();
    parameters.sort_by(|left, right| right.importance.total_cmp(&left.importance));
    Importances { question, region: region.len() as u64, target: target.len() as u64, parameters }
}

/// Returns where configurations stand on each parameter that has more than one value.
pub(crate) fn axes(space: &Space, candidates: &[Candidate<'_>]) -> Vec<(String, Axis)> {
    let axis = |(place, parameter): (usize, &crate::search_space::Parameter)| {
        // Cases with the same domain are one.
        let domains: Vec<&Domain> = parameter.cases.iter().map(|case| &case.domain).collect();
        let same = |case: usize| {
            domains.iter().position(|domain| *domain == domains[case]).unwrap_or(case)
        };
        let mut choices: Vec<Vec<Value>> = domains
            .iter()
            .map(|domain| match domain {
                Domain::Values(values) => values.clone(),
                _ => Vec::new(),
            })
            .collect();
        let values: Vec<Option<(usize, f64)>> = candidates
            .iter()
            .map(|candidate| {
                let (case, value) =
                    (candidate.cases[place]?, candidate.configuration.get(&parameter.name)?);
                let case = same(case);
                match domains[case] {
                    Domain::Values(_) => Some((case, choice(&mut choices[case], value))),
                    _ => Some((case, value.number()?)),
                }
            })
            .collect();
        let scales: Vec<Scale> =
            domains.iter().zip(&choices).map(|(domain, choices)| scale(domain, choices)).collect();
        let places: Vec<Option<(usize, usize)>> = values
            .iter()
            .map(|value| value.map(|(case, value)| (case, scales[case].point(value))))
            .collect();
        let mut seen = places.iter();
        let first = seen.next();
        let varies = first.is_some_and(|first| seen.any(|place| place != first));
        varies.then(|| (parameter.name.clone(), Axis::new(scales, places)))
    };
    space.parameters.iter().enumerate().filter_map(axis).collect()
}

/// Returns the place of a choice; one that no list has comes to its end.
fn choice(choices: &mut Vec<Value>, value: &Value) -> f64 {
    let known = choices.iter().position(|choice| choice.means(value));
    let place = known.unwrap_or_else(|| {
        choices.push(value.clone());
        choices.len() - 1
    });
    place as f64
}

fn scale(domain: &Domain, choices: &[Value]) -> Scale {
    let range = |low, high, logarithmic, step| Scale::Range { low, high, logarithmic, step };
    match domain {
        Domain::Values(_) => Scale::Choices(choices.len()),
        Domain::Integers { min, step, .. } => {
            let last = min + step * (domain.stepped_len() as i64 - 1);
            range(*min as f64, last as f64, false, Some(*step as f64))
        }
        Domain::Steps { min, step, .. } => {
            let last = min + step * (domain.stepped_len() as f64 - 1.0);
            range(*min, last, false, Some(*step))
        }
        Domain::Uniform { min, max, .. } => range(*min, *max, false, None),
        Domain::LogUniform { min, max, .. } => range(*min, *max, true, None),
    }
}
