//! Random lives of trials: whatever happened, curves and extremes are those of the steps that count.

use std::collections::BTreeMap;

use converge_core::failure::FailureClass;
use converge_core::ids::TrialId;
use converge_core::seed::Seed;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{Change, MetricExtremes, Point, Reader, Store};

use crate::home::{Home, checkpointed, ended, failed, observed, queued};

const METRICS: [&str; 3] = ["train/loss", "validation/accuracy", "train/gradient_norm"];

/// Draws, one after the other.
struct Draws {
    seed: Seed,
    drawn: u64,
}

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.drawn += 1;
        (self.seed.draw(self.drawn, "history") * limit as f64) as u64
    }

    /// Few different numbers, so that extremes tie; and all that are not finite.
    fn value(&mut self) -> f64 {
        match self.below(12) {
            0 | 1 => f64::NAN,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            number => number as f64 - 7.5,
        }
    }
}

/// What a trial must look like: kept points of each metric, and checkpoints that count.
#[derive(Default)]
struct Expected {
    curves: BTreeMap<&'static str, Vec<Point>>,
    checkpoints: Vec<u64>,
    attempts: u64,
}

impl Expected {
    fn cut_off(&mut self, from_step: u64) {
        for curve in self.curves.values_mut() {
            curve.retain(|point| point.step <= from_step);
        }
        self.checkpoints.retain(|step| *step <= from_step);
    }

    fn extremes(&self) -> Vec<MetricExtremes> {
        let curves = self.curves.iter().filter(|(_, points)| !points.is_empty());
        curves.map(|(metric, points)| naive(metric, points)).collect()
    }
}

/// Computes extremes as slowly and plainly as can be.
fn naive(metric: &str, points: &[Point]) -> MetricExtremes {
    let numbers = || points.iter().filter(|point| !point.value.is_nan());
    let at = |extreme: f64| numbers().find(|point| point.value == extreme).map(|point| point.step);
    let min = numbers().map(|point| point.value).fold(f64::INFINITY, f64::min);
    let max = numbers().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
    let last = points.last().expect("points");
    MetricExtremes {
        metric: metric.into(),
        min: at(min).map(|step| (min, step)),
        max: at(max).map(|step| (max, step)),
        last: last.value,
        last_step: last.step,
    }
}

/// NaN is not equal to itself; as text it is.
fn assert_same<T: std::fmt::Debug>(left: T, right: T, what: &str) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"), "{what}");
}

fn check(reader: &Reader, trial: TrialId, expected: &Expected, what: &str) {
    assert_same(reader.trial_metrics(trial).unwrap(), expected.extremes(), what);
    for metric in METRICS {
        let kept = expected.curves.get(metric).cloned().unwrap_or_default();
        assert_same(reader.curve(trial, metric).unwrap(), kept, what);
    }
}

#[test]
fn extremes_and_curves_are_those_of_the_steps_that_count() {
    for history in 0..60 {
        let mut draws = Draws { seed: Seed(history), drawn: 0 };
        let mut home = Home::new(3);
        let mut trials: BTreeMap<i64, Expected> =
            (1..=3).map(|trial| (trial, Expected::default())).collect();
        let mut attempt = 0;
        for life in 0..8 {
            let trial = 1 + draws.below(3) as i64;
            let expected = trials.get_mut(&trial).unwrap();
            let choice = draws.below(expected.checkpoints.len() as u64 + 1) as usize;
            let from_step = expected.checkpoints.get(choice).copied().unwrap_or(0);
            expected.cut_off(from_step);
            expected.attempts += 1;
            attempt += 1;
            let mut batch = vec![home.lease(TrialId(trial), expected.attempts, from_step)];
            let mut step = from_step;
            for _ in 0..draws.below(30) {
                step += 1 + draws.below(2);
                let mut metrics = Vec::new();
                for metric in METRICS {
                    if draws.below(4) > 0 {
                        let value = draws.value();
                        metrics.push((metric, value));
                        let point = Point { step, value, attempt: expected.attempts };
                        expected.curves.entry(metric).or_default().push(point);
                    }
                }
                batch.push(observed(attempt, step, &metrics));
                if draws.below(6) == 0 {
                    batch.push(checkpointed(attempt, step));
                    expected.checkpoints.retain(|kept| *kept != step);
                    expected.checkpoints.push(step);
                }
                // Batches end anywhere; now and then the store forgets all that it had in memory.
                if draws.below(5) == 0 {
                    home.apply(&std::mem::take(&mut batch));
                }
                if draws.below(40) == 0 {
                    home.apply(&std::mem::take(&mut batch));
                    home.store = Store::create_or_open(home.path()).unwrap();
                }
            }
            let ending = match draws.below(3) {
                0 => AttemptEnding::Released,
                1 => AttemptEnding::Abandoned,
                _ => failed(FailureClass::Killed),
            };
            batch.extend([ended(attempt, ending), queued(TrialId(trial))]);
            home.apply(&batch);
            for (trial, expected) in &trials {
                let what = format!("history {history}, life {life}, trial {trial}");
                check(home.store.read(), TrialId(*trial), expected, &what);
            }
        }
        let mut exported = 0;
        let read = home.store.read();
        read.observations(home.sweep, |_| {
            exported += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let points = trials.values().flat_map(|expected| expected.curves.values());
        assert_eq!(exported, points.map(Vec::len).sum::<usize>());
    }
}

#[test]
fn a_resumed_attempt_takes_back_an_extreme_that_was_cut_off() {
    let mut home = Home::new(1);
    let trial = TrialId(1);
    let metric = "validation/accuracy";
    let lease = home.lease(trial, 1, 0);
    home.apply(&[
        lease,
        observed(1, 1, &[(metric, 0.5)]),
        checkpointed(1, 1),
        observed(1, 2, &[(metric, 0.9)]),
        ended(1, failed(FailureClass::Killed)),
        queued(trial),
    ]);
    assert_eq!(home.trial(1).objective.unwrap().value, 0.9);
    let lease = home.lease(trial, 2, 1);
    home.apply(&[
        lease,
        observed(2, 2, &[(metric, 0.75)]),
        ended(2, AttemptEnding::Completed),
        Change::TrialState { trial, state: TrialState::Completed },
    ]);
    assert_eq!(home.trial(1).objective.unwrap().value, 0.75);
    let sql = "SELECT step, value, attempt FROM curves ORDER BY step";
    assert_eq!(crate::home::query(&home.path(), sql), ["1|0.5|1", "2|0.75|2"]);
    let all = "SELECT count(*) FROM observations";
    assert_eq!(crate::home::query(&home.path(), all), ["3"], "nothing is deleted");
}
