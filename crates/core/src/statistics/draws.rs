//! A stream of random numbers: the n-th is a function of the seed and n.

use crate::seed::Seed;

/// SplitMix64. SHA-256, which [`Seed`] uses for the few draws of a sweep, would take a minute for the millions here.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
    /// The second of a pair of normal numbers.
    kept: Option<f64>,
}

impl Draws {
    /// Starts the stream of a seed.
    pub fn new(seed: Seed) -> Self {
        Self { state: seed.0, kept: None }
    }

    /// # Source
    /// Steele, Lea and Flood 2014, *Fast splittable pseudorandom number generators*: a counter that grows by an odd
    /// constant, mixed.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Returns a whole number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        // The high half of the product: Lemire's method without its rejection, whose bias is below 2^-40 here.
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    /// Returns a number of the standard normal distribution.
    ///
    /// # Source
    /// Box and Muller 1958.
    pub fn normal(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.unit()).sin_cos();
        self.kept = Some(radius * sine);
        radius * cosine
    }

    /// Draws as many of `weights.len()` examples as there are, with replacement, and writes how often each came.
    pub fn resample(&mut self, weights: &mut [u32]) {
        weights.fill(0);
        for _ in 0..weights.len() {
            weights[self.below(weights.len())] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_its_seed() {
        let stream = |seed| {
            let mut draws = Draws::new(Seed(seed));
            (0..5).map(|_| draws.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
        // The reference's first number for the seed 1234567.
        assert_eq!(Draws::new(Seed(1_234_567)).next(), 6_457_827_717_110_365_317);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut draws = Draws::new(Seed(3));
        let drawn: Vec<f64> = (0..100_000).map(|_| draws.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 1e5;
        let square = drawn.iter().map(|value| value * value).sum::<f64>() / 1e5;
        let beyond = drawn.iter().filter(|value| value.abs() > 1.959_964).count();
        assert!(mean.abs() < 0.015 && (square - 1.0).abs() < 0.025, "{mean} {square}");
        assert!(beyond.abs_diff(5000) < 350, "{beyond}");
    }

    #[test]
    fn a_resample_is_as_large_as_the_sample_and_leaves_a_third_out() {
        let mut draws = Draws::new(Seed(4));
        let mut weights = vec![0; 10_000];
        draws.resample(&mut weights);
        assert_eq!(weights.iter().sum::<u32>(), 10_000);
        let left_out = weights.iter().filter(|weight| **weight == 0).count();
        assert!(left_out.abs_diff(3679) < 250, "{left_out}");
    }
}
