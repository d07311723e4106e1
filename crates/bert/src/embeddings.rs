//! From token ids to the encoder's input: word, position and segment embeddings, summed.

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
/// `BertEmbeddings` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct Embeddings {
    pub(crate) word_embeddings: Embedding,
    pub(crate) position_embeddings: Embedding,
    pub(crate) token_type_embeddings: Embedding,
    pub(crate) layer_norm: LayerNorm,
    dropout: Dropout,
    /// Of the normalisation.
    epsilon: f64,
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
            token_type_embeddings: table(config.type_vocab_size),
            layer_norm: LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            dropout: DropoutConfig::new(dropout).init(),
            epsilon: config.layer_norm_eps,
        }
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
    /// If `sequence` exceeds the model's `max_position_embeddings`: whoever makes the batches
    /// truncates to it.
    pub fn forward(&self, token_ids: Tensor<2, Int>, token_type_ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, sequence] = token_ids.dims();
        self.check_length(sequence);
        let positions = self.position_embeddings.weight.val();
        let [_, hidden] = positions.dims();
        // Positions count from zero in every example, so one slice serves the whole batch.
        let positions = positions.slice([0..sequence, 0..hidden]).unsqueeze::<3>();
        let embeddings = self.word_embeddings.forward(token_ids)
            + self.token_type_embeddings.forward(token_type_ids)
            + positions;
        self.dropout.forward(self.layer_norm.forward(embeddings))
    }

    fn check_length(&self, sequence: usize) {
        let [max_positions, _] = self.position_embeddings.weight.dims();
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
        let tables =
            [&self.word_embeddings, &self.position_embeddings, &self.token_type_embeddings];
        fused::embed(tables, &self.layer_norm, task)
    }
}
