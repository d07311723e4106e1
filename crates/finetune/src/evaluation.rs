//! What a model answers to a split, dropout off, and how good that is.

use burn::tensor::Device;
use converge_bert::BertClassifier;
use converge_core::items::ItemResults;
use converge_core::task::Task;

use crate::batch::Batch;
use crate::data::dataset::Examples;
use crate::data::labels::Target;
use crate::data::tokens::TextEncoder;
use crate::job::Control;

mod classes;
pub(crate) mod items;
mod multi_label;
mod ranks;
mod regression;

/// Most examples computed together.
const MOST_EXAMPLES: usize = 64;
/// Most tokens computed together, padding included: bounds the memory for attention.
const MOST_TOKENS: usize = 8192;

/// Answers to a split.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// What the model said of each example: a number for each of its outputs.
    pub(crate) logits: Vec<f32>,
    /// What would have been right.
    pub(crate) targets: Vec<Target>,
}

/// How sequences are made.
#[derive(Clone, Copy)]
pub(crate) struct Sequences<'a> {
    pub(crate) encoder: &'a TextEncoder,
    pub(crate) max_length: usize,
}

/// Evaluates a model that is outside autodiff and has so many outputs; none if `control` said to stop.
///
/// The batches, and with them every bit of the result, depend on the examples alone.
pub(crate) fn evaluate(
    model: &BertClassifier,
    examples: &Examples,
    sequences: Sequences<'_>,
    outputs: usize,
    device: &Device,
    control: &mut dyn FnMut() -> Control,
) -> Option<Evaluation> {
    let mut positions: Vec<usize> = (0..examples.len()).collect();
    positions.sort_by_key(|position| std::cmp::Reverse(examples.example(*position).length));
    let mut all = vec![0.0; examples.len() * outputs];
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
        let logits = model.forward(batch.input(device, 0)).into_data();
        let logits: &[f32] = logits.as_slice().expect("logits are f32");
        for (position, logits) in chosen.iter().zip(logits.chunks_exact(outputs)) {
            all[position * outputs..][..outputs].copy_from_slice(logits);
        }
    }
    let targets = (0..examples.len()).map(|position| examples.target(position).clone()).collect();
    Some(Evaluation { logits: all, targets })
}

impl Evaluation {
    /// Returns all metrics of a split by name, as the table [`METRICS`](converge_core::metric::METRICS) describes
    /// them.
    pub(crate) fn metrics(&self, split: &str, task: Task, labels: &[String]) -> Vec<(String, f64)> {
        let Self { logits, targets } = self;
        let found = match task {
            Task::Classes => {
                let of = |target: &Target| match target {
                    Target::Class(class) => *class,
                    other => panic!("{other:?} is no class"),
                };
                classes::metrics(logits, &targets.iter().map(of).collect::<Vec<_>>(), labels)
            }
            Task::MultiLabel => {
                let of = |target: &Target| match target {
                    Target::Labels(has) => has.clone(),
                    other => panic!("{other:?} is no set of labels"),
                };
                multi_label::metrics(logits, &targets.iter().map(of).collect::<Vec<_>>(), labels)
            }
            Task::Regression => {
                let of = |target: &Target| match target {
                    Target::Number(number) => *number,
                    other => panic!("{other:?} is no number"),
                };
                regression::metrics(logits, &targets.iter().map(of).collect::<Vec<_>>())
            }
        };
        found.into_iter().map(|(name, value)| (format!("{split}/{name}"), value)).collect()
    }

    /// Returns what the model said of each example, and its loss there: what accuracy and loss of
    /// [`metrics`](Self::metrics) are the means of. None where there are too many.
    pub(crate) fn items(&self) -> Option<ItemResults> {
        items::of(&self.logits, &self.targets)
    }
}

/// Returns mean and standard deviation (of all of them, not of a sample); of nothing 0.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

#[cfg(test)]
mod golden;
