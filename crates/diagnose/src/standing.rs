//! Whether a trial converged: against a constant answer, and against the best that is known to be possible.

use converge_core::facts::SplitFacts;
use converge_core::metric::{TRAIN_LOSS, name_of};
use converge_core::objective::{At, Goal};
use converge_core::task::Task;
use serde::Serialize;

use crate::chance::Chance;
use crate::curve::mean;
use crate::record::{End, Record};
use crate::thresholds::Thresholds;

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its process went wrong, or it has hardly begun: there is nothing to judge.
    Unknown,
    /// A number was not finite.
    Diverged,
    /// It is no better than a constant answer.
    AtChance,
    /// It learnt something, and clearly less than is possible.
    Poor,
    /// It learnt what is known to be possible, as far as noise lets one tell.
    Converged,
}

/// A trial's objective between the two ends of its scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// How it stands.
    pub standing: Standing,
    /// Its objective; none where it never was a number.
    pub value: Option<f64>,
    /// The objective of a constant answer.
    pub constant: Option<f64>,
    /// The best that is known to be possible.
    pub possible: Option<Possible>,
    /// Standard error of the objective from the size of the validation split.
    pub error: Option<f64>,
}

/// A value that something is known to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Possible {
    /// The value.
    pub value: f64,
    /// What reached it.
    pub by: By,
}

/// What reached a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// This trial of the sweep.
    Trial(u64),
    /// A count of words.
    BagOfWords,
}

/// Judges a trial; `best` is the best trial of the sweep, itself included.
pub fn judge(
    record: &Record,
    chance: Option<&Chance>,
    best: Option<(u64, f64)>,
    thresholds: &Thresholds,
) -> Judged {
    let value = match record.objective.metric == TRAIN_LOSS {
        // The loss of a single batch says little.
        true => mean(&record.curve(TRAIN_LOSS).part(0.9, 1.0, record.last_step()).values()),
        false => record.value(),
    };
    let constant = constant(record, chance);
    let error = value.and_then(|value| error(record, value));
    let possible = possible(record, best);
    let standing = match (&record.end, value) {
        (End::Diverged { .. }, _) => Standing::Diverged,
        (End::Failed | End::Cancelled, _) | (_, None) => Standing::Unknown,
        // Of one that has not ended, only that it has learnt nothing by now can be said.
        (End::Open | End::Stopped, Some(value)) => {
            let sign = if record.objective.goal == Goal::Minimize { -1.0 } else { 1.0 };
            let at_chance = constant.is_some_and(|constant| {
                sign * (value - constant) <= beyond(record) * error.unwrap_or(0.0)
            });
            match at_chance && record.progress() >= thresholds.enough {
                true => Standing::AtChance,
                false => Standing::Unknown,
            }
        }
        (End::Completed, Some(value)) => {
            let sign = if record.objective.goal == Goal::Minimize { -1.0 } else { 1.0 };
            let above = |from: f64, to: f64| sign * (to - from);
            let margin = error.unwrap_or(0.0);
            match (constant, possible) {
                (Some(constant), _) if above(constant, value) <= beyond(record) * margin => {
                    Standing::AtChance
                }
                (Some(constant), Some(possible)) => {
                    let way = above(constant, value) / above(constant, possible.value).max(1e-12);
                    let behind = above(value, possible.value);
                    if way < thresholds.works && behind > 2.0 * margin {
                        Standing::Poor
                    } else {
                        Standing::Converged
                    }
                }
                _ => Standing::Converged,
            }
        }
    };
    let standing = match standing {
        Standing::Converged if is_starved(record, thresholds) => Standing::Poor,
        other => other,
    };
    Judged { standing, value, constant, possible, error }
}

/// Returns how many standard errors above a constant answer are no luck: one-sided, 5 %; somewhat more for the best of
/// several evaluations, which are of much the same model.
fn beyond(record: &Record) -> f64 {
    let evaluations = record.curve(&record.objective.metric).len().max(1) as f64;
    match record.objective.at {
        At::Last => ONE_SIDED,
        At::Best => (ONE_SIDED * ONE_SIDED + evaluations.ln()).sqrt(),
    }
}

/// The 95 % quantile of a normal distribution.
const ONE_SIDED: f64 = 1.64;

/// Returns whether a trial knows its few training examples by heart and is not half as good on others: more of them would
/// help, whatever the best trial with as few has reached.
fn is_starved(record: &Record, thresholds: &Thresholds) -> bool {
    let facts = &record.facts;
    if facts.task != Task::Classes {
        return false;
    }
    let each = facts.train.examples as f64 / facts.labels.len().max(1) as f64;
    let train = record.curve("train_subset/accuracy").last();
    let accuracy = record.curve("validation/accuracy").last();
    let majority = facts.validation.as_ref().map(SplitFacts::majority_share);
    match (train, accuracy, majority) {
        (Some(train), Some(accuracy), Some(majority)) => {
            each < thresholds.few_examples
                && train >= thresholds.by_heart
                && accuracy - majority < 0.5 * (1.0 - majority)
        }
        _ => false,
    }
}

/// Returns what a constant answer gets of the objective; none where that is not known.
fn constant(record: &Record, chance: Option<&Chance>) -> Option<f64> {
    let facts = &record.facts;
    match record.objective.metric.as_str() {
        TRAIN_LOSS => return Some(chance?.step_loss),
        "train_subset/loss" => return Some(chance?.train_loss),
        "validation/loss" => return Some(chance?.validation_loss),
        _ => {}
    }
    let split = facts.validation.as_ref().unwrap_or(&facts.train);
    let share = split.majority_share();
    let classes = facts.labels.len().max(1) as f64;
    match (facts.task, name_of(&record.objective.metric)) {
        (Task::Classes, "accuracy") => Some(share),
        // The largest class has F1 2M / (1 + M), all others 0.
        (Task::Classes, "macro_f1") => Some(2.0 * share / (1.0 + share) / classes),
        (Task::Classes | Task::Regression, "mcc" | "pearson" | "spearman") => Some(0.0),
        (_, "auroc") => Some(0.5),
        (Task::Regression, "rmse") => Some(chance?.validation_loss.sqrt()),
        (Task::MultiLabel, "macro_f1" | "micro_f1") => Some(0.0),
        _ => None,
    }
}

fn error(record: &Record, value: f64) -> Option<f64> {
    let facts = &record.facts;
    let examples = facts.validation.as_ref().unwrap_or(&facts.train).examples.max(1) as f64;
    let name = name_of(&record.objective.metric);
    let of_share = |share: f64| (share * (1.0 - share)).max(0.25 / examples).sqrt();
    let deviation = match name {
        "loss" => record
            .curve("validation/loss_deviation")
            .last()
            .or_else(|| record.curve("train_subset/loss_deviation").last())?,
        "accuracy" => of_share(value.clamp(0.0, 1.0)),
        // Not those of accuracy, but of that size.
        "macro_f1" | "micro_f1" | "auroc" => of_share(value.clamp(0.0, 1.0)),
        "mcc" | "pearson" | "spearman" => 1.0 - value * value,
        "rmse" => value,
        _ => return None,
    };
    Some(deviation / examples.sqrt())
}

fn possible(record: &Record, best: Option<(u64, f64)>) -> Option<Possible> {
    let of_trial = best.map(|(number, value)| Possible { value, by: By::Trial(number) });
    let words =
        record.facts.bag_of_words.and_then(|words| match record.objective.metric.as_str() {
            "validation/accuracy" => Some(words.accuracy),
            "validation/macro_f1" => Some(words.macro_f1),
            _ => None,
        });
    let of_words = words.map(|value| Possible { value, by: By::BagOfWords });
    match (of_trial, of_words) {
        // Words are only measured where larger is better.
        (Some(trial), Some(words)) => Some(if words.value > trial.value { words } else { trial }),
        (trial, words) => trial.or(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::{self, Shape};

    fn standing(accuracy: f64, best: Option<f64>) -> Standing {
        let record = made_up::record(&Shape { accuracy, ..Shape::default() });
        let chance = Chance::of(&record.facts, record.train());
        let best = best.map(|value| (9, value));
        judge(&record, chance.as_ref(), best, &Thresholds::default()).standing
    }

    #[test]
    fn a_value_stands_between_a_constant_answer_and_the_best() {
        assert_eq!(standing(0.52, None), Standing::AtChance);
        // 400 validation examples: 54 % may be luck, 56 % is none.
        assert_eq!(standing(0.54, None), Standing::AtChance);
        assert_eq!(standing(0.56, None), Standing::Converged);
        assert_eq!(standing(0.56, Some(0.84)), Standing::Poor);
        assert_eq!(standing(0.70, Some(0.84)), Standing::Poor);
        assert_eq!(standing(0.81, Some(0.84)), Standing::Converged);
        assert_eq!(standing(0.84, Some(0.84)), Standing::Converged);
    }

    #[test]
    fn a_regression_is_judged_by_its_correlation() {
        let standing = |pearson: f64| {
            let mut record = made_up::record(&Shape::default());
            let facts = std::sync::Arc::make_mut(&mut record.facts);
            facts.task = Task::Regression;
            let targets = converge_core::facts::TargetFacts::of(&[-1.0, 0.0, 1.0, 2.0]);
            facts.train.targets = targets;
            facts.validation.as_mut().unwrap().targets = targets;
            record.objective.metric = "validation/pearson".into();
            let curve = crate::curve::Curve(vec![(200, pearson)]);
            record.curves.insert("validation/pearson".into(), curve);
            let chance = Chance::of(&record.facts, record.train());
            judge(&record, chance.as_ref(), Some((9, 0.88)), &Thresholds::default()).standing
        };
        assert_eq!(standing(0.05), Standing::AtChance);
        assert_eq!(standing(0.5), Standing::Poor);
        assert_eq!(standing(0.86), Standing::Converged);
    }

    #[test]
    fn words_alone_are_a_reference_where_they_do_better_than_any_trial() {
        let mut record = made_up::record(&Shape { accuracy: 0.6, ..Shape::default() });
        let mut facts = (*record.facts).clone();
        facts.bag_of_words = Some(converge_core::facts::BagOfWords {
            accuracy: 0.8,
            macro_f1: 0.8,
            accuracy_untruncated: None,
        });
        record.facts = facts.into();
        let chance = Chance::of(&record.facts, record.train());
        let judged = judge(&record, chance.as_ref(), Some((1, 0.6)), &Thresholds::default());
        assert_eq!(judged.standing, Standing::Poor);
        assert_eq!(judged.possible.unwrap().by, By::BagOfWords);
    }

    #[test]
    fn few_examples_known_by_heart_are_no_success() {
        let shape = |accuracy: f64, count: u64| Shape {
            counts: vec![count, count],
            train_accuracy: 1.0,
            accuracy,
            ..Shape::default()
        };
        let standing = |shape: &Shape| {
            let record = made_up::record(shape);
            let chance = Chance::of(&record.facts, record.train());
            judge(&record, chance.as_ref(), None, &Thresholds::default()).standing
        };
        assert_eq!(standing(&shape(0.65, 1)), Standing::Poor);
        assert_eq!(standing(&shape(0.65, 500)), Standing::Converged);
        assert_eq!(standing(&shape(0.85, 8)), Standing::Converged);
    }

    #[test]
    fn a_trial_that_was_never_evaluated_is_not_judged_and_a_diverged_one_is() {
        let mut record = made_up::record(&Shape::default());
        record.curves.remove("validation/accuracy");
        let judged = |record: &Record| judge(record, None, None, &Thresholds::default()).standing;
        assert_eq!(judged(&record), Standing::Unknown);
        record.end = End::Diverged { step: 3, quantity: "train/loss".into() };
        assert_eq!(judged(&record), Standing::Diverged);
    }
}
