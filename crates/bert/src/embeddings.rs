//! From token ids to the encoder's input: word, position and segment embeddings, summed.
//!
//! DistilBERT has no segments. RoBERTa counts positions from behind the padding token's number.

use burn::module::Module;
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig,
};
use burn::tensor::{Device, Int, Tensor};

use crate::config::BertConfig;
#[cfg(feature = "flex")]
use crate::fused::{self, EmbeddingTask, RowSink};
#[cfg(feature = "flex")]
use crate::packed::Packed;

/// The sum of word, position and token-type embeddings, normalised.
///
/// # Source
/// `BertEmbeddings` in [`modeling_bert.py`](crate#source), `RobertaEmbeddings` and DistilBERT's `Embeddings` beside it.
#[derive(Module, Debug)]
pub struct Embeddings {
    pub(crate) word_embeddings: Embedding,
    pub(crate) position_embeddings: Embedding,
    /// Absent in DistilBERT.
    pub(crate) token_type_embeddings: Option<Embedding>,
    pub(crate) layer_norm: LayerNorm,
    dropout: Dropout,
    /// Of the normalisation.
    epsilon: f64,
    #[module(skip)]
    numbering: Numbering,
}

/// How the tokens of a sequence are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// By their places, from 0.
    Places,
    /// From behind the number of the padding token, which keeps that: only other tokens count.
    ///
    /// # Source
    /// `RobertaEmbeddings.create_position_ids_from_input_ids` in `modeling_roberta.py`, beside
    /// [`modeling_bert.py`](crate#source).
    BehindPadding(usize),
}

impl Numbering {
    fn of(config: &BertConfig) -> Self {
        if config.architecture.counts_behind_padding() {
            Self::BehindPadding(config.pad_token_id)
        } else {
            Self::Places
        }
    }

    /// Returns the position of each token of one sequence, padding included.
    #[cfg(feature = "flex")]
    pub(crate) fn positions(self, token_ids: &[i64]) -> Vec<usize> {
        match self {
            Self::Places => (0..token_ids.len()).collect(),
            Self::BehindPadding(padding) => {
                let mut last = padding;
                let position = |id: &i64| {
                    if *id == padding as i64 {
                        return padding;
                    }
                    last += 1;
                    last
                };
                token_ids.iter().map(position).collect()
            }
        }
    }
}

impl Embeddings {
    /// Builds the module with parameters that are not yet allocated.
    pub(crate) fn unfilled(config: &BertConfig, dropout: f64, device: &Device) -> Self {
        let table = |rows| {
            EmbeddingConfig::new(rows, config.hidden_size)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            word_embeddings: table(config.vocab_size),
            position_embeddings: table(config.max_position_embeddings),
            token_type_embeddings: (config.architecture.has_token_types())
                .then(|| table(config.type_vocab_size)),
            layer_norm: LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            dropout: DropoutConfig::new(dropout).init(),
            epsilon: config.layer_norm_eps,
            numbering: Numbering::of(config),
        }
    }

    #[cfg(feature = "flex")]
    pub(crate) fn numbering(&self) -> Numbering {
        self.numbering
    }

    /// Embeds a batch of token ids.
    ///
    /// The reference holds the padding row of the word embeddings at zero gradient. Padding that
    /// is masked receives none anyway, so nothing is done about it here.
    ///
    /// # Shapes
    /// - `token_ids`, `token_type_ids`: `[batch, sequence]`
    /// - output: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// If `sequence` exceeds the model's [`max_sequence`](BertConfig::max_sequence): whoever makes the batches
    /// truncates to it.
    pub fn forward(&self, token_ids: Tensor<2, Int>, token_type_ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, sequence] = token_ids.dims();
        self.check_length(sequence);
        let positions = self.positions(&token_ids);
        let words = self.word_embeddings.forward(token_ids);
        let typed = match &self.token_type_embeddings {
            Some(types) => words + types.forward(token_type_ids),
            None => words,
        };
        self.dropout.forward(self.layer_norm.forward(typed + positions))
    }

    /// Returns the embeddings of the positions of a batch.
    ///
    /// # Shapes
    /// - `token_ids`: `[batch, sequence]`
    /// - output: `[1 or batch, sequence, hidden]`
    fn positions(&self, token_ids: &Tensor<2, Int>) -> Tensor<3> {
        match self.numbering {
            Numbering::Places => {
                let [_, sequence] = token_ids.dims();
                let positions = self.position_embeddings.weight.val();
                let [_, hidden] = positions.dims();
                // Positions count from zero in every example, so one slice serves the whole batch.
                positions.slice([0..sequence, 0..hidden]).unsqueeze::<3>()
            }
            Numbering::BehindPadding(padding) => {
                let padding = padding as i64;
                let counts = token_ids.clone().not_equal_elem(padding).int();
                let positions = counts.clone().cumsum(1) * counts + padding;
                self.position_embeddings.forward(positions)
            }
        }
    }

    fn check_length(&self, sequence: usize) {
        let [rows, _] = self.position_embeddings.weight.dims();
        let max_positions = match self.numbering {
            Numbering::Places => rows,
            Numbering::BehindPadding(padding) => rows.saturating_sub(padding + 1),
        };
        assert!(
            sequence <= max_positions,
            "a sequence of {sequence} tokens exceeds the model's {max_positions} positions"
        );
    }

    /// Embeds packed tokens.
    ///
    /// # Shapes
    /// - output: `[tokens, hidden]`
    #[cfg(feature = "flex")]
    pub(crate) fn forward_packed(
        &self,
        packed: &Packed,
        dropout_seed: u64,
        word_rows: &RowSink,
    ) -> Tensor<2> {
        self.check_length(packed.longest());
        let trains = self.word_embeddings.weight.val().device().is_autodiff();
        let task = EmbeddingTask {
            tokens: packed.tokens.clone(),
            dropout: fused::dropout(&self.dropout, trains, dropout_seed),
            epsilon: self.epsilon as f32,
            word_rows: word_rows.share(),
        };
        let types = self.token_type_embeddings.as_ref();
        let tables = (&self.word_embeddings, &self.position_embeddings, types);
        fused::embed(tables, &self.layer_norm, task)
    }
}
