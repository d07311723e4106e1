//! The gradient of a step: summed over micro-batches, measured by layer group, clipped as a whole.

use burn::tensor::{Tensor, TensorData};
use converge_bert::{BertClassifier, Gradient, Rows};
use converge_kernels::vectorised;

use crate::device;
use crate::layer_groups::{self, PerGroup};

/// Elements whose squares are added before they join the sum of their tensor. Fixed, so that no
/// sum depends on how many threads there are.
const CHUNK: usize = 4096;
/// Partial sums within a chunk: as wide as the vector units of common processors.
const LANES: usize = 16;

/// Gradients of all parameters, by their index; none for what is frozen.
#[derive(Default)]
pub(crate) struct Gradients {
    values: Vec<Option<Values>>,
}

/// The gradient by one parameter.
pub(crate) enum Values {
    /// All of it, in this process's memory.
    Dense(TensorData),
    /// All of it, in the memory of a device that is no processor.
    OnDevice(Tensor<1>),
    /// The rows that are not zero.
    Rows(Rows),
}

impl Values {
    fn new(gradient: Gradient) -> Self {
        match gradient {
            Gradient::Dense(tensor) if device::is_processor(&tensor.device()) => {
                Self::Dense(tensor.into_data())
            }
            Gradient::Dense(tensor) => Self::OnDevice(tensor),
            Gradient::Rows(rows) => Self::Rows(rows),
        }
    }

    fn add(&mut self, added: Self, columns: usize) {
        match (self, added) {
            (Self::Dense(sum), Self::Dense(added)) => {
                for (sum, added) in floats_mut(sum).iter_mut().zip(floats(&added)) {
                    *sum += added;
                }
            }
            (Self::OnDevice(sum), Self::OnDevice(added)) => *sum = sum.clone() + added,
            (Self::Rows(sum), Self::Rows(added)) => sum.add(&added, columns),
            _ => panic!("the gradient by a parameter keeps its form"),
        }
    }
}

impl Gradients {
    /// Adds the gradients of a part of the loss.
    ///
    /// Waits for the device.
    pub(crate) fn add_from(&mut self, model: &BertClassifier, loss: Tensor<1>) {
        let added = model.take_gradients(loss.backward());
        self.values.resize_with(added.len(), || None);
        for ((sum, added), parameter) in self.values.iter_mut().zip(added).zip(model.parameters()) {
            let Some(added) = added.map(Values::new) else { continue };
            match sum {
                Some(sum) => sum.add(added, *parameter.shape.last().unwrap_or(&1)),
                None => *sum = Some(added),
            }
        }
    }

    /// Returns the gradient by a parameter.
    pub(crate) fn of(&self, index: usize) -> Option<&Values> {
        self.values.get(index)?.as_ref()
    }

    /// Measures all gradients in one pass.
    ///
    /// Waits for the device.
    pub(crate) fn norms(&self, model: &BertClassifier) -> Norms {
        let layers = model.config().num_hidden_layers;
        let mut squares: [Option<f64>; 5] = [None; 5];
        let mut on_device: [Vec<Tensor<1>>; 5] = Default::default();
        for parameter in model.parameters() {
            let group = layer_groups::of(parameter, layers);
            let mut add = |square| squares[group] = Some(squares[group].unwrap_or(0.0) + square);
            match self.of(parameter.index) {
                Some(Values::Dense(data)) => add(sum_of_squares(floats(data))),
                Some(Values::Rows(rows)) => add(sum_of_squares(&rows.values)),
                Some(Values::OnDevice(tensor)) => on_device[group].push(tensor.clone()),
                None => {}
            }
        }
        let sums = sums_on_device(on_device);
        let squares: [_; 5] = std::array::from_fn(|group| squares[group].or(sums[group]));
        let global = squares.into_iter().flatten().sum::<f64>().sqrt();
        Norms { global, groups: squares.map(|square| square.map(f64::sqrt)) }
    }
}

/// Returns Σ x² over all tensors of each group; none where there are none.
///
/// A few long operations and one wait: gradients stay where they are.
fn sums_on_device(groups: [Vec<Tensor<1>>; 5]) -> [Option<f64>; 5] {
    let mut sums = [None; 5];
    let sum = |tensors: Vec<Tensor<1>>| {
        let all = Tensor::cat(tensors, 0);
        (all.clone() * all).sum()
    };
    let (places, found): (Vec<usize>, Vec<Tensor<1>>) = groups
        .into_iter()
        .enumerate()
        .filter(|(_, tensors)| !tensors.is_empty())
        .map(|(group, tensors)| (group, sum(tensors)))
        .unzip();
    if !found.is_empty() {
        let data = Tensor::cat(found, 0).into_data();
        for (place, value) in places.into_iter().zip(floats(&data)) {
            sums[place] = Some(f64::from(*value));
        }
    }
    sums
}

/// Norms of a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Norms {
    pub(crate) global: f64,
    /// By layer group; none where everything is frozen.
    pub(crate) groups: [Option<f64>; 5],
}

impl Norms {
    /// Returns the norms of gradients of which these are a multiple.
    pub(crate) fn divided_by(self, scale: f64) -> Self {
        Self { global: self.global / scale, groups: self.groups.map(|norm| Some(norm? / scale)) }
    }

    /// Returns the factor that brings the gradient down to a norm of `max_norm`; 0 turns it off.
    ///
    /// # Source
    /// `torch.nn.utils.clip_grad_norm_`: the small number keeps a norm of zero harmless.
    pub(crate) fn clip_factor(&self, max_norm: f64) -> f32 {
        if max_norm > 0.0 { (max_norm / (self.global + 1e-6)).min(1.0) as f32 } else { 1.0 }
    }
}

/// Returns Σ x², in an order that only the number of elements decides.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    sum_by_chunks(
        values,
        values,
        #[inline(always)]
        |value, _| value * value,
    )
}

/// Sums over the elements of a parameter that an update has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ChangeSums {
    /// Σ x², before the update.
    pub(crate) square: f64,
    /// Σ (y - x)²
    pub(crate) change_square: f64,
    /// Σ g · (y - x)
    pub(crate) product: f64,
}

/// Compares a parameter before and after an update with its gradient, in one pass and in an order that only the number
/// of elements decides.
pub(crate) fn change_sums(before: &[f32], after: &[f32], gradient: &[f32]) -> ChangeSums {
    let mut sums = ChangeSums::default();
    vectorised(
        #[inline(always)]
        || {
            let chunks = before.chunks(CHUNK).zip(after.chunks(CHUNK)).zip(gradient.chunks(CHUNK));
            for ((before, after), gradient) in chunks {
                sums.add_chunk(before, after, gradient);
            }
        },
    );
    sums
}

impl ChangeSums {
    #[inline(always)]
    fn add_chunk(&mut self, before: &[f32], after: &[f32], gradient: &[f32]) {
        let (before, before_rest) = before.as_chunks::<LANES>();
        let (after, after_rest) = after.as_chunks::<LANES>();
        let (gradient, gradient_rest) = gradient.as_chunks::<LANES>();
        let mut lanes = [[0.0_f32; LANES]; 3];
        for ((before, after), gradient) in before.iter().zip(after).zip(gradient) {
            for lane in 0..LANES {
                let change = after[lane] - before[lane];
                lanes[0][lane] += before[lane] * before[lane];
                lanes[1][lane] += change * change;
                lanes[2][lane] += gradient[lane] * change;
            }
        }
        let [square, change_square, product] =
            lanes.map(|lanes| lanes.into_iter().map(f64::from).sum::<f64>());
        self.square += square;
        self.change_square += change_square;
        self.product += product;
        for ((before, after), gradient) in before_rest.iter().zip(after_rest).zip(gradient_rest) {
            let change = after - before;
            self.square += f64::from(before * before);
            self.change_square += f64::from(change * change);
            self.product += f64::from(gradient * change);
        }
    }
}

/// Returns the sum of a term over all values, in an order that only their number decides.
pub(crate) fn sum_of(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    sum_by_chunks(
        values,
        values,
        #[inline(always)]
        |value, _| term(value),
    )
}

/// Returns Σ (x - y)², in an order that only the number of elements decides.
pub(crate) fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    sum_by_chunks(
        left,
        right,
        #[inline(always)]
        |left, right| (left - right) * (left - right),
    )
}

#[inline(always)]
fn sum_by_chunks(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    vectorised(
        #[inline(always)]
        || {
            for (left, right) in left.chunks(CHUNK).zip(right.chunks(CHUNK)) {
                total += sum_of_chunk(left, right, &term);
            }
        },
    );
    total
}

#[inline(always)]
fn sum_of_chunk(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            lanes[lane] += term(left[lane], right[lane]);
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    let rest = rest.map(|(left, right)| f64::from(term(*left, *right))).sum::<f64>();
    lanes.into_iter().map(f64::from).sum::<f64>() + rest
}

/// Returns the numbers of a parameter or gradient.
pub(crate) fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("parameters and gradients are f32")
}

/// Returns the numbers of a parameter or gradient, to be changed.
pub(crate) fn floats_mut(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("parameters and gradients are f32")
}

/// Returns the norm of each group of parameters, or of a difference of such.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GroupSquares(PerGroup);

impl GroupSquares {
    pub(crate) fn add(&mut self, group: usize, squares: f64) {
        self.0[group] += squares;
    }

    pub(crate) fn norms(self) -> PerGroup {
        self.0.map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_double_precision() {
        let values: Vec<f32> =
            (0..100_003).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect();
        let exact: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        let found = sum_of_squares(&values);
        assert!((found - exact).abs() < 1e-5 * exact, "{found} instead of {exact}");
        let shifted: Vec<f32> = values.iter().map(|value| value + 1.0).collect();
        assert!((squared_distance(&values, &shifted) - 100_003.0).abs() < 0.1);
        assert_eq!(sum_of_squares(&[]), 0.0);
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }

    #[test]
    fn one_pass_compares_an_update_with_its_gradient() {
        let of = |phase: usize| -> Vec<f32> {
            (0..10_007).map(|i| ((i * 37 + phase) % 101) as f32 / 101.0 - 0.5).collect()
        };
        let (before, after, gradient) = (of(0), of(5), of(50));
        let found = change_sums(&before, &after, &gradient);
        assert!((found.square - sum_of_squares(&before)).abs() < 1e-3);
        assert!((found.change_square - squared_distance(&before, &after)).abs() < 1e-3);
        let product: f64 = (0..10_007)
            .map(|i| f64::from(gradient[i]) * (f64::from(after[i]) - f64::from(before[i])))
            .sum();
        assert!((found.product - product).abs() < 1e-2, "{} instead of {product}", found.product);
    }

    #[test]
    fn a_gradient_within_the_limit_is_left_alone() {
        let norms = Norms { global: 4.0, groups: [None; 5] };
        assert_eq!(norms.clip_factor(0.0), 1.0);
        assert_eq!(norms.clip_factor(5.0), 1.0);
        assert!((norms.clip_factor(1.0) - 0.25).abs() < 1e-6);
        assert_eq!(Norms { global: 0.0, groups: [None; 5] }.clip_factor(1.0), 1.0);
    }
}
