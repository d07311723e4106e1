//! Seeded permutations: the order of the examples in an epoch, and the draws of the splits.

use converge_core::seed::Seed;

/// Returns the numbers below `count` in an order that depends on `seed` and `count` alone.
///
/// # Source
/// Fisher and Yates' shuffle (Knuth 1997, *The Art of Computer Programming* 2, algorithm 3.4.2P).
pub(crate) fn permutation(seed: Seed, count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    let mut generator = Generator { state: seed.0 };
    for last in (1..count).rev() {
        let other = generator.below(last as u64 + 1) as usize;
        numbers.swap(last, other);
    }
    numbers
}

/// `SplitMix64`.
///
/// # Source
/// Steele, Lea and Flood 2014, *Fast splittable pseudorandom number generators*, with the constants
/// of Vigna's <https://prng.di.unimi.it/splitmix64.c>.
struct Generator {
    state: u64,
}

impl Generator {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = self.state;
        let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `bound`, each with the same probability.
    ///
    /// # Source
    /// Lemire 2019, *Fast random integer generation in an interval*, <https://arxiv.org/abs/1805.10941>.
    fn below(&mut self, bound: u64) -> u64 {
        let uneven = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= uneven {
                return (product >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_once_and_the_seed_decides_where() {
        let order = permutation(Seed(1), 100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, permutation(Seed(1), 100));
        assert_ne!(order, permutation(Seed(2), 100));
        assert_eq!(permutation(Seed(1), 0), [0; 0]);
    }

    #[test]
    fn all_orders_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..6000 {
            *counts.entry(permutation(Seed(seed).stream("x", 0), 3)).or_insert(0u32) += 1;
        }
        // Binomial standard deviation is 29: five of them.
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 145), "{counts:?}");
    }

    #[test]
    fn the_order_never_changes() {
        // Splits of stored sweeps depend on it.
        assert_eq!(permutation(Seed(42), 8), EIGHT);
    }

    const EIGHT: [usize; 8] = [4, 3, 2, 0, 7, 6, 1, 5];
}
