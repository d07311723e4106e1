//! Layer normalisation of a sum: `LayerNorm(dropout(projected) + residual)`, and its backward pass.
//!
//! # Source
//! Ba, Kiros and Hinton 2016, *Layer Normalization*; `BertSelfOutput` and `BertOutput` of transformers.

use crate::dropout::Dropout;
use crate::vectorised::vectorised;
use crate::{lanes, tasks};

/// Rows that are worked on as one piece. The sums over rows are made piece by piece, so it is fixed.
const ROWS: usize = 32;

/// Scale and shift of a normalisation.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// `[hidden]`
    pub gamma: &'a [f32],
    /// `[hidden]`
    pub beta: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// What the backward pass needs.
#[derive(Debug)]
pub(crate) struct Saved {
    /// The input less its mean, over its deviation: `[rows, hidden]`.
    normalised: Vec<f32>,
    /// One over the deviation of each row.
    inverse_deviation: Vec<f32>,
}

/// Where a normalisation's dropout stands: masks differ by site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) dropout: Dropout,
    pub(crate) number: u32,
}

/// Normalises `dropout(projected) + residual`, row by row. Returns the output too.
pub(crate) fn forward(
    norm: Norm<'_>,
    site: Site,
    mut projected: Vec<f32>,
    residual: &[f32],
) -> (Vec<f32>, Saved) {
    let hidden = norm.gamma.len();
    let rows = projected.len() / hidden;
    let mut output = vec![0.0; projected.len()];
    let mut inverse_deviation = vec![0.0; rows];
    let pieces = projected
        .chunks_mut(ROWS * hidden)
        .zip(residual.chunks(ROWS * hidden))
        .zip(output.chunks_mut(ROWS * hidden))
        .zip(inverse_deviation.chunks_mut(ROWS))
        .enumerate()
        .collect();
    tasks::for_each(pieces, |(piece, (((projected, residual), output), deviations))| {
        vectorised(
            #[inline(always)]
            || {
                let mut factors = vec![0.0; hidden];
                for (row, deviation) in deviations.iter_mut().enumerate() {
                    let range = row * hidden..(row + 1) * hidden;
                    let (values, output) =
                        (&mut projected[range.clone()], &mut output[range.clone()]);
                    let residual = &residual[range];
                    if site.dropout.is_off() {
                        lanes::add(values, residual);
                    } else {
                        site.dropout.factors(
                            site.number,
                            (piece * ROWS + row) as u64,
                            &mut factors,
                        );
                        for ((value, residual), factor) in
                            values.iter_mut().zip(residual).zip(&factors)
                        {
                            *value = value.mul_add(*factor, *residual);
                        }
                    }
                    *deviation = normalise(norm, values, output);
                }
            },
        );
    });
    (output, Saved { normalised: projected, inverse_deviation })
}

/// Normalises a row in place and writes the output. Returns one over the deviation.
#[inline(always)]
fn normalise(norm: Norm<'_>, values: &mut [f32], output: &mut [f32]) -> f32 {
    let count = values.len() as f32;
    let mean = lanes::sum(
        values,
        #[inline(always)]
        |value| value,
    ) / count;
    let variance = lanes::sum(
        values,
        #[inline(always)]
        |value| (value - mean) * (value - mean),
    ) / count;
    let inverse = 1.0 / (variance + norm.epsilon).sqrt();
    let affine = norm.gamma.iter().zip(norm.beta);
    for ((value, output), (gamma, beta)) in values.iter_mut().zip(output).zip(affine) {
        *value = (*value - mean) * inverse;
        *output = value.mul_add(*gamma, *beta);
    }
    inverse
}

/// Gradients that a normalisation hands back.
#[derive(Debug)]
pub(crate) struct Backward {
    /// By the sum that was normalised, which is that by the residual: `[rows, hidden]`.
    pub(crate) sum: Vec<f32>,
    /// By what was projected, where dropout makes it another than `sum`.
    projected: Option<Vec<f32>>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    /// By a bias that was added to what was projected.
    pub(crate) bias: Vec<f32>,
}

impl Backward {
    /// Returns the gradient by what was projected.
    pub(crate) fn projected(&self) -> &[f32] {
        self.projected.as_deref().unwrap_or(&self.sum)
    }
}

/// Takes the gradient by the output back through the normalisation, whose gradients replace it.
pub(crate) fn backward(
    gamma: &[f32],
    site: Site,
    saved: &Saved,
    mut gradient: Vec<f32>,
) -> Backward {
    let hidden = gamma.len();
    let mut projected = if site.dropout.is_off() { Vec::new() } else { vec![0.0; gradient.len()] };
    let pieces = gradient.len().div_ceil(ROWS * hidden);
    let mut projected_pieces: Vec<&mut [f32]> = projected.chunks_mut(ROWS * hidden).collect();
    projected_pieces.resize_with(pieces, Default::default);
    let items = gradient
        .chunks_mut(ROWS * hidden)
        .zip(saved.normalised.chunks(ROWS * hidden))
        .zip(saved.inverse_deviation.chunks(ROWS))
        .zip(projected_pieces)
        .enumerate()
        .collect();
    let sums = tasks::map(items, |(piece, (((gradient, normalised), deviations), projected))| {
        let mut sums = [vec![0.0; hidden], vec![0.0; hidden], vec![0.0; hidden]];
        vectorised(
            #[inline(always)]
            || {
                let mut factors = vec![1.0; hidden];
                let [gammas, betas, biases] = &mut sums;
                for (row, inverse) in deviations.iter().enumerate() {
                    let range = row * hidden..(row + 1) * hidden;
                    let (gradient, normalised) =
                        (&mut gradient[range.clone()], &normalised[range.clone()]);
                    add_to(gammas, betas, gradient, normalised);
                    unnormalise(gamma, *inverse, gradient, normalised);
                    if site.dropout.is_off() {
                        lanes::add(biases, gradient);
                    } else {
                        site.dropout.factors(
                            site.number,
                            (piece * ROWS + row) as u64,
                            &mut factors,
                        );
                        let targets = projected[range].iter_mut().zip(biases.iter_mut());
                        for ((target, bias), (gradient, factor)) in
                            targets.zip(gradient.iter().zip(&factors))
                        {
                            *target = gradient * factor;
                            *bias += *target;
                        }
                    }
                }
            },
        );
        sums
    });
    let [gamma, beta, bias] = sum_of(sums);
    let projected = (!site.dropout.is_off()).then_some(projected);
    Backward { sum: gradient, projected, gamma, beta, bias }
}

#[inline(always)]
fn add_to(gammas: &mut [f32], betas: &mut [f32], gradient: &[f32], normalised: &[f32]) {
    for ((gamma, beta), (gradient, normalised)) in
        gammas.iter_mut().zip(betas).zip(gradient.iter().zip(normalised))
    {
        *gamma = gradient.mul_add(*normalised, *gamma);
        *beta += gradient;
    }
}

/// Turns the gradient by a row's output into the one by its input.
#[inline(always)]
fn unnormalise(gamma: &[f32], inverse: f32, gradient: &mut [f32], normalised: &[f32]) {
    lanes::multiply(gradient, gamma);
    let count = gradient.len() as f32;
    let mean = lanes::sum(
        gradient,
        #[inline(always)]
        |value| value,
    ) / count;
    let slope = lanes::dot(gradient, normalised) / count;
    for (gradient, normalised) in gradient.iter_mut().zip(normalised) {
        *gradient = inverse * (*gradient - normalised.mul_add(slope, mean));
    }
}

/// Adds up the sums of the pieces, in order.
fn sum_of<const N: usize>(pieces: Vec<[Vec<f32>; N]>) -> [Vec<f32>; N] {
    let mut pieces = pieces.into_iter();
    let mut total = pieces.next().unwrap_or_else(|| std::array::from_fn(|_| Vec::new()));
    for piece in pieces {
        for (total, piece) in total.iter_mut().zip(&piece) {
            lanes::add(total, piece);
        }
    }
    total
}

/// Returns the sums of the columns of a matrix with rows of `columns` elements: the gradient of a bias.
pub(crate) fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let pieces = values.chunks(ROWS * columns).collect();
    let sums = tasks::map(pieces, |piece: &[f32]| {
        let mut sums = vec![0.0; columns];
        vectorised(
            #[inline(always)]
            || {
                for row in piece.chunks(columns) {
                    lanes::add(&mut sums, row);
                }
            },
        );
        [sums]
    });
    let [sums] = sum_of(sums);
    sums
}
