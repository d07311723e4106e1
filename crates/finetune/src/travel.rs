//! How far the weights have come from where they started.

use burn::tensor::Tensor;
use converge_bert::{BertClassifier, Parameter, read_values};

use crate::gradients::{GroupSquares, squared_distance, sum_of_squares};
use crate::layer_groups;

/// The weights before the first step.
pub(crate) struct Travel {
    /// By parameter; none where frozen.
    initial: Vec<Option<Tensor<1>>>,
    /// Norms by layer group; frozen parameters count, because they are part of W0.
    norms: layer_groups::PerGroup,
}

impl Travel {
    /// Takes note of the weights; they share memory with the model until its first update.
    pub(crate) fn new(model: &BertClassifier, trains: impl Fn(&Parameter) -> bool) -> Self {
        let layers = model.config().num_hidden_layers;
        let mut initial = Vec::new();
        let mut squares = GroupSquares::default();
        model.visit_parameters(|parameter, tensor| {
            let group = layer_groups::of(parameter, layers);
            squares.add(group, read_values(&tensor, sum_of_squares));
            initial.push(trains(parameter).then_some(tensor));
        });
        Self { initial, norms: squares.norms() }
    }

    /// Returns |W - W0| / |W0| by layer group; none where the group has no weights.
    ///
    /// Waits for the device.
    pub(crate) fn distances(&self, model: &BertClassifier) -> [Option<f64>; 5] {
        let layers = model.config().num_hidden_layers;
        let mut squares = GroupSquares::default();
        model.visit_parameters(|parameter, tensor| {
            if let Some(Some(initial)) = self.initial.get(parameter.index) {
                let distance = read_values(&tensor, |now| {
                    read_values(initial, |then| squared_distance(now, then))
                });
                squares.add(layer_groups::of(parameter, layers), distance);
            }
        });
        let distances = squares.norms();
        std::array::from_fn(|group| {
            let norm = self.norms[group];
            (norm > 0.0).then(|| distances[group] / norm)
        })
    }
}
