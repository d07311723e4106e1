//! Word, position and token-type embeddings with their normalisation, as one operation.

use std::sync::{Arc, Mutex};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex};
use burn::nn::{Embedding, LayerNorm};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use converge_kernels::embeddings::{self, Rows, Tables, Token};
use converge_kernels::{Dropout, Norm};

use super::{FusedOperations, Kept, contiguous, floats, into_floats, tensor};

/// Where the gradient by the word table goes, in the rows that a batch has.
///
/// Burn's own gradients are whole tensors. That by a table of 30,522 words is zero but for a few hundred rows, and
/// filling, measuring and applying the zeros would be a tenth of a step.
#[derive(Debug, Default)]
pub(crate) struct RowSink(Arc<Mutex<Option<Rows>>>);

impl RowSink {
    /// Returns a handle on the same sink.
    pub(crate) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    fn add(&self, rows: Rows, columns: usize) {
        let mut sum = self.0.lock().expect("nothing panics while it adds rows");
        match sum.as_mut() {
            Some(sum) => sum.add(&rows, columns),
            None => *sum = Some(rows),
        }
    }

    /// Takes what backward passes have put in.
    pub(crate) fn take(&self) -> Option<Rows> {
        self.0.lock().expect("nothing panics while it adds rows").take()
    }
}

impl Clone for RowSink {
    /// The copy of a model has gradients of its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What the embeddings are told beside their tensors.
#[derive(Debug)]
pub(crate) struct EmbeddingTask {
    pub(crate) tokens: Arc<[Token]>,
    pub(crate) dropout: Dropout,
    pub(crate) epsilon: f32,
    pub(crate) word_rows: RowSink,
}

/// Tables and normalisation of the embeddings.
#[derive(ExtensionType, Debug, Clone)]
pub(crate) struct EmbeddingTensors<B: Backend> {
    pub(super) word: FloatTensor<B>,
    pub(super) position: FloatTensor<B>,
    pub(super) token_type: FloatTensor<B>,
    pub(super) gamma: FloatTensor<B>,
    pub(super) beta: FloatTensor<B>,
}

/// Computes the embeddings outside autodiff.
pub(super) fn forward(parameters: EmbeddingTensors<Flex>, task: EmbeddingTask) -> FlexTensor {
    let EmbeddingTensors { word, position, token_type, gamma, beta } = parameters;
    compute(&[word, position, token_type, gamma, beta].map(contiguous), &task).0
}

/// Computes the embeddings and puts their backward pass into the graph.
pub(super) fn tracked<C: CheckpointStrategy>(
    parameters: EmbeddingTensors<Autodiff<Flex, C>>,
    task: EmbeddingTask,
) -> FloatTensor<Autodiff<Flex, C>> {
    let EmbeddingTensors { word, position, token_type, gamma, beta } = parameters;
    let tensors = [word, position, token_type, gamma, beta];
    let nodes = tensors.each_ref().map(|tensor| tensor.node());
    let tensors = tensors.map(|tensor| contiguous(tensor.into_primitive()));
    let (output, saved) = compute(&tensors, &task);
    match EmbeddingBackward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(operation) => {
            let rows = |table: &FlexTensor| table.layout().shape()[0];
            let kept = Forward {
                rows: [rows(&tensors[1]), rows(&tensors[2])],
                gamma: floats(&tensors[3]).to_vec(),
                saved,
                task,
            };
            operation.finish(Kept::new(kept), output)
        }
        OpsKind::UnTracked(operation) => operation.finish(output),
    }
}

fn compute(tensors: &[FlexTensor; 5], task: &EmbeddingTask) -> (FlexTensor, embeddings::Saved) {
    let [word, position, token_type, gamma, beta] = tensors.each_ref().map(floats);
    let tables = Tables { word, position, token_type };
    let norm = Norm { gamma, beta, epsilon: task.epsilon };
    let (output, saved) = embeddings::forward(tables, norm, task.dropout, &task.tokens);
    (tensor(output, vec![task.tokens.len(), gamma.len()]), saved)
}

/// What the backward pass needs. The tables are no part of it, so that they can be updated in place.
struct Forward {
    /// Of the tables of positions and of token types.
    rows: [usize; 2],
    gamma: Vec<f32>,
    saved: embeddings::Saved,
    task: EmbeddingTask,
}

#[derive(Debug)]
struct EmbeddingBackward;

impl Backward<Flex, 5> for EmbeddingBackward {
    type State = Kept<Forward>;

    fn backward(
        self,
        operation: Ops<Self::State, 5>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let Forward { rows, gamma, saved, task } = operation.state.take();
        let hidden = gamma.len();
        let gradient = into_floats(gradients.consume::<Flex>(&operation.node));
        let found = embeddings::backward(&gamma, task.dropout, &task.tokens, &saved, gradient);
        let [word, position, token_type, gamma, beta] = operation.parents;
        if word.is_some() {
            task.word_rows.add(found.word, hidden);
        }
        let [positions, types] = rows;
        let tables = [(position, found.position, positions), (token_type, found.token_type, types)];
        for (parent, found, rows) in tables {
            if let Some(node) = parent {
                let matrix = tensor(found.to_matrix(rows, hidden), vec![rows, hidden]);
                gradients.register::<Flex>(node.id, matrix);
            }
        }
        for (parent, found) in [(gamma, found.gamma), (beta, found.beta)] {
            if let Some(node) = parent {
                gradients.register::<Flex>(node.id, tensor(found, vec![hidden]));
            }
        }
    }
}

/// Embeds packed tokens.
///
/// # Shapes
/// - output: `[tokens, hidden]`
pub(crate) fn embed(
    (word, position, token_type): (&Embedding, &Embedding, Option<&Embedding>),
    norm: &LayerNorm,
    task: EmbeddingTask,
) -> Tensor<2> {
    let table = |embedding: &Embedding| embedding.weight.val().into_dispatch();
    // Every token is of type 0, and adds nothing, where a model has no types.
    let no_types = || {
        let words = word.weight.val();
        let [_, hidden] = words.dims();
        Tensor::<2>::zeros([1, hidden], &words.device()).into_dispatch()
    };
    let beta = norm.beta.as_ref().expect("BERT's normalisations have a shift");
    let parameters = EmbeddingTensors::<Dispatch> {
        word: table(word),
        position: table(position),
        token_type: token_type.map_or_else(no_types, table),
        gamma: norm.gamma.val().into_dispatch(),
        beta: beta.val().into_dispatch(),
    };
    Tensor::from_dispatch(<Dispatch as FusedOperations>::embed(parameters, task))
}
