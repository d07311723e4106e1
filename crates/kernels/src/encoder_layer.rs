//! One encoder layer: attention, then a feed-forward block, each with dropout, residual and normalisation.
//!
//! # Source
//! `BertLayer` of transformers.

use crate::activation::Activation;
use crate::attention::{self, Heads, Projections};
use crate::dropout::Dropout;
use crate::matmul::{Fill, Matrix, multiply};
use crate::norm::{self, Norm, Site};
use crate::sequences::{Asking, Sequences};

/// Weight and bias of a linear layer.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// `[input, output]`
    pub weight: &'a [f32],
    /// `[output]`
    pub bias: &'a [f32],
}

/// Parameters of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `[hidden, hidden]`
    pub query: Linear<'a>,
    /// `[hidden, hidden]`
    pub key: Linear<'a>,
    /// `[hidden, hidden]`
    pub value: Linear<'a>,
    /// `[hidden, hidden]`
    pub attention_output: Linear<'a>,
    /// After attention.
    pub attention_norm: Norm<'a>,
    /// `[hidden, intermediate]`
    pub intermediate: Linear<'a>,
    /// `[intermediate, hidden]`
    pub output: Linear<'a>,
    /// After the feed-forward block.
    pub output_norm: Norm<'a>,
}

/// What is not learned.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Attention heads.
    pub heads: usize,
    /// Between the two products of the feed-forward block.
    pub activation: Activation,
    /// On the outputs of attention and of the feed-forward block.
    pub hidden_dropout: Dropout,
    /// On the attention probabilities.
    pub attention_dropout: Dropout,
}

impl Settings {
    fn heads(self, hidden: usize) -> Heads {
        Heads { hidden, heads: self.heads, dropout: self.attention_dropout }
    }

    fn attention_site(self) -> Site {
        Site { dropout: self.hidden_dropout, number: 1 }
    }

    fn output_site(self) -> Site {
        Site { dropout: self.hidden_dropout, number: 2 }
    }
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub struct Saved {
    projections: Projections,
    context: Vec<f32>,
    attention_norm: norm::Saved,
    attended: Vec<f32>,
    /// Before the activation.
    widened: Vec<f32>,
    output_norm: norm::Saved,
}

/// Computes a layer. Returns its output for each asking token, and what the backward pass needs.
///
/// # Shapes
/// - `input`: `[tokens, hidden]`
/// - output: `[asking, hidden]`
pub fn forward(
    settings: Settings,
    weights: &Weights<'_>,
    sequences: &Sequences,
    input: &[f32],
) -> (Vec<f32>, Saved) {
    let hidden = weights.query.bias.len();
    let gathered = sequences.gather(input, hidden);
    let asking = gathered.as_deref().unwrap_or(input);
    let projections = Projections {
        query: project(asking, weights.query),
        key: project(input, weights.key),
        value: project(input, weights.value),
    };
    let context = attention::forward(settings.heads(hidden), sequences, &projections);
    let projected = project(&context, weights.attention_output);
    let (attended, attention_norm) =
        norm::forward(weights.attention_norm, settings.attention_site(), projected, asking);
    let widened = project(&attended, weights.intermediate);
    let projected = project(&settings.activation.values(&widened), weights.output);
    let (output, output_norm) =
        norm::forward(weights.output_norm, settings.output_site(), projected, &attended);
    (output, Saved { projections, context, attention_norm, attended, widened, output_norm })
}

/// Gradients by weight and bias of a linear layer.
#[derive(Debug)]
pub struct LinearGradient {
    /// `[input, output]`
    pub weight: Vec<f32>,
    /// `[output]`
    pub bias: Vec<f32>,
}

/// Gradients by scale and shift of a normalisation.
#[derive(Debug)]
pub struct NormGradient {
    /// `[hidden]`
    pub gamma: Vec<f32>,
    /// `[hidden]`
    pub beta: Vec<f32>,
}

/// Gradients by everything that a layer computes with, shaped as in [`Weights`].
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of `Weights`")]
pub struct Gradients {
    /// `[tokens, hidden]`
    pub input: Vec<f32>,
    pub query: LinearGradient,
    pub key: LinearGradient,
    pub value: LinearGradient,
    pub attention_output: LinearGradient,
    pub attention_norm: NormGradient,
    pub intermediate: LinearGradient,
    pub output: LinearGradient,
    pub output_norm: NormGradient,
}

/// Takes the gradient by a layer's output back to its input and parameters.
///
/// # Shapes
/// - `input`: `[tokens, hidden]`, as given to [`forward`]
/// - `gradient`: `[asking, hidden]`
pub fn backward(
    settings: Settings,
    weights: &Weights<'_>,
    sequences: &Sequences,
    input: &[f32],
    saved: Saved,
    gradient: Vec<f32>,
) -> Gradients {
    let hidden = weights.query.bias.len();
    let gathered = sequences.gather(input, hidden);
    let asking = gathered.as_deref().unwrap_or(input);
    let Saved { projections, context, attention_norm, attended, mut widened, output_norm } = saved;

    let back =
        norm::backward(weights.output_norm.gamma, settings.output_site(), &output_norm, gradient);
    drop(output_norm);
    let activated = settings.activation.values_and_derivatives(&mut widened);
    let output = weight_gradient(&activated, back.projected(), back.bias.len());
    // By the activation's output, in the memory of the output itself.
    let mut by_widened = activated;
    back_through(back.projected(), weights.output, &mut by_widened, Fill::Replace);
    crate::activation::multiply_by(&mut by_widened, &widened);
    drop(widened);
    let output = LinearGradient { weight: output, bias: back.bias };
    let output_norm = NormGradient { gamma: back.gamma, beta: back.beta };
    let intermediate = linear_gradient(&attended, &by_widened, weights.intermediate);
    let mut by_attended = back.sum;
    back_through(&by_widened, weights.intermediate, &mut by_attended, Fill::Add);
    drop((by_widened, attended));

    let back = norm::backward(
        weights.attention_norm.gamma,
        settings.attention_site(),
        &attention_norm,
        by_attended,
    );
    drop(attention_norm);
    let attention_output = weight_gradient(&context, back.projected(), hidden);
    let mut by_context = context;
    back_through(back.projected(), weights.attention_output, &mut by_context, Fill::Replace);
    let attention_output = LinearGradient { weight: attention_output, bias: back.bias };
    let attention_gradient = NormGradient { gamma: back.gamma, beta: back.beta };
    let by = attention::backward(settings.heads(hidden), sequences, &projections, &by_context);
    drop((projections, by_context));

    let query = linear_gradient(asking, &by.query, weights.query);
    let key = linear_gradient(input, &by.key, weights.key);
    let value = linear_gradient(input, &by.value, weights.value);
    let mut by_asking = back.sum;
    back_through(&by.query, weights.query, &mut by_asking, Fill::Add);
    let by_input = match sequences.asking() {
        Asking::All => {
            back_through(&by.key, weights.key, &mut by_asking, Fill::Add);
            back_through(&by.value, weights.value, &mut by_asking, Fill::Add);
            by_asking
        }
        Asking::First => {
            let mut by_input = vec![0.0; input.len()];
            back_through(&by.key, weights.key, &mut by_input, Fill::Replace);
            back_through(&by.value, weights.value, &mut by_input, Fill::Add);
            sequences.scatter_add(&by_asking, hidden, &mut by_input);
            by_input
        }
    };
    Gradients {
        input: by_input,
        query,
        key,
        value,
        attention_output,
        attention_norm: attention_gradient,
        intermediate,
        output,
        output_norm,
    }
}

/// Applies a linear layer to each row.
fn project(input: &[f32], Linear { weight, bias }: Linear<'_>) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weight.len() / outputs;
    let rows = input.len() / inputs;
    // The product is added to the bias, so memory is filled once and not cleared first.
    let mut output = bias.repeat(rows);
    let (input, weight) = (Matrix::new(input, inputs), Matrix::new(weight, outputs));
    multiply(input, weight, [rows, inputs, outputs], &mut output, outputs, Fill::Add);
    output
}

/// Takes the gradient by a linear layer's output back to its input.
fn back_through(
    gradient: &[f32],
    Linear { weight, bias }: Linear<'_>,
    by_input: &mut [f32],
    fill: Fill,
) {
    let outputs = bias.len();
    let inputs = weight.len() / outputs;
    let rows = gradient.len() / outputs;
    let (gradient, weight) = (Matrix::new(gradient, outputs), Matrix::transposed(weight, outputs));
    multiply(gradient, weight, [rows, outputs, inputs], by_input, inputs, fill);
}

fn linear_gradient(
    input: &[f32],
    gradient: &[f32],
    Linear { bias, .. }: Linear<'_>,
) -> LinearGradient {
    let outputs = bias.len();
    LinearGradient {
        weight: weight_gradient(input, gradient, outputs),
        bias: norm::column_sums(gradient, outputs),
    }
}

fn weight_gradient(input: &[f32], gradient: &[f32], outputs: usize) -> Vec<f32> {
    let rows = gradient.len() / outputs;
    let inputs = input.len() / rows;
    let mut weight = vec![0.0; inputs * outputs];
    let (input, gradient) = (Matrix::transposed(input, inputs), Matrix::new(gradient, outputs));
    multiply(input, gradient, [inputs, rows, outputs], &mut weight, outputs, Fill::Replace);
    weight
}
