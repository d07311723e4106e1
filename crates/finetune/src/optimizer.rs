//! Update rules: weights, gradient and state in, weights and state out, in one pass over memory.
//!
//! State is kept by parameter and named after it, so that a checkpoint can be checked for
//! completeness. Weight decay spares biases and `LayerNorm`; the head has its own learning rate.

use burn::tensor::{Tensor, TensorData};
use converge_bert::{BertClassifier, Parameter};
use converge_core::settings::TrainSettings;
use converge_kernels::{tasks, vectorised};

use crate::gradients::{Gradients, Values, floats, floats_mut};
use crate::layer_groups;
use rows::LateRows;
use rule::{Rule, Step};

mod rows;
mod rule;

/// Elements that are updated as one piece of work.
const BLOCK: usize = 64 * 1024;

/// An optimizer with its state.
pub(crate) struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    head_multiplier: f64,
    /// State by parameter, in the order of the rule's [`slots`](Rule::slots); none where frozen.
    states: Vec<Option<Vec<Vec<f32>>>>,
    /// By parameter, where gradients come in rows.
    late: Vec<Option<LateRows>>,
}

/// What an update needs besides weights and gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    /// Updates count from 1 here: Adam's correction of its bias depends on it.
    pub(crate) number: u64,
    pub(crate) learning_rate: f64,
    /// What the gradients are multiplied by, from clipping.
    pub(crate) gradient_factor: f32,
}

impl Optimizer {
    /// Returns an optimizer for the parameters that `trains` says are not frozen.
    pub(crate) fn new(
        train: &TrainSettings,
        parameters: &[Parameter],
        trains: impl Fn(&Parameter) -> bool,
    ) -> Self {
        let rule = Rule::new(train);
        let state = |parameter: &Parameter| {
            let slot = |_: &&str| vec![0.0; parameter.elements()];
            trains(parameter).then(|| rule.slots().iter().map(slot).collect())
        };
        Self {
            rule,
            weight_decay: train.weight_decay,
            head_multiplier: train.head_learning_rate_multiplier,
            states: parameters.iter().map(state).collect(),
            late: parameters.iter().map(|_| None).collect(),
        }
    }

    /// Updates every parameter that is not frozen and has a gradient.
    ///
    /// On the CPU, weights are written in place unless something else holds them.
    pub(crate) fn update(
        &mut self,
        model: BertClassifier,
        gradients: &Gradients,
        update: Update,
    ) -> BertClassifier {
        let layers = model.config().num_hidden_layers;
        model.map_parameters(|parameter, weights| {
            let state = self.states[parameter.index].as_mut();
            let (Some(state), Some(gradient)) = (state, gradients.of(parameter.index)) else {
                return weights;
            };
            let is_head = layer_groups::of(parameter, layers) == layer_groups::HEAD;
            let multiplier = if is_head { self.head_multiplier } else { 1.0 };
            let decay = if parameter.decays { self.weight_decay } else { 0.0 };
            let learning_rate = update.learning_rate * multiplier;
            let step = self.rule.step(Update { learning_rate, ..update }, decay);
            let late = &mut self.late[parameter.index];
            in_place(weights, |weights| match gradient {
                Values::Dense(gradient) => {
                    if let Some(late) = late {
                        late.catch_up_all(weights, state);
                    }
                    apply(step, weights, floats(gradient), state);
                }
                Values::Rows(rows) => late
                    .get_or_insert_with(|| late_rows(parameter, state))
                    .update(step, &rows.numbers, &rows.values, weights, state),
            })
        })
    }

    /// Lets rows that have missed updates make them: those of the word table about to be read, or
    /// all.
    ///
    /// Weights and states are only then what [`update`](Self::update) says that they are.
    pub(crate) fn catch_up(
        &mut self,
        mut model: BertClassifier,
        rows: Option<&[u32]>,
    ) -> BertClassifier {
        for (index, (late, state)) in self.late.iter_mut().zip(&mut self.states).enumerate() {
            let (Some(late), Some(state)) = (late, state) else { continue };
            if late.is_up_to_date() {
                continue;
            }
            model = model.map_parameter(index, |weights| {
                in_place(weights, |weights| match rows {
                    Some(rows) => late.catch_up(rows, weights, state),
                    None => late.catch_up_all(weights, state),
                })
            });
        }
        model
    }

    /// Returns name and content of every state, in the order of the parameters.
    pub(crate) fn states<'a>(
        &'a self,
        parameters: &'a [Parameter],
    ) -> impl Iterator<Item = (String, &'a [f32])> {
        let slots = self.rule.slots();
        parameters.iter().zip(&self.states).flat_map(move |(parameter, state)| {
            let values = state.iter().flatten();
            slots
                .iter()
                .zip(values)
                .map(|(slot, values)| (format!("{}.{slot}", parameter.name), values.as_slice()))
        })
    }

    /// Returns name and content of every state, to be filled from a checkpoint.
    pub(crate) fn states_mut<'a>(
        &'a mut self,
        parameters: &'a [Parameter],
    ) -> impl Iterator<Item = (String, &'a mut Vec<f32>)> {
        let slots = self.rule.slots();
        parameters.iter().zip(&mut self.states).flat_map(move |(parameter, state)| {
            let values = state.iter_mut().flatten();
            slots
                .iter()
                .zip(values)
                .map(|(slot, values)| (format!("{}.{slot}", parameter.name), values))
        })
    }
}

fn late_rows(parameter: &Parameter, state: &[Vec<f32>]) -> LateRows {
    let &[rows, columns] = parameter.shape.as_slice() else {
        panic!("`{}` has no rows", parameter.name)
    };
    LateRows::new(columns, rows, state)
}

/// Changes a tensor's values: on the CPU in place, unless something else holds them.
fn in_place(tensor: Tensor<1>, change: impl FnOnce(&mut [f32])) -> Tensor<1> {
    let device = tensor.device();
    let mut data: TensorData = tensor.into_data();
    change(floats_mut(&mut data));
    Tensor::from_data(data, &device)
}

/// Applies a step to a whole parameter.
fn apply(step: Step, weights: &mut [f32], gradient: &[f32], state: &mut [Vec<f32>]) {
    let mut slots: Vec<_> = state.iter_mut().map(|slot| slot.chunks_mut(BLOCK)).collect();
    let blocks = weights.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
    let blocks = blocks
        .map(|(weights, gradient)| {
            (weights, gradient, slots.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>())
        })
        .collect();
    tasks::for_each(blocks, |(weights, gradient, mut state)| {
        vectorised(
            #[inline(always)]
            || step.apply(weights, gradient, &mut state),
        );
    });
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
