//! SplitMix64: many random words from one seed, for what has to be faster than [`Seed::draw`](crate::seed::Seed::draw).
//!
//! # Source
//! G. L. Steele, D. Lea and C. H. Flood, *Fast splittable pseudorandom number generators*, 2014.

/// Returns the word at a place of the stream that a seed begins.
pub(super) fn word(seed: u64, place: u64) -> u64 {
    let mut word = seed.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A stream that is read from its start.
pub(super) struct Stream {
    seed: u64,
    place: u64,
}

impl Stream {
    /// Begins a stream.
    pub(super) fn new(seed: crate::seed::Seed) -> Self {
        Self { seed: seed.0, place: 0 }
    }

    /// Returns the next number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        self.place += 1;
        (word(self.seed, self.place) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_words_are_those_of_the_published_generator() {
        // Vigna's splitmix64.c with the seed 1234567.
        let words: Vec<u64> = (1..=3).map(|place| word(1_234_567, place)).collect();
        assert_eq!(words, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
        let mut stream = Stream::new(Seed(1_234_567));
        assert_eq!(stream.unit(), (words[0] >> 11) as f64 / (1u64 << 53) as f64);
    }
}
