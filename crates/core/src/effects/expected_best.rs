//! The best value that a sweep of so many independent draws reaches on average: would more trials help?

use serde::Serialize;

/// The expected best of some draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExpectedBest {
    /// Configurations drawn.
    pub configurations: u64,
    /// The best of them, on average.
    pub value: f64,
    /// How it was estimated.
    pub by: Estimator,
}

/// How an expected best value is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Over all sets of so many of the draws.
    Unbiased,
    /// Over draws from the draws with replacement: too low, but steady where nearly all draws are in every set.
    PlugIn,
}

/// Returns the expected best after 1, 2, 4, … draws and after all of them. `values` are of all draws, larger being
/// better.
pub fn expected_best(values: &[f64]) -> Vec<ExpectedBest> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all = sorted.len();
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |count| Some(count * 2))
        .take_while(|count| *count < all)
        .collect();
    counts.extend((all > 0).then_some(all));
    counts
        .into_iter()
        .map(|count| {
            // With more than half of the draws in every set, the sets are too alike.
            let by = if 2 * count <= all { Estimator::Unbiased } else { Estimator::PlugIn };
            let value = match by {
                Estimator::Unbiased => unbiased(&sorted, count),
                Estimator::PlugIn => plug_in(&sorted, count),
            };
            ExpectedBest { configurations: count as u64, value, by }
        })
        .collect()
}

/// Returns the mean, over all sets of `count` of the ascending values, of their largest.
///
/// # Source
/// Tang et al. 2020 (arXiv:2004.13705): `Σ v(i) C(i-1, n-1) / C(N, n)`.
pub fn unbiased(ascending: &[f64], count: usize) -> f64 {
    let all = ascending.len();
    // The share of sets whose largest value is the last, and from there downwards: no binomial overflows.
    let mut share = count as f64 / all as f64;
    let mut sum = 0.0;
    for place in (count..=all).rev() {
        sum += ascending[place - 1] * share;
        share *= (place - count) as f64 / (place - 1).max(1) as f64;
    }
    sum
}

/// Returns the expected largest of `count` draws with replacement from the ascending values.
///
/// # Source
/// Dodge et al. 2019 (arXiv:1909.03004): `Σ v(i) ((i/N)^n - ((i-1)/N)^n)`.
pub fn plug_in(ascending: &[f64], count: usize) -> f64 {
    let all = ascending.len() as f64;
    let up_to = |place: usize| (place as f64 / all).powf(count as f64);
    ascending
        .iter()
        .enumerate()
        .map(|(place, value)| value * (up_to(place + 1) - up_to(place)))
        .sum()
}

/// Returns the most that `more` further draws add on average: what the last as many added. An expected best value
/// rises ever more slowly.
pub fn gain_at_most(values: &[f64], more: usize) -> Option<f64> {
    let before = values.len().checked_sub(more).filter(|before| *before > 0)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(unbiased(&sorted, sorted.len()) - unbiased(&sorted, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_doublings_and_ends_with_all() {
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        let found = expected_best(&values);
        let counts: Vec<u64> = found.iter().map(|row| row.configurations).collect();
        assert_eq!(counts, [1, 2, 4, 8, 16, 24]);
        assert!((found[0].value - 11.5).abs() < 1e-12);
        assert_eq!(found[3].by, Estimator::Unbiased);
        assert_eq!(found[4].by, Estimator::PlugIn);
        assert!(found.windows(2).all(|pair| pair[0].value < pair[1].value));
        assert_eq!(expected_best(&[]), []);
        assert_eq!(expected_best(&[0.5]).len(), 1);
    }

    #[test]
    fn ten_thousand_draws_overflow_nothing() {
        let values: Vec<f64> = (0..10_000).map(|value| f64::from(value) / 10_000.0).collect();
        // The expected largest of n uniform numbers.
        assert!((unbiased(&values, 5_000) - 5_000.0 / 5_001.0).abs() < 1e-3);
        assert!((unbiased(&values, 10_000) - 0.9999).abs() < 1e-12);
    }

    #[test]
    fn further_draws_gain_at_most_what_the_last_gained() {
        assert_eq!(gain_at_most(&[0.1, 0.2, 0.9], 3), None);
        assert_eq!(gain_at_most(&[0.5; 8], 4), Some(0.0));
        assert!(gain_at_most(&[0.1, 0.2, 0.9, 0.3], 2).unwrap() > 0.1);
    }
}
