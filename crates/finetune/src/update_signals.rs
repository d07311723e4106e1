//! What one update did: to the weights, and as its own batch's loss tells. Signals for `converge why`.

use burn::tensor::Tensor;
use converge_bert::{BertClassifier, read_values};

use crate::device;
use crate::gradients::{
    Gradients, GroupSquares, Values, dot_of_change, floats, squared_distance, sum_of_squares,
};
use crate::layer_groups::{self, EMBEDDINGS, PerGroup};

/// The weights before an update. They share memory with the model, so that the update has to copy what it changes.
pub(crate) struct BeforeUpdate {
    /// By parameter; none without a gradient.
    weights: Vec<Option<Tensor<1>>>,
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
            weights.push(gradients.of(parameter.index).is_some().then_some(tensor));
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
            let Change { square, change_square, product: by_gradient } =
                change(before, &after, gradient, &parameter.shape);
            let group = layer_groups::of(parameter, layers);
            norms.add(group, square);
            changes.add(group, change_square);
            product += by_gradient;
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

/// What became of one parameter.
struct Change {
    /// |W|²
    square: f64,
    /// |ΔW|²
    change_square: f64,
    /// gradient · ΔW
    product: f64,
}

fn change(before: &Tensor<1>, after: &Tensor<1>, gradient: &Values, shape: &[usize]) -> Change {
    let on_host = |with: &dyn Fn(&[f32], &[f32]) -> Change| {
        read_values(after, |after| read_values(before, |before| with(before, after)))
    };
    match gradient {
        Values::Dense(gradient) => on_host(&|before, after| Change {
            square: sum_of_squares(before),
            change_square: squared_distance(before, after),
            product: dot_of_change(before, after, floats(gradient)),
        }),
        // Of the embeddings only the product counts.
        Values::Rows(rows) => on_host(&|before, after| {
            let columns = shape.last().copied().unwrap_or(1);
            let gradients = rows.values.chunks_exact(columns);
            let of_row = |(row, gradient): (&u32, &[f32])| {
                let place = *row as usize * columns..(*row as usize + 1) * columns;
                dot_of_change(&before[place.clone()], &after[place], gradient)
            };
            let product = rows.numbers.iter().zip(gradients).map(of_row).sum();
            Change { square: 0.0, change_square: 0.0, product }
        }),
        Values::OnDevice(gradient) => {
            debug_assert!(!device::is_processor(&after.device()), "gradients lie with weights");
            let difference = after.clone() - before.clone();
            let sums = [
                (before.clone() * before.clone()).sum(),
                (difference.clone() * difference.clone()).sum(),
                (difference * gradient.clone()).sum(),
            ];
            let sums = Tensor::cat(sums.to_vec(), 0).into_data();
            let [square, change_square, product] =
                std::array::from_fn(|place| f64::from(floats(&sums)[place]));
            Change { square, change_square, product }
        }
    }
}
