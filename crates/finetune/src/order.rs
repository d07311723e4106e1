//! Which examples a step sees: a function of seed and step.

use converge_core::seed::Seed;
use converge_core::settings::{Sampling, TrainSettings};
use converge_core::steps;

use crate::permutation::permutation;

/// The order of the training examples.
pub(crate) struct Order {
    seed: Seed,
    sampling: Sampling,
    /// Examples of each stratum, by position; empty where the order does not depend on them.
    members: Vec<Vec<usize>>,
    examples: usize,
    batch_size: usize,
    steps_per_epoch: u64,
    /// The order used last, with its epoch.
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// Returns the order of examples of these strata.
    pub(crate) fn new(seed: Seed, strata: &[u32], train: &TrainSettings) -> Self {
        let mut members = Vec::new();
        if train.sampling != Sampling::Shuffle {
            let count = strata.iter().max().map_or(0, |largest| *largest as usize + 1);
            members.resize(count, Vec::new());
            for (position, stratum) in strata.iter().enumerate() {
                members[*stratum as usize].push(position);
            }
            members.retain(|members| !members.is_empty());
        }
        Self {
            seed,
            sampling: train.sampling,
            members,
            examples: strata.len(),
            batch_size: usize::try_from(train.batch_size).unwrap_or(usize::MAX).max(1),
            steps_per_epoch: steps::steps_per_epoch(strata.len() as u64, train).max(1),
            epoch: None,
        }
    }

    /// Returns the positions of the examples of `step`, counted from 1.
    ///
    /// The last step of an epoch may have fewer than the others.
    pub(crate) fn of_step(&mut self, step: u64) -> &[usize] {
        let epoch = (step - 1) / self.steps_per_epoch;
        let place = ((step - 1) % self.steps_per_epoch) as usize;
        let known = self.epoch.take().filter(|(known, _)| *known == epoch);
        let known = known.unwrap_or_else(|| (epoch, self.of_epoch(epoch)));
        let (_, order) = self.epoch.insert(known);
        let start = place.saturating_mul(self.batch_size).min(self.examples);
        let end = start.saturating_add(self.batch_size).min(self.examples);
        &order[start..end]
    }

    fn of_epoch(&self, epoch: u64) -> Vec<usize> {
        match self.sampling {
            Sampling::Shuffle => permutation(self.seed.stream("epoch", epoch), self.examples),
            Sampling::Stratified => self.stratified(self.seed.stream("epoch", epoch)),
            Sampling::Balanced => self.balanced(epoch),
        }
    }

    /// Orders all examples so that any run of them holds each stratum in proportion, within one.
    ///
    /// The k-th of the n examples of a stratum stands at (k + u) / n, with a u of the stratum in every epoch.
    fn stratified(&self, seed: Seed) -> Vec<usize> {
        let mut placed = Vec::with_capacity(self.examples);
        for (stratum, members) in (0..).zip(&self.members) {
            let offset = seed.draw(stratum, "offset");
            let order = permutation(seed.stream("stratum", stratum), members.len());
            for (k, member) in order.into_iter().enumerate() {
                let position = (k as f64 + offset) / members.len() as f64;
                placed.push((position, stratum, members[member]));
            }
        }
        placed.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        placed.into_iter().map(|(.., member)| member).collect()
    }

    /// Orders as many examples as there are so that any run of them holds all strata equally often, within one.
    ///
    /// The training is one long row of rounds. A round shows one example of every stratum, in an order of its own; the
    /// examples of a stratum come in passes, each an order of all of them. So no example comes twice before all others
    /// of its stratum came once.
    fn balanced(&self, epoch: u64) -> Vec<usize> {
        let strata = self.members.len().max(1) as u64;
        let mut round = (u64::MAX, Vec::new());
        let mut passes: Vec<(u64, Vec<usize>)> = vec![(u64::MAX, Vec::new()); self.members.len()];
        let first = epoch * self.examples as u64;
        (first..first + self.examples as u64)
            .map(|place| {
                let number = place / strata;
                if round.0 != number {
                    let seed = self.seed.stream("round", number);
                    round = (number, permutation(seed, self.members.len()));
                }
                let stratum = round.1[(place % strata) as usize];
                let members = &self.members[stratum];
                let pass = number / members.len() as u64;
                let known = &mut passes[stratum];
                if known.0 != pass {
                    let seed = self.seed.stream("stratum", stratum as u64).stream("pass", pass);
                    *known = (pass, permutation(seed, members.len()));
                }
                members[known.1[(number % members.len() as u64) as usize]]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
