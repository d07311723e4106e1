//! `[sweep] racing`: further seeds for the configurations that are tied for best.
//!
//! It begins when all trials have ended, and goes by rounds: each one that is tied with the best gets one more seed, those
//! with the fewest first. It is over when one remains, or when those that remain have `max_replicates`. What diverged,
//! failed or was cancelled in any of its replicates is out. The baseline gets the seeds that the leaders get, so that the
//! gain over it is paired.

use super::{Growth, Outcome, Stage, tied};
use crate::materialise::PlannedTrial;
use crate::trial::TrialKind;

impl Growth {
    pub(super) fn race(&mut self) -> Vec<PlannedTrial> {
        if !self.open.is_empty() {
            return Vec::new();
        }
        let racers = self.racers();
        let values: Vec<Vec<f64>> = racers.iter().map(|racer| racer.values.clone()).collect();
        let tied: Vec<&Racer> = match &*tied::with_best(&self.sweep, &self.facts, &values) {
            [] | [_] => Vec::new(),
            places => places.iter().map(|place| &racers[*place]).collect(),
        };
        let fewest = tied.iter().map(|racer| racer.values.len() as u64).min();
        let Some(replicate) = fewest.filter(|fewest| *fewest < self.sweep.max_replicates) else {
            self.stage = Stage::Over;
            return Vec::new();
        };
        let behind = tied.iter().filter(|racer| racer.values.len() as u64 == replicate);
        let mut added: Vec<PlannedTrial> =
            behind.map(|racer| self.again(racer.first, replicate)).collect();
        added.extend(self.baseline(replicate));
        added
    }

    /// Returns the configurations that have their replicates from the first on, all of them with a value.
    fn racers(&self) -> Vec<Racer> {
        let racer = |group: &super::Group| {
            let mut values: Vec<(u64, f64)> = Vec::new();
            for trial in self.of(group) {
                match trial.outcome {
                    Some(Outcome::Completed(Some(value))) if value.is_finite() => {
                        values.push((trial.replicate, value));
                    }
                    _ => return None,
                }
            }
            values.sort_by_key(|(replicate, _)| *replicate);
            let whole = (0..).zip(&values).all(|(place, (replicate, _))| place == *replicate);
            let values = values.into_iter().map(|(_, value)| value).collect();
            whole.then(|| Racer { first: group.trials[0], values })
        };
        self.configurations.iter().filter_map(racer).collect()
    }

    /// Returns the baseline with the seed that is added, where it stands apart and has done well with those before.
    fn baseline(&self, replicate: u64) -> Option<PlannedTrial> {
        let of_baseline = || self.trials.values().filter(|one| one.kind == TrialKind::Baseline);
        let sound = |seed| {
            let mut trials = of_baseline().filter(|one| one.replicate == seed);
            trials.any(|one| matches!(one.outcome, Some(Outcome::Completed(Some(_)))))
        };
        let first = of_baseline().next()?.number;
        let there = of_baseline().any(|one| one.replicate == replicate);
        ((0..replicate).all(sound) && !there).then(|| self.again(first, replicate))
    }
}

/// A configuration in the race.
struct Racer {
    /// Number of its first trial.
    first: u64,
    /// By replicate.
    values: Vec<f64>,
}
