//! From hidden states to logits: pooling and the classification layer.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::{Device, Int, Tensor};

use crate::architecture::Architecture;
use crate::config::BertConfig;
use crate::encoder::unfilled_linear;

/// The trained summary of a sequence: its first token through a layer and an activation.
///
/// | architecture | before the layer | activation |
/// |---|---|---|
/// | BERT | – | tanh |
/// | DistilBERT | – | ReLU |
/// | RoBERTa | the classifier's dropout | tanh |
///
/// # Source
/// `BertPooler` in [`modeling_bert.py`](crate#source); `pre_classifier` of `DistilBertForSequenceClassification` and
/// `RobertaClassificationHead` beside it.
#[derive(Module, Debug)]
pub struct Pooler {
    pub(crate) dense: Linear,
    /// Before the layer.
    dropout: Dropout,
    #[module(skip)]
    architecture: Architecture,
}

impl Pooler {
    /// Builds the module with parameters that are not yet allocated; `dropout` is the classifier's.
    pub(crate) fn unfilled(config: &BertConfig, dropout: f64, device: &Device) -> Self {
        let dropout = match config.architecture {
            Architecture::Bert | Architecture::DistilBert => 0.0,
            Architecture::Roberta | Architecture::XlmRoberta => dropout,
        };
        Self {
            dense: unfilled_linear(config.hidden_size, config.hidden_size, device),
            dropout: DropoutConfig::new(dropout).init(),
            architecture: config.architecture,
        }
    }

    /// Summarises each sequence by its first token: `[CLS]` or `<s>`.
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
        let projected = self.dense.forward(self.dropout.forward(first));
        match self.architecture {
            Architecture::DistilBert => relu(projected),
            Architecture::Bert | Architecture::Roberta | Architecture::XlmRoberta => {
                tanh(projected)
            }
        }
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
