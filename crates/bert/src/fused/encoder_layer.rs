//! One encoder layer as one operation.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex};
use burn::nn::{LayerNorm, Linear as LinearModule};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use converge_kernels::encoder_layer::{self, Linear, Settings, Weights};
use converge_kernels::{Norm, Sequences};

use super::{FusedOperations, Kept, contiguous, floats, into_floats, tensor};

/// What an encoder layer is told beside its tensors.
#[derive(Debug, Clone)]
pub(crate) struct LayerTask {
    pub(crate) settings: Settings,
    pub(crate) epsilon: f32,
    pub(crate) sequences: Arc<Sequences>,
    /// Gradient checkpointing: the backward pass computes the layer once more instead of keeping what it needs of it.
    pub(crate) recompute: bool,
}

/// Parameters of a layer, in the order of [`Weights`].
#[derive(ExtensionType, Debug, Clone)]
pub(crate) struct LayerTensors<B: Backend> {
    pub(super) query_weight: FloatTensor<B>,
    pub(super) query_bias: FloatTensor<B>,
    pub(super) key_weight: FloatTensor<B>,
    pub(super) key_bias: FloatTensor<B>,
    pub(super) value_weight: FloatTensor<B>,
    pub(super) value_bias: FloatTensor<B>,
    pub(super) attention_output_weight: FloatTensor<B>,
    pub(super) attention_output_bias: FloatTensor<B>,
    pub(super) attention_gamma: FloatTensor<B>,
    pub(super) attention_beta: FloatTensor<B>,
    pub(super) intermediate_weight: FloatTensor<B>,
    pub(super) intermediate_bias: FloatTensor<B>,
    pub(super) output_weight: FloatTensor<B>,
    pub(super) output_bias: FloatTensor<B>,
    pub(super) output_gamma: FloatTensor<B>,
    pub(super) output_beta: FloatTensor<B>,
}

/// Tensors of a layer: its input and its parameters.
const TENSORS: usize = 17;

impl<B: Backend> LayerTensors<B> {
    fn into_array(self, input: FloatTensor<B>) -> [FloatTensor<B>; TENSORS] {
        [
            input,
            self.query_weight,
            self.query_bias,
            self.key_weight,
            self.key_bias,
            self.value_weight,
            self.value_bias,
            self.attention_output_weight,
            self.attention_output_bias,
            self.attention_gamma,
            self.attention_beta,
            self.intermediate_weight,
            self.intermediate_bias,
            self.output_weight,
            self.output_bias,
            self.output_gamma,
            self.output_beta,
        ]
    }
}

/// Computes a layer outside autodiff.
pub(super) fn forward(
    input: FlexTensor,
    parameters: LayerTensors<Flex>,
    task: LayerTask,
) -> FlexTensor {
    compute(&Layer { tensors: parameters.into_array(input).map(contiguous), task }).0
}

/// Computes a layer and puts its backward pass into the graph.
pub(super) fn tracked<C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<Flex, C>>,
    parameters: LayerTensors<Autodiff<Flex, C>>,
    task: LayerTask,
) -> FloatTensor<Autodiff<Flex, C>> {
    let tensors = parameters.into_array(input);
    let nodes = tensors.each_ref().map(|tensor| tensor.node());
    let layer = Layer { tensors: tensors.map(|tensor| contiguous(tensor.into_primitive())), task };
    let (output, saved) = compute(&layer);
    match LayerBackward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(operation) => {
            let saved = (!layer.task.recompute).then_some(saved);
            operation.finish(Kept::new((layer, saved)), output)
        }
        OpsKind::UnTracked(operation) => operation.finish(output),
    }
}

/// Input, parameters and task of one application of a layer.
struct Layer {
    tensors: [FlexTensor; TENSORS],
    task: LayerTask,
}

impl Layer {
    fn input(&self) -> &[f32] {
        floats(&self.tensors[0])
    }

    fn hidden(&self) -> usize {
        floats(&self.tensors[2]).len()
    }

    fn weights(&self) -> Weights<'_> {
        let linear = |first: usize| Linear {
            weight: floats(&self.tensors[first]),
            bias: floats(&self.tensors[first + 1]),
        };
        let norm = |first: usize| Norm {
            gamma: floats(&self.tensors[first]),
            beta: floats(&self.tensors[first + 1]),
            epsilon: self.task.epsilon,
        };
        Weights {
            query: linear(1),
            key: linear(3),
            value: linear(5),
            attention_output: linear(7),
            attention_norm: norm(9),
            intermediate: linear(11),
            output: linear(13),
            output_norm: norm(15),
        }
    }
}

fn compute(layer: &Layer) -> (FlexTensor, encoder_layer::Saved) {
    let task = &layer.task;
    let (output, saved) =
        encoder_layer::forward(task.settings, &layer.weights(), &task.sequences, layer.input());
    let hidden = layer.hidden();
    let rows = output.len() / hidden;
    (tensor(output, vec![rows, hidden]), saved)
}

#[derive(Debug)]
struct LayerBackward;

impl Backward<Flex, TENSORS> for LayerBackward {
    type State = Kept<(Layer, Option<encoder_layer::Saved>)>;

    fn backward(
        self,
        operation: Ops<Self::State, TENSORS>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (layer, saved) = operation.state.take();
        // Masks are functions of a seed, so that both computations are the same to the last bit.
        let saved = saved.unwrap_or_else(|| compute(&layer).1);
        let gradient = into_floats(gradients.consume::<Flex>(&operation.node));
        let task = &layer.task;
        let found = encoder_layer::backward(
            task.settings,
            &layer.weights(),
            &task.sequences,
            layer.input(),
            saved,
            gradient,
        );
        let values = [
            found.input,
            found.query.weight,
            found.query.bias,
            found.key.weight,
            found.key.bias,
            found.value.weight,
            found.value.bias,
            found.attention_output.weight,
            found.attention_output.bias,
            found.attention_norm.gamma,
            found.attention_norm.beta,
            found.intermediate.weight,
            found.intermediate.bias,
            found.output.weight,
            found.output.bias,
            found.output_norm.gamma,
            found.output_norm.beta,
        ];
        let parents = operation.parents.into_iter().zip(&layer.tensors);
        for ((parent, like), values) in parents.zip(values) {
            if let Some(node) = parent {
                let shape = like.layout().shape().to_vec();
                gradients.register::<Flex>(node.id, tensor(values, shape));
            }
        }
    }
}

/// Applies an encoder layer to packed tokens.
///
/// # Shapes
/// - `input`: `[tokens, hidden]`
/// - output: `[asking, hidden]`
pub(crate) fn encoder_layer(
    input: Tensor<2>,
    [query, key, value, attention_output]: [&LinearModule; 4],
    attention_norm: &LayerNorm,
    [intermediate, output]: [&LinearModule; 2],
    output_norm: &LayerNorm,
    task: LayerTask,
) -> Tensor<2> {
    let weight = |linear: &LinearModule| linear.weight.val().into_dispatch();
    let bias = |linear: &LinearModule| {
        let bias = linear.bias.as_ref().expect("BERT's linear layers have a bias");
        bias.val().into_dispatch()
    };
    let gamma = |norm: &LayerNorm| norm.gamma.val().into_dispatch();
    let beta = |norm: &LayerNorm| {
        norm.beta.as_ref().expect("BERT's normalisations have a shift").val().into_dispatch()
    };
    let parameters = LayerTensors::<Dispatch> {
        query_weight: weight(query),
        query_bias: bias(query),
        key_weight: weight(key),
        key_bias: bias(key),
        value_weight: weight(value),
        value_bias: bias(value),
        attention_output_weight: weight(attention_output),
        attention_output_bias: bias(attention_output),
        attention_gamma: gamma(attention_norm),
        attention_beta: beta(attention_norm),
        intermediate_weight: weight(intermediate),
        intermediate_bias: bias(intermediate),
        output_weight: weight(output),
        output_bias: bias(output),
        output_gamma: gamma(output_norm),
        output_beta: beta(output_norm),
    };
    let output =
        <Dispatch as FusedOperations>::encoder_layer(input.into_dispatch(), parameters, task);
    Tensor::from_dispatch(output)
}
