//! Counter-based randomness: every draw is a function of its seed and its name, so nothing has to be saved.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A seed. Streams and draws are derived from it by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// Derives the seed of a named stream.
    ///
    /// # Source
    /// The first eight bytes of SHA-256 over the seed and the name: stable across machines and versions.
    #[must_use]
    pub fn stream(self, name: &str, index: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_le_bytes());
        hasher.update(index.to_le_bytes());
        hasher.update(name.as_bytes());
        let digest = hasher.finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Self(u64::from_le_bytes(bytes))
    }

    /// Returns the number of this seed in [0, 1), with 53 bits.
    pub fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns the draw of `name` at `index` in [0, 1).
    pub fn draw(self, index: u64, name: &str) -> f64 {
        self.stream(name, index).unit()
    }
}

/// The seeds of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialSeeds {
    /// Splits and limits: the same for all trials of a sweep, so that comparisons are paired.
    pub split: Seed,
    /// Initialisation of the head (and of a preset's weights).
    pub head: Seed,
    /// Order of the training examples.
    pub order: Seed,
    /// Dropout masks, by step.
    pub dropout: Seed,
}

impl TrialSeeds {
    /// Returns the seeds of a replicate: the same for every configuration of the sweep.
    pub fn new(sweep: Seed, replicate: u64) -> Self {
        Self {
            split: sweep.stream("split", 0),
            head: sweep.stream("head", replicate),
            order: sweep.stream("order", replicate),
            dropout: sweep.stream("dropout", replicate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_index_and_name() {
        let seed = Seed(42);
        let draw = seed.draw(3, "learning_rate");
        assert_eq!(draw, seed.draw(3, "learning_rate"));
        assert_ne!(draw, seed.draw(4, "learning_rate"));
        assert_ne!(draw, seed.draw(3, "dropout"));
        assert_ne!(draw, Seed(43).draw(3, "learning_rate"));
    }

    #[test]
    fn draws_fill_the_unit_interval_evenly() {
        let mut bins = [0u32; 10];
        for index in 0..10_000 {
            bins[(Seed(7).draw(index, "x") * 10.0) as usize] += 1;
        }
        // Binomial standard deviation is 30: five of them.
        assert!(bins.iter().all(|count| count.abs_diff(1000) < 150), "{bins:?}");
    }

    #[test]
    fn replicates_share_the_split_and_nothing_else() {
        let first = TrialSeeds::new(Seed(42), 0);
        let second = TrialSeeds::new(Seed(42), 1);
        assert_eq!(first.split, second.split);
        assert_ne!(first.head, second.head);
        assert_ne!(first.order, second.order);
        assert_ne!(first.dropout, second.dropout);
    }
}
