//! Chance, made whole by a seed.

/// SplitMix64: one number of state, and every seed is as good as any other.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides.max(1)
    }

    /// Returns true once in `times`; never where that is 0.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0 && times > 0
    }

    /// Returns a number from `low` to `high`, both possible.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.roll((high - low + 1).unsigned_abs()).cast_signed()
    }

    /// Returns a number up to about `2^bits`, small ones as likely as large ones.
    pub(crate) fn magnitude(&mut self, bits: u64) -> u64 {
        let bit = self.roll(bits);
        (1 << bit) + self.roll(1 << bit)
    }

    /// Returns the place of something in a list of `length`.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).expect("lists are short")
    }
}
