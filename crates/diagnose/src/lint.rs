//! What is likely to go wrong, before anything has run: settings and data alone tell.

use converge_core::facts::Facts;
use converge_core::metric::name_of;
use converge_core::objective::Objective;
use converge_core::settings::{Freeze, Optimizer, Settings};
use converge_core::steps::{total_steps, warmup_steps};
use converge_core::task::Task;
use converge_core::value::Value;
use serde::Serialize;

use crate::chance::Chance;
use crate::rules::usual;
use crate::thresholds::Thresholds;

/// Something about some trials that usually does not go well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// Its name in `--json`.
    pub id: &'static str,
    /// What it is, and what would be usual.
    pub text: &'static str,
    /// What was found, such as the learning rate: of each trial, without repetition.
    pub found: Vec<String>,
    /// Numbers of the trials.
    pub trials: Vec<u64>,
}

/// Looks at the trials of a sweep: number, settings, and the facts of model and data.
pub fn lint<'a>(
    trials: impl Iterator<Item = (u64, Settings, &'a Facts)>,
    objective: &Objective,
    thresholds: &Thresholds,
) -> Vec<Lint> {
    let mut lints: Vec<Lint> = Vec::new();
    for (number, settings, facts) in trials {
        for (id, text, found) in of_trial(&settings, facts, objective, thresholds) {
            let place = lints.iter().position(|lint| lint.id == id).unwrap_or_else(|| {
                lints.push(Lint { id, text, found: Vec::new(), trials: Vec::new() });
                lints.len() - 1
            });
            let lint = &mut lints[place];
            lint.trials.push(number);
            if !lint.found.contains(&found) {
                lint.found.push(found);
            }
        }
    }
    lints
}

/// Epsilons from here on are as large as the moments of a fine-tune's gradients.
const LARGE_EPSILON: f64 = 1e-4;
/// Adam's learning rate over the usual one from which on a fine-tune hardly survives, and one over that below which it
/// hardly moves.
const FAR_FROM_USUAL: f64 = 10.0;

fn of_trial(
    settings: &Settings,
    facts: &Facts,
    objective: &Objective,
    thresholds: &Thresholds,
) -> Vec<(&'static str, &'static str, String)> {
    let train = &settings.train;
    let steps = total_steps(facts.train.examples, train);
    let usual = usual::rate(train, facts);
    let rate = train.learning_rate;
    let adam = matches!(train.optimizer, Optimizer::AdamW | Optimizer::Adam);
    let mut found = Vec::new();
    let mut note = |is: bool, id, text, value: String| {
        if is {
            found.push((id, text, value));
        }
    };
    let number = |value: f64| Value::Float(value).to_string();
    note(
        train.optimizer == Optimizer::Sgd
            && rate / (1.0 - train.momentum.min(0.999)) < thresholds.sgd_rate,
        "sgd_learning_rate_too_low",
        "SGD needs a learning rate of about 0.1, or 0.01 with momentum 0.9: with less, the weights hardly move",
        number(rate),
    );
    note(
        adam && rate > FAR_FROM_USUAL * usual,
        "learning_rate_far_above_usual",
        "the learning rate is more than ten times what usually works for a model of this size, and may destroy what it knows",
        number(rate),
    );
    note(
        adam && rate * FAR_FROM_USUAL < usual && train.freeze != Freeze::Encoder,
        "learning_rate_far_below_usual",
        "the learning rate is less than a tenth of what usually works for a model of this size",
        number(rate),
    );
    note(
        train.freeze == Freeze::Encoder && adam && rate < 1e-4,
        "head_learning_rate_too_low",
        "only the head trains, from nothing: it needs a learning rate of about 1e-3",
        number(rate),
    );
    let warmup = warmup_steps(steps, train) as f64 / steps.max(1) as f64;
    note(
        warmup > thresholds.warmup,
        "warmup_too_long",
        "the warm-up takes more than half of the training; a tenth is usual",
        format!("{:.0} %", warmup.min(1.0) * 100.0),
    );
    note(
        adam && train.epsilon >= LARGE_EPSILON,
        "epsilon_too_large",
        "epsilon is as large as the gradients of a fine-tune, and takes much of each step; 1e-8 is usual",
        number(train.epsilon),
    );
    note(
        train.batch_size > facts.train.examples,
        "batch_larger_than_data",
        "the batch is larger than the training split: each epoch is a single step",
        train.batch_size.to_string(),
    );
    note(
        steps < thresholds.few_steps / 4,
        "few_steps",
        "so few steps hardly change a model; small data sets need 10 to 20 epochs, hundreds of steps",
        steps.to_string(),
    );
    let classes = if facts.task == Task::Classes { facts.labels.len().max(1) as f64 } else { 1.0 };
    note(
        (facts.train.examples as f64) < thresholds.few_examples / 2.0 * classes,
        "few_examples",
        "so few training examples are learnt by heart, whatever the settings; hundreds of each class are usual",
        facts.train.examples.to_string(),
    );
    let counts = &facts.train.class_counts;
    if let (Some(largest), Some(smallest)) = (counts.iter().max(), counts.iter().min()) {
        note(
            facts.task == Task::Classes
                && *largest as f64 > 2.0 * thresholds.imbalance * (*smallest).max(1) as f64
                && name_of(&objective.metric) == "accuracy",
            "accuracy_of_imbalanced_classes",
            "accuracy hardly sees the rare classes: rank by validation/macro_f1",
            format!("{largest} and {smallest} examples"),
        );
    }
    let dropout = train.dropouts().into_iter().flatten().fold(0.0, f64::max);
    note(
        dropout > thresholds.strong_dropout,
        "strong_dropout",
        "that much dropout keeps a pretrained model from fitting; 0.1 is usual",
        number(dropout),
    );
    note(
        train.label_smoothing > thresholds.strong_smoothing,
        "strong_label_smoothing",
        "that much label smoothing hides the labels; at most 0.1 is usual",
        number(train.label_smoothing),
    );
    let unknown = facts.train.unknown_token_share;
    note(
        unknown > thresholds.unknown_words,
        "unknown_words",
        "so many tokens are [UNK], words that the model's vocabulary does not have; below 1 % is usual",
        format!("{:.0} %", unknown * 100.0),
    );
    note(
        facts.contradicted_between_splits > 0,
        "contradicted_between_splits",
        "texts stand in training and in validation or test with different labels",
        facts.contradicted_between_splits.to_string(),
    );
    let beaten = Chance::of(facts, train).zip(facts.bag_of_words);
    let beaten = beaten.and_then(|(chance, words)| Some((words, chance.is_beaten_by(&words)?)));
    if let Some((words, beaten)) = beaten {
        note(
            !beaten && facts.train.examples > 100,
            "words_tell_nothing",
            "a count of words does no better than always giving the most frequent answer: the task needs more than words, or texts and labels do not belong together",
            format!("{:.1} %", words.accuracy * 100.0),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use converge_core::objective::{At, Goal};
    use converge_core::settings::Preset;

    use super::*;
    use crate::made_up;

    fn ids(change: impl Fn(&mut Settings), facts: &Facts) -> Vec<&'static str> {
        let mut settings = Settings::defaults(Preset::Tiny.into(), "x.tsv");
        change(&mut settings);
        let objective =
            Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best };
        let trials = [(1, settings, facts)].into_iter();
        lint(trials, &objective, &Thresholds::default()).into_iter().map(|lint| lint.id).collect()
    }

    #[test]
    fn the_defaults_on_ordinary_data_are_fine() {
        assert_eq!(ids(|_| {}, &made_up::facts(&[500, 500])), [""; 0]);
    }

    #[test]
    fn what_usually_goes_wrong_is_said_before_it_does() {
        let facts = made_up::facts(&[500, 500]);
        let sgd = |settings: &mut Settings| settings.train.optimizer = Optimizer::Sgd;
        assert_eq!(ids(sgd, &facts), ["sgd_learning_rate_too_low"]);
        let fine = |settings: &mut Settings| {
            settings.train.optimizer = Optimizer::Sgd;
            settings.train.learning_rate = 1e-2;
            settings.train.momentum = 0.9;
        };
        assert_eq!(ids(fine, &facts), [""; 0]);
        let high = |settings: &mut Settings| settings.train.learning_rate = 5e-3;
        assert_eq!(ids(high, &facts), ["learning_rate_far_above_usual"]);
        let warmup = |settings: &mut Settings| settings.train.warmup_steps = Some(10_000);
        assert_eq!(ids(warmup, &facts), ["warmup_too_long"]);
        let batch = |settings: &mut Settings| settings.train.batch_size = 2000;
        assert_eq!(ids(batch, &facts), ["batch_larger_than_data", "few_steps"]);
        assert_eq!(
            ids(|_| {}, &made_up::facts(&[1, 1])),
            ["batch_larger_than_data", "few_steps", "few_examples"]
        );
        assert_eq!(ids(|_| {}, &made_up::facts(&[950, 50])), ["accuracy_of_imbalanced_classes"]);
    }
}
