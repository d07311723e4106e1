//! The stack of transformer layers.

use std::f64::consts::FRAC_1_SQRT_2;
#[cfg(feature = "flex")]
use std::sync::Arc;

use burn::module::Module;
use burn::nn::{
    Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig,
};
#[cfg(feature = "flex")]
use burn::tensor::GradientCheckpointingStrategy;
use burn::tensor::activation::{gelu, relu, tanh};
use burn::tensor::{Device, Tensor};
#[cfg(feature = "flex")]
use converge_kernels::{self as kernels, Sequences, encoder_layer::Settings};

use crate::attention::Attention;
use crate::config::{Activation, BertConfig};
#[cfg(feature = "flex")]
use crate::fused;
use crate::options::Precision;
#[cfg(feature = "flex")]
use crate::packed::Packed;

/// All encoder layers, applied in order.
///
/// # Source
/// `BertEncoder` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct Encoder {
    pub(crate) layers: Vec<EncoderLayer>,
}

/// Dropout probabilities inside an encoder layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropouts {
    /// On the outputs of attention and of the feed-forward block.
    pub(crate) hidden: f64,
    /// On the attention probabilities.
    pub(crate) attention: f64,
}

impl Encoder {
    /// Builds the module with parameters that are not yet allocated.
    pub(crate) fn unfilled(config: &BertConfig, dropouts: Dropouts, device: &Device) -> Self {
        let layer = |_| EncoderLayer::unfilled(config, dropouts, device);
        Self { layers: (0..config.num_hidden_layers).map(layer).collect() }
    }

    /// Applies every layer to its predecessor's output.
    ///
    /// # Shapes
    /// - `hidden_states`: `[batch, sequence, hidden]`
    /// - `mask`: `[batch, 1, 1, sequence]`, from [`additive_mask`](crate::attention::additive_mask)
    /// - output: `[batch, sequence, hidden]`
    pub fn forward(
        &self,
        hidden_states: Tensor<3>,
        mask: Tensor<4>,
        precision: Precision,
    ) -> Tensor<3> {
        self.layers.iter().fold(hidden_states, |hidden_states, layer| {
            layer.forward(hidden_states, mask.clone(), precision)
        })
    }
}

#[cfg(feature = "flex")]
impl Encoder {
    /// Applies every layer to packed tokens; of the last one, only the output of each example's first token is
    /// computed if `first_only`.
    ///
    /// # Shapes
    /// - `hidden_states`: `[tokens, hidden]`
    /// - output: `[tokens, hidden]`, or `[batch, hidden]` if `first_only`
    pub(crate) fn forward_packed(
        &self,
        hidden_states: Tensor<2>,
        packed: &Packed,
        first_only: bool,
        dropout_seed: u64,
    ) -> Tensor<2> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(hidden_states, |hidden_states, (number, layer)| {
            let sequences =
                if first_only && number == last { &packed.first_asking } else { &packed.sequences };
            let seed =
                dropout_seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            layer.forward_packed(hidden_states, sequences.clone(), seed)
        })
    }
}

/// One layer: attention, then a feed-forward block, each with residual and `LayerNorm`.
///
/// # Source
/// `BertLayer` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct EncoderLayer {
    pub(crate) attention: Attention,
    pub(crate) feed_forward: FeedForward,
    /// Of both normalisations.
    epsilon: f64,
}

impl EncoderLayer {
    fn unfilled(config: &BertConfig, dropouts: Dropouts, device: &Device) -> Self {
        Self {
            attention: Attention::unfilled(config, dropouts, device),
            feed_forward: FeedForward::unfilled(config, dropouts, device),
            epsilon: config.layer_norm_eps,
        }
    }

    /// Applies the layer to packed tokens, as one operation.
    ///
    /// # Shapes
    /// - `hidden_states`: `[tokens, hidden]`
    /// - output: `[asking, hidden]`
    #[cfg(feature = "flex")]
    pub(crate) fn forward_packed(
        &self,
        hidden_states: Tensor<2>,
        sequences: Arc<Sequences>,
        dropout_seed: u64,
    ) -> Tensor<2> {
        let Self { attention, feed_forward, .. } = self;
        let device = hidden_states.device();
        let trains = device.is_autodiff();
        let recompute = device.gradient_checkpointing_strategy()
            == Some(GradientCheckpointingStrategy::Balanced);
        let dropout = |dropout| fused::dropout(dropout, trains, dropout_seed);
        let settings = Settings {
            heads: attention.heads,
            activation: match feed_forward.activation {
                Activation::Gelu => kernels::Activation::Gelu,
                Activation::GeluTanh => kernels::Activation::GeluTanh,
                Activation::Relu => kernels::Activation::Relu,
            },
            hidden_dropout: dropout(&attention.output_dropout),
            attention_dropout: dropout(&attention.probabilities_dropout),
        };
        fused::encoder_layer(
            hidden_states,
            [&attention.query, &attention.key, &attention.value, &attention.output],
            &attention.layer_norm,
            [&feed_forward.intermediate, &feed_forward.output],
            &feed_forward.layer_norm,
            fused::LayerTask { settings, epsilon: self.epsilon as f32, sequences, recompute },
        )
    }

    /// Applies attention and feed-forward block.
    ///
    /// # Shapes
    /// - `hidden_states` and output: `[batch, sequence, hidden]`
    /// - `mask`: `[batch, 1, 1, sequence]`
    pub fn forward(
        &self,
        hidden_states: Tensor<3>,
        mask: Tensor<4>,
        precision: Precision,
    ) -> Tensor<3> {
        let attended = self.attention.forward(hidden_states, mask, precision);
        self.feed_forward.forward(attended, precision)
    }
}

/// Widens every token to `intermediate`, applies the activation, and comes back.
///
/// # Source
/// `BertIntermediate` and `BertOutput` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct FeedForward {
    pub(crate) intermediate: Linear,
    pub(crate) output: Linear,
    pub(crate) layer_norm: LayerNorm,
    output_dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    fn unfilled(config: &BertConfig, dropouts: Dropouts, device: &Device) -> Self {
        Self {
            intermediate: unfilled_linear(config.hidden_size, config.intermediate_size, device),
            output: unfilled_linear(config.intermediate_size, config.hidden_size, device),
            layer_norm: LayerNormConfig::new(config.hidden_size)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            output_dropout: DropoutConfig::new(dropouts.hidden).init(),
            activation: config.hidden_act,
        }
    }

    /// Applies the block to each token alone.
    ///
    /// # Shapes
    /// - `hidden_states` and output: `[batch, sequence, hidden]`
    pub fn forward(&self, hidden_states: Tensor<3>, precision: Precision) -> Tensor<3> {
        // [batch, sequence, intermediate]
        let wide = precision.linear(&self.intermediate, hidden_states.clone());
        let activated = activate(wide, self.activation);
        let projected = precision.widened(precision.linear(&self.output, activated));
        let projected = self.output_dropout.forward(projected);
        self.layer_norm.forward(projected + hidden_states)
    }
}

/// Applies the activation that `config.json` names.
///
/// # Source
/// `ACT2FN` in `activations.py`, beside [`modeling_bert.py`](crate#source).
fn activate(x: Tensor<3>, activation: Activation) -> Tensor<3> {
    match activation {
        // Written out where Burn has no operation of the library below for it: its default takes the gradient of the
        // tanh approximation for that of the exact function, which is off by up to 5e-4.
        Activation::Gelu if cfg!(any(feature = "wgpu", feature = "cuda")) => {
            let share = (x.clone() * FRAC_1_SQRT_2).erf() + 1.0;
            x * share * 0.5
        }
        Activation::Gelu => gelu(x),
        // Written out, because burn's version raises negative numbers to a float power, which
        // shading languages leave undefined.
        Activation::GeluTanh => {
            let cube = x.clone() * x.clone() * x.clone();
            let inner = (x.clone() + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
            x * (tanh(inner) + 1.0) * 0.5
        }
        Activation::Relu => relu(x),
    }
}

/// Returns a linear layer whose parameters are not yet allocated.
pub(crate) fn unfilled_linear(input: usize, output: usize, device: &Device) -> Linear {
    LinearConfig::new(input, output).with_initializer(Initializer::Zeros).init(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_known_values() {
        let apply = |activation| -> Vec<f32> {
            let x =
                Tensor::<3>::from_data([[[-2.0, -0.5, 0.0, 1.0, 3.0]]], &crate::device::of_tests());
            activate(x, activation).into_data().try_into_vec().unwrap()
        };
        let elsewhere = crate::device::name_of_tests() != "cpu";
        let tolerance = if elsewhere { 2e-6 } else { 5e-7 };
        let known = [
            (Activation::Gelu, [-0.045_500_26, -0.154_268_77, 0.0, 0.841_344_75, 2.995_950_31_f64]),
            (Activation::GeluTanh, [-0.045_402_31, -0.154_285_99, 0.0, 0.841_191_99, 2.996_362_61]),
            (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 3.0]),
        ];
        for (activation, known) in known {
            for (found, known) in apply(activation).iter().zip(known) {
                let difference = (f64::from(*found) - known).abs();
                assert!(difference < tolerance, "{activation:?}: {found} is not {known}");
            }
        }
    }
}
