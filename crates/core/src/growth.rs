//! Sweeps that grow while they run: draws that follow results, and further seeds for what is tied for best.
//!
//! What is added is a function of the sweep and of how its trials stand, told in the order of their numbers: it does not
//! matter in which order they ended, how many workers there are, or who was killed. So there is nothing to save. Whoever
//! goes on hands in all stored trials, and gets what an undisturbed sweep would have added next.

mod draws;
mod race;
mod tied;

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Facts;
use crate::materialise::{PlannedTrial, possible_cases, preparation};
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All steps done, with this objective; none where it never was a number.
    Completed(Option<f64>),
    /// Its loss left the finite numbers.
    Diverged,
    /// Retries used up.
    Failed,
    /// Behind others at a rung: it goes on no more.
    Stopped,
    /// The user does not want it.
    Cancelled,
}

/// A trial that the sweep has.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Number within the sweep.
    pub number: u64,
    /// What it is for.
    pub kind: TrialKind,
    /// The same for its replicates.
    pub fingerprint: String,
    /// Which seed, from 0.
    pub replicate: u64,
    /// Its values.
    pub configuration: Configuration,
    /// Its entry in the sweep's facts.
    pub case: usize,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// What came of it; none: it waits or runs.
    pub outcome: Option<Outcome>,
}

/// What a sweep does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Configurations are still to be drawn.
    Drawing,
    /// Further seeds may be spent.
    Racing,
    /// No trial will be added to those that there are.
    Over,
}

/// A sweep that may get more trials than it has.
#[derive(Debug, Clone)]
pub struct Growth {
    sweep: Sweep,
    facts: Vec<Facts>,
    /// Place among the facts, by what decides it.
    cases: BTreeMap<String, usize>,
    /// In the order of their numbers.
    trials: BTreeMap<u64, Present>,
    /// Numbers of those of the search, and of the baseline, that have not ended.
    open: BTreeSet<u64>,
    /// Configurations of the search, in the order of their first trials.
    configurations: Vec<Group>,
    /// Place among the configurations, by fingerprint.
    places: BTreeMap<String, usize>,
    last_number: u64,
    stage: Stage,
    /// Whether the search space holds no more than was drawn.
    dry: bool,
    /// Configurations, from the first, that have all ended.
    settled: usize,
}

/// The trials of a configuration, in the order of their numbers.
#[derive(Debug, Clone)]
struct Group {
    trials: Vec<u64>,
}

impl Growth {
    /// Takes up a sweep as it stands; none where it has all its trials from the beginning.
    ///
    /// `facts` are the stored ones. `last_number` is that of its newest trial, whatever it is for.
    pub fn new(
        sweep: &Sweep,
        facts: &[Facts],
        trials: impl IntoIterator<Item = Present>,
        last_number: u64,
    ) -> Option<Self> {
        if !sweep.grows() {
            return None;
        }
        let mut growth = Self {
            sweep: sweep.clone(),
            facts: facts.to_vec(),
            cases: BTreeMap::new(),
            trials: BTreeMap::new(),
            open: BTreeSet::new(),
            configurations: Vec::new(),
            places: BTreeMap::new(),
            last_number,
            stage: if sweep.method.is_adaptive() { Stage::Drawing } else { Stage::Racing },
            dry: false,
            settled: 0,
        };
        let possible = if sweep.method.is_adaptive() { possible_cases(sweep) } else { Vec::new() };
        for (place, settings) in possible.iter().enumerate() {
            growth.cases.insert(preparation(settings), place);
        }
        let mut trials: Vec<Present> = trials.into_iter().collect();
        trials.sort_by_key(|trial| trial.number);
        for trial in trials {
            // Where a sweep was extended, its trials know better.
            // A refit or a probe has data of its own.
            if trial.kind.is_ranked() || trial.kind == TrialKind::Baseline {
                let key = preparation(&sweep.settings_of(&trial.configuration));
                growth.cases.insert(key, trial.case);
            }
            growth.insert(trial);
        }
        Some(growth)
    }

    /// Takes what came of a trial.
    pub fn end(&mut self, number: u64, outcome: Outcome) {
        if let Some(trial) = self.trials.get_mut(&number) {
            trial.outcome = Some(outcome);
            self.open.remove(&number);
        }
    }

    /// Returns the trials that are to be added now, with their numbers, and counts them as present.
    ///
    /// To be called until it returns none: what is added may let more follow.
    pub fn advance(&mut self) -> Vec<(u64, PlannedTrial)> {
        let mut added = Vec::new();
        if self.stage == Stage::Drawing {
            added = self.draw();
        }
        if self.stage == Stage::Racing && added.is_empty() {
            added = self.race();
        }
        added.into_iter().map(|planned| (self.add(&planned), planned)).collect()
    }

    /// Returns what the sweep does next, as of the last call of [`Growth::advance`].
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns whether all trials have ended and none will be added, as of the last call of [`Growth::advance`].
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over && self.open.is_empty()
    }

    /// Returns how many trials the search will have in all; none where results decide it.
    pub fn total(&self) -> Option<u64> {
        total(&self.sweep, self.searched() as u64, self.stage)
    }

    fn searched(&self) -> usize {
        self.configurations.iter().map(|group| group.trials.len()).sum()
    }

    fn insert(&mut self, trial: Present) {
        if !trial.kind.is_ranked() && trial.kind != TrialKind::Baseline {
            return;
        }
        if trial.outcome.is_none() {
            self.open.insert(trial.number);
        }
        if trial.kind.is_ranked() {
            let next = self.configurations.len();
            let place = *self.places.entry(trial.fingerprint.clone()).or_insert(next);
            if place == next {
                self.configurations.push(Group { trials: Vec::new() });
            }
            self.configurations[place].trials.push(trial.number);
            // It may have been seen as settled.
            self.settled = self.settled.min(place);
        }
        self.trials.insert(trial.number, trial);
    }

    fn add(&mut self, planned: &PlannedTrial) -> u64 {
        self.last_number += 1;
        self.insert(Present {
            number: self.last_number,
            kind: planned.kind,
            fingerprint: planned.fingerprint.clone(),
            replicate: planned.replicate,
            configuration: planned.configuration.clone(),
            case: planned.case,
            total_steps: planned.total_steps,
            outcome: None,
        });
        self.last_number
    }

    /// Returns a trial of a configuration that is there, with another seed.
    fn again(&self, number: u64, replicate: u64) -> PlannedTrial {
        let trial = &self.trials[&number];
        PlannedTrial {
            settings: self.sweep.settings_of(&trial.configuration),
            configuration: trial.configuration.clone(),
            fingerprint: trial.fingerprint.clone(),
            replicate,
            case: trial.case,
            total_steps: trial.total_steps,
            kind: trial.kind,
        }
    }

    fn of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Present> {
        group.trials.iter().map(|number| &self.trials[number])
    }
}

/// Returns how many trials a sweep will have in all, of which it has `present`; none where results decide it.
pub fn total(sweep: &Sweep, present: u64, stage: Stage) -> Option<u64> {
    match stage {
        Stage::Over => Some(present),
        Stage::Racing => None,
        Stage::Drawing if sweep.racing => None,
        Stage::Drawing => {
            let drawn = sweep.budget.max_trials.unwrap_or(0).saturating_mul(sweep.replicates);
            Some(drawn.max(present))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
