//! Multi-head self-attention with its output projection, residual and normalisation.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor};

use crate::config::BertConfig;
use crate::encoder::{Dropouts, unfilled_linear};
use crate::options::Precision;

/// Self-attention of one encoder layer, up to and including its residual and `LayerNorm`.
///
/// # Source
/// `BertSelfAttention` and `BertSelfOutput` in [`modeling_bert.py`](crate#source).
#[derive(Module, Debug)]
pub struct Attention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    pub(crate) layer_norm: LayerNorm,
    pub(crate) probabilities_dropout: Dropout,
    pub(crate) output_dropout: Dropout,
    pub(crate) heads: usize,
}

impl Attention {
    /// Builds the module with parameters that are not yet allocated.
    pub(crate) fn unfilled(config: &BertConfig, dropouts: Dropouts, device: &Device) -> Self {
        let hidden = config.hidden_size;
        Self {
            query: unfilled_linear(hidden, hidden, device),
            key: unfilled_linear(hidden, hidden, device),
            value: unfilled_linear(hidden, hidden, device),
            output: unfilled_linear(hidden, hidden, device),
            layer_norm: LayerNormConfig::new(hidden)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            probabilities_dropout: DropoutConfig::new(dropouts.attention).init(),
            output_dropout: DropoutConfig::new(dropouts.hidden).init(),
            heads: config.num_attention_heads,
        }
    }

    /// Lets every token read from every unmasked one.
    ///
    /// # Shapes
    /// - `hidden_states`: `[batch, sequence, hidden]`
    /// - `mask`: `[batch, 1, 1, sequence]`, from [`additive_mask`]
    /// - output: `[batch, sequence, hidden]`
    pub fn forward(
        &self,
        hidden_states: Tensor<3>,
        mask: Tensor<4>,
        precision: Precision,
    ) -> Tensor<3> {
        let [batch, sequence, hidden] = hidden_states.dims();
        let head_size = hidden / self.heads;
        let split = |projected: Tensor<3>| {
            projected.reshape([batch, sequence, self.heads, head_size]).swap_dims(1, 2)
        };
        // Cast once for three layers.
        let input = precision.of(hidden_states.clone());
        let query = split(precision.linear(&self.query, input.clone()));
        let key = split(precision.linear(&self.key, input.clone()));
        let value = split(precision.linear(&self.value, input));

        // Dividing the query instead of the scores touches `head_size` numbers a token, not
        // `sequence`.
        let query = query.div_scalar((head_size as f64).sqrt());
        let scores = precision.widened(query.matmul(key.transpose())) + mask; // [batch, heads, sequence, sequence]
        let probabilities = self.probabilities_dropout.forward(softmax(scores, 3));
        let context = precision
            .of(probabilities)
            .matmul(value) // [batch, heads, sequence, head_size]
            .swap_dims(1, 2)
            .reshape([batch, sequence, hidden]);

        let projected = precision.widened(precision.linear(&self.output, context));
        let projected = self.output_dropout.forward(projected);
        self.layer_norm.forward(projected + hidden_states)
    }
}

/// Turns a mask of ones (token) and zeros (padding) into what is added to attention scores.
///
/// Zero for a token, the lowest finite number for padding: after the softmax its probability is
/// exactly zero as long as one token is unmasked.
///
/// # Shapes
/// - `attention_mask`: `[batch, sequence]`
/// - output: `[batch, 1, 1, sequence]`
///
/// # Source
/// `ModuleUtilsMixin.get_extended_attention_mask` in `modeling_utils.py` of the same commit as
/// [`modeling_bert.py`](crate#source).
pub fn additive_mask(attention_mask: Tensor<2, Int>) -> Tensor<4> {
    let [batch, sequence] = attention_mask.dims();
    let padding = attention_mask.float().neg().add_scalar(1.0);
    padding.mul_scalar(f32::MIN).reshape([batch, 1, 1, sequence])
}
