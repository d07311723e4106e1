//! Latin hypercube: with `n` draws, each of `n` equal strata of each parameter is hit once.
//!
//! # Source
//! McKay, Beckman and Conover, *A Comparison of Three Methods for Selecting Values of Input Variables*, 1979.

use super::{Sample, drawn, enqueued};
use crate::seed::Seed;
use crate::sweep::Sweep;

/// Returns the configurations: as many strata as the budget leaves beside the enqueued ones.
///
/// Where draws are left out (equal ones in a small space, constraints), what is missing comes from a second hypercube
/// of as many strata, and so on.
pub(super) fn sample(sweep: &Sweep) -> Sample {
    let sample = enqueued::sample(sweep);
    let wanted = drawn::wanted(sweep);
    let strata = wanted.saturating_sub(sweep.enqueue.len()).max(1) as u64;
    let mut cube = Hypercube::new(sweep, strata);
    drawn::fill(sweep, sample, wanted, |index, place| cube.unit(index, place))
}

/// One hypercube after the other; the strata of the present one are kept, since each is a permutation.
struct Hypercube {
    seed: Seed,
    names: Vec<String>,
    strata: u64,
    round: u64,
    permutations: Vec<Option<Vec<u64>>>,
}

impl Hypercube {
    fn new(sweep: &Sweep, strata: u64) -> Self {
        let names: Vec<String> = sweep.parameters.iter().map(|one| one.name.clone()).collect();
        let permutations = vec![None; names.len()];
        Self {
            seed: sweep.seed.stream("latin hypercube", 0),
            names,
            strata,
            round: 0,
            permutations,
        }
    }

    fn unit(&mut self, index: u64, place: usize) -> f64 {
        let (round, row) = (index / self.strata, index % self.strata);
        if round != self.round {
            self.permutations.fill(None);
            self.round = round;
        }
        let (name, strata) = (&self.names[place], self.strata);
        let order = self.seed.stream(name, round);
        let permutation = self.permutations[place].get_or_insert_with(|| {
            let mut permutation: Vec<u64> = (0..strata).collect();
            permutation.sort_by_cached_key(|stratum| order.stream("stratum", *stratum).0);
            permutation
        });
        let within = order.draw(row, "within");
        let unit = (permutation[row as usize] as f64 + within) / strata as f64;
        // The last stratum ends before 1, whatever the division rounds to.
        unit.min(1.0f64.next_down())
    }
}
