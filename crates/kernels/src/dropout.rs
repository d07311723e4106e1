//! Dropout whose masks are a function of a key and a position, computed again wherever they are needed.
//!
//! # Source
//! Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011, *Parallel random numbers: as easy as 1, 2, 3*.

/// Lanes that are computed side by side.
const LANES: usize = 16;
/// Factors made at a time: each of the lanes makes four words, and each word two factors.
const GROUP: usize = 8 * LANES;

/// A probability of dropping and the key of the masks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability in parts of 65,536.
    threshold: u32,
    /// What a kept element is multiplied by, so that the mean stays.
    kept: f32,
    key: u64,
}

impl Dropout {
    /// Returns what keeps everything.
    pub const OFF: Self = Self { threshold: 0, kept: 1.0, key: 0 };

    /// Returns dropout of a probability from 0 to 1, its masks a function of `key`.
    ///
    /// The probability is rounded to a multiple of 1/65,536, and what is kept is scaled to match.
    pub fn new(probability: f64, key: u64) -> Self {
        const PARTS: f64 = 65_536.0;
        let dropped = (probability * PARTS).round().clamp(0.0, PARTS);
        let kept = if dropped < PARTS { PARTS / (PARTS - dropped) } else { 0.0 };
        Self { threshold: dropped as u32, kept: kept as f32, key }
    }

    /// Says whether everything is kept.
    pub fn is_off(self) -> bool {
        self.threshold == 0
    }

    /// Writes what each element is multiplied by: 0, or one over the share that is kept.
    ///
    /// Elements of the same `site` and `unit` get the same factors, whoever asks, and however many follow.
    #[inline(always)]
    pub(crate) fn factors(self, site: u32, unit: u64, factors: &mut [f32]) {
        let Self { threshold, kept, .. } = self;
        for (number, factors) in factors.chunks_mut(GROUP).enumerate() {
            let words = group(self.key, [number as u32, unit as u32, (unit >> 32) as u32, site]);
            let words = words.as_flattened();
            let mut made = [0.0; GROUP];
            let (low, high) = made.split_at_mut(GROUP / 2);
            for ((low, high), word) in low.iter_mut().zip(high).zip(words) {
                *low = if word & 0xFFFF >= threshold { kept } else { 0.0 };
                *high = if word >> 16 >= threshold { kept } else { 0.0 };
            }
            for (factor, made) in factors.iter_mut().zip(&made) {
                *factor = *made;
            }
        }
    }
}

/// Returns the random words of a group: word `w` of the counter's lane `l` at `[w][l]`.
#[inline(always)]
fn group(key: u64, [number, unit_low, unit_high, site]: [u32; 4]) -> [[u32; LANES]; 4] {
    let mut counter = [[0; LANES], [unit_low; LANES], [unit_high; LANES], [site; LANES]];
    for (lane, counter) in counter[0].iter_mut().enumerate() {
        *counter = number.wrapping_mul(LANES as u32).wrapping_add(lane as u32);
    }
    let mut keys = [key as u32, (key >> 32) as u32];
    for _ in 0..10 {
        let mut next = [[0; LANES]; 4];
        for lane in 0..LANES {
            let first = u64::from(counter[0][lane]) * 0xD251_1F53;
            let second = u64::from(counter[2][lane]) * 0xCD9E_8D57;
            next[0][lane] = (second >> 32) as u32 ^ counter[1][lane] ^ keys[0];
            next[1][lane] = second as u32;
            next[2][lane] = (first >> 32) as u32 ^ counter[3][lane] ^ keys[1];
            next[3][lane] = first as u32;
        }
        counter = next;
        keys = [keys[0].wrapping_add(0x9E37_79B9), keys[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three known answers for `philox4x32 10` in `kat_vectors` of Random123, the authors' library.
    #[test]
    fn words_are_those_of_the_reference() {
        let lane = |key, counter, lane: usize| group(key, counter).map(|words| words[lane]);
        assert_eq!(lane(0, [0; 4], 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let pi = [0x0885_a308, 0x1319_8a2e, 0x0370_7344, 0x0000_0000];
        assert_ne!(lane(1, pi, 8), lane(1, pi, 9));
        // Its counter ends in ffffffff, which is lane 15 of group 0x0fffffff.
        let ones = [0x0fff_ffff, u32::MAX, u32::MAX, u32::MAX];
        let expected = [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd];
        assert_eq!(lane(u64::MAX, ones, 15), expected);
    }

    #[test]
    fn the_share_dropped_is_the_probability_and_the_mean_stays() {
        let mut factors = vec![0.0; 200_000];
        Dropout::new(0.1, 7).factors(3, 5, &mut factors);
        let dropped = factors.iter().filter(|factor| **factor == 0.0).count() as f64 / 200_000.0;
        assert!((dropped - 0.1).abs() < 0.004, "{dropped}");
        let mean = factors.iter().map(|factor| f64::from(*factor)).sum::<f64>() / 200_000.0;
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
    }

    #[test]
    fn a_mask_depends_on_key_site_and_unit_and_not_on_its_length() {
        let mask = |key, site, unit, length| {
            let mut factors = vec![0.0; length];
            Dropout::new(0.5, key).factors(site, unit, &mut factors);
            factors
        };
        let long = mask(1, 2, 3, 1000);
        assert_eq!(mask(1, 2, 3, 77), long[..77]);
        for other in [mask(2, 2, 3, 1000), mask(1, 3, 3, 1000), mask(1, 2, 4, 1000)] {
            assert_ne!(other, long);
        }
        assert!(mask(1, 2, 3, 1000).iter().all(|factor| [0.0, 2.0].contains(factor)));
        let mut all = vec![1.0; 10];
        Dropout::new(1.0, 1).factors(0, 0, &mut all);
        assert_eq!(all, [0.0; 10]);
    }
}
