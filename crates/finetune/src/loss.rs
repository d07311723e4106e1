//! Cross-entropy with label smoothing and class weights.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use converge_core::settings::{ClassWeights, TrainSettings};

/// The training loss of a step, which may be computed in parts.
///
/// # Source
/// `torch.nn.CrossEntropyLoss(weight, label_smoothing)` with reduction `mean`,
/// <https://docs.pytorch.org/docs/2.9/generated/torch.nn.CrossEntropyLoss.html>: with weights w,
/// smoothing s and C classes, an example of class y costs
/// (1 - s) w_y (-log p_y) + s / C Σ_c w_c (-log p_c), and the sum is divided by Σ w_y.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    weights: Vec<f64>,
    smoothing: f64,
}

impl Loss {
    /// Returns the loss that the settings ask for, given how many training examples each class has.
    ///
    /// # Source
    /// `balanced` is scikit-learn's `compute_class_weight`: n / (C n_c).
    pub(crate) fn new(train: &TrainSettings, class_counts: &[u64]) -> Self {
        let examples = class_counts.iter().sum::<u64>() as f64;
        let classes = class_counts.len();
        let weights = match &train.class_weights {
            ClassWeights::None => vec![1.0; classes],
            ClassWeights::Balanced => class_counts
                .iter()
                .map(|count| examples / (classes as f64 * (*count).max(1) as f64))
                .collect(),
            ClassWeights::Given(weights) => weights.clone(),
        };
        Self { weights, smoothing: train.label_smoothing }
    }

    /// Returns what the losses of a step's examples are divided by.
    pub(crate) fn divisor(&self, targets: &[usize]) -> f64 {
        targets.iter().map(|target| self.weights[*target]).sum()
    }

    /// Returns the share of a step's loss that these examples contribute.
    ///
    /// `divisor` is that of all examples of the step: the parts of a step add up to the whole.
    ///
    /// # Shapes
    /// - `logits`: `[examples, labels]`
    /// - output: `[1]`
    pub(crate) fn part(
        &self,
        logits: Tensor<2>,
        targets: &[usize],
        divisor: f64,
        device: &Device,
    ) -> Tensor<1> {
        let [examples, labels] = logits.dims();
        let data = TensorData::new(self.shares(targets, divisor), [examples, labels]);
        let shares = Tensor::<2>::from_data(data, device);
        (log_softmax(logits, 1) * shares).sum().neg()
    }

    /// Returns the factor of each -log p in the loss, `[examples, labels]` row by row.
    fn shares(&self, targets: &[usize], divisor: f64) -> Vec<f32> {
        let spread = self.smoothing / self.weights.len() as f64;
        let mut shares = Vec::with_capacity(targets.len() * self.weights.len());
        for target in targets {
            for (class, weight) in self.weights.iter().enumerate() {
                let own = if class == *target { (1.0 - self.smoothing) * weight } else { 0.0 };
                shares.push(((own + spread * weight) / divisor) as f32);
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 12] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75, -0.5, 3.0, 1.0, 0.0, 0.0, 0.0];
    const TARGETS: [usize; 4] = [2, 0, 0, 1];

    /// Computes the examples before and after `cut` apart.
    fn loss(weights: &[f64], smoothing: f64, cut: usize) -> f64 {
        let loss = Loss { weights: weights.to_vec(), smoothing };
        let device = converge_bert::device::of_tests();
        let divisor = loss.divisor(&TARGETS);
        let part = |range: std::ops::Range<usize>| {
            let values = LOGITS[range.start * 3..range.end * 3].to_vec();
            let logits = TensorData::new(values, [range.len(), 3]);
            let logits = Tensor::<2>::from_data(logits, &device);
            let part = loss.part(logits, &TARGETS[range.clone()], divisor, &device);
            f64::from(part.into_data().as_slice::<f32>().unwrap()[0])
        };
        [0..cut, cut..4].into_iter().filter(|range| !range.is_empty()).map(part).sum()
    }

    // Expected values: torch 2.9.1, `torch.nn.CrossEntropyLoss(weight=torch.tensor(w),
    // label_smoothing=s)(torch.tensor(LOGITS).view(4, 3), torch.tensor(TARGETS))`.

    #[test]
    fn equals_pytorch() {
        let equal = [1.0, 1.0, 1.0];
        let unequal = [0.5, 2.0, 1.25];
        for (weights, smoothing, expected) in [
            (equal, 0.0, PLAIN),
            (equal, 0.1, SMOOTH),
            (unequal, 0.0, WEIGHTED),
            (unequal, 0.2, BOTH),
        ] {
            let found = loss(&weights, smoothing, 4);
            assert!((found - expected).abs() < 2e-6, "{found} instead of {expected}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let weights = [0.5, 2.0, 1.25];
        let whole = loss(&weights, 0.2, 4);
        let parts = loss(&weights, 0.2, 1);
        assert!((whole - parts).abs() < 1e-6, "{whole} and {parts}");
    }

    const PLAIN: f64 = 1.3309437;
    const SMOOTH: f64 = 1.3559438;
    const WEIGHTED: f64 = 1.0566562;
    const BOTH: f64 = 1.2084882;
}
