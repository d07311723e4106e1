//! A density over some axes: a kernel around each observation, and one over everything.
//!
//! # Source
//! Bergstra et al., *Algorithms for Hyper-Parameter Optimization*, 2011, as Optuna 5 has it (`_ParzenEstimator`): joint
//! over its axes, widths by the distances to the neighbours, held between the whole range and a hundredth of it.
//! A golden file holds the two together.

use std::f64::consts::PI;

use super::axis::{Scale, cell_of};
use super::normal::{between, quantile_between};
use crate::sampler::splitmix::Stream;

/// Observations that count fully; older ones count the less, the older they are.
const RECENT: usize = 25;

/// The density.
pub(super) struct Parzen {
    /// Shares of the kernels; the last is the one over everything.
    weights: Vec<f64>,
    axes: Vec<Kernels>,
}

/// The kernels along one axis.
enum Kernels {
    Numbers { centres: Vec<f64>, widths: Vec<f64>, heights: Heights },
    Words { shares: Vec<Vec<f64>> },
}

/// Logarithms of what the kernels along an axis of numbers have to be divided or multiplied by.
enum Heights {
    /// Of a range: the logarithm of each kernel's height.
    Peaks(Vec<f64>),
    /// Of a few cells: the logarithm of what lies in each, kernel by kernel.
    Cells(Vec<Vec<f64>>),
    /// Of many cells: their number, and what of each kernel lies in [0, 1].
    Many(usize, Vec<f64>),
}

/// Cells that are few.
const FEW: usize = 64;

impl Parzen {
    /// Makes the density of observations, oldest first; each has a place on every axis.
    pub(super) fn new(scales: &[Scale], observations: &[Vec<f64>]) -> Self {
        let mut weights = recency(observations.len());
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let along = |(axis, scale): (usize, &Scale)| {
            let places: Vec<f64> = observations.iter().map(|one| one[axis]).collect();
            match *scale {
                Scale::Categories(count) => Kernels::words(&places, count),
                Scale::Cells(cells) => Kernels::numbers(places, Some(cells)),
                Scale::Continuous | Scale::Single => Kernels::numbers(places, None),
            }
        };
        Self { weights, axes: scales.iter().enumerate().map(along).collect() }
    }

    /// Draws a point.
    pub(super) fn draw(&self, random: &mut Stream) -> Vec<f64> {
        let mut left = random.unit();
        let kernel = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        let kernel = kernel.unwrap_or(self.weights.len() - 1);
        self.axes.iter().map(|axis| axis.draw(kernel, random.unit())).collect()
    }

    /// Returns the logarithm of the density at a point.
    pub(super) fn log_density(&self, point: &[f64]) -> f64 {
        let logs: Vec<f64> = (0..self.weights.len())
            .map(|kernel| {
                let along = self.axes.iter().zip(point);
                let sum: f64 = along.map(|(axis, place)| axis.log_density(kernel, *place)).sum();
                self.weights[kernel].ln() + sum
            })
            .collect();
        // Finite: the kernel over everything reaches everywhere.
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
    }
}

impl Kernels {
    fn numbers(mut centres: Vec<f64>, cells: Option<usize>) -> Self {
        let mut widths = widths(&centres);
        centres.push(0.5);
        widths.push(1.0);
        let kernels = || centres.iter().copied().zip(widths.iter().copied());
        let inside = |(centre, width): (f64, f64)| between(-centre / width, (1.0 - centre) / width);
        let masses: Vec<f64> = kernels().map(inside).collect();
        let heights = match cells {
            None => {
                let peak = |(mass, width): (&f64, &f64)| -((2.0 * PI).sqrt() * width * mass).ln();
                Heights::Peaks(masses.iter().zip(&widths).map(peak).collect())
            }
            Some(count) if count <= FEW => {
                let row = |((centre, width), mass): ((f64, f64), &f64)| {
                    (0..count).map(|cell| cell_log(centre, width, *mass, cell, count)).collect()
                };
                Heights::Cells(kernels().zip(&masses).map(row).collect())
            }
            Some(count) => Heights::Many(count, masses),
        };
        Self::Numbers { centres, widths, heights }
    }

    fn words(places: &[f64], count: usize) -> Self {
        // What the kernel over everything adds to each word.
        let common = 1.0 / (places.len() + 1) as f64;
        let row = |place: &f64| {
            let own = |word| f64::from(u8::from(word == *place as usize));
            (0..count).map(|word| (common + own(word)) / (1.0 + common * count as f64)).collect()
        };
        let mut shares: Vec<Vec<f64>> = places.iter().map(row).collect();
        shares.push(vec![1.0 / count as f64; count]);
        Self::Words { shares }
    }

    fn draw(&self, kernel: usize, unit: f64) -> f64 {
        match self {
            Self::Numbers { centres, widths, .. } => {
                let (centre, width) = (centres[kernel], widths[kernel]);
                let (low, high) = (-centre / width, (1.0 - centre) / width);
                (centre + width * quantile_between(low, high, unit)).clamp(0.0, 1.0)
            }
            Self::Words { shares } => {
                let mut left = unit;
                let word = shares[kernel].iter().position(|share| {
                    left -= share;
                    left < 0.0
                });
                word.unwrap_or(shares[kernel].len() - 1) as f64
            }
        }
    }

    fn log_density(&self, kernel: usize, place: f64) -> f64 {
        match self {
            Self::Numbers { centres, widths, heights } => {
                let (centre, width) = (centres[kernel], widths[kernel]);
                match heights {
                    Heights::Peaks(peaks) => {
                        let deviations = (place - centre) / width;
                        peaks[kernel] - deviations * deviations / 2.0
                    }
                    Heights::Cells(rows) => rows[kernel][cell_of(place, rows[kernel].len())],
                    Heights::Many(count, masses) => {
                        let cell = cell_of(place, *count);
                        cell_log(centre, width, masses[kernel], cell, *count)
                    }
                }
            }
            Self::Words { shares } => shares[kernel][place as usize].ln(),
        }
    }
}

/// Returns the logarithm of the share of a kernel that lies in a cell.
fn cell_log(centre: f64, width: f64, mass: f64, cell: usize, cells: usize) -> f64 {
    let edge = |cell: usize| (cell as f64 / cells as f64 - centre) / width;
    (between(edge(cell), edge(cell + 1)) / mass).ln()
}

/// Returns what each observation counts, oldest first.
fn recency(count: usize) -> Vec<f64> {
    let old = count.saturating_sub(RECENT);
    let share = |place: usize| {
        let first = 1.0 / count as f64;
        let step = if old > 1 { (1.0 - first) / (old - 1) as f64 } else { 0.0 };
        first + step * place as f64
    };
    (0..count).map(|place| if place < old { share(place) } else { 1.0 }).collect()
}

/// Returns the width of each kernel: the distance to the farther neighbour, the ends of the range among them where
/// there is no other.
fn widths(centres: &[f64]) -> Vec<f64> {
    let count = centres.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|left, right| centres[*left].total_cmp(&centres[*right]));
    let narrowest = 1.0 / (count as f64 + 2.0).min(100.0);
    let mut widths = vec![0.0; count];
    for (place, index) in order.iter().enumerate() {
        let before = place.checked_sub(1).map(|other| centres[order[other]]);
        let after = order.get(place + 1).map(|other| centres[*other]);
        let centre = centres[*index];
        let width = match (before, after) {
            (Some(before), Some(after)) => (centre - before).max(after - centre),
            (Some(before), None) => centre - before,
            (None, Some(after)) => after - centre,
            (None, None) => centre.max(1.0 - centre),
        };
        widths[*index] = width.clamp(narrowest, 1.0);
    }
    widths
}

#[cfg(test)]
mod tests;
