//! What a task makes of a model: labels, pooling, and what it replaces.

use burn::nn::Linear;
use burn::tensor::module::linear;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::config::{BertConfig, ConfigError, dropout_problem};

/// How a sequence of hidden states becomes the one vector that is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The architecture's own: the first token through a trained layer, see [`Pooler`](crate::heads::Pooler).
    #[default]
    Cls,
    /// The mean over unmasked tokens, special ones included, without parameters: it goes straight to dropout and the
    /// classification layer, in every architecture.
    Mean,
}

/// Numbers that the encoder's matrix products are computed in, as PyTorch's autocast does it.
///
/// Parameters, their gradients, normalisation, softmax and everything after the encoder stay in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// 8 bits of fraction, the range of single precision.
    BFloat16,
    /// 11 bits of fraction, up to 65,504.
    Float16,
}

impl Precision {
    /// Says whether a device computes in these numbers. The fused operations of the processor have single precision
    /// only.
    pub fn is_offered_by(self, device: &Device) -> bool {
        #[cfg(feature = "flex")]
        if device.clone().inner() == Device::flex() {
            return self == Self::Float32;
        }
        device.supports_dtype(self.kind())
    }

    pub(crate) fn kind(self) -> FloatDType {
        match self {
            Self::Float32 => FloatDType::F32,
            Self::BFloat16 => FloatDType::BF16,
            Self::Float16 => FloatDType::F16,
        }
    }

    /// Returns a tensor in these numbers.
    pub(crate) fn of<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        if self == Self::Float32 { tensor } else { tensor.cast(self.kind()) }
    }

    /// Returns a tensor of these numbers in single precision.
    pub(crate) fn widened<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        if self == Self::Float32 { tensor } else { tensor.cast(FloatDType::F32) }
    }

    /// Applies a linear layer.
    pub(crate) fn linear(self, layer: &Linear, input: Tensor<3>) -> Tensor<3> {
        let bias = layer.bias.as_ref().map(|bias| self.of(bias.val()));
        linear(self.of(input), self.of(layer.weight.val()), bias)
    }
}

/// What a classification task adds to a model, or changes in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierOptions {
    /// Outputs of the model: classes or labels of the task, or one number.
    pub labels: usize,
    /// How hidden states are summarised.
    pub pooling: Pooling,
    /// Replaces `hidden_dropout_prob`.
    pub hidden_dropout: Option<f64>,
    /// Replaces `attention_probs_dropout_prob`.
    pub attention_dropout: Option<f64>,
    /// Replaces `classifier_dropout`.
    pub classifier_dropout: Option<f64>,
    /// Keeps only the first so many encoder layers.
    pub layers: Option<usize>,
    /// Numbers of the encoder's matrix products.
    pub precision: Precision,
}

impl ClassifierOptions {
    /// Returns options for `labels` classes that leave the model as published.
    pub fn new(labels: usize) -> Self {
        Self {
            labels,
            pooling: Pooling::Cls,
            hidden_dropout: None,
            attention_dropout: None,
            classifier_dropout: None,
            layers: None,
            precision: Precision::Float32,
        }
    }

    /// Returns the configuration of the model that these options make of `config`: its dropouts
    /// replaced, its layers cut, `classifier_dropout` always present.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem of both.
    pub fn apply_to(&self, config: &BertConfig) -> Result<BertConfig, ConfigError> {
        let mut problems = config.problems();
        if self.labels == 0 {
            problems.push("a classifier needs at least 1 label".to_owned());
        }
        for (name, dropout) in [
            ("hidden dropout", self.hidden_dropout),
            ("attention dropout", self.attention_dropout),
            ("classifier dropout", self.classifier_dropout),
        ] {
            problems.extend(dropout.and_then(|dropout| dropout_problem(name, dropout)));
        }
        let layers = self.layers.unwrap_or(config.num_hidden_layers);
        if self.layers.is_some() && !(1..=config.num_hidden_layers).contains(&layers) {
            problems.push(format!(
                "cannot keep {layers} layers of a model that has {}: give 1 to {}",
                config.num_hidden_layers, config.num_hidden_layers
            ));
        }
        ConfigError::of(problems)?;

        let hidden_dropout = self.hidden_dropout.unwrap_or(config.hidden_dropout_prob);
        let classifier_dropout =
            self.classifier_dropout.or(config.classifier_dropout).unwrap_or(hidden_dropout);
        Ok(BertConfig {
            num_hidden_layers: layers,
            hidden_dropout_prob: hidden_dropout,
            attention_probs_dropout_prob: self
                .attention_dropout
                .unwrap_or(config.attention_probs_dropout_prob),
            classifier_dropout: Some(classifier_dropout),
            ..config.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_replace_dropouts_and_cut_layers() {
        let config = BertConfig::tiny(50);
        let as_published = ClassifierOptions::new(2).apply_to(&config).unwrap();
        assert_eq!(as_published, BertConfig { classifier_dropout: Some(0.1), ..config.clone() });

        let options = ClassifierOptions {
            hidden_dropout: Some(0.3),
            layers: Some(1),
            ..ClassifierOptions::new(2)
        };
        let changed = options.apply_to(&config).unwrap();
        assert_eq!(changed.num_hidden_layers, 1);
        assert_eq!(changed.hidden_dropout_prob, 0.3);
        assert_eq!(changed.classifier_dropout, Some(0.3));
        assert_eq!(changed.attention_probs_dropout_prob, 0.1);
    }

    #[test]
    fn impossible_options_are_all_reported() {
        let options = ClassifierOptions {
            attention_dropout: Some(f64::NAN),
            layers: Some(7),
            ..ClassifierOptions::new(0)
        };
        let config = BertConfig::tiny(50);
        let Err(ConfigError::Invalid { problems }) = options.apply_to(&config) else {
            panic!("impossible options were accepted");
        };
        assert_eq!(
            problems,
            [
                "a classifier needs at least 1 label",
                "attention dropout (NaN) must be at least 0 and below 1",
                "cannot keep 7 layers of a model that has 2: give 1 to 2",
            ]
        );
    }
}
