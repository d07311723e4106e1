//! How long a sweep will take, from what steps, evaluations and starts cost.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::facts::Facts;
use crate::settings::TrainSettings;
use crate::steps::TRAIN_SUBSET;

/// What a machine differs from one minute to the next: a share of the time.
const DRIFT: f64 = 0.1;
/// Standard errors to both sides, for an interval that holds the truth 95 times of a hundred.
const ERRORS: f64 = 2.0;

/// A number that was measured. Unit: seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Standard error of the mean.
    pub error: f64,
}

/// What a trial's parts cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// A step.
    pub step: Estimate,
    /// An evaluation, for each example of it.
    pub evaluated_example: Estimate,
    /// What a trial takes beside: loading, its first steps, its end.
    pub start: Estimate,
}

/// What a trial has to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// What it costs: a place in a list.
    pub class: usize,
    /// Steps.
    pub steps: u64,
    /// Examples in all of its evaluations.
    pub evaluated: u64,
}

/// How long a sweep will take. Unit: seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// As far as one can tell.
    pub seconds: f64,
    /// It may take as little,
    pub low: f64,
    /// or as much.
    pub high: f64,
}

impl Estimate {
    /// Returns mean and standard error of some measurements; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = match values.len() {
            // One measurement tells nothing of its error: half of it, to be safe.
            1 => mean.abs() / 2.0,
            _ => (squares / (count - 1.0) / count).sqrt(),
        };
        Some(Self { mean, error })
    }

    fn moved(self, errors: f64) -> f64 {
        (self.mean + errors * self.error).max(0.0)
    }
}

impl Cost {
    /// Returns the time of a trial; `errors`: all three parts are so many standard errors dearer. Unit: seconds.
    fn of(&self, work: &Work, errors: f64) -> f64 {
        self.start.moved(errors)
            + self.step.moved(errors) * work.steps as f64
            + self.evaluated_example.moved(errors) * work.evaluated as f64
    }
}

/// Returns what decides how long a step of a trial takes, beside machine, model and data: trials that agree in it cost
/// the same.
pub fn class(train: &TrainSettings, facts: &Facts) -> serde_json::Value {
    json!({
        "batch_size": train.batch_size.min(facts.train.examples),
        "gradient_accumulation": train.gradient_accumulation,
        "optimizer": train.optimizer,
        "freeze": train.freeze,
        "precision": train.precision,
        "pooling": train.pooling,
        // Masks are drawn, or not.
        "drops": train.dropouts().map(|probability| probability.is_none_or(|share| share > 0.0)),
    })
}

/// Returns the examples of one evaluation.
pub fn evaluated_examples(facts: &Facts) -> u64 {
    let validation = facts.validation.as_ref().map_or(0, |split| split.examples);
    validation + facts.train.examples.min(TRAIN_SUBSET)
}

/// Returns how long trials take that so many workers take up one after the other.
pub fn forecast(work: &[Work], costs: &[Cost], workers: u64) -> Forecast {
    let total = |errors: f64| {
        let mut ends = vec![0.0f64; workers.max(1) as usize];
        for one in work {
            let first = ends.iter_mut().min_by(|left, right| left.total_cmp(right));
            if let (Some(end), Some(cost)) = (first, costs.get(one.class)) {
                *end += cost.of(one, errors);
            }
        }
        ends.into_iter().fold(0.0, f64::max)
    };
    Forecast {
        seconds: total(0.0),
        low: total(-ERRORS) * (1.0 - DRIFT),
        high: total(ERRORS) * (1.0 + DRIFT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(step: f64, evaluated_example: f64, start: f64) -> Cost {
        let estimate = |mean| Estimate { mean, error: 0.0 };
        Cost {
            step: estimate(step),
            evaluated_example: estimate(evaluated_example),
            start: estimate(start),
        }
    }

    #[test]
    fn a_trial_is_its_start_its_steps_and_its_evaluations() {
        let work = Work { class: 0, steps: 100, evaluated: 400 };
        let told = forecast(&[work], &[exact(0.5, 0.01, 2.0)], 4);
        assert!((told.seconds - 56.0).abs() < 1e-9, "{told:?}");
        assert!((told.low - 50.4).abs() < 1e-9 && (told.high - 61.6).abs() < 1e-9, "{told:?}");
    }

    #[test]
    fn workers_take_trials_in_order_and_the_longest_decides() {
        let costs = [exact(1.0, 0.0, 0.0), exact(3.0, 0.0, 0.0)];
        let work = |class| Work { class, steps: 10, evaluated: 0 };
        let seconds = |order: &[usize], workers| {
            forecast(&order.iter().map(|class| work(*class)).collect::<Vec<_>>(), &costs, workers)
                .seconds
        };
        assert_eq!(seconds(&[0, 0, 0, 0], 2), 20.0);
        assert_eq!(seconds(&[0, 0, 1], 2), 40.0, "a long one at the end keeps one worker");
        assert_eq!(seconds(&[1, 0, 0], 2), 30.0);
        assert_eq!(seconds(&[], 2), 0.0);
    }

    #[test]
    fn what_was_measured_loosely_makes_a_wide_interval() {
        let cost = Cost { step: Estimate::of(&[0.4, 0.6, 0.5]).unwrap(), ..exact(0.0, 0.0, 0.0) };
        let told = forecast(&[Work { class: 0, steps: 100, evaluated: 0 }], &[cost], 1);
        assert!((told.seconds - 50.0).abs() < 1e-9, "{told:?}");
        assert!(told.low < 36.0 && told.high > 67.0, "{told:?}");
        assert_eq!(Estimate::of(&[]), None);
    }
}
