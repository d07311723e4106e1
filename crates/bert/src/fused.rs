//! Whole blocks as single Burn operations with their own backward pass, on the processor.
//!
//! Burn composes a layer of some forty operations, each of which passes over memory, forward and back. The kernels of
//! `converge-kernels` do the same arithmetic in a few passes; here they become operations of Burn's graph.

mod embeddings;
mod encoder_layer;

use std::fmt;
use std::sync::{Arc, Mutex};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;
use converge_kernels::Dropout;

use embeddings::EmbeddingTensors;
pub(crate) use embeddings::{EmbeddingTask, RowSink, embed};
use encoder_layer::LayerTensors;
pub(crate) use encoder_layer::{LayerTask, encoder_layer};

/// Operations that the processor has as one.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedOperations: Backend {
    /// The embeddings of packed tokens: `[tokens, hidden]`.
    fn embed(
        #[extension_type] parameters: EmbeddingTensors<Self>,
        task: EmbeddingTask,
    ) -> FloatTensor<Self>;

    /// One encoder layer over packed tokens: `[tokens, hidden]` to `[asking, hidden]`.
    fn encoder_layer(
        input: FloatTensor<Self>,
        #[extension_type] parameters: LayerTensors<Self>,
        task: LayerTask,
    ) -> FloatTensor<Self>;
}

impl FusedOperations for Flex {
    fn embed(parameters: EmbeddingTensors<Self>, task: EmbeddingTask) -> FlexTensor {
        embeddings::forward(parameters, task)
    }

    fn encoder_layer(
        input: FlexTensor,
        parameters: LayerTensors<Self>,
        task: LayerTask,
    ) -> FlexTensor {
        encoder_layer::forward(input, parameters, task)
    }
}

impl<C: CheckpointStrategy> FusedOperations for Autodiff<Flex, C> {
    fn embed(parameters: EmbeddingTensors<Self>, task: EmbeddingTask) -> FloatTensor<Self> {
        embeddings::tracked(parameters, task)
    }

    fn encoder_layer(
        input: FloatTensor<Self>,
        parameters: LayerTensors<Self>,
        task: LayerTask,
    ) -> FloatTensor<Self> {
        encoder_layer::tracked(input, parameters, task)
    }
}

/// What an operation keeps from its forward to its backward pass, which takes it.
///
/// Burn clones the state of an operation; this clones a handle.
struct Kept<T>(Arc<Mutex<Option<T>>>);

impl<T> Kept<T> {
    fn new(kept: T) -> Self {
        Self(Arc::new(Mutex::new(Some(kept))))
    }

    fn take(&self) -> T {
        let taken = self.0.lock().expect("no backward pass panicked").take();
        taken.expect("a graph goes backward once")
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kept")
    }
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("made contiguous, and f32 is what this device computes with")
}

fn into_floats(tensor: FlexTensor) -> Vec<f32> {
    contiguous(tensor).into_data().try_into_vec().expect("a gradient is f32")
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Returns the kernels' dropout for that of a module, which acts in training only.
pub(crate) fn dropout(module: &burn::nn::Dropout, trains: bool, seed: u64) -> Dropout {
    if trains && module.training.is_enabled() {
        Dropout::new(module.prob, seed)
    } else {
        Dropout::OFF
    }
}
