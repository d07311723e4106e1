//! What was chosen for being the best looks better than it is: its interval, and its value, with that taken out.

use super::Interval;
use super::covariance::{Covariance, Deviations};
use super::distributions::{student, student_quantile};

/// How much noise is added before choosing again, as a share of the noise that is there: more makes the choice worse
/// than it was, so that too much is taken off (with 0.7 of configurations a point apart more than a quarter of what the
/// winner's value is too high); less makes the answer less steady.
const ADDED: f64 = 0.5;
/// The share of an interval's errors that goes to the bound on all values at once.
const SHARE_OF_BOUND: f64 = 0.1;

/// Estimates of which the largest was chosen, and the quantity that is asked about.
pub struct Chosen<'a> {
    /// What the choice was made by; larger is better.
    pub means: &'a [f64],
    /// Their noise.
    pub covariance: &'a Covariance,
    /// The place of the chosen one.
    pub winner: usize,
    /// What the chosen one is compared with; none: asked is its own value.
    pub against: Option<usize>,
    /// By how much a mean has to be larger to be seen as larger: half of the smallest step that it can make.
    pub half_step: f64,
    /// Degrees of freedom of the noise.
    pub degrees: f64,
}

impl Chosen<'_> {
    fn estimate(&self) -> f64 {
        self.means[self.winner] - self.against.map_or(0.0, |other| self.means[other])
    }

    fn variance(&self) -> f64 {
        match self.against {
            None => self.covariance.of(self.winner, self.winner),
            Some(other) => self.covariance.of_difference(self.winner, other),
        }
    }

    /// Returns between what values the estimate had to be for this one to win, given all that does not depend on it.
    fn room(&self) -> (f64, f64) {
        let (estimate, variance) = (self.estimate(), self.variance());
        let with = |place: usize| {
            let against = self.against.map_or(0.0, |other| self.covariance.of(place, other));
            self.covariance.of(place, self.winner) - against
        };
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for place in (0..self.means.len()).filter(|place| *place != self.winner) {
            let slope = (with(self.winner) - with(place)) / variance;
            let lead = self.means[self.winner] - self.means[place] + self.half_step;
            // How far the estimate can go until this one would have won.
            let end = estimate - lead / slope;
            if slope > 1e-9 {
                low = low.max(end);
            } else if slope < -1e-9 {
                high = high.min(end);
            }
        }
        (low.min(estimate), high.max(estimate))
    }

    /// Returns the values that the estimate does not contradict at a confidence; none without noise.
    ///
    /// # Source
    /// Andrews, Kitagawa and McCloskey 2024, *Inference on winners*, Quarterly Journal of Economics 139(1): the hybrid
    /// interval of §5. Where nothing comes near the winner it is the usual interval; where much does, it reaches
    /// farther down. The bound on all values at once is Bonferroni's.
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        let (of_bound, tail) = tails(1.0 - confidence);
        let solve = |chance| self.truth_where(chance, of_bound);
        Some(Interval { low: solve(1.0 - tail)?, high: solve(tail)? })
    }

    /// Returns the value that the estimate is as likely above as below, chosen as it was.
    ///
    /// # Source
    /// The same, §5: the hybrid estimator.
    pub fn median(&self, confidence: f64) -> Option<f64> {
        self.truth_where(0.5, SHARE_OF_BOUND * (1.0 - confidence))
    }

    /// Returns the value whose hybrid distribution puts the estimate at a chance.
    fn truth_where(&self, chance: f64, of_bound: f64) -> Option<f64> {
        let hybrid = self.hybrid(of_bound)?;
        // The chance falls from 1 to 0 as the truth rises.
        let (mut least, mut most) =
            (hybrid.estimate - hybrid.bound, hybrid.estimate + hybrid.bound);
        for _ in 0..40 {
            let middle = (least + most) / 2.0;
            if hybrid.below(middle) > chance { least = middle } else { most = middle }
        }
        Some((least + most) / 2.0)
    }

    /// Returns the smallest error at which the interval leaves out a value.
    pub fn p(&self, value: f64) -> Option<f64> {
        let leaves_out = |error: f64| {
            let (of_bound, tail) = tails(error);
            let hybrid = self.hybrid(of_bound)?;
            let chance = hybrid.below(value);
            let is_far = (value - hybrid.estimate).abs() > hybrid.bound;
            Some(is_far || chance > 1.0 - tail || chance < tail)
        };
        let (mut least, mut most) = (0.0_f64, 1.0_f64);
        for _ in 0..40 {
            let middle = (least + most) / 2.0;
            if leaves_out(middle)? { most = middle } else { least = middle }
        }
        Some(most)
    }

    fn hybrid(&self, of_bound: f64) -> Option<Hybrid> {
        let deviation = self.variance().sqrt();
        if deviation.is_nan() || deviation <= 0.0 {
            return None;
        }
        let of_one = of_bound / 2.0 / self.means.len() as f64;
        let bound = -student_quantile(of_one, self.degrees) * deviation;
        let (estimate, room) = (self.estimate(), self.room());
        Some(Hybrid { estimate, deviation, degrees: self.degrees, room, bound })
    }
}

/// Returns what of an error goes to the bound on all values at once, and to each end of the interval.
fn tails(error: f64) -> (f64, f64) {
    let of_bound = SHARE_OF_BOUND * error;
    (of_bound, (error - of_bound) / (1.0 - of_bound) / 2.0)
}

/// The distribution of an estimate given that it was chosen, within a bound around the truth.
struct Hybrid {
    estimate: f64,
    deviation: f64,
    degrees: f64,
    /// Between what values it would have been chosen.
    room: (f64, f64),
    bound: f64,
}

impl Hybrid {
    /// Returns the chance of a smaller estimate at a truth.
    fn below(&self, truth: f64) -> f64 {
        let from = self.room.0.max(truth - self.bound);
        let to = self.room.1.min(truth + self.bound);
        let chance = |x: f64| student((x - truth) / self.deviation, self.degrees);
        let [from, at, to] = [from, self.estimate, to].map(chance);
        if to > from { ((at - from) / (to - from)).clamp(0.0, 1.0) } else { 0.5 }
    }
}

/// Returns the value of what was chosen, without the luck of the choice: the choice is made again on the estimates
/// with noise added, and what it picks is scored on the estimates with the matching noise taken away. The two are
/// independent, as a resample and what it left out are, so the score is not biased by the choice.
///
/// # Source
/// Oliveira, Lei and Tibshirani 2021, *Unbiased risk estimation in the normal means problem via coupled bootstrap
/// techniques* (arXiv:2111.09447).
pub fn corrected(means: &[f64], deviations: &Deviations) -> f64 {
    let winner = best_of(means.iter().copied());
    let mut sum = 0.0;
    for noise in deviations.draws() {
        let noisy = means.iter().zip(noise).map(|(mean, noise)| mean + ADDED * noise);
        let chosen = best_of(noisy);
        // The noise of the winner is 0 on average: taken out, for a steadier sum.
        sum += means[chosen] - means[winner] - (noise[chosen] - noise[winner]) / ADDED;
    }
    means[winner] + sum / deviations.draws().len() as f64
}

/// Returns the place of the first of the largest.
pub fn best_of(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, value) in values.enumerate() {
        if value > best.1 {
            best = (place, value);
        }
    }
    best.0
}
