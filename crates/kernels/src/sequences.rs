//! Sequences of different length behind one another, without padding.

use std::ops::Range;

use crate::lanes;

/// Which tokens of a batch belong together, and which of them ask.
///
/// A token that asks goes through the whole layer. Of a layer whose output is read at the first token only, that one
/// alone asks; the others are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// Where each begins, and where the last one ends.
    starts: Vec<usize>,
    asking: Asking,
}

/// Tokens of a sequence that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// All of them.
    All,
    /// The first one.
    First,
}

impl Sequences {
    /// Returns sequences of the given lengths, none of them zero.
    ///
    /// # Panics
    /// If a length is zero.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for length in lengths {
            assert!(length > 0, "a sequence has at least one token");
            end += length;
            starts.push(end);
        }
        Self { starts, asking: Asking::All }
    }

    /// Returns the same sequences with other tokens asking.
    #[must_use]
    pub fn with_asking(&self, asking: Asking) -> Self {
        Self { starts: self.starts.clone(), asking }
    }

    /// Which tokens ask.
    pub fn asking(&self) -> Asking {
        self.asking
    }

    /// The number of sequences.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.starts[self.count()]
    }

    /// The tokens of each sequence.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Rows of the asking tokens, and of all tokens, of each sequence.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
        self.ranges().enumerate().map(|(number, range)| match self.asking {
            Asking::All => (range.clone(), range),
            Asking::First => (number..number + 1, range),
        })
    }

    /// Splits a matrix with a row for each asking token by sequence.
    pub(crate) fn split_asking<'a>(
        &self,
        rows: &'a mut [f32],
        columns: usize,
    ) -> Vec<&'a mut [f32]> {
        split(rows, self.pairs().map(|(asking, _)| asking.len() * columns))
    }

    /// Splits a matrix with a row for each token by sequence.
    pub(crate) fn split_tokens<'a>(
        &self,
        rows: &'a mut [f32],
        columns: usize,
    ) -> Vec<&'a mut [f32]> {
        split(rows, self.ranges().map(|tokens| tokens.len() * columns))
    }

    /// Returns the rows of the asking tokens out of a matrix with a row for each token.
    pub(crate) fn gather(&self, rows: &[f32], columns: usize) -> Option<Vec<f32>> {
        (self.asking == Asking::First).then(|| {
            self.ranges()
                .flat_map(|range| &rows[range.start * columns..][..columns])
                .copied()
                .collect()
        })
    }

    /// Adds the rows of the first tokens to a matrix with a row for each token.
    pub(crate) fn scatter_add(&self, first: &[f32], columns: usize, rows: &mut [f32]) {
        for (first, range) in first.chunks(columns).zip(self.ranges()) {
            lanes::add(&mut rows[range.start * columns..], first);
        }
    }
}

fn split(mut rest: &mut [f32], sizes: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    sizes
        .map(|size| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(size);
            rest = others;
            part
        })
        .collect()
}
