//! Update rules: weights, gradient and state in, weights and state out.
//!
//! State is kept by parameter and named after it, so that a checkpoint can be checked for
//! completeness. Weight decay spares biases and `LayerNorm`; the head has its own learning rate, and
//! with layer-wise decay every layer has.
//! On a processor weights and state are updated in place, in one pass over memory; elsewhere by the
//! device's own operations.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};
use converge_bert::{BertClassifier, Parameter};
use converge_core::settings::TrainSettings;
use converge_kernels::vectorised;

use crate::device;
use crate::gradients::{Gradients, sum_of};
use crate::layer_groups;
use host::HostStates;
use on_device::DeviceStates;
use rule::Rule;

mod host;
mod on_device;
mod rows;
mod rule;

/// An optimizer with its state.
pub(crate) struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    head_multiplier: f64,
    layerwise_decay: f64,
    states: States,
}

enum States {
    Host(HostStates),
    Device(DeviceStates),
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

/// One slot of the state of one parameter.
#[expect(clippy::large_enum_variant, reason = "a few live at a time")]
pub(crate) enum State<'a> {
    Host(&'a [f32]),
    Device(Tensor<1>),
}

impl<'a> State<'a> {
    pub(crate) fn elements(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            Self::Device(tensor) => tensor.shape().num_elements(),
        }
    }

    /// Waits for the device.
    pub(crate) fn into_values(self) -> Cow<'a, [f32]> {
        match self {
            Self::Host(values) => Cow::Borrowed(values),
            Self::Device(tensor) => {
                Cow::Owned(converge_bert::read_values(&tensor, <[f32]>::to_vec))
            }
        }
    }
}

impl Optimizer {
    /// Returns an optimizer for the parameters that `trains` says are not frozen, on a device outside autodiff.
    pub(crate) fn new(
        train: &TrainSettings,
        model: &BertClassifier,
        trains: impl Fn(&Parameter) -> bool,
        device: &Device,
    ) -> Self {
        let rule = Rule::new(train);
        let states = if device::is_processor(device) {
            States::Host(HostStates::new(rule, model.parameters(), trains))
        } else {
            States::Device(DeviceStates::new(rule, model, trains, device))
        };
        Self {
            rule,
            weight_decay: train.weight_decay,
            head_multiplier: train.head_multiplier(),
            layerwise_decay: train.layerwise_decay,
            states,
        }
    }

    /// Updates every parameter that is not frozen.
    pub(crate) fn update(
        &mut self,
        model: BertClassifier,
        gradients: &Gradients,
        update: Update,
    ) -> BertClassifier {
        let layers = model.config().num_hidden_layers;
        let Self { rule, weight_decay, head_multiplier, layerwise_decay, states } = self;
        let step = |parameter: &Parameter| {
            let multiplier = match layer_groups::depth(parameter, layers) {
                0 => *head_multiplier,
                // A product in order: what `powi` rounds to is not promised.
                depth => (0..depth).fold(1.0, |rate, _| rate * *layerwise_decay),
            };
            let decay = if parameter.decays { *weight_decay } else { 0.0 };
            let learning_rate = update.learning_rate * multiplier;
            rule.step(Update { learning_rate, ..update }, decay)
        };
        match states {
            States::Host(states) => states.update(model, gradients, step),
            States::Device(states) => states.update(model, gradients, step),
        }
    }

    /// Returns how much of Adam's step epsilon takes: the mean of ε / (√v̂ + ε) over the weights of the encoder's layers
    /// that train. Near 1 the learning rate is not what it says. None for other optimizers, and where no layer trains.
    ///
    /// Waits for the device.
    pub(crate) fn epsilon_share(&self, model: &BertClassifier, updates: u64) -> Option<f64> {
        let (epsilon, root) = self.rule.epsilon(updates)?;
        let layers = model.config().num_hidden_layers;
        let (mut sum, mut elements) = (0.0, 0);
        for parameter in model.parameters() {
            let group = layer_groups::of(parameter, layers);
            if group == layer_groups::EMBEDDINGS || group == layer_groups::HEAD {
                continue;
            }
            match &self.states {
                States::Host(states) => {
                    let Some([_, second]) = states.states[parameter.index].as_deref() else {
                        continue;
                    };
                    sum += vectorised(
                        #[inline(always)]
                        || sum_of(second, |second| epsilon / (second.sqrt() * root + epsilon)),
                    );
                }
                States::Device(states) => {
                    let Some(second) = states.of(parameter).and_then(|mut slots| slots.pop())
                    else {
                        continue;
                    };
                    let share = (second.sqrt() * root + epsilon).recip() * epsilon;
                    sum += converge_bert::read_values(&share.sum(), |sum| f64::from(sum[0]));
                }
            }
            elements += parameter.elements();
        }
        (elements > 0).then(|| sum / elements as f64)
    }

    /// Lets rows that have missed updates make them: those of the word table about to be read, or
    /// all.
    ///
    /// Weights and states are only then what [`update`](Self::update) says that they are.
    pub(crate) fn catch_up(
        &mut self,
        model: BertClassifier,
        rows: Option<&[u32]>,
    ) -> BertClassifier {
        match &mut self.states {
            States::Host(states) => states.catch_up(model, rows),
            States::Device(_) => model,
        }
    }

    /// Returns name and content of every state, in the order of the parameters.
    pub(crate) fn states<'a>(
        &'a self,
        parameters: &'a [Parameter],
    ) -> impl Iterator<Item = (String, State<'a>)> {
        parameters.iter().flat_map(move |parameter| {
            let values: Vec<State<'a>> = match &self.states {
                States::Host(states) => {
                    let slots = states.states[parameter.index].iter().flatten();
                    slots.map(|values| State::Host(values)).collect()
                }
                States::Device(states) => {
                    let slots = states.of(parameter).into_iter().flatten();
                    slots.map(State::Device).collect()
                }
            };
            let name = |slot: &&str| format!("{}.{slot}", parameter.name);
            self.rule.slots().iter().map(name).zip(values)
        })
    }

    /// Replaces every state by what `read` returns for its name and number of elements.
    ///
    /// # Errors
    /// The first of `read`.
    pub(crate) fn restore<E>(
        &mut self,
        parameters: &[Parameter],
        mut read: impl FnMut(&str, usize) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        let slots = self.rule.slots();
        for parameter in parameters {
            let elements = parameter.elements();
            for (index, slot) in slots.iter().enumerate() {
                let name = format!("{}.{slot}", parameter.name);
                match &mut self.states {
                    States::Host(states) => {
                        if let Some(state) = &mut states.states[parameter.index] {
                            state[index] = read(&name, elements)?;
                        }
                    }
                    States::Device(states) => {
                        if let Some(device) =
                            states.of(parameter).map(|slots| slots[index].device())
                        {
                            let data = TensorData::new(read(&name, elements)?, [elements]);
                            states.set(parameter, index, Tensor::from_data(data, &device));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
