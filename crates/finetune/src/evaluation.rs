//! What a model answers to a split, dropout off.

use burn::tensor::Device;
use converge_bert::BertClassifier;
use converge_core::metric::{PREDICTED_OF, RECALL_OF};

use crate::batch::Batch;
use crate::data::dataset::Examples;
use crate::data::tokens::TextEncoder;
use crate::job::Control;

/// Most examples computed together.
const MOST_EXAMPLES: usize = 64;
/// Most tokens computed together, padding included: bounds the memory for attention.
const MOST_TOKENS: usize = 8192;

/// Answers to a split.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// Mean of -log p of the right class, without smoothing or weights.
    pub(crate) loss: f64,
    /// `[right class][answer]`.
    confusion: Vec<Vec<u64>>,
}

/// How sequences are made.
#[derive(Clone, Copy)]
pub(crate) struct Sequences<'a> {
    pub(crate) encoder: &'a TextEncoder,
    pub(crate) max_length: usize,
}

/// Evaluates a model that is outside autodiff; none if `control` said to stop.
///
/// The batches, and with them every bit of the result, depend on the examples alone.
pub(crate) fn evaluate(
    model: &BertClassifier,
    examples: &Examples,
    sequences: Sequences<'_>,
    classes: usize,
    device: &Device,
    control: &mut dyn FnMut() -> Control,
) -> Option<Evaluation> {
    let mut positions: Vec<usize> = (0..examples.len()).collect();
    positions.sort_by_key(|position| std::cmp::Reverse(examples.example(*position).length));
    let mut losses = vec![0.0; examples.len()];
    let mut confusion = vec![vec![0; classes]; classes];
    let mut rest = positions.as_slice();
    while let [longest, ..] = rest {
        if control() == Control::Stop {
            return None;
        }
        let length = (examples.example(*longest).length as usize).clamp(1, sequences.max_length);
        let size = (MOST_TOKENS / length).clamp(1, MOST_EXAMPLES).min(rest.len());
        let (chosen, others) = rest.split_at(size);
        rest = others;
        let Sequences { encoder, max_length } = sequences;
        let padding = model.config().pad_token_id;
        let batch = Batch::new(examples, chosen, encoder, max_length, padding);
        let targets = batch.targets.clone();
        let logits = model.forward(batch.input(device, 0)).into_data();
        let logits: &[f32] = logits.as_slice().expect("logits are f32");
        for ((position, target), logits) in
            chosen.iter().zip(targets).zip(logits.chunks_exact(classes))
        {
            let (loss, answer) = judge(logits, target);
            losses[*position] = loss;
            confusion[target][answer] += 1;
        }
    }
    let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Some(Evaluation { loss, confusion })
}

/// Returns -log p of the right class, and the class with the largest logit (the first of equals).
fn judge(logits: &[f32], target: usize) -> (f64, usize) {
    let mut answer = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[answer] {
            answer = class;
        }
    }
    let largest = f64::from(logits[answer]);
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    (sum.ln() + largest - f64::from(logits[target]), answer)
}

impl Evaluation {
    fn examples(&self) -> u64 {
        self.confusion.iter().flatten().sum()
    }

    fn right(&self, class: usize) -> u64 {
        self.confusion[class][class]
    }

    /// Examples of a class.
    fn support(&self, class: usize) -> u64 {
        self.confusion[class].iter().sum()
    }

    /// Answers that were this class.
    fn answers(&self, class: usize) -> u64 {
        self.confusion.iter().map(|answers| answers[class]).sum()
    }

    fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.confusion.len()).map(|class| self.right(class)).sum();
        right as f64 / self.examples().max(1) as f64
    }

    /// Returns the mean over classes of 2 · precision · recall / (precision + recall).
    ///
    /// # Source
    /// scikit-learn's `f1_score(average="macro")`: classes that occur neither in the data nor among
    /// the answers do not count.
    fn macro_f1(&self) -> f64 {
        let scores: Vec<f64> = (0..self.confusion.len())
            .filter_map(|class| {
                let both = self.support(class) + self.answers(class);
                (both > 0).then(|| 2.0 * self.right(class) as f64 / both as f64)
            })
            .collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }

    /// Returns all metrics of a split by name. A class without examples has no recall.
    pub(crate) fn metrics(&self, split: &str, labels: &[String]) -> Vec<(String, f64)> {
        let mut metrics = vec![
            (format!("{split}/loss"), self.loss),
            (format!("{split}/accuracy"), self.accuracy()),
            (format!("{split}/macro_f1"), self.macro_f1()),
        ];
        for (class, label) in labels.iter().enumerate() {
            let support = self.support(class);
            if support > 0 {
                let recall = self.right(class) as f64 / support as f64;
                metrics.push((format!("{split}/{RECALL_OF}{label}"), recall));
            }
        }
        for (class, label) in labels.iter().enumerate() {
            let share = self.answers(class) as f64 / self.examples().max(1) as f64;
            metrics.push((format!("{split}/{PREDICTED_OF}{label}"), share));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_those_of_the_confusion_matrix() {
        // By hand: 10 examples of a, 5 of b, none of c, d neither there nor answered.
        let evaluation = Evaluation {
            loss: 0.5,
            confusion: vec![vec![8, 1, 1, 0], vec![2, 3, 0, 0], vec![0; 4], vec![0; 4]],
        };
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        let f1 = (2.0 * 8.0 / 20.0 + 2.0 * 3.0 / 9.0 + 0.0) / 3.0;
        let expected = [
            ("validation/loss", 0.5),
            ("validation/accuracy", 11.0 / 15.0),
            ("validation/macro_f1", f1),
            ("validation/recall/a", 0.8),
            ("validation/recall/b", 0.6),
            ("validation/predicted/a", 10.0 / 15.0),
            ("validation/predicted/b", 4.0 / 15.0),
            ("validation/predicted/c", 1.0 / 15.0),
            ("validation/predicted/d", 0.0),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(evaluation.metrics("validation", &labels), expected);
    }

    #[test]
    fn the_loss_of_large_logits_does_not_overflow() {
        let (loss, answer) = judge(&[1e30, -1e30], 1);
        assert_eq!((loss, answer), (f64::from(1e30_f32) * 2.0, 0));
        let (loss, answer) = judge(&[0.0, 0.0], 1);
        assert!((loss - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(answer, 0);
        assert!(judge(&[f32::NAN, 1.0], 1).0.is_nan());
    }
}
