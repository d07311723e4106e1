//! Scaled dot-product attention of packed sequences, and its backward pass.
//!
//! Probabilities are not kept for the backward pass but computed again: for the short sequences of classification that
//! is a fiftieth of a layer's arithmetic, and they would be a fifth of its memory.
//!
//! # Source
//! Vaswani et al. 2017, *Attention Is All You Need*, section 3.2; `BertSelfAttention` of transformers.

use std::ops::Range;

use crate::dropout::Dropout;
use crate::matmul::{Fill, Matrix, multiply};
use crate::sequences::Sequences;
use crate::special::exp;
use crate::vectorised::vectorised;
use crate::{lanes, tasks};

/// The site of the probabilities' dropout; see [`crate::norm::Site`] for the others.
const SITE: u32 = 0;

/// Projections of one layer's input.
#[derive(Debug)]
pub(crate) struct Projections {
    /// Of the tokens that ask: `[asking, hidden]`.
    pub(crate) query: Vec<f32>,
    /// Of all tokens: `[tokens, hidden]`.
    pub(crate) key: Vec<f32>,
    /// Of all tokens: `[tokens, hidden]`.
    pub(crate) value: Vec<f32>,
}

/// The shape of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) dropout: Dropout,
}

impl Heads {
    fn size(self) -> usize {
        self.hidden / self.heads
    }

    fn scale(self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
    }

    /// Writes the probabilities with which the queries of a head read the tokens of their sequence, and their dropout
    /// factors.
    fn probabilities(self, block: Block<'_>, probabilities: &mut [f32], factors: &mut [f32]) {
        let [asking, tokens] = block.dimensions();
        let (query, key) = (block.query(self), block.key(self));
        multiply(
            query,
            key.transpose(),
            [asking, self.size(), tokens],
            probabilities,
            tokens,
            Fill::Replace,
        );
        let scale = self.scale();
        vectorised(
            #[inline(always)]
            || {
                for row in probabilities.chunks_mut(tokens) {
                    softmax(row, scale);
                }
                if !self.dropout.is_off() {
                    self.dropout.factors(SITE, block.unit(self), factors);
                }
            },
        );
    }
}

/// One head of one sequence.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    projections: &'a Projections,
    sequence: usize,
    head: usize,
    asking: &'a Range<usize>,
    tokens: &'a Range<usize>,
}

impl<'a> Block<'a> {
    fn dimensions(self) -> [usize; 2] {
        [self.asking.len(), self.tokens.len()]
    }

    fn query(self, heads: Heads) -> Matrix<'a> {
        Matrix::new(
            &self.projections.query[self.asking.start * heads.hidden + self.offset(heads)..],
            heads.hidden,
        )
    }

    fn key(self, heads: Heads) -> Matrix<'a> {
        Matrix::new(
            &self.projections.key[self.tokens.start * heads.hidden + self.offset(heads)..],
            heads.hidden,
        )
    }

    fn value(self, heads: Heads) -> Matrix<'a> {
        Matrix::new(
            &self.projections.value[self.tokens.start * heads.hidden + self.offset(heads)..],
            heads.hidden,
        )
    }

    /// Where the head begins in a row.
    fn offset(self, heads: Heads) -> usize {
        self.head * heads.size()
    }

    fn unit(self, heads: Heads) -> u64 {
        (self.sequence * heads.heads + self.head) as u64
    }
}

/// Returns what each asking token reads: `[asking, hidden]`.
pub(crate) fn forward(heads: Heads, sequences: &Sequences, projections: &Projections) -> Vec<f32> {
    let mut context = vec![0.0; projections.query.len()];
    let parts = sequences.split_asking(&mut context, heads.hidden);
    let items = sequences.pairs().zip(parts).enumerate().collect();
    tasks::for_each(items, |(sequence, ((asking, tokens), context))| {
        let area = asking.len() * tokens.len();
        let (mut probabilities, mut factors) = (vec![0.0; area], vec![0.0; area]);
        for head in 0..heads.heads {
            let block = Block { projections, sequence, head, asking: &asking, tokens: &tokens };
            heads.probabilities(block, &mut probabilities, &mut factors);
            if !heads.dropout.is_off() {
                vectorised(
                    #[inline(always)]
                    || lanes::multiply(&mut probabilities, &factors),
                );
            }
            let weights = Matrix::new(&probabilities, tokens.len());
            let context = &mut context[block.offset(heads)..];
            let dimensions = [asking.len(), tokens.len(), heads.size()];
            multiply(weights, block.value(heads), dimensions, context, heads.hidden, Fill::Replace);
        }
    });
    context
}

/// Takes the gradient by what was read back to the projections.
pub(crate) fn backward(
    heads: Heads,
    sequences: &Sequences,
    projections: &Projections,
    gradient: &[f32],
) -> Projections {
    let mut query = vec![0.0; projections.query.len()];
    let mut key = vec![0.0; projections.key.len()];
    let mut value = vec![0.0; projections.value.len()];
    let queries = sequences.split_asking(&mut query, heads.hidden);
    let keys = sequences.split_tokens(&mut key, heads.hidden);
    let values = sequences.split_tokens(&mut value, heads.hidden);
    let items = sequences.pairs().zip(queries).zip(keys).zip(values).enumerate().collect();
    tasks::for_each(items, |(sequence, ((((asking, tokens), query), key), value))| {
        let area = asking.len() * tokens.len();
        let mut probabilities = vec![0.0; area];
        let mut factors = vec![1.0; area];
        let mut slopes = vec![0.0; area];
        let mut dropped = vec![0.0; area];
        for head in 0..heads.heads {
            let block = Block { projections, sequence, head, asking: &asking, tokens: &tokens };
            let (asking, tokens) = (asking.len(), tokens.len());
            let offset = block.offset(heads);
            let gradient = &gradient[block.asking.start * heads.hidden + offset..];
            let gradient = Matrix::new(gradient, heads.hidden);
            heads.probabilities(block, &mut probabilities, &mut factors);
            let value_transposed = block.value(heads).transpose();
            multiply(
                gradient,
                value_transposed,
                [asking, heads.size(), tokens],
                &mut slopes,
                tokens,
                Fill::Replace,
            );
            vectorised(
                #[inline(always)]
                || {
                    let rows = probabilities.chunks_mut(tokens).zip(slopes.chunks_mut(tokens));
                    let masks = factors.chunks(tokens).zip(dropped.chunks_mut(tokens));
                    for ((probabilities, slopes), (factors, dropped)) in rows.zip(masks) {
                        take_back(probabilities, slopes, factors, dropped, heads.scale());
                    }
                },
            );
            let value = &mut value[offset..];
            let read = Matrix::transposed(&dropped, tokens);
            multiply(
                read,
                gradient,
                [tokens, asking, heads.size()],
                value,
                heads.hidden,
                Fill::Replace,
            );
            let query = &mut query[offset..];
            let scores = Matrix::new(&slopes, tokens);
            multiply(
                scores,
                block.key(heads),
                [asking, tokens, heads.size()],
                query,
                heads.hidden,
                Fill::Replace,
            );
            let key = &mut key[offset..];
            let dimensions = [tokens, asking, heads.size()];
            multiply(
                scores.transpose(),
                block.query(heads),
                dimensions,
                key,
                heads.hidden,
                Fill::Replace,
            );
        }
    });
    Projections { query, key, value }
}

/// Turns the slopes by a row's dropped-out probabilities into those by its scores, and writes the probabilities as
/// they were read.
#[inline(always)]
fn take_back(
    probabilities: &[f32],
    slopes: &mut [f32],
    factors: &[f32],
    dropped: &mut [f32],
    scale: f32,
) {
    for ((slope, factor), (dropped, probability)) in
        slopes.iter_mut().zip(factors).zip(dropped.iter_mut().zip(probabilities))
    {
        *slope *= factor;
        *dropped = probability * factor;
    }
    let mean = lanes::dot(slopes, probabilities);
    for (slope, probability) in slopes.iter_mut().zip(probabilities) {
        *slope = probability * (*slope - mean) * scale;
    }
}

/// Turns a row of scores, times `scale`, into probabilities.
#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let largest = lanes::max(row);
    for value in row.iter_mut() {
        *value = exp((*value - largest) * scale);
    }
    let inverse = 1.0
        / lanes::sum(
            row,
            #[inline(always)]
            |value| value,
        );
    for value in row {
        *value *= inverse;
    }
}
