//! The numbers that tell causes apart. None where the record does not hold what one is made from.

use std::collections::BTreeMap;

use converge_core::metric::{
    EPSILON_SHARE, EXPECTED_DROP, GRADIENT_NORM, GRADIENT_NORM_OF, LEARNING_RATE, SAME_BATCH_DROP,
    TRAIN_LOSS, TRAVEL_OF, UPDATE_RATIO_OF,
};
use converge_core::settings::Optimizer;
use converge_core::steps::warmup_steps;
use serde::Serialize;

use crate::chance::Chance;
use crate::curve::{Curve, mean, median, quantile};
use crate::record::Record;

/// Layer groups of the encoder's layers, from below.
const LAYERS: [&str; 3] = ["bottom", "middle", "top"];
/// A class is rare where the largest has this many times its examples.
const RARE: u64 = 4;
/// Validation examples of a class from which on none right is no accident.
const FEWEST: u64 = 5;
/// A smoothed loss is the mean over so many examples at least.
const SMOOTHED_OVER: f64 = 400.0;

/// What a record says in numbers. Losses are shares of what a constant answer costs: 1 is chance.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Signals {
    /// Largest smoothed training loss.
    pub loss_peak: Option<f64>,
    /// By how much the smoothed training loss rose at most above what it had been before.
    pub loss_rise: Option<f64>,
    /// Step of it.
    pub loss_peak_step: Option<u64>,
    /// Smallest smoothed training loss.
    pub loss_least: Option<f64>,
    /// Smoothed training loss at the end.
    pub loss_end: Option<f64>,
    /// Median of the training loss over the last half: what it settled at.
    pub loss_settled: Option<f64>,
    /// What the noise of single steps' losses is, in multiples of what the batch size explains; above 1 the training
    /// itself swings.
    pub excess_noise: Option<f64>,
    /// 1 - loss on validation, at its last evaluation: 0 is chance, 1 is perfect.
    pub skill: Option<f64>,
    /// The same at its best evaluation.
    pub best_skill: Option<f64>,
    /// What the last third of the training added to it.
    pub late_gain: Option<f64>,
    /// The same on training examples, dropout off, at the last evaluation.
    pub train_skill: Option<f64>,
    /// Accuracy on validation at the last evaluation.
    pub accuracy: Option<f64>,
    /// The best one.
    pub best_accuracy: Option<f64>,
    /// Accuracy on training examples, dropout off, at the last evaluation.
    pub train_accuracy: Option<f64>,
    /// Share of validation answers that are the most frequent one, at the last evaluation.
    pub largest_answer: Option<f64>,
    /// Rare classes of which no validation example is answered right at the last evaluation: with a quarter of the largest
    /// class's training examples at most, and five validation examples at least.
    pub missed_classes: Option<u64>,
    /// Share of training examples of which a wrong class is answered with a probability over 0.9, at the evaluation
    /// where validation was best.
    pub confidently_wrong: Option<f64>,
    /// How far the encoder's layers are from where they started, |W - W0| / |W0|: the group that went farthest.
    pub travel: Option<f64>,
    /// Median of |ΔW| / |W| of the encoder's layers over the whole training.
    pub update_ratio: Option<f64>,
    /// Its largest value in the first third.
    pub early_update_ratio: Option<f64>,
    /// Gradient norm of the lowest layers in the last quarter over that in the first: falls by orders of magnitude where
    /// training has broken the model.
    pub bottom_gradient: Option<f64>,
    /// Median of the global gradient norm before clipping.
    pub gradient_norm: Option<f64>,
    /// Share of steps whose gradient was clipped.
    pub clipped: Option<f64>,
    /// Median of what a step's own batch lost by its update, over what a plane would have lost: 1 for small steps, below 0
    /// for steps that go too far.
    pub straightness: Option<f64>,
    /// Share of Adam's step that epsilon takes.
    pub epsilon_share: Option<f64>,
    /// Largest learning rate over the one asked for.
    pub rate_reached: Option<f64>,
    /// Share of the schedule that is warm-up.
    pub warmup: Option<f64>,
    /// What decay of weights alone would have left of them, as a share that is gone.
    pub decayed: Option<f64>,
}

impl Signals {
    /// Reads the signals off a record.
    pub fn of(record: &Record, chance: Option<&Chance>) -> Self {
        let mut signals = Self {
            excess_noise: excess_noise(record),
            accuracy: record.curve("validation/accuracy").last(),
            best_accuracy: record.curve("validation/accuracy").largest().map(|(_, value)| value),
            train_accuracy: record.curve("train_subset/accuracy").last(),
            largest_answer: last_of(record, "validation/predicted/").into_iter().reduce(f64::max),
            missed_classes: missed_classes(record),
            confidently_wrong: confidently_wrong(record),
            travel: last_of_layers(record, TRAVEL_OF),
            gradient_norm: median(&record.curve(GRADIENT_NORM).values()),
            clipped: clipped(record),
            bottom_gradient: bottom_gradient(record),
            straightness: straightness(record),
            epsilon_share: median(&record.curve(EPSILON_SHARE).values()),
            rate_reached: rate_reached(record),
            warmup: Some(
                warmup_steps(record.total_steps, record.train()) as f64
                    / record.total_steps.max(1) as f64,
            ),
            decayed: decayed(record),
            ..Self::default()
        };
        let ratios = update_ratios(record);
        signals.update_ratio = median(&ratios.values());
        signals.early_update_ratio =
            ratios.part(0.0, 1.0 / 3.0, record.total_steps).largest().map(|(_, value)| value);
        if let Some(chance) = chance {
            signals.take_losses(record, chance);
        }
        signals
    }

    fn take_losses(&mut self, record: &Record, chance: &Chance) {
        let steps = record.curve(TRAIN_LOSS);
        let window = (SMOOTHED_OVER / record.train().batch_size.max(1) as f64).ceil().max(10.0);
        let smoothed = steps.smoothed(window as usize);
        let of_step = |value: f64| value / chance.step_loss;
        let peak = smoothed.largest();
        self.loss_peak = peak.map(|(_, value)| of_step(value));
        self.loss_peak_step = peak.map(|(step, _)| step);
        let (mut least, mut rise) = (f64::INFINITY, 0.0_f64);
        for value in smoothed.values() {
            least = least.min(value);
            rise = rise.max(value - least);
        }
        self.loss_rise = peak.map(|_| of_step(rise));
        self.loss_least = smoothed.smallest().map(|(_, value)| of_step(value));
        self.loss_end = smoothed.last().map(of_step);
        let half = steps.len() / 2;
        self.loss_settled = median(&steps.values()[half..]).map(of_step);

        let skill = |value: f64| 1.0 - value / chance.validation_loss;
        let evaluated = record.curve("validation/loss");
        self.skill = evaluated.last().map(skill);
        self.best_skill = evaluated.smallest().map(|(_, value)| skill(value));
        let before = evaluated.part(0.0, 2.0 / 3.0, record.last_step());
        self.late_gain = match (before.smallest(), self.best_skill) {
            (Some((_, before)), Some(best)) => Some(best - skill(before)),
            _ => None,
        };
        self.train_skill =
            record.curve("train_subset/loss").last().map(|value| 1.0 - value / chance.train_loss);
    }
}

/// Returns the last values of all curves whose names begin so.
fn last_of(record: &Record, prefix: &str) -> Vec<f64> {
    let curves = record.curves.iter().filter(|(name, _)| name.starts_with(prefix));
    curves.filter_map(|(_, curve)| curve.last()).collect()
}

fn last_of_layers(record: &Record, prefix: &str) -> Option<f64> {
    let last = |group: &str| record.curves.get(&format!("{prefix}{group}"))?.last();
    LAYERS.iter().filter_map(|group| last(group)).reduce(f64::max)
}

fn missed_classes(record: &Record) -> Option<u64> {
    let (train, held_out) = (&record.facts.train, record.facts.validation.as_ref()?);
    let largest = *train.class_counts.iter().max()?;
    let counts = train.class_counts.iter().zip(&held_out.class_counts);
    let mut known = false;
    let missed = record.facts.labels.iter().zip(counts).filter(|(label, (count, there))| {
        let recall = record.curves.get(&format!("validation/recall/{label}"));
        let recall = recall.and_then(Curve::last);
        known |= recall.is_some();
        recall == Some(0.0) && **count * RARE <= largest && **there >= FEWEST
    });
    let missed = missed.count() as u64;
    known.then_some(missed)
}

fn confidently_wrong(record: &Record) -> Option<f64> {
    let (best, _) = record.curve("validation/loss").smallest()?;
    let wrong = record.curve("train_subset/confidently_wrong");
    wrong.0.iter().find(|(step, _)| *step == best).map(|(_, value)| *value)
}

/// Returns the mean over the layer groups that have one, by step.
fn update_ratios(record: &Record) -> Curve {
    let curves: Vec<&Curve> = LAYERS
        .iter()
        .filter_map(|group| record.curves.get(&format!("{UPDATE_RATIO_OF}{group}")))
        .collect();
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, value) in curves.into_iter().flat_map(|curve| &curve.0) {
        by_step.entry(*step).or_default().push(*value);
    }
    let means = by_step.iter().filter_map(|(step, values)| Some((*step, mean(values)?)));
    Curve(means.collect())
}

/// The lowest layers that there are: a model of one layer has a middle one alone.
fn bottom_gradient(record: &Record) -> Option<f64> {
    let lowest =
        LAYERS.iter().find_map(|group| record.curves.get(&format!("{GRADIENT_NORM_OF}{group}")))?;
    let middle = |from, to| median(&lowest.part(from, to, record.last_step()).values());
    let (early, late) = (middle(0.0, 0.25)?, middle(0.75, 1.0)?);
    (early > 0.0).then(|| late / early)
}

fn clipped(record: &Record) -> Option<f64> {
    let most = record.train().max_grad_norm;
    let norms = record.curve(GRADIENT_NORM).values();
    let clipped = norms.iter().filter(|norm| **norm > most).count();
    (most > 0.0 && !norms.is_empty()).then(|| clipped as f64 / norms.len() as f64)
}

fn straightness(record: &Record) -> Option<f64> {
    let expected = record.curve(EXPECTED_DROP);
    let found = record.curve(SAME_BATCH_DROP);
    // Where next to nothing was to be expected, the ratio is rounding.
    let pairs = found
        .0
        .iter()
        .zip(&expected.0)
        .filter(|((step, _), (same, expected))| step == same && *expected > 1e-6);
    median(&pairs.map(|((_, found), (_, expected))| found / expected).collect::<Vec<_>>())
}

fn rate_reached(record: &Record) -> Option<f64> {
    let asked = record.train().learning_rate;
    let (_, largest) = record.curve(LEARNING_RATE).largest()?;
    (asked > 0.0).then(|| largest / asked)
}

/// Noise of single steps around the smoothed loss, over the deviation of single examples' losses by the root of the
/// batch size.
fn excess_noise(record: &Record) -> Option<f64> {
    let deviation = median(&record.curve("train_subset/loss_deviation").values())?;
    let steps = record.curve(TRAIN_LOSS);
    let late = steps.part(0.5, 1.0, record.last_step()).values();
    // Neighbours differ by noise alone, whatever the trend: √2 deviations, 1.4826 makes a median of them one.
    let differences: Vec<f64> = late.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let found = quantile(&differences, 0.5)? * 1.4826 / std::f64::consts::SQRT_2;
    let expected = deviation / (record.train().batch_size.max(1) as f64).sqrt();
    (expected > 0.0 && differences.len() >= 10).then(|| found / expected)
}

/// Share of the weights that decoupled decay takes over the training: 1 - Π (1 - rate · decay).
fn decayed(record: &Record) -> Option<f64> {
    let train = record.train();
    if train.optimizer != Optimizer::AdamW {
        return None;
    }
    let rates = record.curve(LEARNING_RATE).values();
    let kept: f64 =
        rates.iter().map(|rate| (1.0 - rate * train.weight_decay).clamp(0.0, 1.0)).product();
    (!rates.is_empty()).then_some(1.0 - kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::{self, Shape};

    #[test]
    fn signals_are_read_off_the_curves() {
        let record = made_up::record(&Shape::default());
        let chance = Chance::of(&record.facts, record.train());
        let signals = Signals::of(&record, chance.as_ref());
        assert!((signals.loss_settled.unwrap() - 0.5).abs() < 0.25, "{signals:?}");
        assert!(signals.skill.unwrap() > 0.3);
        assert_eq!(signals.rate_reached, Some(1.0));
        assert_eq!(signals.missed_classes, Some(0));
        assert!((signals.straightness.unwrap() - 0.9).abs() < 1e-9);
        assert!((signals.update_ratio.unwrap() / 2.7e-5 - 1.0).abs() < 2.0);
    }

    #[test]
    fn what_was_not_recorded_has_no_signal() {
        let mut record = made_up::record(&Shape::default());
        record.curves.clear();
        let signals = Signals::of(&record, None);
        assert_eq!(signals, Signals { warmup: signals.warmup, ..Signals::default() });
    }
}
