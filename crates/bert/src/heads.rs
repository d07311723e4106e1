//! From hidden states to logits: pooling and the classification layer.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor};

use crate::config::BertConfig;
use crate::encoder::unfilled_linear;

/// BERT's own summary of a sequence: the first token through a trained layer and a tanh.
///
/// # Source
/// `BertPooler` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct Pooler {
    pub(crate) dense: Linear,
}

impl Pooler {
    /// Builds the module with parameters that are not yet allocated.
    pub(crate) fn unfilled(config: &BertConfig, device: &Device) -> Self {
        Self { dense: unfilled_linear(config.hidden_size, config.hidden_size, device) }
    }

    /// Summarises each sequence by its first token, `[CLS]`.
    ///
    /// # Shapes
    /// - `hidden_states`: `[batch, sequence, hidden]`
    /// - output: `[batch, hidden]`
    pub fn forward(&self, hidden_states: Tensor<3>) -> Tensor<2> {
        let [batch, _, hidden] = hidden_states.dims();
        self.forward_first(
            hidden_states.slice([0..batch, 0..1, 0..hidden]).reshape([batch, hidden]),
        )
    }

    /// Summarises each sequence, given the hidden state of its first token.
    ///
    /// # Shapes
    /// - `first` and output: `[batch, hidden]`
    pub fn forward_first(&self, first: Tensor<2>) -> Tensor<2> {
        tanh(self.dense.forward(first))
    }
}

/// Averages the hidden states of the unmasked tokens of each sequence.
///
/// # Shapes
/// - `hidden_states`: `[batch, sequence, hidden]`
/// - `attention_mask`: `[batch, sequence]`, one for a token and zero for padding
/// - output: `[batch, hidden]`
///
/// # Source
/// `Pooling` with `pooling_mode_mean_tokens`,
/// `sentence_transformers/models/Pooling.py` of UKPLab/sentence-transformers v3.
pub fn mean_pooling(hidden_states: Tensor<3>, attention_mask: Tensor<2, Int>) -> Tensor<2> {
    let [batch, sequence, hidden] = hidden_states.dims();
    let mask = attention_mask.float();
    // A fully masked sequence gives zeros, not a division by zero.
    let tokens = mask.clone().sum_dim(1).clamp_min(1e-9); // [batch, 1]
    let weights = (mask / tokens).reshape([batch, 1, sequence]);
    weights.matmul(hidden_states).reshape([batch, hidden])
}

/// Dropout and a linear layer to one logit per label.
///
/// # Source
/// `BertForSequenceClassification` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct ClassificationHead {
    dropout: Dropout,
    pub(crate) classifier: Linear,
}

impl ClassificationHead {
    /// Builds the module with parameters that are not yet allocated.
    pub(crate) fn unfilled(
        config: &BertConfig,
        labels: usize,
        dropout: f64,
        device: &Device,
    ) -> Self {
        Self {
            dropout: DropoutConfig::new(dropout).init(),
            classifier: unfilled_linear(config.hidden_size, labels, device),
        }
    }

    /// Scores every label for each summarised sequence.
    ///
    /// # Shapes
    /// - `pooled`: `[batch, hidden]`
    /// - output: `[batch, labels]`, unnormalised
    pub fn forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.classifier.forward(self.dropout.forward(pooled))
    }
}
