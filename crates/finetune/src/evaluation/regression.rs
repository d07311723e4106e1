//! Metrics of a regression.

use super::mean_and_deviation;
use super::ranks::{correlation, mean_ranks};

/// Returns all metrics by name; what is not defined is left out.
pub(super) fn metrics(answers: &[f32], targets: &[f64]) -> Vec<(String, f64)> {
    let answers: Vec<f64> = answers.iter().copied().map(f64::from).collect();
    let errors = || answers.iter().zip(targets).map(|(answer, target)| answer - target);
    let examples = targets.len().max(1) as f64;
    let (squared, deviation) =
        mean_and_deviation(&errors().map(|error| error * error).collect::<Vec<_>>());
    let absolute = errors().map(f64::abs).sum::<f64>() / examples;
    let mut metrics = vec![
        ("loss", squared),
        ("loss_deviation", deviation),
        ("rmse", squared.sqrt()),
        ("mae", absolute),
    ];
    metrics.extend(correlation(&answers, targets).map(|value| ("pearson", value)));
    if answers.iter().all(|answer| !answer.is_nan()) {
        let ranked = correlation(&mean_ranks(&answers), &mean_ranks(targets));
        metrics.extend(ranked.map(|value| ("spearman", value)));
    }
    metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
