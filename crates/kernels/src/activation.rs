//! The activation between the two products of a feed-forward block.

use crate::special;
use crate::vectorised::vectorised;
use crate::{lanes, tasks};

/// What `hidden_act` of a configuration names.
///
/// # Source
/// `ACT2FN` in `activations.py` of transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x).
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    /// The positive part.
    Relu,
}

const ROOT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

impl Activation {
    /// Returns the values at `inputs`.
    pub(crate) fn values(self, inputs: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; inputs.len()];
        tasks::for_blocks_of_two(inputs, &mut values, |inputs, values| {
            vectorised(
                #[inline(always)]
                || match self {
                    Self::Gelu => map(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| x * special::normal(x).0,
                    ),
                    Self::GeluTanh => map(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| {
                            let inner = ROOT_2_OVER_PI * (CUBIC * x * x).mul_add(x, x);
                            0.5 * x * (1.0 + special::tanh(inner))
                        },
                    ),
                    Self::Relu => map(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| if x < 0.0 { 0.0 } else { x },
                    ),
                },
            );
        });
        values
    }

    /// Returns the values at `inputs`, and leaves the derivatives in their place.
    pub(crate) fn values_and_derivatives(self, inputs: &mut [f32]) -> Vec<f32> {
        let mut values = vec![0.0; inputs.len()];
        tasks::for_blocks_of_both(inputs, &mut values, |inputs, values| {
            vectorised(
                #[inline(always)]
                || match self {
                    Self::Gelu => derive(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| {
                            let (probability, density) = special::normal(x);
                            (x * probability, x.mul_add(density, probability))
                        },
                    ),
                    Self::GeluTanh => derive(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| {
                            let inner = ROOT_2_OVER_PI * (CUBIC * x * x).mul_add(x, x);
                            let tanh = special::tanh(inner);
                            let slope = ROOT_2_OVER_PI * (3.0 * CUBIC * x).mul_add(x, 1.0);
                            let value = 0.5 * (1.0 + tanh);
                            (x * value, value + 0.5 * x * (1.0 - tanh * tanh) * slope)
                        },
                    ),
                    Self::Relu => derive(
                        inputs,
                        values,
                        #[inline(always)]
                        |x| {
                            let positive = if x > 0.0 { 1.0 } else { 0.0 };
                            (if x < 0.0 { 0.0 } else { x }, positive)
                        },
                    ),
                },
            );
        });
        values
    }
}

/// Multiplies each value by the factor at its place.
pub(crate) fn multiply_by(values: &mut [f32], factors: &[f32]) {
    tasks::for_blocks_of_two(factors, values, |factors, values| {
        vectorised(
            #[inline(always)]
            || lanes::multiply(values, factors),
        );
    });
}

#[inline(always)]
fn map(inputs: &[f32], values: &mut [f32], function: impl Fn(f32) -> f32) {
    for (value, input) in values.iter_mut().zip(inputs) {
        *value = function(*input);
    }
}

#[inline(always)]
fn derive(inputs: &mut [f32], values: &mut [f32], function: impl Fn(f32) -> (f32, f32)) {
    for (value, input) in values.iter_mut().zip(inputs) {
        (*value, *input) = function(*input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_the_slopes_of_values() {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let inputs: Vec<f32> = (-60..60).map(|i| (i as f32 + 0.5) / 10.0).collect();
            let mut derivatives = inputs.clone();
            let values = activation.values_and_derivatives(&mut derivatives);
            assert_eq!(values, activation.values(&inputs));
            let shifted =
                |by: f32| activation.values(&inputs.iter().map(|x| x + by).collect::<Vec<_>>());
            for (slope, (above, below)) in
                derivatives.iter().zip(shifted(0.01).iter().zip(shifted(-0.01)))
            {
                let estimate = (above - below) / 0.02;
                assert!(
                    (slope - estimate).abs() < 2e-4,
                    "{activation:?}: {slope} is not {estimate}"
                );
            }
        }
    }
}
