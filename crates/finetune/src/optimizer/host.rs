//! An optimizer's state in this process's memory, and updates in place.

use burn::tensor::{Tensor, TensorData};
use converge_bert::{BertClassifier, Parameter};
use converge_kernels::{tasks, vectorised};

use super::rows::LateRows;
use super::rule::{Rule, Step};
use crate::gradients::{Gradients, Values, floats, floats_mut};

/// Elements that are updated as one piece of work.
const BLOCK: usize = 64 * 1024;

/// State by parameter.
pub(super) struct HostStates {
    /// In the order of the rule's [`slots`](Rule::slots); none where frozen.
    pub(super) states: Vec<Option<Vec<Vec<f32>>>>,
    /// By parameter, where gradients come in rows.
    late: Vec<Option<LateRows>>,
}

impl HostStates {
    /// Returns states of zero for the parameters that `trains` says are not frozen.
    pub(super) fn new(
        rule: Rule,
        parameters: &[Parameter],
        trains: impl Fn(&Parameter) -> bool,
    ) -> Self {
        let state = |parameter: &Parameter| {
            let slot = |_: &&str| vec![0.0; parameter.elements()];
            trains(parameter).then(|| rule.slots().iter().map(slot).collect())
        };
        Self {
            states: parameters.iter().map(state).collect(),
            late: parameters.iter().map(|_| None).collect(),
        }
    }

    /// Updates every parameter that is not frozen and has a gradient; weights are written in place unless something
    /// else holds them.
    pub(super) fn update(
        &mut self,
        model: BertClassifier,
        gradients: &Gradients,
        step: impl Fn(&Parameter) -> Step,
    ) -> BertClassifier {
        model.map_parameters(|parameter, weights| {
            let state = self.states[parameter.index].as_mut();
            let (Some(state), Some(gradient)) = (state, gradients.of(parameter.index)) else {
                return weights;
            };
            let step = step(parameter);
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
                Values::OnDevice(_) => panic!("a processor's gradients are in its memory"),
            })
        })
    }

    /// Lets rows that have missed updates make them: those of the word table about to be read, or all.
    pub(super) fn catch_up(
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
}

fn late_rows(parameter: &Parameter, state: &[Vec<f32>]) -> LateRows {
    let &[rows, columns] = parameter.shape.as_slice() else {
        panic!("`{}` has no rows", parameter.name)
    };
    LateRows::new(columns, rows, state)
}

/// Changes a tensor's values: in place, unless something else holds them.
fn in_place(tensor: Tensor<1>, change: impl FnOnce(&mut [f32])) -> Tensor<1> {
    let device = tensor.device();
    let mut data: TensorData = tensor.into_data();
    change(floats_mut(&mut data));
    Tensor::from_data(data, &device)
}

/// Applies a step to a whole parameter.
pub(super) fn apply(step: Step, weights: &mut [f32], gradient: &[f32], state: &mut [Vec<f32>]) {
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
