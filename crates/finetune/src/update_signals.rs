//! What one update did: to the weights, and as its own batch's loss tells. Signals for `converge why`.

use burn::tensor::Tensor;
use converge_bert::{BertClassifier, Parameter, Rows, read_values};

use crate::gradients::{ChangeSums, Gradients, GroupSquares, Values, change_sums, floats};
use crate::layer_groups::{self, EMBEDDINGS, PerGroup};

/// The weights before an update, as far as it changes them.
pub(crate) struct BeforeUpdate {
    /// By parameter; none without a gradient.
    weights: Vec<Option<Before>>,
}

/// A parameter before an update.
#[expect(clippy::large_enum_variant, reason = "a hundred live at a time")]
enum Before {
    /// All of it, in the model's memory: the update has to copy what it changes.
    Whole(Tensor<1>),
    /// The rows that have a gradient, one after the other.
    Rows(Vec<f32>),
}

/// What an update did to the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WeightChange {
    /// |ΔW| / |W| by layer group, of what trains; none where nothing does, and for the embeddings, of which a step
    /// updates some rows and leaves the others for later.
    pub(crate) ratios: [Option<f64>; 5],
    /// What the loss of the batch would fall by if it were a plane: - gradient · ΔW.
    pub(crate) expected_drop: f64,
}

impl BeforeUpdate {
    /// Takes note of the weights that gradients are about to change.
    pub(crate) fn new(model: &BertClassifier, gradients: &Gradients) -> Self {
        let mut weights = Vec::new();
        model.visit_parameters(|parameter, tensor| {
            weights.push(gradients.of(parameter.index).map(|gradient| match gradient {
                Values::Rows(rows) => Before::Rows(rows_of(&tensor, rows, parameter)),
                Values::Dense(_) | Values::OnDevice(_) => Before::Whole(tensor),
            }));
        });
        Self { weights }
    }

    /// Compares with the weights after the update; `scale` is what the gradients were multiplied by.
    ///
    /// Waits for the device.
    pub(crate) fn compare(
        &self,
        model: &BertClassifier,
        gradients: &Gradients,
        scale: f32,
    ) -> WeightChange {
        let layers = model.config().num_hidden_layers;
        let (mut norms, mut changes) = (GroupSquares::default(), GroupSquares::default());
        let mut product = 0.0;
        model.visit_parameters(|parameter, after| {
            let Some(Some(before)) = self.weights.get(parameter.index) else { return };
            let Some(gradient) = gradients.of(parameter.index) else { return };
            let sums = before.compare(&after, gradient, parameter);
            let group = layer_groups::of(parameter, layers);
            norms.add(group, sums.square);
            changes.add(group, sums.change_square);
            product += sums.product;
        });
        let (norms, changes): (PerGroup, PerGroup) = (norms.norms(), changes.norms());
        let ratio = |group: usize| {
            (group != EMBEDDINGS && norms[group] > 0.0).then(|| changes[group] / norms[group])
        };
        WeightChange {
            ratios: std::array::from_fn(ratio),
            expected_drop: -product / f64::from(scale),
        }
    }
}

impl Before {
    fn compare(&self, after: &Tensor<1>, gradient: &Values, parameter: &Parameter) -> ChangeSums {
        match (self, gradient) {
            (Self::Whole(before), Values::Dense(gradient)) => read_values(after, |after| {
                read_values(before, |before| change_sums(before, after, floats(gradient)))
            }),
            (Self::Rows(before), Values::Rows(rows)) => {
                change_sums(before, &rows_of(after, rows, parameter), &rows.values)
            }
            (Self::Whole(before), Values::OnDevice(gradient)) => {
                let change = after.clone() - before.clone();
                let sums = [
                    (before.clone() * before.clone()).sum(),
                    (change.clone() * change.clone()).sum(),
                    (change * gradient.clone()).sum(),
                ];
                let sums = Tensor::cat(sums.to_vec(), 0).into_data();
                let [square, change_square, product] =
                    std::array::from_fn(|place| f64::from(floats(&sums)[place]));
                ChangeSums { square, change_square, product }
            }
            _ => panic!("the gradient of `{}` keeps its form", parameter.name),
        }
    }
}

/// Returns the rows of a parameter that have a gradient.
fn rows_of(tensor: &Tensor<1>, rows: &Rows, parameter: &Parameter) -> Vec<f32> {
    let columns = parameter.shape.last().copied().unwrap_or(1);
    read_values(tensor, |values| {
        let row = |number: &u32| &values[*number as usize * columns..][..columns];
        rows.numbers.iter().flat_map(row).copied().collect()
    })
}
