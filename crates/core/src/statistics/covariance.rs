//! How the values of configurations vary and vary together: over validation examples and over seeds.

use super::draws::Draws;
use crate::items::Measure;
use crate::seed::Seed;

/// Resamples of the validation set, where a metric is no mean and its noise has to be found by drawing: the standard
/// error is then known to 1.6 %.
const RESAMPLES: usize = 2000;
/// The least of them, where there are so many trials and examples that all would take long: 3 %.
const FEWEST_RESAMPLES: usize = 500;
/// Answers that are looked at in all resamples together, a second's worth at most.
const LOOKS: usize = 200_000_000;

/// A symmetric matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    size: usize,
    values: Vec<f64>,
}

impl Covariance {
    /// All zero.
    pub fn new(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    /// Takes a symmetric matrix, row by row.
    pub fn from_values(size: usize, values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), size * size);
        Self { size, values }
    }

    /// Returns the number of rows.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the covariance of two values; of one with itself: its variance.
    pub fn of(&self, left: usize, right: usize) -> f64 {
        self.values[left * self.size + right]
    }

    /// Returns the variance of the difference of two values.
    pub fn of_difference(&self, left: usize, right: usize) -> f64 {
        let both = self.of(left, left) + self.of(right, right);
        (both - 2.0 * self.of(left, right)).max(0.0)
    }

    /// Adds to the variance of one value.
    pub fn add_variance(&mut self, of: usize, variance: f64) {
        self.values[of * self.size + of] += variance;
    }

    /// Multiplies every value by a factor, and with it its noise.
    pub fn scale(&mut self, factors: &[f64]) {
        for (row, of_row) in self.values.chunks_exact_mut(self.size.max(1)).zip(factors) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= of_row * factor);
        }
    }

    fn from_rows(rows: &[Vec<f64>]) -> Self {
        let mut covariance = Self::new(rows.len());
        for (left, row) in rows.iter().enumerate() {
            for (right, other) in rows.iter().enumerate().take(left + 1) {
                let value = product(row, other);
                covariance.values[left * rows.len() + right] = value;
                covariance.values[right * rows.len() + left] = value;
            }
        }
        covariance
    }

    /// Draws deviations that have this covariance.
    pub fn draw(&self, count: usize, seed: Seed) -> Deviations {
        let columns = self.root();
        let mut draws = Draws::new(seed);
        let mut values = vec![0.0; count * self.size];
        for deviations in values.chunks_exact_mut(self.size.max(1)) {
            for column in &columns {
                let normal = draws.normal();
                for (deviation, value) in deviations.iter_mut().zip(column) {
                    *deviation += normal * value;
                }
            }
        }
        Deviations { size: self.size.max(1), values }
    }

    /// Returns a matrix whose product with its transpose this is, as columns; fewer than rows where values hang
    /// together.
    ///
    /// # Source
    /// Cholesky's decomposition with pivots, which bears matrices without full rank: Higham 1990, *Analysis of the
    /// Cholesky decomposition of a semi-definite matrix*.
    fn root(&self) -> Vec<Vec<f64>> {
        let mut left: Vec<f64> = (0..self.size).map(|row| self.of(row, row)).collect();
        let least = 1e-12 * left.iter().copied().fold(0.0, f64::max);
        let mut columns: Vec<Vec<f64>> = Vec::new();
        loop {
            let pivot = (0..self.size).max_by(|a, b| left[*a].total_cmp(&left[*b]));
            let Some(pivot) = pivot.filter(|pivot| left[*pivot] > least) else { break };
            let scale = left[pivot].sqrt();
            let mut column: Vec<f64> = (0..self.size).map(|row| self.of(row, pivot)).collect();
            for earlier in &columns {
                let factor = earlier[pivot];
                for (value, of_earlier) in column.iter_mut().zip(earlier) {
                    *value -= factor * of_earlier;
                }
            }
            for (row, value) in column.iter_mut().enumerate() {
                // Rows that were pivots are done; what is left of them is rounding.
                *value = if left[row] == 0.0 { 0.0 } else { *value / scale };
                left[row] = (left[row] - *value * *value).max(0.0);
            }
            left[pivot] = 0.0;
            columns.push(column);
        }
        columns
    }
}

/// Deviations that were drawn with a covariance, draw by draw.
#[derive(Debug, Clone)]
pub struct Deviations {
    size: usize,
    values: Vec<f64>,
}

impl Deviations {
    /// Returns the draws, each with a deviation for every value.
    pub fn draws(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.size)
    }
}

/// What the validation examples say about noise.
pub struct OverItems {
    /// Of the configurations' means.
    pub covariance: Covariance,
    /// By configuration: how much the values of two of its replicates differ because each errs on other examples,
    /// as the variance of one; none with a single replicate.
    pub between_replicates: Vec<Option<f64>>,
}

/// Returns how means over replicates vary with the examples that a validation set is made of.
///
/// A mean over examples has its exact covariance; other metrics are computed on resamples that all trials share.
pub fn over_items(configurations: &[Vec<Measure>], items: usize, seed: Seed) -> Option<OverItems> {
    let rows = deviations(configurations, items, seed)?;
    let mut means = Vec::new();
    let mut between_replicates = Vec::new();
    for rows in &rows {
        let mut mean = vec![0.0; rows[0].len()];
        for row in rows {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / rows.len() as f64);
        }
        let around = |row: &Vec<f64>| -> f64 {
            row.iter().zip(&mean).map(|(value, mean)| (value - mean).powi(2)).sum()
        };
        let squares: f64 = rows.iter().map(around).sum();
        between_replicates.push((rows.len() > 1).then(|| squares / (rows.len() - 1) as f64));
        means.push(mean);
    }
    Some(OverItems { covariance: Covariance::from_rows(&means), between_replicates })
}

/// Returns a row for each trial, so that the product of two rows is the covariance of their values.
fn deviations(
    configurations: &[Vec<Measure>],
    items: usize,
    seed: Seed,
) -> Option<Vec<Vec<Vec<f64>>>> {
    if items < 2 {
        return None;
    }
    let of_means =
        |measure: &Measure| Some(centred(measure.scores()?, (items * (items - 1)) as f64));
    let exact: Option<Vec<Vec<Vec<f64>>>> =
        configurations.iter().map(|measures| measures.iter().map(of_means).collect()).collect();
    if exact.is_some() {
        return exact;
    }
    let measures: Vec<&Measure> = configurations.iter().flatten().collect();
    let resamples = (LOOKS / (items * measures.len()).max(1)).clamp(FEWEST_RESAMPLES, RESAMPLES);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(resamples); measures.len()];
    let mut draws = Draws::new(seed.stream("resamples of the validation set", 0));
    let mut weights = vec![0; items];
    for _ in 0..resamples {
        draws.resample(&mut weights);
        let values: Option<Vec<f64>> = measures
            .iter()
            .map(|measure| measure.value(Some(&weights)).filter(|value| value.is_finite()))
            .collect();
        // Where it is not defined for one it is left out for all, so that they stay paired.
        let Some(values) = values else { continue };
        drawn.iter_mut().zip(values).for_each(|(drawn, value)| drawn.push(value));
    }
    if drawn.first().is_none_or(|drawn| drawn.len() < resamples / 2) {
        return None;
    }
    let mut rows = drawn.iter().map(|drawn| centred(drawn, (drawn.len() - 1) as f64));
    Some(
        configurations
            .iter()
            .map(|measures| rows.by_ref().take(measures.len()).collect())
            .collect(),
    )
}

/// Returns the distances from the mean, over the root of `scale`.
fn centred(values: &[f64], scale: f64) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let scale = scale.sqrt();
    values.iter().map(|value| (value - mean) / scale).collect()
}

/// Returns the inner product, in four sums that a processor adds at once.
fn product(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (left, left_rest) = left.as_chunks::<4>();
    let (right, right_rest) = right.as_chunks::<4>();
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::{Answers, ItemResults};

    fn of(rows: &[&[f64]]) -> Covariance {
        Covariance::from_values(rows.len(), rows.concat())
    }

    #[test]
    fn what_is_drawn_has_the_covariance_also_where_values_hang_together() {
        let full = of(&[&[4.0, 1.0, -2.0], &[1.0, 2.0, 0.5], &[-2.0, 0.5, 3.0]]);
        let tied = of(&[&[1.0, 1.0, 0.5], &[1.0, 1.0, 0.5], &[0.5, 0.5, 1.0]]);
        for covariance in [full, tied, Covariance::new(3)] {
            let drawn = covariance.draw(40_000, Seed(5));
            for left in 0..3 {
                for right in 0..3 {
                    let sum: f64 = drawn.draws().map(|draw| draw[left] * draw[right]).sum();
                    let (found, expected) = (sum / 40_000.0, covariance.of(left, right));
                    assert!((found - expected).abs() < 0.1, "{found} instead of {expected}");
                }
            }
        }
        let tied = of(&[&[1.0, 1.0], &[1.0, 1.0]]);
        assert!(tied.draw(50, Seed(5)).draws().all(|draw| (draw[0] - draw[1]).abs() < 1e-9));
    }

    /// Two models on ten thousand examples of two classes: right on 80 %, and together on most.
    fn models(items: usize) -> (Answers, [ItemResults; 2]) {
        let mut draws = Draws::new(Seed(8));
        let mut right = Vec::new();
        let mut answers = [Vec::new(), Vec::new()];
        for _ in 0..items {
            let class = u32::from(draws.unit() < 0.5);
            let difficulty = draws.unit();
            right.push(class);
            for answers in &mut answers {
                let is_wrong = difficulty + 0.1 * draws.unit() > 0.85;
                answers.push(if is_wrong { 1 - class } else { class });
            }
        }
        let results = answers.map(|classes| ItemResults {
            answers: Answers::Classes { classes },
            losses: vec![0.0; items],
        });
        (Answers::Classes { classes: right }, results)
    }

    #[test]
    fn resamples_find_the_noise_that_is_known_exactly() {
        let (right, results) = models(1000);
        let found = |name: &str| {
            let measure = |results| vec![Measure::new(name, &[], &right, results).unwrap()];
            over_items(&results.each_ref().map(measure), 1000, Seed(2)).unwrap().covariance
        };
        // Of balanced classes that are as hard as each other, the macro-F1 is nearly the accuracy.
        let (exact, drawn) = (found("accuracy"), found("macro_f1"));
        for (left, right) in [(0, 0), (1, 1), (0, 1)] {
            let ratio = drawn.of(left, right) / exact.of(left, right);
            assert!((ratio - 1.0).abs() < 0.12, "{left} {right}: {ratio}");
        }
        let share = results[0].losses.len() as f64;
        assert!((exact.of(0, 0) - 0.2 * 0.8 / share).abs() < 0.1 * exact.of(0, 0));
    }

    #[test]
    fn replicates_that_answer_the_same_have_nothing_between_them() {
        let (right, results) = models(300);
        let measure = |results| Measure::new("accuracy", &[], &right, results).unwrap();
        let [first, second] = results.each_ref().map(measure);
        let over = |configurations: &[Vec<Measure>]| {
            over_items(configurations, 300, Seed(2)).unwrap().between_replicates
        };
        assert_eq!(over(&[vec![first.clone()]]), [None]);
        assert_eq!(over(&[vec![first.clone(), first.clone()]]), [Some(0.0)]);
        // Of two that differ: the variance of the difference over two.
        let between = over(&[vec![first.clone(), second.clone()]])[0].unwrap();
        let apart = over_items(&[vec![first], vec![second]], 300, Seed(2)).unwrap().covariance;
        assert!((between - apart.of_difference(0, 1) / 2.0).abs() < 1e-12);
    }
}
