//! Which configurations are tied with the best, as far as the values of their replicates tell.

use crate::facts::Facts;
use crate::metric::Metric;
use crate::objective::Goal;
use crate::sweep::Sweep;

/// Standard errors within which two configurations are tied, where sampling noise is all that is known.
const ERRORS: f64 = 1.96;

/// Returns the places of the configurations that are tied with the best, in their order; `values` holds those of the
/// replicates of each, from the first on.
pub(super) fn with_best(sweep: &Sweep, facts: &[Facts], values: &[Vec<f64>]) -> Vec<usize> {
    single_seeds(sweep, facts, values)
}

/// Where each has one seed, nothing tells how much seeds differ. Of a share (an accuracy, an F1) the size of the
/// validation set tells how much is luck there; of other metrics not even that, and the better half stays.
fn single_seeds(sweep: &Sweep, facts: &[Facts], values: &[Vec<f64>]) -> Vec<usize> {
    let mean = |one: &Vec<f64>| one.iter().sum::<f64>() / one.len() as f64;
    let loss = |value: f64| match sweep.objective.goal {
        Goal::Maximize => -value,
        Goal::Minimize => value,
    };
    let losses: Vec<f64> = values.iter().map(|one| loss(mean(one))).collect();
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
    let share = share.clamp(0.0, 1.0);
    Some((2.0 * share * (1.0 - share) / fewest as f64).sqrt())
}
