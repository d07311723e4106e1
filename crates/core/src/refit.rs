//! The winner once more, on training and validation data together.
//!
//! How long: as many passes over the data as the winner had made when it was best. Its best step is not taken as it
//! stands, since the same number of updates over more data would show each example less often than the configuration
//! was chosen for; what decides between too little and too much training is how often an example is seen. With a fifth
//! held out that is a quarter more steps. The schedule ends there: the learning rate comes down to zero at the last
//! step, whose weights are kept, for there is no split left to choose others by.

use crate::facts::Facts;
use crate::metric::TRAIN_LOSS;
use crate::objective::{At, Goal, Objective};
use crate::settings::{MaxLength, Settings};
use crate::steps::steps_per_epoch;

/// Why a trial cannot be trained again on more data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefitError {
    /// There is nothing to add.
    #[error("it was trained on all data: there is no validation split to add")]
    NoValidation,
}

/// Returns the settings of a trial's refit, given the trial's settings, the facts of its data, and the step at which
/// it was best.
///
/// What depends on the training split alone stays as it was: `max_length` is the one that was in force.
///
/// # Errors
/// [`RefitError`].
pub fn settings(trial: &Settings, facts: &Facts, best_step: u64) -> Result<Settings, RefitError> {
    let validation = facts.validation.as_ref().ok_or(RefitError::NoValidation)?;
    let mut settings = trial.clone();
    let before = steps_per_epoch(facts.train.examples, &trial.train).max(1);
    let after = steps_per_epoch(facts.train.examples + validation.examples, &trial.train).max(1);
    let steps = scaled(best_step, before, after).max(1);
    settings.data.train_on_validation = true;
    settings.train.max_length = MaxLength::Tokens(facts.max_length);
    settings.train.epochs = steps.div_ceil(after);
    settings.train.max_steps = Some(steps);
    Ok(settings)
}

/// Returns what keeps the weights of a refit's last step: the training loss is there at every step, and the last counts.
pub fn objective() -> Objective {
    Objective { metric: TRAIN_LOSS.into(), goal: Goal::Minimize, at: At::Last }
}

/// Returns `step * after / before`, rounded to the nearest.
fn scaled(step: u64, before: u64, after: u64) -> u64 {
    let product = u128::from(step) * u128::from(after);
    let before = u128::from(before);
    u64::try_from((product + before / 2) / before).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ModelFacts, SplitFacts};
    use crate::settings::{DataSettings, ModelSettings, Preset, TrainSettings};
    use crate::steps::total_steps;

    fn split(examples: u64) -> SplitFacts {
        SplitFacts {
            examples,
            class_counts: vec![examples],
            targets: None,
            token_lengths: [3, 5, 9, 9],
            truncated_share: 0.0,
            unknown_token_share: 0.0,
        }
    }

    fn facts(train: u64, validation: Option<u64>) -> Facts {
        Facts {
            content_hashes: Default::default(),
            task: Default::default(),
            task_reason: String::new(),
            labels: vec!["a".into(), "b".into()],
            train: split(train),
            validation: validation.map(split),
            test: None,
            validation_answers: None,
            max_length: 9,
            duplicates_between_splits: 0,
            contradicted_between_splits: 0,
            truncated_validation: Vec::new(),
            bag_of_words: None,
            model: ModelFacts {
                parameters: 1,
                hidden_size: 1,
                layers: 1,
                heads: 1,
                intermediate_size: 1,
                vocabulary_size: 1,
                max_positions: 16,
            },
        }
    }

    fn trial(batch_size: u64, epochs: u64) -> Settings {
        let train = TrainSettings { batch_size, epochs, ..TrainSettings::defaults() };
        let model = ModelSettings::from(Preset::Tiny);
        Settings { train, model, data: DataSettings::defaults("x.tsv") }
    }

    #[test]
    fn passes_over_the_data_stay_and_the_schedule_ends_with_them() {
        for (train, validation, batch, best, expected) in
            [(80, 20, 10, 24, 30), (80, 20, 10, 1, 1), (80, 20, 16, 10, 14), (8, 100, 10, 3, 33)]
        {
            let facts = facts(train, Some(validation));
            let refit = settings(&trial(batch, 9), &facts, best).unwrap();
            assert_eq!(total_steps(train + validation, &refit.train), expected, "{train} {best}");
            assert_eq!(refit.train.max_length, MaxLength::Tokens(9));
        }
    }

    #[test]
    fn without_a_validation_split_there_is_nothing_to_add() {
        let refit = settings(&trial(4, 1), &facts(8, None), 2);
        assert_eq!(refit, Err(RefitError::NoValidation));
    }

    #[test]
    fn a_refit_is_another_experiment_than_its_trial() {
        let plain = trial(4, 1);
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("train_on_validation"), "fingerprints from before must not change");
        let refit = settings(&plain, &facts(8, Some(2)), 2).unwrap();
        let text = serde_json::to_string(&refit).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), refit);
    }
}
