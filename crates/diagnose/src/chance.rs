//! What a model would get that has learnt nothing but how frequent the answers are.

use converge_core::facts::{BagOfWords, Facts, SplitFacts};
use converge_core::settings::{ClassWeights, Sampling, TrainSettings};
use converge_core::task::Task;

/// The losses of a model that always says the same, and its accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// On the validation split; without one, on the training split.
    pub validation_loss: f64,
    /// On the training split, as an evaluation measures it.
    pub train_loss: f64,
    /// Of a training step: label smoothing and class weights included.
    pub step_loss: f64,
    /// Of always answering the largest class; none in other tasks.
    pub accuracy: Option<f64>,
    /// An accuracy up to here may be luck (one-sided, 5 %).
    pub accuracy_beaten_beyond: Option<f64>,
    /// Classes or labels.
    pub classes: u64,
}

impl Chance {
    /// Returns what a constant answer gets; none where the facts do not tell.
    pub fn of(facts: &Facts, train: &TrainSettings) -> Option<Self> {
        let held_out = facts.validation.as_ref().unwrap_or(&facts.train);
        let (validation_loss, train_loss) = match facts.task {
            Task::Classes => {
                (cross_entropy(&facts.train, held_out)?, cross_entropy(&facts.train, &facts.train)?)
            }
            Task::MultiLabel => {
                (binary(&facts.train, held_out)?, binary(&facts.train, &facts.train)?)
            }
            Task::Regression => {
                let mean = facts.train.targets?.mean;
                let of = |split: &SplitFacts| Some(split.targets?.rmse_of(mean).powi(2));
                (of(held_out)?, of(&facts.train)?)
            }
        };
        let step_loss = match facts.task {
            Task::Classes => step_loss(&facts.train.class_counts, train),
            Task::MultiLabel | Task::Regression => train_loss,
        };
        let accuracy = (facts.task == Task::Classes).then(|| held_out.majority_share());
        let error = |share: f64| (share * (1.0 - share) / held_out.examples.max(1) as f64).sqrt();
        Some(Self {
            validation_loss,
            train_loss,
            step_loss,
            accuracy,
            classes: facts.labels.len() as u64,
            accuracy_beaten_beyond: accuracy.map(|share| share + 1.64 * error(share)),
        })
    }
}

impl Chance {
    /// Returns whether a count of words does better than a constant answer, by its accuracy or, where one class is frequent,
    /// by its macro-F1; none in other tasks.
    pub fn is_beaten_by(&self, words: &BagOfWords) -> Option<bool> {
        let (share, beyond) = (self.accuracy?, self.accuracy_beaten_beyond?);
        let of_constant = 2.0 * share / (1.0 + share) / self.classes.max(1) as f64;
        // Guessing comes to about one over the classes.
        let of_guess = of_constant.max(1.0 / self.classes.max(1) as f64);
        Some(words.accuracy > beyond || words.macro_f1 > of_guess + 4.0 * (beyond - share))
    }
}

/// Returns shares in which no class is quite absent: a loss has to stay finite.
fn shares(counts: &[u64], examples: u64) -> Vec<f64> {
    let all = examples as f64 + counts.len() as f64 * 1e-3;
    counts.iter().map(|count| (*count as f64 + 1e-3) / all).collect()
}

fn cross_entropy(train: &SplitFacts, split: &SplitFacts) -> Option<f64> {
    let terms = shares(&train.class_counts, train.examples).into_iter().zip(&split.class_counts);
    let sum: f64 = terms.map(|(share, count)| -share.ln() * *count as f64).sum();
    (split.examples > 0).then(|| sum / split.examples as f64)
}

fn binary(train: &SplitFacts, split: &SplitFacts) -> Option<f64> {
    let examples = split.examples as f64;
    let of = |(of_train, of_split): (&u64, &u64)| {
        let share = (*of_train as f64 + 1e-3) / (train.examples as f64 + 2e-3);
        let has = *of_split as f64 / examples;
        -(has * share.ln() + (1.0 - has) * (1.0 - share).ln())
    };
    let labels = split.class_counts.len();
    let sum: f64 = train.class_counts.iter().zip(&split.class_counts).map(of).sum();
    (labels > 0 && examples > 0.0).then(|| sum / labels as f64)
}

/// Returns the smallest loss that a constant answer can have in training: that of saying the weighted shares.
fn step_loss(counts: &[u64], train: &TrainSettings) -> f64 {
    // What is drawn equally often is met equally often.
    let equal = vec![1; counts.len()];
    let counts = if train.sampling == Sampling::Balanced { equal.as_slice() } else { counts };
    let examples = counts.iter().sum::<u64>() as f64;
    let balanced = |count: &u64| examples / (counts.len() as f64 * (*count).max(1) as f64);
    let weights: Vec<f64> = match &train.class_weights {
        ClassWeights::None => vec![1.0; counts.len()],
        ClassWeights::Balanced => counts.iter().map(balanced).collect(),
        ClassWeights::Sqrt => counts.iter().map(|count| balanced(count).sqrt()).collect(),
        ClassWeights::Given(weights) => weights.clone(),
    };
    let spread = train.label_smoothing / counts.len().max(1) as f64;
    let weighted: Vec<f64> =
        counts.iter().zip(&weights).map(|(count, weight)| *count as f64 * weight).collect();
    let divisor: f64 = weighted.iter().sum();
    // What stands before each class's -log p, summed over the examples.
    let factors = weighted.iter().zip(&weights).map(|(own, weight)| {
        ((1.0 - train.label_smoothing) * own + spread * weight * examples) / divisor
    });
    let factors: Vec<f64> = factors.collect();
    let all: f64 = factors.iter().sum();
    factors.iter().filter(|factor| **factor > 0.0).map(|factor| -factor * (factor / all).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn a_balanced_pair_of_classes_costs_ln_2() {
        let chance = Chance::of(&made_up::facts(&[50, 50]), &TrainSettings::defaults()).unwrap();
        for loss in [chance.validation_loss, chance.train_loss, chance.step_loss] {
            assert!((loss - 2.0_f64.ln()).abs() < 1e-4, "{loss}");
        }
        assert_eq!(chance.accuracy, Some(0.5));
    }

    #[test]
    fn a_rare_class_makes_the_constant_answer_cheap_unless_it_is_weighted() {
        let facts = made_up::facts(&[90, 10]);
        let loss = |train: &TrainSettings| Chance::of(&facts, train).unwrap().step_loss;
        let mut train = TrainSettings::defaults();
        let entropy = -(0.9 * 0.9_f64.ln() + 0.1 * 0.1_f64.ln());
        assert!((loss(&train) - entropy).abs() < 1e-9);
        train.class_weights = ClassWeights::Balanced;
        assert!((loss(&train) - 2.0_f64.ln()).abs() < 1e-9);
        // By hand: 0.7 · 50 + 0.15 · w · 100 for each class, over Σ w = 100, at those shares.
        train.label_smoothing = 0.3;
        let factors =
            [0.7 * 50.0 + 0.15 * 100.0 / 1.8, 0.7 * 50.0 + 0.15 * 500.0].map(|f| f / 100.0);
        let all: f64 = factors.iter().sum();
        let expected: f64 = factors.iter().map(|factor| -factor * (factor / all).ln()).sum();
        assert!((loss(&train) - expected).abs() < 1e-9);
    }
}
