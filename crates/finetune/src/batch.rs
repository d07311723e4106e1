//! Batches: which examples a step sees, and their tokens as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_bert::BertInput;
use converge_core::micro_batches::MicroBatches;
use converge_core::seed::Seed;
use converge_core::settings::TrainSettings;
use converge_core::steps;

use crate::data::dataset::Examples;
use crate::data::tokens::TextEncoder;
use crate::permutation::permutation;

/// The order of the training examples: a function of seed and step.
pub(crate) struct Order {
    seed: Seed,
    examples: usize,
    batch_size: usize,
    steps_per_epoch: u64,
    /// The permutation used last, with its epoch.
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    pub(crate) fn new(seed: Seed, examples: usize, train: &TrainSettings) -> Self {
        Self {
            seed,
            examples,
            batch_size: usize::try_from(train.batch_size).unwrap_or(usize::MAX).max(1),
            steps_per_epoch: steps::steps_per_epoch(examples as u64, train).max(1),
            epoch: None,
        }
    }

    /// Returns the positions of the examples of `step`, counted from 1.
    ///
    /// The last step of an epoch may have fewer than the others.
    pub(crate) fn of_step(&mut self, step: u64) -> &[usize] {
        let epoch = (step - 1) / self.steps_per_epoch;
        let place = ((step - 1) % self.steps_per_epoch) as usize;
        let (seed, examples) = (self.seed, self.examples);
        let known = self.epoch.take().filter(|(known, _)| *known == epoch);
        let (_, order) =
            self.epoch
                .insert(known.unwrap_or_else(|| {
                    (epoch, permutation(seed.stream("epoch", epoch), examples))
                }));
        let start = place.saturating_mul(self.batch_size).min(examples);
        let end = start.saturating_add(self.batch_size).min(examples);
        &order[start..end]
    }
}

/// Divides the examples of a step into its micro-batches.
///
/// Where there is more than one, each has examples of similar length, the longest first.
pub(crate) fn micro_batches(
    positions: &[usize],
    examples: &Examples,
    division: MicroBatches,
) -> Vec<Vec<usize>> {
    if division.count == 1 {
        return vec![positions.to_vec()];
    }
    let size = usize::try_from(division.size).unwrap_or(usize::MAX).max(1);
    let mut sorted = positions.to_vec();
    sorted.sort_by_key(|position| std::cmp::Reverse(examples.example(*position).length));
    sorted.chunks(size).map(<[usize]>::to_vec).collect()
}

/// Examples on their way into the model.
pub(crate) struct Batch {
    /// Empty where nothing is to be learnt.
    pub(crate) targets: Vec<usize>,
    /// Without padding.
    pub(crate) tokens: u64,
    examples: usize,
    token_ids: Vec<i64>,
    token_types: Vec<i64>,
    mask: Vec<i64>,
    length: usize,
}

impl Batch {
    /// Cuts the examples to `max_length` and pads them to the longest of them.
    pub(crate) fn new(
        examples: &Examples,
        positions: &[usize],
        encoder: &TextEncoder,
        max_length: usize,
        padding: usize,
    ) -> Self {
        let mut sequences = Vec::with_capacity(positions.len());
        for position in positions {
            let (mut ids, mut types) = (Vec::new(), Vec::new());
            let example = examples.example(*position);
            encoder.sequence(&examples.file, example, max_length, &mut ids, &mut types);
            sequences.push((ids, types));
        }
        let targets = positions.iter().map(|position| examples.class(*position)).collect();
        Self { targets, ..Self::of_sequences(sequences, padding) }
    }

    /// Pads tokens and token types of texts to the longest of them.
    pub(crate) fn of_sequences(mut sequences: Vec<(Vec<u32>, Vec<u32>)>, padding: usize) -> Self {
        for (ids, types) in &mut sequences {
            // A tokenizer without special tokens makes nothing of an empty text; the model needs
            // one token that is not masked.
            if ids.is_empty() {
                ids.push(padding as u32);
                types.push(0);
            }
        }
        let length = sequences.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let mut batch = Self {
            targets: Vec::new(),
            tokens: 0,
            examples: sequences.len(),
            token_ids: Vec::with_capacity(sequences.len() * length),
            token_types: Vec::with_capacity(sequences.len() * length),
            mask: Vec::with_capacity(sequences.len() * length),
            length,
        };
        for (ids, types) in sequences {
            let end = batch.mask.len() + length;
            batch.tokens += ids.len() as u64;
            batch.mask.resize(batch.mask.len() + ids.len(), 1);
            batch.token_ids.extend(ids.into_iter().map(i64::from));
            batch.token_types.extend(types.into_iter().map(i64::from));
            batch.token_ids.resize(end, padding as i64);
            batch.token_types.resize(end, 0);
            batch.mask.resize(end, 0);
        }
        batch
    }

    /// Returns the rows of the word table that the batch reads, some more than once.
    pub(crate) fn words(&self) -> impl Iterator<Item = u32> + '_ {
        // Tokenizers number words with 32 bits.
        self.token_ids.iter().map(|id| *id as u32)
    }

    /// Returns the batch as tensors of a device.
    ///
    /// # Shapes
    /// - all: `[examples, longest]`
    pub(crate) fn input(&self, device: &Device, dropout_seed: u64) -> BertInput {
        let shape = [self.examples, self.length];
        let tensor = |values: &[i64]| {
            Tensor::<2, Int>::from_data(TensorData::new(values.to_vec(), shape), device)
        };
        BertInput {
            token_ids: tensor(&self.token_ids),
            token_type_ids: tensor(&self.token_types),
            attention_mask: tensor(&self.mask),
            dropout_seed,
        }
    }
}

#[cfg(test)]
mod tests;
