//! An optimizer's state in a device's memory, and updates by its own operations.
//!
//! Parameters that are treated alike are updated as one long vector: a dozen operations a step for each of ten sets,
//! where one by one they would be a thousand, each of which costs a GPU its launch. Nothing leaves the device.

use burn::tensor::{Device, Tensor};
use converge_bert::{BertClassifier, Parameter};

use super::rule::{Rule, Step};
use crate::gradients::{Gradients, Values};
use crate::layer_groups;

/// State by set of parameters that are treated alike.
pub(super) struct DeviceStates {
    sets: Vec<Set>,
}

/// Parameters of one layer group that all decay, or none of which does.
struct Set {
    alike: (usize, bool),
    members: Vec<Parameter>,
    elements: usize,
    /// In the order of the rule's [`slots`](Rule::slots), the members one after the other.
    state: Vec<Tensor<1>>,
}

impl DeviceStates {
    /// Returns states of zero for the parameters that `trains` says are not frozen.
    pub(super) fn new(
        rule: Rule,
        model: &BertClassifier,
        trains: impl Fn(&Parameter) -> bool,
        device: &Device,
    ) -> Self {
        let layers = model.config().num_hidden_layers;
        let mut sets: Vec<Set> = Vec::new();
        for parameter in model.parameters().iter().filter(|parameter| trains(parameter)) {
            let alike = (layer_groups::of(parameter, layers), parameter.decays);
            let index = sets.iter().position(|set| set.alike == alike).unwrap_or_else(|| {
                sets.push(Set { alike, members: Vec::new(), elements: 0, state: Vec::new() });
                sets.len() - 1
            });
            sets[index].elements += parameter.elements();
            sets[index].members.push(parameter.clone());
        }
        for set in &mut sets {
            let zeros = |_: &&str| Tensor::zeros([set.elements], device);
            set.state = rule.slots().iter().map(zeros).collect();
        }
        Self { sets }
    }

    /// Updates every parameter that is not frozen; one without a gradient as if it were zero.
    pub(super) fn update(
        &mut self,
        model: BertClassifier,
        gradients: &Gradients,
        step: impl Fn(&Parameter) -> Step,
    ) -> BertClassifier {
        let mut weights: Vec<Option<Tensor<1>>> = Vec::new();
        model.visit_parameters(|_, tensor| weights.push(Some(tensor)));
        for set in &mut self.sets {
            let old = set.members.iter().filter_map(|member| weights[member.index].take());
            let old = Tensor::cat(old.collect(), 0);
            let gradient = set.members.iter().map(|member| match gradients.of(member.index) {
                Some(Values::OnDevice(gradient)) => gradient.clone(),
                None => Tensor::zeros([member.elements()], &old.device()),
                Some(_) => panic!("a device's gradients are in its memory"),
            });
            let gradient = Tensor::cat(gradient.collect(), 0);
            let new = step(&set.members[0]).apply_on_device(old, gradient, &mut set.state);
            for (member, place) in set.places() {
                weights[member.index] = Some(new.clone().slice([place]));
            }
        }
        model.map_parameters(|parameter, old| weights[parameter.index].take().unwrap_or(old))
    }

    /// Returns the state of a parameter, by slot; none where it is frozen.
    pub(super) fn of(&self, parameter: &Parameter) -> Option<Vec<Tensor<1>>> {
        let (set, place) = self.find(parameter)?;
        let slots = self.sets[set].state.iter();
        Some(slots.map(|slot| slot.clone().slice([place.clone()])).collect())
    }

    /// Replaces one slot of the state of a parameter.
    pub(super) fn set(&mut self, parameter: &Parameter, slot: usize, values: Tensor<1>) {
        if let Some((set, place)) = self.find(parameter) {
            let slot = &mut self.sets[set].state[slot];
            *slot = slot.clone().slice_assign([place], values);
        }
    }

    fn find(&self, parameter: &Parameter) -> Option<(usize, std::ops::Range<usize>)> {
        self.sets.iter().enumerate().find_map(|(index, set)| {
            let mut places = set.places();
            let found = places.find(|(member, _)| member.index == parameter.index);
            found.map(|(_, place)| (index, place))
        })
    }
}

impl Set {
    /// Returns the members, each with the range of its elements.
    fn places(&self) -> impl Iterator<Item = (&Parameter, std::ops::Range<usize>)> {
        self.members.iter().scan(0, |end, member| {
            let begin = *end;
            *end += member.elements();
            Some((member, begin..*end))
        })
    }
}
