//! A metric of item results, on the split as it is or on a resample of it.

use super::confusion::{Confusion, Counts};
use super::correlation::{Order, correlation, weighted_sum};
use super::{Answers, ItemResults};
use crate::metric::{F1_OF, PREDICTED_OF, RECALL_OF};

/// Returns a metric of what a model said of a split, by its name without the split; none where it is not defined or
/// does not follow from answers and losses: the area under the ROC curve needs scores.
///
/// `weights` says how often each example counts: a resample; none: once each. `labels` are the names of the classes
/// or labels. The numbers are those that an evaluation records, up to the rounding of losses and numbers to single
/// precision.
pub fn metric(
    name: &str,
    labels: &[String],
    right: &Answers,
    results: &ItemResults,
    weights: Option<&[u32]>,
) -> Option<f64> {
    Measure::new(name, labels, right, results)?.value(weights)
}

/// A metric of one trial's item results, prepared for thousands of resamples.
#[derive(Debug, Clone)]
pub struct Measure(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// The mean of a number that each example has.
    Mean(Vec<f64>),
    RootOfMean(Vec<f64>),
    Classes {
        classes: usize,
        /// By example: place in the confusion table.
        cells: Vec<u32>,
        of: OfClasses,
    },
    Labels {
        labels: usize,
        /// By example, then by label: bit 0 whether it has the label, bit 1 whether that was answered.
        pairs: Vec<u8>,
        of: OfLabels,
    },
    Pearson {
        answers: Vec<f64>,
        right: Vec<f64>,
    },
    Spearman {
        answers: Order,
        right: Order,
    },
}

#[derive(Debug, Clone, Copy)]
enum OfClasses {
    MacroF1,
    Mcc,
    F1(usize),
    Recall(usize),
    Predicted(usize),
}

#[derive(Debug, Clone, Copy)]
enum OfLabels {
    MacroF1,
    MicroF1,
    F1(usize),
    Recall(usize),
    Predicted(usize),
}

impl Measure {
    /// None where the metric does not follow from answers and losses, or where these do not fit together.
    pub fn new(
        name: &str,
        labels: &[String],
        right: &Answers,
        results: &ItemResults,
    ) -> Option<Self> {
        if results.answers.len() != right.len() || results.losses.len() != right.len() {
            return None;
        }
        if name == "loss" {
            return Some(Self(Kind::Mean(wide(&results.losses))));
        }
        let kind = match (right, &results.answers) {
            (Answers::Classes { classes: right }, Answers::Classes { classes: answers }) => {
                of_classes(name, labels, right, answers)?
            }
            (
                Answers::Labels { labels: count, has: right },
                Answers::Labels { labels: answered, has: answers },
            ) if count == answered && *count > 0 && right.len() == answers.len() => {
                of_labels(name, labels, *count as usize, right, answers)?
            }
            (Answers::Numbers { numbers: right }, Answers::Numbers { numbers: answers }) => {
                of_numbers(name, &wide(right), &wide(answers))?
            }
            _ => return None,
        };
        Some(Self(kind))
    }

    /// Returns the number of each example whose mean the metric is; none where it is no mean.
    pub fn scores(&self) -> Option<&[f64]> {
        match &self.0 {
            Kind::Mean(scores) => Some(scores),
            _ => None,
        }
    }

    /// Returns the metric on the resample that has each example as often as its weight says; without weights on the
    /// split itself. None where it is not defined there.
    pub fn value(&self, weights: Option<&[u32]>) -> Option<f64> {
        match &self.0 {
            Kind::Mean(scores) => mean(scores, weights),
            Kind::RootOfMean(squares) => mean(squares, weights).map(f64::sqrt),
            Kind::Classes { classes, cells, of } => {
                let mut counts = vec![0; classes * classes];
                count(cells, weights, &mut counts);
                let confusion = Confusion::new(*classes, counts);
                match *of {
                    OfClasses::MacroF1 => confusion.macro_f1(),
                    OfClasses::Mcc => confusion.mcc(),
                    OfClasses::F1(class) => confusion.f1(class),
                    OfClasses::Recall(class) => confusion.recall(class),
                    OfClasses::Predicted(class) => confusion.predicted(class),
                }
            }
            Kind::Labels { labels, pairs, of } => of_label_counts(*labels, pairs, *of, weights),
            Kind::Pearson { answers, right } => correlation(answers, right, weights),
            Kind::Spearman { answers, right } => {
                correlation(&answers.mean_ranks(weights), &right.mean_ranks(weights), weights)
            }
        }
    }
}

fn of_classes(name: &str, labels: &[String], right: &[u32], answers: &[u32]) -> Option<Kind> {
    if name == "accuracy" {
        let is_right = right.iter().zip(answers).map(|(right, answer)| f64::from(right == answer));
        return Some(Kind::Mean(is_right.collect()));
    }
    let of = match name {
        "macro_f1" => OfClasses::MacroF1,
        "mcc" => OfClasses::Mcc,
        _ => {
            let (infix, class) = named(name, labels)?;
            match infix {
                F1_OF => OfClasses::F1(class),
                RECALL_OF => OfClasses::Recall(class),
                _ => OfClasses::Predicted(class),
            }
        }
    };
    let most = right.iter().chain(answers).max().map_or(0, |class| *class as usize + 1);
    let classes = labels.len().max(most);
    let cell = |(right, answer): (&u32, &u32)| right * classes as u32 + answer;
    Some(Kind::Classes { classes, cells: right.iter().zip(answers).map(cell).collect(), of })
}

fn of_labels(
    name: &str,
    labels: &[String],
    count: usize,
    right: &[bool],
    answers: &[bool],
) -> Option<Kind> {
    if name == "accuracy" {
        let all = right.chunks_exact(count).zip(answers.chunks_exact(count));
        return Some(Kind::Mean(all.map(|(right, answer)| f64::from(right == answer)).collect()));
    }
    let of = match name {
        "macro_f1" => OfLabels::MacroF1,
        "micro_f1" => OfLabels::MicroF1,
        _ => {
            let (infix, label) = named(name, labels).filter(|(_, label)| *label < count)?;
            match infix {
                F1_OF => OfLabels::F1(label),
                RECALL_OF => OfLabels::Recall(label),
                _ => OfLabels::Predicted(label),
            }
        }
    };
    let pairs = right.iter().zip(answers);
    let pairs = pairs.map(|(has, answered)| u8::from(*has) | (u8::from(*answered) << 1)).collect();
    Some(Kind::Labels { labels: count, pairs, of })
}

fn of_numbers(name: &str, right: &[f64], answers: &[f64]) -> Option<Kind> {
    let errors = || answers.iter().zip(right).map(|(answer, right)| answer - right);
    Some(match name {
        "mae" => Kind::Mean(errors().map(f64::abs).collect()),
        "rmse" => Kind::RootOfMean(errors().map(|error| error * error).collect()),
        "pearson" => Kind::Pearson { answers: answers.to_vec(), right: right.to_vec() },
        "spearman" => Kind::Spearman { answers: Order::new(answers)?, right: Order::new(right)? },
        _ => return None,
    })
}

/// Returns the infix of a metric of one class or label, and its place.
fn named(name: &str, labels: &[String]) -> Option<(&'static str, usize)> {
    let infix = [F1_OF, RECALL_OF, PREDICTED_OF].into_iter().find(|of| name.starts_with(of))?;
    let label = labels.iter().position(|label| *label == name[infix.len()..])?;
    Some((infix, label))
}

fn of_label_counts(
    labels: usize,
    pairs: &[u8],
    of: OfLabels,
    weights: Option<&[u32]>,
) -> Option<f64> {
    let mut by_label = vec![Counts::default(); labels];
    let mut examples = 0;
    for (example, pairs) in pairs.chunks_exact(labels).enumerate() {
        let weight = weights.map_or(1, |weights| u64::from(weights[example]));
        examples += weight;
        for (pair, counts) in pairs.iter().zip(&mut by_label) {
            let (has, answered) = (u64::from(pair & 1), u64::from(pair >> 1));
            counts.support += weight * has;
            counts.answers += weight * answered;
            counts.right += weight * (has & answered);
        }
    }
    if examples == 0 {
        return None;
    }
    match of {
        OfLabels::MacroF1 => Some(by_label.iter().map(Counts::f1).sum::<f64>() / labels as f64),
        OfLabels::MicroF1 => {
            Some(by_label.iter().fold(Counts::default(), |all, one| all.plus(*one)).f1())
        }
        OfLabels::F1(label) => Some(by_label[label].f1()),
        OfLabels::Recall(label) => by_label[label].recall(),
        OfLabels::Predicted(label) => Some(by_label[label].answers as f64 / examples as f64),
    }
}

fn count(cells: &[u32], weights: Option<&[u32]>, counts: &mut [u64]) {
    match weights {
        None => cells.iter().for_each(|cell| counts[*cell as usize] += 1),
        Some(weights) => cells
            .iter()
            .zip(weights)
            .for_each(|(cell, weight)| counts[*cell as usize] += u64::from(*weight)),
    }
}

/// None of no examples.
fn mean(values: &[f64], weights: Option<&[u32]>) -> Option<f64> {
    let total: u64 = match weights {
        None => values.len() as u64,
        Some(weights) => weights.iter().map(|weight| u64::from(*weight)).sum(),
    };
    (total > 0).then(|| weighted_sum(values.iter().copied(), weights) / total as f64)
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}
