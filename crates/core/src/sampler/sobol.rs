//! Sobol: a quasi-random sequence, scrambled, so that any first part of it fills the search space evenly.
//!
//! The point of a draw is a function of (sweep seed, index, place and name of the parameter). So a longer sequence
//! begins with the shorter one, and a parameter that has no place in a configuration just leaves its number unused.
//!
//! # Source
//! A. B. Owen, *Randomly permuted (t,m,s)-nets and (t,s)-sequences*, 1995: nested uniform scrambling, in base 2. Each
//! digit is flipped or not by a coin of its own for each value of the digits before it. The coins are hashes, so none
//! has to be kept. The crate `sobol_burley` scrambles alike, but ends at 65,536 points of 24 bits.

mod directions;

use super::{Sample, drawn, enqueued, splitmix};
use crate::seed::Seed;
use crate::sweep::Sweep;
use directions::{BITS, directions};

/// Digits below those of the sequence: they are a hash of the others. Together they fill the mantissa of a number.
const FURTHER_BITS: u32 = 53 - BITS as u32;

/// Returns the enqueued configurations, and draws behind them, `wanted` in all.
pub(super) fn sample(sweep: &Sweep, wanted: usize) -> Sample {
    let sequence = Sequence::new(sweep);
    drawn::fill(sweep, enqueued::sample(sweep), wanted, |index, place| sequence.unit(index, place))
}

/// The sequence of a sweep, a dimension for each parameter.
pub(super) struct Sequence {
    dimensions: Vec<Dimension>,
}

struct Dimension {
    directions: [u32; BITS],
    coins: u64,
}

impl Sequence {
    pub(super) fn new(sweep: &Sweep) -> Self {
        Self::of(sweep.seed, sweep.parameters.iter().map(|parameter| parameter.name.as_str()))
    }

    fn of<'a>(seed: Seed, names: impl Iterator<Item = &'a str>) -> Self {
        let seed = seed.stream("sobol", 0);
        let dimension = |(place, name)| Dimension {
            directions: directions(place),
            coins: seed.stream(name, place as u64).0,
        };
        Self { dimensions: names.enumerate().map(dimension).collect() }
    }

    /// Returns the number in [0, 1) of a draw for the parameter at `place`.
    pub(super) fn unit(&self, index: u64, place: usize) -> f64 {
        let dimension = &self.dimensions[place];
        // What lies beyond 2^32 draws begins anew: no sweep has as many.
        let set = (0..BITS).filter(|bit| index >> bit & 1 == 1);
        let point = set.fold(0, |point, bit| point ^ dimension.directions[bit]);
        let digits = u64::from(point ^ dimension.flips(point)) << FURTHER_BITS;
        let further = dimension.coin(1 << BITS | u64::from(point)) >> (64 - FURTHER_BITS);
        (digits | further) as f64 / (1u64 << 53) as f64
    }
}

impl Dimension {
    /// Returns the digits of a point that are flipped, each by the coin of those before it.
    fn flips(&self, point: u32) -> u32 {
        (0..BITS).fold(0, |flips, digit| {
            // The digits before, below a one that says how many they are: a node of the tree of all digits.
            let node = 1 << digit | u64::from(point) >> (BITS - digit);
            flips | ((self.coin(node) >> 63) as u32) << (BITS - 1 - digit)
        })
    }

    /// Returns the random word of a node.
    fn coin(&self, node: u64) -> u64 {
        splitmix::word(self.coins, node)
    }
}

#[cfg(test)]
mod tests;
