//! The learning rate as a pure function of the step: a resumed training cannot drift.

use converge_core::ramp::Ramp;
use converge_core::settings::{Schedule, TrainSettings};
use converge_core::steps;

/// A training's learning rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LearningRate {
    peak: f64,
    shape: Schedule,
    warmup_steps: u64,
    total_steps: u64,
    /// In place of all that.
    ramp: Option<Ramp>,
}

impl LearningRate {
    /// Returns the learning rates of a training of so many steps.
    pub(crate) fn new(train: &TrainSettings, total_steps: u64) -> Self {
        Self {
            peak: train.learning_rate,
            shape: train.schedule,
            warmup_steps: steps::warmup_steps(total_steps, train),
            total_steps,
            ramp: train.ramp,
        }
    }

    /// Returns the learning rate in force at `update`.
    ///
    /// # Units
    /// Updates count from 0, as in the reference: the first update of a warm-up has rate 0.
    pub(crate) fn at(&self, update: u64) -> f64 {
        match self.ramp {
            Some(ramp) => ramp.at(update, self.total_steps),
            None => self.peak * self.share(update),
        }
    }

    /// Returns the share of the peak at `update`.
    ///
    /// # Source
    /// `get_linear_schedule_with_warmup`, `get_cosine_schedule_with_warmup` (half a cycle) and
    /// `get_constant_schedule_with_warmup`,
    /// <https://github.com/huggingface/transformers/blob/v4.44.2/src/transformers/optimization.py>.
    fn share(&self, update: u64) -> f64 {
        let Self { shape, warmup_steps, total_steps, .. } = *self;
        if update < warmup_steps {
            return update as f64 / warmup_steps.max(1) as f64;
        }
        let rest = total_steps.saturating_sub(warmup_steps).max(1) as f64;
        match shape {
            Schedule::Constant => 1.0,
            Schedule::Linear => total_steps.saturating_sub(update) as f64 / rest,
            Schedule::Cosine => {
                let progress = (update - warmup_steps) as f64 / rest;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(shape: Schedule, warmup_steps: u64, total_steps: u64) -> Vec<f64> {
        let rate = LearningRate { peak: 1.0, shape, warmup_steps, total_steps, ramp: None };
        (0..=total_steps).map(|update| rate.at(update)).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
        }
    }

    // From transformers 5.23.0, `get_..._schedule_with_warmup(optimizer, 3, 10)`: `get_last_lr()`
    // before each of the steps and after the last, peak 1.

    #[test]
    fn linear_is_that_of_transformers() {
        let expected = [
            0.0,
            1.0 / 3.0,
            2.0 / 3.0,
            1.0,
            0.8571428571428571,
            0.7142857142857143,
            0.5714285714285714,
            0.42857142857142855,
            0.2857142857142857,
            0.14285714285714285,
            0.0,
        ];
        assert_near(&shares(Schedule::Linear, 3, 10), &expected);
    }

    #[test]
    fn cosine_is_that_of_transformers() {
        let expected = [
            0.0,
            1.0 / 3.0,
            2.0 / 3.0,
            1.0,
            0.9504844339512095,
            0.8117449009293668,
            0.6112604669781572,
            0.3887395330218429,
            0.1882550990706332,
            0.04951556604879043,
            0.0,
        ];
        assert_near(&shares(Schedule::Cosine, 3, 10), &expected);
    }

    #[test]
    fn constant_is_that_of_transformers() {
        let expected = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert_near(&shares(Schedule::Constant, 3, 10), &expected);
    }

    #[test]
    fn a_ramp_takes_the_place_of_warm_up_and_shape() {
        let ramp = Some(Ramp { from: 1e-4, to: 1e-1 });
        let train = TrainSettings { ramp, ..TrainSettings::defaults() };
        let rate = LearningRate::new(&train, 4);
        let rates: Vec<f64> = (0..4).map(|update| rate.at(update)).collect();
        assert_near(&rates, &[1e-4, 1e-3, 1e-2, 1e-1]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_peak() {
        for shape in [Schedule::Linear, Schedule::Cosine, Schedule::Constant] {
            assert_eq!(shares(shape, 0, 4)[0], 1.0);
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_training_does_no_harm() {
        assert_near(&shares(Schedule::Linear, 8, 4), &[0.0, 0.125, 0.25, 0.375, 0.5]);
    }
}
