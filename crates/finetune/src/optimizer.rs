//! Update rules: weights, gradient and state in, weights and state out, in one pass over memory.
//!
//! State is kept by parameter and named after it, so that a checkpoint can be checked for
//! completeness. Weight decay spares biases and `LayerNorm`; the head has its own learning rate.

use burn::tensor::{Tensor, TensorData};
use converge_bert::{BertClassifier, Parameter};
use converge_core::settings::{Optimizer as Method, TrainSettings};

use crate::gradients::{Gradients, floats_mut};
use crate::layer_groups;

/// PyTorch's default smoothing of `RMSprop`.
const RMSPROP_SMOOTHING: f64 = 0.99;
/// PyTorch's default epsilon of `RMSprop`.
const RMSPROP_EPSILON: f64 = 1e-8;
/// PyTorch's default epsilon of `Adagrad`.
const ADAGRAD_EPSILON: f64 = 1e-10;

/// An optimizer with its state.
pub(crate) struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    head_multiplier: f64,
    /// State by parameter, in the order of the rule's [`slots`](Rule::slots); none where frozen.
    states: Vec<Option<Vec<Vec<f32>>>>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    AdamW { beta1: f64, beta2: f64, epsilon: f64 },
    Adam { beta1: f64, beta2: f64, epsilon: f64 },
    Sgd,
    Momentum { momentum: f64 },
    RmsProp,
    AdaGrad,
}

impl Rule {
    fn new(train: &TrainSettings) -> Self {
        let TrainSettings { beta1, beta2, epsilon, momentum, .. } = *train;
        match train.optimizer {
            Method::AdamW => Self::AdamW { beta1, beta2, epsilon },
            Method::Adam => Self::Adam { beta1, beta2, epsilon },
            Method::Sgd if momentum == 0.0 => Self::Sgd,
            Method::Sgd => Self::Momentum { momentum },
            Method::RmsProp => Self::RmsProp,
            Method::AdaGrad => Self::AdaGrad,
        }
    }

    /// Names what is kept for each element of a parameter.
    fn slots(self) -> &'static [&'static str] {
        match self {
            Self::AdamW { .. } | Self::Adam { .. } => &["first_moment", "second_moment"],
            Self::Sgd => &[],
            Self::Momentum { .. } => &["momentum"],
            Self::RmsProp => &["second_moment"],
            Self::AdaGrad => &["sum_of_squares"],
        }
    }
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
            let device = weights.device();
            let mut data: TensorData = weights.into_data();
            let learning_rate = update.learning_rate * multiplier;
            let update = Update { learning_rate, ..update };
            self.rule.apply(update, decay, floats_mut(&mut data), gradient, state);
            Tensor::from_data(data, &device)
        })
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

impl Rule {
    /// Updates one parameter.
    fn apply(
        self,
        update: Update,
        decay: f64,
        weights: &mut [f32],
        gradient: &[f32],
        state: &mut [Vec<f32>],
    ) {
        let Update { number, learning_rate, gradient_factor: factor } = update;
        match (self, state) {
            (Self::AdamW { beta1, beta2, epsilon }, [first, second]) => {
                let adam = Adam::new(beta1, beta2, epsilon, number, learning_rate);
                let keep = (1.0 - learning_rate * decay) as f32;
                adam.apply(weights, gradient, first, second, |weight, gradient| {
                    (weight * keep, gradient * factor)
                });
            }
            (Self::Adam { beta1, beta2, epsilon }, [first, second]) => {
                let adam = Adam::new(beta1, beta2, epsilon, number, learning_rate);
                let decay = decay as f32;
                adam.apply(weights, gradient, first, second, |weight, gradient| {
                    (weight, gradient * factor + decay * weight)
                });
            }
            (Self::Sgd, []) => {
                let (rate, decay) = (learning_rate as f32, decay as f32);
                for (weight, gradient) in weights.iter_mut().zip(gradient) {
                    *weight -= rate * (gradient * factor + decay * *weight);
                }
            }
            (Self::Momentum { momentum }, [velocity]) => {
                let [rate, decay, momentum] = [learning_rate, decay, momentum].map(|x| x as f32);
                for ((weight, gradient), velocity) in weights.iter_mut().zip(gradient).zip(velocity)
                {
                    *velocity = momentum * *velocity + (gradient * factor + decay * *weight);
                    *weight -= rate * *velocity;
                }
            }
            (Self::RmsProp, [second]) => {
                let [rate, decay, epsilon] =
                    [learning_rate, decay, RMSPROP_EPSILON].map(|x| x as f32);
                let [old, new] = [RMSPROP_SMOOTHING, 1.0 - RMSPROP_SMOOTHING].map(|x| x as f32);
                for ((weight, gradient), second) in weights.iter_mut().zip(gradient).zip(second) {
                    let gradient = gradient * factor + decay * *weight;
                    *second = old * *second + new * gradient * gradient;
                    *weight -= rate * gradient / (second.sqrt() + epsilon);
                }
            }
            (Self::AdaGrad, [sum]) => {
                let [rate, decay, epsilon] =
                    [learning_rate, decay, ADAGRAD_EPSILON].map(|x| x as f32);
                for ((weight, gradient), sum) in weights.iter_mut().zip(gradient).zip(sum) {
                    let gradient = gradient * factor + decay * *weight;
                    *sum += gradient * gradient;
                    *weight -= rate * gradient / (sum.sqrt() + epsilon);
                }
            }
            (rule, state) => {
                panic!("{rule:?} keeps {} slots, not {}", rule.slots().len(), state.len())
            }
        }
    }
}

/// The numbers of one Adam update, the same for all elements of a parameter.
///
/// # Source
/// Kingma and Ba 2015, algorithm 1, in the form of `torch.optim.Adam`: epsilon is added to the
/// root of the corrected second moment.
#[derive(Debug, Clone, Copy)]
struct Adam {
    beta1: f32,
    beta2: f32,
    new1: f32,
    new2: f32,
    epsilon: f32,
    /// Learning rate over the correction of the first moment.
    rate: f32,
    /// One over the root of the correction of the second moment.
    root: f32,
}

impl Adam {
    fn new(beta1: f64, beta2: f64, epsilon: f64, number: u64, learning_rate: f64) -> Self {
        let power = number as f64;
        let [correction1, correction2] = [beta1, beta2].map(|beta| 1.0 - beta.powf(power));
        Self {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            new1: (1.0 - beta1) as f32,
            new2: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
            rate: (learning_rate / correction1) as f32,
            root: (1.0 / correction2.sqrt()) as f32,
        }
    }

    /// `decay` makes the weight and the gradient to go on with from those given.
    fn apply(
        self,
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        decay: impl Fn(f32, f32) -> (f32, f32),
    ) {
        let state = first.iter_mut().zip(second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(state) {
            let (kept, gradient) = decay(*weight, *gradient);
            *first = self.beta1 * *first + self.new1 * gradient;
            *second = self.beta2 * *second + self.new2 * gradient * gradient;
            *weight = kept - self.rate * *first / (second.sqrt() * self.root + self.epsilon);
        }
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
