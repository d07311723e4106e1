//! How many steps a training takes, and at which of them it is evaluated.

use crate::settings::TrainSettings;

/// Training examples that each evaluation goes through as well, dropout off.
pub const TRAIN_SUBSET: u64 = 256;

/// Returns the steps of one pass over the training split; the last one may hold fewer examples.
pub fn steps_per_epoch(train_examples: u64, train: &TrainSettings) -> u64 {
    train_examples.div_ceil(train.batch_size.max(1))
}

/// Returns the steps of the whole training: the length of the schedule.
///
/// # Examples
/// 17 examples in batches of 4 are 5 steps an epoch; 3 epochs are 15 steps, or `max_steps` if that
/// is fewer.
pub fn total_steps(train_examples: u64, train: &TrainSettings) -> u64 {
    let all = steps_per_epoch(train_examples, train).saturating_mul(train.epochs);
    train.max_steps.map_or(all, |most| all.min(most))
}

/// Returns the steps of warm-up.
///
/// # Source
/// transformers `TrainingArguments.get_warmup_steps`: the given number of steps, else the ratio
/// rounded up.
pub fn warmup_steps(total_steps: u64, train: &TrainSettings) -> u64 {
    let by_ratio = (train.warmup_ratio.max(0.0) * total_steps as f64).ceil() as u64;
    train.warmup_steps.unwrap_or(by_ratio)
}

/// Most steps between two records of what a step looks like from inside.
const LONGEST_STRIDE: u64 = 25;
/// Records of it in a short training.
const FEWEST_RECORDS: u64 = 8;

/// Returns whether a step's inside is recorded: gradient norms by layer group, what its update changed and what its own
/// batch lost by it. Each costs a third of a step.
pub fn is_recorded_closely(step: u64, total_steps: u64) -> bool {
    let stride = (total_steps / FEWEST_RECORDS).clamp(1, LONGEST_STRIDE);
    step == 1 || step.is_multiple_of(stride)
}

/// Returns whether the model is evaluated after `step` (counted from 1): evenly spaced within each
/// epoch, and always after the last; never on a ramp, of which only the training loss is wanted.
pub fn is_evaluated(step: u64, train_examples: u64, train: &TrainSettings) -> bool {
    if train.ramp.is_some() {
        return false;
    }
    let last = total_steps(train_examples, train);
    if step == 0 || step >= last {
        return step == last && step > 0;
    }
    let in_epoch = steps_per_epoch(train_examples, train).max(1);
    let evaluations = u128::from(train.evaluations_per_epoch.min(in_epoch));
    // Evaluations due up to a step of the epoch; one is due where the number grows.
    let due = |step: u64| u128::from(step) * evaluations / u128::from(in_epoch);
    let place = (step - 1) % in_epoch;
    due(place + 1) > due(place)
}

/// Returns how often the model is evaluated in the whole training.
pub fn evaluations(train_examples: u64, train: &TrainSettings) -> u64 {
    let last = total_steps(train_examples, train);
    if last == 0 || train.ramp.is_some() {
        return 0;
    }
    let in_epoch = steps_per_epoch(train_examples, train).max(1);
    let each = u128::from(train.evaluations_per_epoch.min(in_epoch));
    let due = |steps: u64| {
        let (epochs, rest) = (steps / in_epoch, steps % in_epoch);
        u128::from(epochs) * each + u128::from(rest) * each / u128::from(in_epoch)
    };
    // Those before the last step, and the last.
    u64::try_from(due(last - 1)).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TrainSettings;

    fn settings(batch_size: u64, epochs: u64) -> TrainSettings {
        TrainSettings { batch_size, epochs, ..TrainSettings::defaults() }
    }

    fn evaluated(examples: u64, train: &TrainSettings) -> Vec<u64> {
        let steps = total_steps(examples, train);
        (0..=steps + 1).filter(|step| is_evaluated(*step, examples, train)).collect()
    }

    #[test]
    fn a_short_last_batch_is_a_step() {
        let mut train = settings(4, 3);
        assert_eq!(total_steps(17, &train), 15);
        assert_eq!(total_steps(16, &train), 12);
        train.max_steps = Some(7);
        assert_eq!(total_steps(17, &train), 7);
        train.max_steps = Some(70);
        assert_eq!(total_steps(17, &train), 15);
    }

    #[test]
    fn warm_up_rounds_up_and_a_number_of_steps_wins() {
        let mut train = settings(4, 3);
        assert_eq!(warmup_steps(100, &train), 10);
        assert_eq!(warmup_steps(101, &train), 11);
        train.warmup_steps = Some(0);
        assert_eq!(warmup_steps(100, &train), 0);
    }

    #[test]
    fn evaluations_are_evenly_spaced_and_the_last_step_has_one() {
        let mut train = settings(1, 2);
        assert_eq!(evaluated(8, &train), [2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(evaluated(10, &train), [3, 5, 8, 10, 13, 15, 18, 20]);
        // Fewer steps than evaluations: after each.
        assert_eq!(evaluated(2, &train), [1, 2, 3, 4]);
        train.max_steps = Some(9);
        assert_eq!(evaluated(8, &train), [2, 4, 6, 8, 9]);
        train.evaluations_per_epoch = 0;
        assert_eq!(evaluated(8, &train), [9]);
    }
    #[test]
    fn evaluations_are_counted_as_they_happen() {
        for (examples, batch_size, epochs) in
            [(8, 1, 2), (10, 1, 2), (2, 1, 2), (100, 16, 3), (7, 16, 1)]
        {
            for evaluations_per_epoch in [0, 1, 3, 4, 50] {
                for max_steps in [None, Some(1), Some(9), Some(13)] {
                    let train = TrainSettings {
                        evaluations_per_epoch,
                        max_steps,
                        ..settings(batch_size, epochs)
                    };
                    let counted = evaluated(examples, &train).len() as u64;
                    assert_eq!(evaluations(examples, &train), counted, "{examples} {train:?}");
                }
            }
        }
    }
}
