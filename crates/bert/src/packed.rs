//! Batches without their padding, for the processor.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_kernels::embeddings::Token;
use converge_kernels::{Asking, Sequences};

use crate::classifier::BertInput;
use crate::embeddings::Embeddings;

/// The unmasked tokens of a batch, one example behind the other.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) tokens: Arc<[Token]>,
    pub(crate) sequences: Arc<Sequences>,
    /// The same, the first token of each example asking.
    pub(crate) first_asking: Arc<Sequences>,
    /// For each token, its place in the padded batch.
    places: Vec<usize>,
    /// Examples, and tokens of the longest with its padding.
    padded_shape: [usize; 2],
}

impl Packed {
    /// Takes the padding out of a batch on the processor, its tokens numbered for `embeddings`; none if it is elsewhere.
    ///
    /// # Panics
    /// If all tokens of an example are masked.
    pub(crate) fn new(input: &BertInput, embeddings: &Embeddings) -> Option<Self> {
        let device = input.token_ids.device();
        if device.clone().inner() != Device::flex() {
            return None;
        }
        let [batch, sequence] = input.token_ids.dims();
        let numbers = |tensor: &Tensor<2, Int>| -> Vec<i64> {
            let data = tensor.clone().into_data().convert::<i64>();
            data.try_into_vec().expect("integers read as integers")
        };
        let mask = numbers(&input.attention_mask);
        let kept: Vec<usize> = (0..mask.len()).filter(|place| mask[*place] != 0).collect();
        let lengths =
            mask.chunks(sequence).map(|row| row.iter().filter(|mask| **mask != 0).count());
        let sequences = Sequences::new(lengths);
        let [words, types] = [&input.token_ids, &input.token_type_ids].map(numbers);
        let numbering = embeddings.numbering();
        let positions: Vec<usize> =
            words.chunks(sequence).flat_map(|row| numbering.positions(row)).collect();
        let has_types = embeddings.token_type_embeddings.is_some();
        let row = |number: i64| u32::try_from(number).expect("ids are not negative");
        let token = |place: &usize| Token {
            word: row(words[*place]),
            position: row(positions[*place] as i64),
            token_type: if has_types { row(types[*place]) } else { 0 },
        };
        let tokens = kept.iter().map(token).collect();
        Some(Self {
            tokens,
            first_asking: Arc::new(sequences.with_asking(Asking::First)),
            sequences: Arc::new(sequences),
            places: kept,
            padded_shape: [batch, sequence],
        })
    }

    /// Returns the length of the longest example.
    pub(crate) fn longest(&self) -> usize {
        self.sequences.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// Puts hidden states back at their places in the padded batch, zeros where padding is.
    ///
    /// # Shapes
    /// - `hidden_states`: `[tokens, hidden]`
    /// - output: `[batch, sequence, hidden]`
    pub(crate) fn padded(&self, hidden_states: Tensor<2>) -> Tensor<3> {
        let [_, hidden] = hidden_states.dims();
        let device = hidden_states.device();
        let [batch, sequence] = self.padded_shape;
        let places = batch * sequence;
        let (mut indices, mut kept) = (vec![0; places], vec![0.0_f32; places]);
        for (row, place) in self.places.iter().enumerate() {
            (indices[*place], kept[*place]) = (row as i64, 1.0);
        }
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [places]), &device);
        let kept = Tensor::<2>::from_data(TensorData::new(kept, [places, 1]), &device);
        let rows = hidden_states.select(0, indices) * kept;
        rows.reshape([batch, sequence, hidden])
    }

    /// Averages the hidden states of each example.
    ///
    /// # Shapes
    /// - `hidden_states`: `[tokens, hidden]`
    /// - output: `[batch, hidden]`
    pub(crate) fn mean(&self, hidden_states: Tensor<2>) -> Tensor<2> {
        let tokens = self.sequences.tokens();
        let batch = self.sequences.count();
        let mut weights = vec![0.0_f32; batch * tokens];
        for (row, range) in weights.chunks_mut(tokens).zip(self.sequences.ranges()) {
            let share = 1.0 / range.len() as f32;
            row[range].fill(share);
        }
        let weights = TensorData::new(weights, [batch, tokens]);
        Tensor::<2>::from_data(weights, &hidden_states.device()).matmul(hidden_states)
    }
}
