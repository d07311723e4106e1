//! Parzen estimators of one parameter over a grid of its values.
//!
//! # Source
//! Optuna 5, `importance/_ped_anova/scott_parzen_estimator.py`: Scott's rule for the width, one kernel per observed
//! point, and a prior that counts as much as one trial.

use super::distribution::normal;

/// How wide the narrowest kernel is: nine tenths of it fall onto its own point.
const NARROWEST: f64 = 0.5 / 1.64;

/// Returns how probable each point of a grid of numbers is before anything was observed: the middle a little more.
pub(crate) fn prior(points: usize) -> Vec<f64> {
    let (width, middle) = (points as f64, (points as f64 - 1.0) / 2.0);
    let edge = |point: usize| normal((point as f64 - 0.5 - middle) / width);
    let inside = edge(points) - edge(0);
    (0..points).map(|point| (edge(point + 1) - edge(point)) / inside).collect()
}

/// Returns the probability of each point of a grid of numbers, given how often each was observed, and the prior.
pub(crate) fn numeric(counts: &[u32], prior: &[f64]) -> Vec<f64> {
    let observed: Vec<(usize, f64)> = observed(counts).collect();
    let total: f64 = observed.iter().map(|(_, count)| count).sum();
    let kernel = Kernel::new(width(&observed, total), counts.len());
    // The prior counts as one trial.
    let mut density: Vec<f64> = prior.iter().map(|value| value / (total + 1.0)).collect();
    for (point, count) in &observed {
        kernel.add(*point, count / (total + 1.0), &mut density);
    }
    density
}

/// Returns the probability of each of some choices, given how often each was observed.
pub(crate) fn categorical(counts: &[u32]) -> Vec<f64> {
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    let choices = counts.len() as f64;
    // A kernel for each choice that was observed, and the prior.
    let kernels = observed(counts).count() as f64 + 1.0;
    let base = 1.0 / kernels;
    let normaliser = 1.0 + choices * base;
    let probability = |count: &u32| {
        let count = f64::from(*count);
        let by_observations = (count + total * base) / normaliser;
        (by_observations + 1.0 / choices) / (total + 1.0)
    };
    counts.iter().map(probability).collect()
}

fn observed(counts: &[u32]) -> impl Iterator<Item = (usize, f64)> + '_ {
    counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(point, count)| (point, f64::from(*count)))
}

/// Scott's rule on the smaller of deviation and quartile distance.
fn width(observed: &[(usize, f64)], total: f64) -> f64 {
    let mean = observed.iter().map(|(point, count)| *point as f64 * count).sum::<f64>() / total;
    let squares: f64 =
        observed.iter().map(|(point, count)| (*point as f64 - mean).powi(2) * count).sum();
    let deviation = (squares / (total - 1.0).max(1.0)).sqrt();
    let whole = total as u64;
    // The first observed point by which so many were seen; more than so many, for the upper quartile.
    let place = |reached: &dyn Fn(u64) -> bool| {
        let mut seen = 0;
        let reaches = |(_, count): &(usize, f64)| {
            seen += *count as u64;
            reached(seen)
        };
        observed.iter().position(reaches).unwrap_or(observed.len() - 1)
    };
    let lower = observed[place(&|seen| seen >= whole / 4)].0;
    let upper = observed[place(&|seen| seen > whole * 3 / 4)].0;
    let quartiles = (upper as f64 - lower as f64) / 1.34;
    (1.059 * quartiles.min(deviation) * total.powf(-0.2)).max(NARROWEST)
}

/// A normal kernel on whole numbers, cut off half a point outside of the grid.
struct Kernel {
    /// The distribution function half a point before each whole distance, from the farthest.
    below: Vec<f64>,
}

impl Kernel {
    fn new(width: f64, points: usize) -> Self {
        let edge = |index: usize| normal((index as f64 - points as f64 + 0.5) / width);
        Self { below: (0..2 * points).map(edge).collect() }
    }

    fn add(&self, middle: usize, weight: f64, density: &mut [f64]) {
        let points = density.len();
        // Those of the grid's own edges, the first and the last included.
        let edges = &self.below[points - 1 - middle..];
        let weight = weight / (edges[points] - edges[0]);
        for (point, value) in density.iter_mut().enumerate() {
            *value += weight * (edges[point + 1] - edges[point]);
        }
    }
}
