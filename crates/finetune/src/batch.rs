//! Batches: the examples of a step, their tokens as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_bert::BertInput;
use converge_core::micro_batches::MicroBatches;

use crate::data::dataset::Examples;
use crate::data::labels::Target;
use crate::data::tokens::TextEncoder;

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
    pub(crate) targets: Vec<Target>,
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
        let targets = positions.iter().map(|position| examples.target(*position).clone()).collect();
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
