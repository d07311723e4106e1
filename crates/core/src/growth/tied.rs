//! Which configurations are tied with the best, as far as the values of their replicates tell.

use crate::facts::Facts;
use crate::metric::Metric;
use crate::objective::Goal;
use crate::statistics::distributions::share_error;
use crate::statistics::standing::{Candidate, Contest, Replicate, standing};
use crate::sweep::Sweep;

/// Standard errors within which two configurations are tied, where sampling noise is all that is known.
const ERRORS: f64 = 1.96;

/// Configurations that are compared: of a hundred thousand, those behind the first few hundred are not in the race.
const MOST: usize = 256;

/// Returns the places of the configurations that are tied with the best, in their order; `values` holds those of the
/// replicates of each, from the first on.
pub(super) fn with_best(sweep: &Sweep, facts: &[Facts], values: &[Vec<f64>]) -> Vec<usize> {
    if values.iter().all(|values| values.len() < 2) {
        return single_seeds(sweep, facts, values);
    }
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|left, right| {
        loss(sweep, &values[*left]).total_cmp(&loss(sweep, &values[*right])).then(left.cmp(right))
    });
    places.truncate(MOST);
    places.sort_unstable();
    let candidate = |place: &usize| Candidate {
        replicates: values[*place]
            .iter()
            .map(|value| Replicate { value: *value, items: None })
            .collect(),
        ..Candidate::default()
    };
    let candidates: Vec<Candidate<'_>> = places.iter().map(candidate).collect();
    let standing = standing(&Contest {
        metric: &sweep.objective.metric,
        goal: sweep.objective.goal,
        right: None,
        labels: &[],
        candidates: &candidates,
        baseline: None,
        seed: sweep.seed,
    });
    // Seeds that came to the very same values say nothing of how much seeds differ.
    let seeds = standing.as_ref().and_then(|standing| standing.seeds);
    if seeds.is_none_or(|seeds| seeds.deviation == 0.0) {
        return single_seeds(sweep, facts, values);
    }
    let mut tied = standing.and_then(|standing| standing.indistinguishable).unwrap_or_default();
    tied.sort_unstable();
    tied.into_iter().map(|place| places[place]).collect()
}

/// Returns the mean of some values, so that less is better.
fn loss(sweep: &Sweep, values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    match sweep.objective.goal {
        Goal::Maximize => -mean,
        Goal::Minimize => mean,
    }
}

/// Where each has one seed, nothing tells how much seeds differ. Of a share (an accuracy, an F1) the size of the
/// validation set tells how much is luck there; of other metrics not even that, and the better half stays.
fn single_seeds(sweep: &Sweep, facts: &[Facts], values: &[Vec<f64>]) -> Vec<usize> {
    let losses: Vec<f64> = values.iter().map(|values| loss(sweep, values)).collect();
    let mut sorted = losses.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(best) = sorted.first().copied() else { return Vec::new() };
    let worst = match noise(sweep, facts, best.abs()) {
        Some(noise) => best + ERRORS * noise,
        None => sorted[(sorted.len() - 1) / 2],
    };
    (0..losses.len()).filter(|place| losses[*place] <= worst).collect()
}

/// Returns the standard error of the difference of two such shares on the validation set, were they independent: those of
/// two models on the same examples differ by less.
fn noise(sweep: &Sweep, facts: &[Facts], share: f64) -> Option<f64> {
    let metric = sweep.objective.metric.strip_prefix("validation/")?;
    Metric::find(metric).filter(|metric| metric.is_share)?;
    let examples = facts.iter().filter_map(|facts| facts.validation.as_ref());
    let fewest = examples.map(|split| split.examples).min().filter(|count| *count > 0)?;
    Some(std::f64::consts::SQRT_2 * share_error(share.clamp(0.0, 1.0), fewest))
}
