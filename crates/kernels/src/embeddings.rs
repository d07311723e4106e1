//! The sum of word, position and token-type embeddings, normalised.
//!
//! # Source
//! `BertEmbeddings` of transformers.

use crate::dropout::Dropout;
use crate::lanes;
use crate::norm::{self, Norm, Site};
use crate::vectorised::vectorised;

/// The site of the output's dropout; those of a layer have other keys.
const SITE: u32 = 0;

/// Embedding tables.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// `[vocabulary, hidden]`
    pub word: &'a [f32],
    /// `[positions, hidden]`
    pub position: &'a [f32],
    /// `[types, hidden]`
    pub token_type: &'a [f32],
}

/// Rows of the tables that make a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Row of the word table.
    pub word: u32,
    /// Row of the position table.
    pub position: u32,
    /// Row of the token-type table.
    pub token_type: u32,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub struct Saved {
    norm: norm::Saved,
}

/// Embeds tokens, and applies dropout to what comes out of the normalisation.
///
/// # Shapes
/// - output: `[tokens, hidden]`
///
/// # Panics
/// If a token names a row that its table does not have.
pub fn forward(
    tables: Tables<'_>,
    norm: Norm<'_>,
    dropout: Dropout,
    tokens: &[Token],
) -> (Vec<f32>, Saved) {
    let hidden = norm.gamma.len();
    let rows = |table: &[f32], row: &dyn Fn(&Token) -> u32| -> Vec<f32> {
        let mut rows = Vec::with_capacity(tokens.len() * hidden);
        for token in tokens {
            rows.extend_from_slice(&table[row(token) as usize * hidden..][..hidden]);
        }
        rows
    };
    let words = rows(tables.word, &|token| token.word);
    let mut places = rows(tables.position, &|token| token.position);
    for (place, token) in places.chunks_mut(hidden).zip(tokens) {
        let token_type = &tables.token_type[token.token_type as usize * hidden..][..hidden];
        lanes::add(place, token_type);
    }
    let (mut output, norm) =
        norm::forward(norm, Site { dropout: Dropout::OFF, number: 0 }, words, &places);
    drop_out(dropout, &mut output, hidden);
    (output, Saved { norm })
}

/// Gradients by tables and normalisation.
#[derive(Debug)]
pub struct Gradients {
    /// By the rows of the word table that the batch has.
    pub word: Rows,
    /// By the rows of the position table that the batch has.
    pub position: Rows,
    /// By the rows of the token-type table that the batch has.
    pub token_type: Rows,
    /// `[hidden]`
    pub gamma: Vec<f32>,
    /// `[hidden]`
    pub beta: Vec<f32>,
}

/// Some rows of a matrix whose other rows are zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Which rows, ascending.
    pub numbers: Vec<u32>,
    /// `[numbers, columns]`
    pub values: Vec<f32>,
}

impl Rows {
    /// Returns the whole matrix.
    pub fn to_matrix(&self, rows: usize, columns: usize) -> Vec<f32> {
        let mut matrix = vec![0.0; rows * columns];
        for (row, number) in self.values.chunks(columns).zip(&self.numbers) {
            matrix[*number as usize * columns..][..columns].copy_from_slice(row);
        }
        matrix
    }

    /// Adds other rows.
    pub fn add(&mut self, other: &Self, columns: usize) {
        let number = |rows: &Self, index: usize| rows.numbers.get(index).copied();
        let (mut sum, mut left, mut right) = (Self::default(), 0, 0);
        while let Some(next) = number(self, left).into_iter().chain(number(other, right)).min() {
            let start = sum.values.len();
            if number(self, left) == Some(next) {
                sum.values.extend_from_slice(&self.values[left * columns..][..columns]);
                left += 1;
            } else {
                sum.values.resize(start + columns, 0.0);
            }
            if number(other, right) == Some(next) {
                let added = &other.values[right * columns..][..columns];
                lanes::add(&mut sum.values[start..], added);
                right += 1;
            }
            sum.numbers.push(next);
        }
        *self = sum;
    }

    /// Adds up the rows of a matrix that have the same number, in their order.
    fn sum_by(numbers: impl Iterator<Item = u32>, values: &[f32], columns: usize) -> Self {
        let mut order: Vec<(u32, usize)> = numbers.zip(0..).collect();
        order.sort_unstable();
        let mut sum = Self::default();
        for (number, index) in order {
            let row = &values[index * columns..][..columns];
            if sum.numbers.last() == Some(&number) {
                let start = sum.values.len() - columns;
                lanes::add(&mut sum.values[start..], row);
            } else {
                sum.numbers.push(number);
                sum.values.extend_from_slice(row);
            }
        }
        sum
    }
}

/// Takes the gradient by the output back to the tables.
///
/// # Shapes
/// - `gradient`: `[tokens, hidden]`
pub fn backward(
    gamma: &[f32],
    dropout: Dropout,
    tokens: &[Token],
    saved: &Saved,
    mut gradient: Vec<f32>,
) -> Gradients {
    let hidden = gamma.len();
    drop_out(dropout, &mut gradient, hidden);
    let back =
        norm::backward(gamma, Site { dropout: Dropout::OFF, number: 0 }, &saved.norm, gradient);
    let sum = |row: &dyn Fn(&Token) -> u32| Rows::sum_by(tokens.iter().map(row), &back.sum, hidden);
    Gradients {
        word: sum(&|token| token.word),
        position: sum(&|token| token.position),
        token_type: sum(&|token| token.token_type),
        gamma: back.gamma,
        beta: back.beta,
    }
}

fn drop_out(dropout: Dropout, values: &mut [f32], columns: usize) {
    if dropout.is_off() {
        return;
    }
    let mut factors = vec![0.0; columns];
    vectorised(
        #[inline(always)]
        || {
            for (row, values) in values.chunks_mut(columns).enumerate() {
                dropout.factors(SITE, row as u64, &mut factors);
                lanes::multiply(values, &factors);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_same_number_are_summed_and_merged() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut rows = Rows::sum_by([7, 2, 7].into_iter(), &values, 2);
        assert_eq!(rows, Rows { numbers: vec![2, 7], values: vec![3.0, 4.0, 6.0, 8.0] });
        rows.add(&Rows { numbers: vec![0, 7], values: vec![1.0, 1.0, 10.0, 10.0] }, 2);
        let expected =
            Rows { numbers: vec![0, 2, 7], values: vec![1.0, 1.0, 3.0, 4.0, 16.0, 18.0] };
        assert_eq!(rows, expected);
        let matrix = rows.to_matrix(8, 2);
        assert_eq!(matrix.len(), 16);
        assert_eq!(
            (&matrix[..2], &matrix[2..4], &matrix[14..]),
            (&[1.0, 1.0][..], &[0.0, 0.0][..], &[16.0, 18.0][..])
        );
        rows.add(&Rows::default(), 2);
        assert_eq!(rows, expected);
    }
}
