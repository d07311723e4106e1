//! Update rules, each as in PyTorch.

use burn::tensor::Tensor;
use converge_core::settings::{Optimizer as Method, TrainSettings};

use super::Update;

/// PyTorch's default smoothing of `RMSprop`.
const RMSPROP_SMOOTHING: f64 = 0.99;
/// PyTorch's default epsilon of `RMSprop`.
const RMSPROP_EPSILON: f64 = 1e-8;
/// PyTorch's default epsilon of `Adagrad`.
const ADAGRAD_EPSILON: f64 = 1e-10;

/// What makes new weights of old ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    AdamW { beta1: f64, beta2: f64, epsilon: f64 },
    Adam { beta1: f64, beta2: f64, epsilon: f64 },
    Sgd,
    Momentum { momentum: f64 },
    RmsProp,
    AdaGrad,
}

impl Rule {
    pub(super) fn new(train: &TrainSettings) -> Self {
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
    pub(super) fn slots(self) -> &'static [&'static str] {
        match self {
            Self::AdamW { .. } | Self::Adam { .. } => &["first_moment", "second_moment"],
            Self::Sgd => &[],
            Self::Momentum { .. } => &["momentum"],
            Self::RmsProp => &["second_moment"],
            Self::AdaGrad => &["sum_of_squares"],
        }
    }

    /// Returns, for the optimizers that divide by a root of moments that decay, the epsilon added to that root and what
    /// the root is multiplied by before, after so many updates.
    pub(super) fn epsilon(self, updates: u64) -> Option<(f32, f32)> {
        match self {
            Self::AdamW { beta1, beta2, epsilon } | Self::Adam { beta1, beta2, epsilon } => {
                let adam = Adam::new(beta1, beta2, epsilon, updates, 1.0);
                Some((adam.epsilon, adam.root))
            }
            Self::Sgd | Self::Momentum { .. } | Self::RmsProp | Self::AdaGrad => None,
        }
    }

    /// Returns the rule with the numbers of one update, the same for all elements of a parameter.
    pub(super) fn step(self, update: Update, decay: f64) -> Step {
        let Update { number, learning_rate, gradient_factor: factor } = update;
        let (rate, keep) = (learning_rate as f32, (1.0 - learning_rate * decay) as f32);
        let decay = decay as f32;
        match self {
            Self::AdamW { beta1, beta2, epsilon } => {
                let adam = Adam::new(beta1, beta2, epsilon, number, learning_rate);
                Step::AdamW { adam, keep, factor }
            }
            Self::Adam { beta1, beta2, epsilon } => {
                let adam = Adam::new(beta1, beta2, epsilon, number, learning_rate);
                Step::Adam { adam, decay, factor }
            }
            Self::Sgd => Step::Sgd { rate, decay, factor },
            Self::Momentum { momentum } => {
                Step::Momentum { rate, decay, factor, momentum: momentum as f32 }
            }
            Self::RmsProp => Step::RmsProp { rate, decay, factor },
            Self::AdaGrad => Step::AdaGrad { rate, decay, factor },
        }
    }
}

/// A rule with the numbers of one update. `factor` scales gradients, from clipping.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    AdamW { adam: Adam, keep: f32, factor: f32 },
    Adam { adam: Adam, decay: f32, factor: f32 },
    Sgd { rate: f32, decay: f32, factor: f32 },
    Momentum { rate: f32, decay: f32, factor: f32, momentum: f32 },
    RmsProp { rate: f32, decay: f32, factor: f32 },
    AdaGrad { rate: f32, decay: f32, factor: f32 },
}

impl Step {
    /// Updates elements, their state given by slot.
    #[inline(always)]
    pub(super) fn apply(self, weights: &mut [f32], gradient: &[f32], state: &mut [&mut [f32]]) {
        match (self, state) {
            (Self::AdamW { adam, keep, factor }, [first, second]) => {
                adam.apply(
                    weights,
                    gradient,
                    first,
                    second,
                    #[inline(always)]
                    |weight, gradient| (weight * keep, gradient * factor),
                );
            }
            (Self::Adam { adam, decay, factor }, [first, second]) => {
                adam.apply(
                    weights,
                    gradient,
                    first,
                    second,
                    #[inline(always)]
                    |weight, gradient| (weight, gradient * factor + decay * weight),
                );
            }
            (Self::Sgd { rate, decay, factor }, []) => {
                for (weight, gradient) in weights.iter_mut().zip(gradient) {
                    *weight -= rate * (gradient * factor + decay * *weight);
                }
            }
            (Self::Momentum { rate, decay, factor, momentum }, [velocity]) => {
                let velocity = velocity.iter_mut();
                for ((weight, gradient), velocity) in weights.iter_mut().zip(gradient).zip(velocity)
                {
                    *velocity = momentum * *velocity + (gradient * factor + decay * *weight);
                    *weight -= rate * *velocity;
                }
            }
            (Self::RmsProp { rate, decay, factor }, [second]) => {
                let epsilon = RMSPROP_EPSILON as f32;
                let [old, new] = [RMSPROP_SMOOTHING, 1.0 - RMSPROP_SMOOTHING].map(|x| x as f32);
                let second = second.iter_mut();
                for ((weight, gradient), second) in weights.iter_mut().zip(gradient).zip(second) {
                    let gradient = gradient * factor + decay * *weight;
                    *second = old * *second + new * gradient * gradient;
                    *weight -= rate * gradient / (second.sqrt() + epsilon);
                }
            }
            (Self::AdaGrad { rate, decay, factor }, [sum]) => {
                let epsilon = ADAGRAD_EPSILON as f32;
                let sum = sum.iter_mut();
                for ((weight, gradient), sum) in weights.iter_mut().zip(gradient).zip(sum) {
                    let gradient = gradient * factor + decay * *weight;
                    *sum += gradient * gradient;
                    *weight -= rate * gradient / (sum.sqrt() + epsilon);
                }
            }
            (step, state) => panic!("{step:?} does not keep {} slots", state.len()),
        }
    }

    /// Returns updated elements; [`apply`](Self::apply) by a device's operations.
    pub(super) fn apply_on_device(
        self,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut [Tensor<1>],
    ) -> Tensor<1> {
        // Where there is none to add, decay costs no pass over memory.
        let decayed = |gradient: Tensor<1>, factor: f32, decay: f32| {
            let scaled = gradient * factor;
            if decay == 0.0 { scaled } else { scaled + weights.clone() * decay }
        };
        match (self, state) {
            (Self::AdamW { adam, keep, factor }, [first, second]) => {
                let change = adam.change_on_device(gradient * factor, first, second);
                if keep == 1.0 { weights - change } else { weights * keep - change }
            }
            (Self::Adam { adam, decay, factor }, [first, second]) => {
                let change = adam.change_on_device(decayed(gradient, factor, decay), first, second);
                weights - change
            }
            (Self::Sgd { rate, decay, factor }, []) => {
                let gradient = decayed(gradient, factor, decay);
                weights - gradient * rate
            }
            (Self::Momentum { rate, decay, factor, momentum }, [velocity]) => {
                let gradient = decayed(gradient, factor, decay);
                *velocity = velocity.clone() * momentum + gradient;
                weights - velocity.clone() * rate
            }
            (Self::RmsProp { rate, decay, factor }, [second]) => {
                let gradient = decayed(gradient, factor, decay);
                let square = gradient.clone() * gradient.clone();
                *second = second.clone() * RMSPROP_SMOOTHING + square * (1.0 - RMSPROP_SMOOTHING);
                weights - gradient * rate / (second.clone().sqrt() + RMSPROP_EPSILON)
            }
            (Self::AdaGrad { rate, decay, factor }, [sum]) => {
                let gradient = decayed(gradient, factor, decay);
                *sum = sum.clone() + gradient.clone() * gradient.clone();
                weights - gradient * rate / (sum.clone().sqrt() + ADAGRAD_EPSILON)
            }
            (step, state) => panic!("{step:?} does not keep {} slots", state.len()),
        }
    }

    /// Updates elements whose gradient and state are all zero, if that leaves the state zero; says
    /// whether it did. The bits are those of [`apply`](Self::apply).
    #[inline(always)]
    pub(super) fn apply_to_untouched(self, weights: &mut [f32]) -> bool {
        match self {
            Self::AdamW { adam, keep, .. } => {
                // Without epsilon the update would be zero over zero.
                if adam.epsilon == 0.0 {
                    return false;
                }
                if keep != 1.0 {
                    for weight in weights {
                        *weight *= keep;
                    }
                }
                true
            }
            Self::Adam { adam, decay, .. } => decay == 0.0 && adam.epsilon != 0.0,
            Self::Sgd { decay, .. }
            | Self::Momentum { decay, .. }
            | Self::RmsProp { decay, .. }
            | Self::AdaGrad { decay, .. } => decay == 0.0,
        }
    }
}

/// The numbers of one Adam update.
///
/// # Source
/// Kingma and Ba 2015, algorithm 1, in the form of `torch.optim.Adam`: epsilon is added to the
/// root of the corrected second moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
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
    #[inline(always)]
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

    /// Updates the moments and returns what the weights are to lose.
    fn change_on_device(
        self,
        gradient: Tensor<1>,
        first: &mut Tensor<1>,
        second: &mut Tensor<1>,
    ) -> Tensor<1> {
        *first = first.clone() * self.beta1 + gradient.clone() * self.new1;
        *second = second.clone() * self.beta2 + gradient.clone() * gradient * self.new2;
        first.clone() * self.rate / (second.clone().sqrt() * self.root + self.epsilon)
    }
}
