//! Two models on the same examples, or two configurations with the same seeds: tests that use the pairs.

use serde::Serialize;

use super::Interval;
use super::distributions::{fair_coins, student_quantile, student_two_sided};
use super::draws::Draws;
use super::seeds::variance;
use crate::items::{Answers, Measure};
use crate::seed::Seed;

/// Resamples behind a bootstrapped difference.
const RESAMPLES: usize = 4000;
/// Up to so many pairs all ways to set their signs are gone through; of more, so many are drawn.
const MOST_PAIRS: usize = 16;
const FLIPS: usize = 1 << MOST_PAIRS;

/// Examples that one of two models answered right and the other wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Discordant {
    /// Right by the first alone.
    pub first: u64,
    /// Right by the second alone.
    pub second: u64,
}

impl Discordant {
    /// Counts them; an example with several labels is right where all of them are. None for numbers, which are
    /// neither right nor wrong, and for answers that do not fit together.
    pub fn count(right: &Answers, first: &Answers, second: &Answers) -> Option<Self> {
        let [first, second] = [is_right(right, first)?, is_right(right, second)?];
        let count = |of: &[bool], other: &[bool]| {
            of.iter().zip(other).filter(|(of, other)| **of && !**other).count() as u64
        };
        Some(Self { first: count(&first, &second), second: count(&second, &first) })
    }

    /// Returns the chance of a split at least this uneven if both were equally often right: McNemar's exact test.
    ///
    /// # Source
    /// McNemar 1947; `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
    pub fn exact(self) -> f64 {
        (2.0 * fair_coins(self.first.min(self.second), self.first + self.second)).min(1.0)
    }

    /// Returns the same, with half of the chance of just this split: less cautious than the exact test, whose errors
    /// are rarer than it says, and hardly ever over its rate.
    ///
    /// # Source
    /// Fagerland, Lydersen and Laake 2013, *The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    /// better than exact conditional*.
    pub fn mid_p(self) -> f64 {
        let (fewer, all) = (self.first.min(self.second), self.first + self.second);
        let below = if fewer == 0 { 0.0 } else { fair_coins(fewer - 1, all) };
        (fair_coins(fewer, all) + below).min(1.0)
    }
}

fn is_right(right: &Answers, answers: &Answers) -> Option<Vec<bool>> {
    match (right, answers) {
        (Answers::Classes { classes: right }, Answers::Classes { classes })
            if right.len() == classes.len() =>
        {
            Some(right.iter().zip(classes).map(|(right, answer)| right == answer).collect())
        }
        (Answers::Labels { labels: count, has: right }, Answers::Labels { labels, has })
            if count == labels && *count > 0 && right.len() == has.len() =>
        {
            let size = *labels as usize;
            let rows = right.chunks_exact(size).zip(has.chunks_exact(size));
            Some(rows.map(|(right, answer)| right == answer).collect())
        }
        _ => None,
    }
}

/// A difference, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The first less the second.
    pub value: f64,
    /// Where the true one is.
    pub interval: Interval,
    /// How often one at least this far from 0 would be seen if there were none.
    pub p: f64,
}

/// Returns the difference of a metric between two trials, by resamples of the examples that both share; none where it
/// is not defined, or there are fewer than two examples.
///
/// # Source
/// Efron and Tibshirani 1993, *An introduction to the bootstrap*, §13.3 (the percentile interval) and §15.4 (its
/// error level as a p-value); `scipy.stats.bootstrap(paired=True, method="percentile")`.
pub fn bootstrapped(
    first: &Measure,
    second: &Measure,
    items: usize,
    confidence: f64,
    seed: Seed,
) -> Option<Difference> {
    let difference = |weights: Option<&[u32]>| {
        let difference = first.value(weights)? - second.value(weights)?;
        difference.is_finite().then_some(difference)
    };
    let value = difference(None)?;
    if items < 2 {
        return None;
    }
    let mut draws = Draws::new(seed.stream("paired bootstrap", 0));
    let mut weights = vec![0; items];
    let mut drawn: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        draws.resample(&mut weights);
        drawn.extend(difference(Some(&weights)));
    }
    if drawn.len() < RESAMPLES / 2 {
        return None;
    }
    drawn.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let interval = Interval { low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) };
    let up_to = drawn.partition_point(|difference| *difference <= 0.0);
    let from = drawn.len() - drawn.partition_point(|difference| *difference < 0.0);
    let p = 2.0 * (up_to.min(from) + 1) as f64 / (drawn.len() + 1) as f64;
    Some(Difference { value, interval, p: p.min(1.0) })
}

/// Returns a quantile of sorted values, between two of them in proportion.
fn quantile(sorted: &[f64], chance: f64) -> f64 {
    let position = chance * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * position.fract()
}

/// Returns the mean of paired differences with Student's interval and test; none of fewer than two.
///
/// # Source
/// `scipy.stats.ttest_rel`. Differences that are all the same leave no doubt: p is then 0, or 1 where they are 0.
pub fn student(differences: &[f64], confidence: f64) -> Option<Difference> {
    let count = differences.len() as f64;
    let error = (variance(differences)? / count).sqrt();
    let degrees = count - 1.0;
    let value = differences.iter().sum::<f64>() / count;
    let half = error * student_quantile((1.0 + confidence) / 2.0, degrees);
    let p = match (value == 0.0, error > 0.0) {
        (true, _) => 1.0,
        (false, true) => student_two_sided(value / error, degrees),
        (false, false) => 0.0,
    };
    let interval = Interval { low: value - half, high: value + half };
    (value.is_finite() && error.is_finite()).then_some(Difference { value, interval, p })
}

/// Returns how often a mean of paired differences at least this far from 0 comes up when the sign of each is a coin's:
/// asks for no distribution, only that a difference were as likely the other way round. None of none, and where one is
/// no number.
///
/// # Source
/// Fisher 1935; `scipy.stats.permutation_test(permutation_type="samples")`.
pub fn sign_flips(differences: &[f64], seed: Seed) -> Option<f64> {
    if differences.is_empty() || differences.iter().any(|difference| !difference.is_finite()) {
        return None;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order may differ in their last bits.
    let least = observed * (1.0 - 1e-12);
    let sum = |flipped: &dyn Fn(usize) -> bool| {
        let signed = differences.iter().enumerate();
        signed.map(|(place, value)| if flipped(place) { -value } else { *value }).sum::<f64>()
    };
    if differences.len() <= MOST_PAIRS {
        let ways = 1_usize << differences.len();
        let reach = |way: &usize| sum(&|place| (way >> place) & 1 == 1).abs() >= least;
        return Some((0..ways).filter(reach).count() as f64 / ways as f64);
    }
    let mut draws = Draws::new(seed.stream("sign flips", 0));
    let mut reached = 1;
    for _ in 0..FLIPS {
        let flips: Vec<bool> = differences.iter().map(|_| draws.unit() < 0.5).collect();
        reached += usize::from(sum(&|place| flips[place]).abs() >= least);
    }
    Some(reached as f64 / (FLIPS + 1) as f64)
}

/// Returns how many paired seeds it takes at least to certify a difference by [`sign_flips`]: with fewer, not even
/// differences that all point the same way are rare enough. For two sides at 0.05: six.
pub fn least_pairs(level: f64) -> u32 {
    (1..64).find(|pairs| 0.5_f64.powi(*pairs as i32 - 1) <= level).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_paired_seeds_are_the_least_that_certify() {
        assert_eq!(least_pairs(0.05), 6);
        assert_eq!(sign_flips(&[0.1; 5], Seed(1)), Some(0.0625));
        assert_eq!(sign_flips(&[0.1; 6], Seed(1)), Some(0.03125));
        assert_eq!(least_pairs(0.5), 2);
    }

    #[test]
    fn many_pairs_are_flipped_by_drawing() {
        // Seventeen pairs: 2 of 2^17 ways reach a sum in which all point the same way.
        let certain = sign_flips(&[1.0; 17], Seed(1)).unwrap();
        assert!(certain < 1e-4, "{certain}");
        let even: Vec<f64> = (0..18).map(|place| if place % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_eq!(sign_flips(&even, Seed(1)), Some(1.0));
        assert_eq!(sign_flips(&even[..17], Seed(1)), sign_flips(&even[..17], Seed(1)));
        assert_eq!(sign_flips(&[], Seed(1)), None);
        assert_eq!(sign_flips(&[f64::NAN], Seed(1)), None);
    }

    #[test]
    fn differences_without_spread_leave_no_doubt() {
        let p = |differences: &[f64]| student(differences, 0.95).map(|found| found.p);
        assert_eq!(p(&[0.5, 0.5]), Some(0.0));
        assert_eq!(p(&[0.0, 0.0]), Some(1.0));
        assert_eq!(p(&[0.5]), None);
        assert_eq!(p(&[]), None);
        assert_eq!(p(&[0.5, f64::NAN]), None);
    }

    #[test]
    fn an_example_is_right_where_all_of_its_labels_are() {
        let labels = |has: [bool; 4]| Answers::Labels { labels: 2, has: has.to_vec() };
        let right = labels([true, false, true, true]);
        let half = labels([true, false, true, false]);
        let found = Discordant::count(&right, &half, &right).unwrap();
        assert_eq!(found, Discordant { first: 0, second: 1 });
        let numbers = Answers::Numbers { numbers: vec![1.0, 2.0] };
        assert_eq!(Discordant::count(&numbers, &numbers, &numbers), None);
        let classes = |classes: &[u32]| Answers::Classes { classes: classes.to_vec() };
        let [right, first] = [classes(&[0, 1, 2]), classes(&[0, 1, 1])];
        let found = Discordant::count(&right, &first, &classes(&[1, 1, 2])).unwrap();
        assert_eq!(found, Discordant { first: 1, second: 1 });
        assert_eq!(Discordant::count(&right, &first, &classes(&[1])), None);
    }
}
