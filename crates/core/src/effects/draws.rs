//! Random numbers for bootstraps and permutations: many, cheap, and the same in every run.

use crate::seed::Seed;

/// A stream of numbers that follows from a seed.
///
/// # Source
/// SplitMix64 (Steele, Lea and Flood 2014): a counter and a mixing function.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Starts the stream of a name.
    pub(crate) fn new(seed: Seed, name: &str) -> Self {
        Self(seed.stream(name, 0).0)
    }

    /// Returns the next 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Returns a whole number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The upper half of a product: no remainder, and no bias that could matter below 2^32.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Returns a draw from the normal distribution with mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Returns a draw from the chi-square distribution.
    pub(crate) fn chi_square(&mut self, degrees: u64) -> f64 {
        // Pairs of squared normals are exponential.
        let pairs: f64 = (0..degrees / 2).map(|_| -2.0 * self.unit().ln()).sum();
        if degrees % 2 == 1 { pairs + self.normal().powi(2) } else { pairs }
    }

    /// Moves a random choice of `count` entries to the front.
    pub(crate) fn choose<T>(&mut self, entries: &mut [T], count: usize) {
        for place in 0..count.min(entries.len()) {
            let other = place + self.below(entries.len() - place);
            entries.swap(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl FnMut() -> f64) -> (f64, f64) {
        let values: Vec<f64> = std::iter::repeat_with(draw).take(40_000).collect();
        let mean = values.iter().sum::<f64>() / 40_000.0;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 40_000.0;
        (mean, square)
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let mut draws = Draws::new(Seed(1), "test");
        let near = |found: (f64, f64), mean: f64, variance: f64| {
            // Five standard errors of the mean; a tenth for the variance.
            assert!((found.0 - mean).abs() < 5.0 * (variance / 40_000.0).sqrt(), "{found:?}");
            assert!((found.1 / variance - 1.0).abs() < 0.1, "{found:?}");
        };
        near(moments(|| draws.unit()), 0.5, 1.0 / 12.0);
        near(moments(|| draws.normal()), 0.0, 1.0);
        near(moments(|| draws.chi_square(5)), 5.0, 10.0);
        near(moments(|| draws.below(6) as f64), 2.5, 35.0 / 12.0);
    }

    #[test]
    fn a_choice_is_even_and_the_same_in_every_run() {
        let mut counts = [0u32; 5];
        let mut draws = Draws::new(Seed(2), "test");
        for _ in 0..5_000 {
            let mut entries = [0, 1, 2, 3, 4];
            draws.choose(&mut entries, 2);
            entries[..2].iter().for_each(|entry| counts[*entry] += 1);
        }
        // Binomial standard deviation is 35: five of them.
        assert!(counts.iter().all(|count| count.abs_diff(2_000) < 175), "{counts:?}");
        let (mut left, mut right) = (Draws::new(Seed(3), "a"), Draws::new(Seed(3), "a"));
        assert_eq!(left.unit(), right.unit());
    }
}
