//! What training makes small: cross-entropy with label smoothing and class weights, binary cross-entropy, or the
//! squared error.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Tensor, TensorData};
use converge_core::settings::{ClassWeights, TrainSettings};
use converge_core::task::Task;

use crate::data::labels::Target;

/// The training loss of a step, which may be computed in parts.
///
/// # Source
/// What transformers' `BertForSequenceClassification` computes for each `problem_type`:
/// - `torch.nn.CrossEntropyLoss(weight, label_smoothing)` with reduction `mean`,
///   <https://docs.pytorch.org/docs/2.9/generated/torch.nn.CrossEntropyLoss.html>: with weights w,
///   smoothing s and C classes, an example of class y costs
///   (1 - s) w_y (-log p_y) + s / C Σ_c w_c (-log p_c), and the sum is divided by Σ w_y.
/// - `torch.nn.BCEWithLogitsLoss`, the mean over examples and labels.
/// - `torch.nn.MSELoss`, the mean over examples.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// Of classes.
    CrossEntropy { weights: Vec<f64>, smoothing: f64 },
    /// Of labels, so many.
    Binary { labels: usize },
    /// Of a number.
    Squared,
}

impl Loss {
    /// Returns the loss that the settings ask for, given how many training examples each class has.
    ///
    /// # Source
    /// `balanced` is scikit-learn's `compute_class_weight`: n / (C n_c).
    pub(crate) fn new(train: &TrainSettings, task: Task, class_counts: &[u64]) -> Self {
        let classes = class_counts.len();
        match task {
            Task::MultiLabel => return Self::Binary { labels: classes },
            Task::Regression => return Self::Squared,
            Task::Classes => {}
        }
        let examples = class_counts.iter().sum::<u64>() as f64;
        let balanced = |count: &u64| examples / (classes as f64 * (*count).max(1) as f64);
        let weights = match &train.class_weights {
            ClassWeights::None => vec![1.0; classes],
            ClassWeights::Balanced => class_counts.iter().map(balanced).collect(),
            ClassWeights::Sqrt => class_counts.iter().map(|count| balanced(count).sqrt()).collect(),
            ClassWeights::Given(weights) => weights.clone(),
        };
        Self::CrossEntropy { weights, smoothing: train.label_smoothing }
    }

    /// Returns what the losses of a step's examples are divided by.
    pub(crate) fn divisor<'a>(&self, targets: impl Iterator<Item = &'a Target>) -> f64 {
        match self {
            Self::CrossEntropy { weights, .. } => {
                targets.map(|target| weights[class(target)]).sum()
            }
            Self::Binary { labels } => (targets.count() * labels) as f64,
            Self::Squared => targets.count() as f64,
        }
    }

    /// Returns the share of a step's loss that these examples contribute.
    ///
    /// `divisor` is that of all examples of the step: the parts of a step add up to the whole.
    ///
    /// # Shapes
    /// - `logits`: `[examples, outputs]`
    /// - output: `[1]`
    pub(crate) fn part(
        &self,
        logits: Tensor<2>,
        targets: &[Target],
        divisor: f64,
        device: &Device,
    ) -> Tensor<1> {
        let shape = logits.dims();
        let tensor =
            |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, shape), device);
        match self {
            Self::CrossEntropy { weights, smoothing } => {
                let shares = tensor(shares(weights, *smoothing, targets, divisor));
                (log_softmax(logits, 1) * shares).sum().neg()
            }
            Self::Binary { .. } => {
                let lacks = targets.iter().flat_map(|target| match target {
                    Target::Labels(has) => has.iter().map(|has| if *has { 0.0 } else { 1.0 }),
                    other => panic!("{other:?} is no set of labels"),
                });
                let lacks = tensor(lacks.collect());
                // -log σ(x) for a label that is there, and x - log σ(x) for one that is not.
                let losses = lacks * logits.clone() - log_sigmoid(logits);
                (losses * (1.0 / divisor)).sum()
            }
            Self::Squared => {
                let numbers = targets.iter().map(|target| match target {
                    Target::Number(number) => *number as f32,
                    other => panic!("{other:?} is no number"),
                });
                let errors = logits - tensor(numbers.collect());
                (errors.clone() * errors * (1.0 / divisor)).sum()
            }
        }
    }
}

fn class(target: &Target) -> usize {
    match target {
        Target::Class(class) => *class,
        other => panic!("{other:?} is no class"),
    }
}

/// Returns the factor of each -log p in the loss, `[examples, labels]` row by row.
fn shares(weights: &[f64], smoothing: f64, targets: &[Target], divisor: f64) -> Vec<f32> {
    let spread = smoothing / weights.len() as f64;
    let mut shares = Vec::with_capacity(targets.len() * weights.len());
    for target in targets.iter().map(class) {
        for (class, weight) in weights.iter().enumerate() {
            let own = if class == target { (1.0 - smoothing) * weight } else { 0.0 };
            shares.push(((own + spread * weight) / divisor) as f32);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 12] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75, -0.5, 3.0, 1.0, 0.0, 0.0, 0.0];
    const TARGETS: [usize; 4] = [2, 0, 0, 1];

    fn classes() -> Vec<Target> {
        TARGETS.map(Target::Class).into()
    }

    /// One-hot, but for the third, which has all.
    fn label_sets() -> Vec<Target> {
        let set = |(place, class): (usize, usize)| {
            Target::Labels((0..3).map(|label| label == class || place == 2).collect())
        };
        TARGETS.into_iter().enumerate().map(set).collect()
    }

    /// Computes the examples before and after `cut` apart.
    fn of(loss: &Loss, targets: &[Target], outputs: usize, cut: usize) -> f64 {
        let device = converge_bert::device::of_tests();
        let divisor = loss.divisor(targets.iter());
        let part = |range: std::ops::Range<usize>| {
            let values = LOGITS[range.start * outputs..range.end * outputs].to_vec();
            let logits = TensorData::new(values, [range.len(), outputs]);
            let logits = Tensor::<2>::from_data(logits, &device);
            let part = loss.part(logits, &targets[range.clone()], divisor, &device);
            f64::from(part.into_data().as_slice::<f32>().unwrap()[0])
        };
        [0..cut, cut..targets.len()].into_iter().filter(|range| !range.is_empty()).map(part).sum()
    }

    fn loss(weights: &[f64], smoothing: f64, cut: usize) -> f64 {
        of(&Loss::CrossEntropy { weights: weights.to_vec(), smoothing }, &classes(), 3, cut)
    }

    // Expected values: torch 2.9.1, `torch.nn.CrossEntropyLoss(weight=torch.tensor(w),
    // label_smoothing=s)(torch.tensor(LOGITS).view(4, 3), torch.tensor(TARGETS))`, and the like.

    #[test]
    fn equals_pytorch() {
        let equal = [1.0, 1.0, 1.0];
        let unequal = [0.5, 2.0, 1.25];
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 2e-6, "{found} instead of {expected}");
        };
        for (weights, smoothing, expected) in [
            (equal, 0.0, PLAIN),
            (equal, 0.1, SMOOTH),
            (unequal, 0.0, WEIGHTED),
            (unequal, 0.2, BOTH),
        ] {
            close(loss(&weights, smoothing, 4), expected);
        }
        close(of(&Loss::Binary { labels: 3 }, &label_sets(), 3, 4), BINARY);
        close(of(&Loss::Squared, &numbers(), 1, 4), SQUARED);
    }

    fn numbers() -> Vec<Target> {
        [1.0, 0.25, -3.5, 1.5].map(Target::Number).into()
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let weights = [0.5, 2.0, 1.25];
        let pairs = [
            (loss(&weights, 0.2, 4), loss(&weights, 0.2, 1)),
            (
                of(&Loss::Binary { labels: 3 }, &label_sets(), 3, 4),
                of(&Loss::Binary { labels: 3 }, &label_sets(), 3, 3),
            ),
            (of(&Loss::Squared, &numbers(), 1, 4), of(&Loss::Squared, &numbers(), 1, 1)),
        ];
        for (whole, parts) in pairs {
            assert!((whole - parts).abs() < 2e-6, "{whole} and {parts}");
        }
    }

    #[test]
    fn class_weights_follow_the_counts() {
        let weights = |class_weights| {
            let train = TrainSettings { class_weights, ..TrainSettings::defaults() };
            match Loss::new(&train, Task::Classes, &[10, 40]) {
                Loss::CrossEntropy { weights, .. } => weights,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(weights(ClassWeights::None), [1.0, 1.0]);
        assert_eq!(weights(ClassWeights::Balanced), [2.5, 0.625]);
        assert_eq!(weights(ClassWeights::Sqrt), [2.5_f64.sqrt(), 0.625_f64.sqrt()]);
    }

    const PLAIN: f64 = 1.3309437;
    const SMOOTH: f64 = 1.3559438;
    const WEIGHTED: f64 = 1.0566562;
    const BOTH: f64 = 1.2084882;
    const BINARY: f64 = 0.5203215;
    const SQUARED: f64 = 8.0156250;
}
