//! Analysis of variance of a crossed design: every level of every factor with every other, equally often.
//!
//! Exact, by orthogonal contrasts: along each factor the cells become their mean and the deviations from it, so that
//! each resulting number belongs to one set of factors, and the squares of a set's numbers are its sum of squares.

use std::collections::BTreeMap;

/// A crossed design with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorial {
    /// Levels of each factor.
    pub levels: Vec<usize>,
    /// Values of each cell, equally many; the last factor runs fastest.
    pub cells: Vec<Vec<f64>>,
}

/// What belongs to one set of factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Places of the factors, ascending.
    pub factors: Vec<usize>,
    /// Degrees of freedom.
    pub degrees: u64,
    /// Sum of squares.
    pub squares: f64,
}

/// The variance of a design, in parts that add up to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decomposition {
    /// Mean of all values.
    pub mean: f64,
    /// One for each set of factors: by size, then by place.
    pub parts: Vec<Part>,
    /// Between the values of a cell: degrees and sum of squares.
    pub within: (u64, f64),
}

impl Factorial {
    /// Returns the number of values.
    pub fn values(&self) -> usize {
        self.cells.iter().map(Vec::len).sum()
    }

    /// Takes the variance apart.
    ///
    /// # Panics
    /// Where cells are missing, or have differently many values.
    pub fn decompose(&self) -> Decomposition {
        assert_eq!(self.cells.len(), self.levels.iter().product::<usize>(), "a cell per point");
        let replicates = self.cells.first().map_or(0, Vec::len);
        assert!(self.cells.iter().all(|cell| cell.len() == replicates), "as many values in each");
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = self.cells.iter().map(|cell| mean(cell)).collect();
        let squares_within = self
            .cells
            .iter()
            .zip(&means)
            .flat_map(|(cell, mean)| cell.iter().map(move |value| (value - mean).powi(2)))
            .sum();
        let within = ((self.cells.len() * replicates.saturating_sub(1)) as u64, squares_within);
        let grand = mean(&means);
        // What all share is taken off first, so that nothing is lost of small differences.
        let mut contrasts: Vec<f64> = means.iter().map(|mean| mean - grand).collect();
        let mut stride = self.cells.len();
        for levels in &self.levels {
            stride /= levels;
            contrast(&mut contrasts, *levels, stride);
        }
        Decomposition { mean: grand, parts: self.parts(&contrasts, replicates), within }
    }

    fn parts(&self, contrasts: &[f64], replicates: usize) -> Vec<Part> {
        let mut parts: BTreeMap<Vec<usize>, (u64, f64)> = BTreeMap::new();
        for (index, contrast) in contrasts.iter().enumerate() {
            let factors = self.factors_of(index);
            if !factors.is_empty() {
                let part = parts.entry(factors).or_default();
                part.0 += 1;
                part.1 += contrast * contrast * replicates as f64;
            }
        }
        let mut parts: Vec<Part> = parts
            .into_iter()
            .map(|(factors, (degrees, squares))| Part { factors, degrees, squares })
            .collect();
        parts.sort_by_key(|part| part.factors.len());
        parts
    }

    /// Returns the factors whose place in a cell's index is not the first: those that a contrast belongs to.
    fn factors_of(&self, index: usize) -> Vec<usize> {
        let (mut left, mut factors) = (index, Vec::new());
        for (factor, levels) in self.levels.iter().enumerate().rev() {
            if !left.is_multiple_of(*levels) {
                factors.push(factor);
            }
            left /= levels;
        }
        factors.reverse();
        factors
    }
}

/// Replaces the values along one factor by orthonormal contrasts: the first is their mean times the root of their
/// number, the others hold the differences.
///
/// # Source
/// Helmert's contrasts: level `n` against the mean of those before it.
fn contrast(values: &mut [f64], levels: usize, stride: usize) {
    let mut line = vec![0.0; levels];
    for start in (0..values.len()).filter(|start| (start / stride).is_multiple_of(levels)) {
        for (level, value) in line.iter_mut().enumerate() {
            *value = values[start + level * stride];
        }
        let mut before = line[0];
        for (level, value) in line.iter().enumerate().skip(1) {
            let count = level as f64;
            let difference = value - before / count;
            values[start + level * stride] = difference * (count / (count + 1.0)).sqrt();
            before += value;
        }
        values[start] = before / (levels as f64).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_two_by_two_is_taken_apart_by_hand() {
        // Effects of 1 and 3 around a mean of 10, and an interaction of 0.5.
        let cell = |a: f64, b: f64| 10.0 + a + 3.0 * b + 0.5 * a * b;
        let factorial = Factorial {
            levels: vec![2, 2],
            cells: [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
                .iter()
                .map(|(a, b)| vec![cell(*a, *b) - 0.1, cell(*a, *b) + 0.1])
                .collect(),
        };
        let found = factorial.decompose();
        assert!((found.mean - 10.0).abs() < 1e-12);
        let expected = [(vec![0], 8.0), (vec![1], 72.0), (vec![0, 1], 2.0)];
        assert_eq!(found.parts.len(), expected.len());
        for (part, (factors, squares)) in found.parts.iter().zip(expected) {
            assert_eq!((&part.factors, part.degrees), (&factors, 1));
            assert!((part.squares - squares).abs() < 1e-12, "{part:?}");
        }
        assert_eq!(found.within.0, 4);
        assert!((found.within.1 - 0.08).abs() < 1e-12);
    }

    #[test]
    fn the_parts_of_any_design_add_up_to_its_variance() {
        let levels = vec![3, 2, 4, 2];
        let count: usize = levels.iter().product();
        let value = |index: usize| (index as f64 * 1.7).sin() + (index % 7) as f64;
        let cells: Vec<Vec<f64>> =
            (0..count).map(|index| vec![value(index), value(index * 31 + 5)]).collect();
        let factorial = Factorial { levels, cells };
        let found = factorial.decompose();
        let all: Vec<f64> = factorial.cells.concat();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let total: f64 = all.iter().map(|value| (value - mean).powi(2)).sum();
        let parts: f64 = found.parts.iter().map(|part| part.squares).sum();
        assert!((parts + found.within.1 - total).abs() < 1e-9 * total);
        let degrees: u64 = found.parts.iter().map(|part| part.degrees).sum();
        assert_eq!(degrees + found.within.0, all.len() as u64 - 1);
        assert_eq!(found.parts.len(), 15);
    }

    #[test]
    fn one_cell_has_no_parts() {
        let found = Factorial { levels: vec![], cells: vec![vec![3.0]] }.decompose();
        assert_eq!(found, Decomposition { mean: 3.0, parts: vec![], within: (0, 0.0) });
    }
}
