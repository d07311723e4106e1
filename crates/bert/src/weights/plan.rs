//! Which tensor of the files becomes which parameter.

use std::collections::BTreeMap;

use super::stored::{NumberType, Stored};
use super::{LoadReport, TensorProblem};
use crate::architecture::Architecture;
use crate::config::BertConfig;
use crate::mapping::Names;
use crate::parameters::{LayerGroup, Parameter};

/// Which tensor of the files becomes which parameter.
pub(super) struct Plan<'a> {
    names: &'static Names,
    /// Tensors not yet spoken for, by the name that the parameter table would give them.
    available: BTreeMap<String, &'a Stored<'a>>,
    /// By the parameter's index.
    pub(super) chosen: BTreeMap<usize, &'a Stored<'a>>,
    ignored: Vec<(String, String)>,
    pub(super) problems: Vec<TensorProblem>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tensors: &'a [Stored<'a>], architecture: Architecture) -> Self {
        let mut sorted: Vec<&Stored> = tensors.iter().collect();
        sorted.sort_by_key(|tensor| &tensor.name);
        let mut plan = Self {
            names: Names::of(architecture),
            available: BTreeMap::new(),
            chosen: BTreeMap::new(),
            ignored: Vec::new(),
            problems: Vec::new(),
        };
        for tensor in sorted {
            let canonical = canonical_name(&tensor.name, plan.names);
            if let Some(other) = plan.available.get(&canonical) {
                let reason = format!("`{}` is the same parameter", other.name);
                plan.ignored.push((tensor.name.clone(), reason));
            } else {
                plan.available.insert(canonical, tensor);
            }
        }
        plan
    }

    pub(super) fn choose(&mut self, parameters: &[Parameter]) {
        let of = |group| parameters.iter().filter(move |parameter| parameter.group == group);
        let head: Vec<&Parameter> = of(LayerGroup::Head).collect();
        let pooler: Vec<&Parameter> = of(LayerGroup::Pooler).collect();
        let is_there = |parameter: &&Parameter| self.available.contains_key(&parameter.name);
        let fits = |parameter: &&Parameter| {
            self.available
                .get(&parameter.name)
                .is_some_and(|found| found.shape == parameter.checkpoint_shape())
        };
        // Half a head is no head, while half a pooler is a damaged file.
        let use_head = head.iter().all(fits);
        let use_pooler = pooler.iter().any(is_there);
        for parameter in parameters {
            match parameter.group {
                LayerGroup::Head if !use_head => {}
                LayerGroup::Pooler if !use_pooler => {}
                _ => self.take(parameter),
            }
        }
    }

    fn take(&mut self, parameter: &Parameter) {
        let name = parameter.name.clone();
        let Some(found) = self.available.remove(&name) else {
            self.problems.push(TensorProblem::Missing { name });
            return;
        };
        let name = found.name.clone();
        let expected = parameter.checkpoint_shape();
        if found.shape != expected {
            let found = found.shape.clone();
            self.problems.push(TensorProblem::Shape { name, expected, found });
        } else if let NumberType::Other(found) = &found.number_type {
            self.problems.push(TensorProblem::Type { name, found: found.clone() });
        } else {
            self.chosen.insert(parameter.index, found);
        }
    }

    pub(super) fn report(&mut self, parameters: &[Parameter], config: &BertConfig) -> LoadReport {
        let mut ignored = std::mem::take(&mut self.ignored);
        for (canonical, found) in &self.available {
            let expected = parameters.iter().find(|parameter| parameter.name == *canonical);
            let reason = match expected {
                Some(parameter) => format!(
                    "another head: its shape is {:?}, this task's {:?}",
                    found.shape,
                    parameter.checkpoint_shape()
                ),
                None => reason_to_ignore(canonical, self.names, config),
            };
            ignored.push((found.name.clone(), reason));
        }
        ignored.sort();
        let newly_initialised =
            parameters.iter().filter(|parameter| !self.chosen.contains_key(&parameter.index));
        LoadReport {
            used: self.chosen.values().map(|found| found.name.clone()).collect(),
            ignored,
            newly_initialised: newly_initialised.map(|parameter| parameter.name.clone()).collect(),
        }
    }
}

/// Returns the name that the parameter table would use for a tensor of a file.
fn canonical_name(name: &str, names: &Names) -> String {
    let name = match name.strip_suffix(".gamma").or(name.strip_suffix(".beta")) {
        Some(module) if name.ends_with(".gamma") => format!("{module}.weight"),
        Some(module) => format!("{module}.bias"),
        None => name.to_owned(),
    };
    let is_of_base = BASE_MODULES.iter().any(|module| name.starts_with(module));
    if is_of_base { format!("{}{name}", names.base) } else { name }
}

/// Beginnings of the names in a model that was saved alone.
const BASE_MODULES: [&str; 4] = ["embeddings.", "encoder.", "transformer.", "pooler."];

/// Beginnings of the names of what pre-training ends in.
const PRETRAINING_HEADS: [&str; 5] =
    ["cls.", "lm_head.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."];

/// Says why a tensor that is no parameter of the model may be left out.
fn reason_to_ignore(canonical: &str, names: &Names, config: &BertConfig) -> String {
    if let Some(rest) = canonical.strip_prefix(&names.layers()) {
        let layer = rest.split('.').next().and_then(|number| number.parse::<usize>().ok());
        let layers = config.num_hidden_layers;
        if layer.is_some_and(|layer| layer >= layers) {
            return format!("only the first {layers} layers are kept");
        }
    }
    let of_base =
        |rest: &str| canonical.strip_prefix(names.base).is_some_and(|n| n.starts_with(rest));
    if PRETRAINING_HEADS.iter().any(|head| canonical.starts_with(head)) {
        "head of the pre-training task".to_owned()
    } else if canonical.strip_prefix(names.pooler).is_some_and(|rest| rest.starts_with('.')) {
        "mean pooling has no pooler".to_owned()
    } else if of_base("pooler.") {
        format!("{}'s classifier has a layer of its own for it", config.architecture.name())
    } else if of_base("embeddings.position_ids") {
        "positions are counted, not stored".to_owned()
    } else {
        format!("not part of a {} classifier", config.architecture.name())
    }
}
