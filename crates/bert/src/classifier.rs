//! The whole model: tokens in, one logit per label out.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::attention::additive_mask;
use crate::config::{BertConfig, ConfigError};
use crate::embeddings::Embeddings;
use crate::encoder::{Dropouts, Encoder};
#[cfg(feature = "flex")]
use crate::fused::RowSink;
use crate::heads::{ClassificationHead, Pooler, mean_pooling};
use crate::initial_values::initial_values;
use crate::mapping;
use crate::options::{ClassifierOptions, Pooling, Precision};
#[cfg(feature = "flex")]
use crate::packed::Packed;
use crate::parameters::{self, Parameter};

/// A BERT encoder, or one of its kin, with a classification head.
///
/// Dropout acts if the model was built on an autodiff device, and is off in what Burn's
/// [`valid`](Module::valid) returns: evaluate that. Its masks come from the generator that
/// [`Device::seed`] resets.
///
/// # Source
/// `BertForSequenceClassification` in [`modeling_bert.py`](crate#source), and the classes of that kind beside it.
#[derive(Module, Debug)]
pub struct BertClassifier {
    // Burn visits fields in this order, which is the order of the parameter table.
    embeddings: Embeddings,
    encoder: Encoder,
    /// Absent with mean pooling.
    pooler: Option<Pooler>,
    head: ClassificationHead,
    #[module(skip)]
    pub(crate) parameters: Arc<[Parameter]>,
    #[module(skip)]
    config: Arc<BertConfig>,
    #[module(skip)]
    precision: Precision,
    /// Gradients by rows of the word table, from a backward pass until they are taken.
    #[cfg(feature = "flex")]
    #[module(skip)]
    pub(crate) word_rows: RowSink,
}

/// A batch of tokenised examples, padded to one length.
#[derive(Debug, Clone)]
pub struct BertInput {
    /// `[batch, sequence]`, each below `vocab_size`.
    pub token_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 0, and 1 for the second sentence of a pair; not looked at where a model has no types.
    pub token_type_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 1 for a token, 0 for padding; at least one token per example.
    pub attention_mask: Tensor<2, Int>,
    /// Dropout masks are a function of it. [`BertClassifier::forward`] resets the device's generator with it.
    pub dropout_seed: u64,
}

impl BertClassifier {
    /// Returns a model with random weights, a pure function of `seed`.
    ///
    /// On an autodiff device its parameters require gradients.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if configuration or options are not usable.
    pub fn new(
        config: &BertConfig,
        options: &ClassifierOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let config = options.apply_to(config)?;
        let model = Self::unfilled(&config, options, device);
        let fill = |parameter: &Parameter| Some(initial_values(parameter, &config, seed));
        Ok(parameters::fill(model, fill))
    }

    /// Builds the model with parameters that are not yet allocated.
    ///
    /// `config` is what `options` made of a published one.
    pub(crate) fn unfilled(
        config: &BertConfig,
        options: &ClassifierOptions,
        device: &Device,
    ) -> Self {
        let hidden_dropout = config.hidden_dropout_prob;
        let dropouts =
            Dropouts { hidden: hidden_dropout, attention: config.attention_probs_dropout_prob };
        let head_dropout = config.classifier_dropout.unwrap_or(hidden_dropout);
        Self {
            embeddings: Embeddings::unfilled(config, hidden_dropout, device),
            encoder: Encoder::unfilled(config, dropouts, device),
            pooler: (options.pooling == Pooling::Cls)
                .then(|| Pooler::unfilled(config, head_dropout, device)),
            head: ClassificationHead::unfilled(config, options.labels, head_dropout, device),
            parameters: mapping::table(config, options.labels, options.pooling).into(),
            config: Arc::new(config.clone()),
            precision: options.precision,
            #[cfg(feature = "flex")]
            word_rows: RowSink::default(),
        }
    }

    /// Returns how hidden states are summarised.
    pub fn pooling(&self) -> Pooling {
        if self.pooler.is_some() { Pooling::Cls } else { Pooling::Mean }
    }

    /// Returns the configuration in force: the published one with the options applied.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Scores every label for each example.
    ///
    /// # Shapes
    /// - output: `[batch, labels]`, unnormalised
    ///
    /// # Panics
    /// If `sequence` exceeds the model's [`max_sequence`](BertConfig::max_sequence).
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        input.token_ids.device().seed(input.dropout_seed);
        #[cfg(feature = "flex")]
        if let Some(packed) = Packed::new(&input, &self.embeddings) {
            let hidden_states =
                self.packed_states(&packed, self.pooler.is_some(), input.dropout_seed);
            let pooled = match &self.pooler {
                Some(pooler) => pooler.forward_first(hidden_states),
                None => packed.mean(hidden_states),
            };
            return self.head.forward(pooled);
        }
        self.composed_logits(input)
    }

    /// Scores every label in operations of Burn's own, as every device but the processor does.
    fn composed_logits(&self, input: BertInput) -> Tensor<2> {
        let attention_mask = input.attention_mask.clone();
        let hidden_states = self.composed_states(input);
        let pooled = match &self.pooler {
            Some(pooler) => pooler.forward(hidden_states),
            None => mean_pooling(hidden_states, attention_mask),
        };
        self.head.forward(pooled)
    }

    /// Returns the encoder's last hidden state of every token, padding included.
    ///
    /// # Shapes
    /// - output: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// If `sequence` exceeds the model's [`max_sequence`](BertConfig::max_sequence).
    pub fn hidden_states(&self, input: BertInput) -> Tensor<3> {
        #[cfg(feature = "flex")]
        if let Some(packed) = Packed::new(&input, &self.embeddings) {
            let hidden_states = self.packed_states(&packed, false, input.dropout_seed);
            return packed.padded(hidden_states);
        }
        self.composed_states(input)
    }

    fn composed_states(&self, input: BertInput) -> Tensor<3> {
        let embedded = self.embeddings.forward(input.token_ids, input.token_type_ids);
        self.encoder.forward(embedded, additive_mask(input.attention_mask), self.precision)
    }

    #[cfg(feature = "flex")]
    fn packed_states(&self, packed: &Packed, first_only: bool, dropout_seed: u64) -> Tensor<2> {
        let embedded = self.embeddings.forward_packed(packed, dropout_seed, &self.word_rows);
        self.encoder.forward_packed(embedded, packed, first_only, dropout_seed)
    }
}
