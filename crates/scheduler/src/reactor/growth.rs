//! Trials that are added while the sweep runs: what [`converge_core::growth`] says, stored with the decision.
//!
//! What a trial is worth is what the store says once its end is committed, so that a resumed session, which reads it from
//! there, decides alike: the value is asked for by an action, and comes as an event.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::facts::Facts;
use converge_core::growth::{Growth, Outcome, Stage};
use converge_core::ids::TrialId;
use converge_core::materialise::PlannedTrial;
use converge_core::sweep::Sweep;
use converge_core::trial::{TrialKind, TrialState};
use converge_store::{Change, NewTrial};

use super::{Action, Climb, Decisions, Mode, Notice, Reactor, Trial};
use crate::trials::{steps_of, work};

/// A sweep that grows, and what its new trials need.
#[derive(Debug)]
pub struct Growing {
    pub(crate) growth: Growth,
    pub(crate) sweep: Sweep,
    pub(crate) facts: Vec<Facts>,
    /// First id of a trial that was never used.
    pub(crate) next_trial: TrialId,
    /// Trials that have completed, and whose value is asked for.
    pub(crate) unscored: BTreeSet<TrialId>,
}

/// A trial that was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// Number within the sweep.
    pub number: u64,
    /// What it is for.
    pub kind: TrialKind,
    /// Which seed, from 0.
    pub replicate: u64,
    /// Its values.
    pub configuration: converge_core::search_space::Configuration,
}

impl Growing {
    /// Returns whether all trials have ended and none will be added.
    pub fn is_over(&self) -> bool {
        let mut ahead = self.growth.clone();
        self.unscored.is_empty() && ahead.advance().is_empty() && ahead.is_over()
    }

    /// Returns whether trials follow from what is known.
    pub(super) fn would_grow(&self) -> bool {
        self.unscored.is_empty() && !self.growth.clone().advance().is_empty()
    }

    /// Returns how many trials the search will have in all; none where results decide it.
    pub fn total(&self) -> Option<u64> {
        self.growth.total()
    }

    /// Returns how many of its trials can run at once, as far as draws have to wait for results.
    pub fn at_once(&self) -> u64 {
        let Sweep { ahead, replicates, .. } = self.sweep;
        if self.sweep.method.is_adaptive() { ahead.saturating_mul(replicates) } else { u64::MAX }
    }

    fn new_trial(&self, number: u64, planned: &PlannedTrial) -> (NewTrial, Trial) {
        let total_steps = steps_of(&self.sweep, &planned.configuration, planned.total_steps);
        let new = NewTrial {
            kind: planned.kind,
            configuration: planned.configuration.clone(),
            settings: planned.settings.clone(),
            fingerprint: planned.fingerprint.clone(),
            replicate: planned.replicate,
            facts_index: planned.case as u64,
            total_steps,
        };
        let work = work(
            &self.sweep,
            self.facts.get(planned.case),
            planned.kind,
            &planned.configuration,
            planned.settings.clone(),
            planned.replicate,
        );
        let trial = Trial {
            number,
            kind: planned.kind,
            state: TrialState::Queued,
            attempts: 0,
            failures: BTreeMap::new(),
            accumulation_factor: 1,
            resume_point: None,
            work,
            total_steps,
            step: 0,
            loss: None,
            value: None,
            // Draws that follow results, and further seeds, do not pause at rungs.
            climb: Climb::default(),
        };
        (new, trial)
    }
}

impl Reactor {
    /// Has the sweep grow; none: it has all its trials.
    #[must_use]
    pub fn growing(mut self, growing: Option<Growing>) -> Self {
        self.growing = growing;
        self
    }

    /// Returns how many trials the search of a sweep that grows will have in all; none where results decide it, or where
    /// it has them.
    pub fn total(&self) -> Option<u64> {
        self.growing.as_ref().and_then(Growing::total)
    }

    /// Returns whether there may be more trials than there are.
    pub(super) fn may_grow(&self) -> bool {
        self.growing.as_ref().is_some_and(|growing| growing.growth.stage() != Stage::Over)
    }

    /// Returns whether no trial is open, and none will be.
    pub(super) fn is_over(&self) -> bool {
        self.open == 0 && self.growing.as_ref().is_none_or(Growing::is_over)
    }

    /// Returns whether what a trial came to is still asked for.
    pub(super) fn is_unscored(&self) -> bool {
        self.growing.as_ref().is_some_and(|growing| !growing.unscored.is_empty())
    }

    /// Takes the stored value of a trial that has completed.
    pub(super) fn score(&mut self, trial: TrialId, value: Option<f64>) {
        let (Some(growing), Some(held)) = (&mut self.growing, self.trials.get(&trial)) else {
            return;
        };
        if growing.unscored.remove(&trial) {
            growing.growth.end(held.number, Outcome::Completed(value));
        }
    }

    /// Takes what trials came to, and adds those that follow from it.
    pub(super) fn grow(&mut self, decisions: &mut Decisions) {
        let Some(growing) = &mut self.growing else { return };
        let mut asked = Vec::new();
        for change in &decisions.changes {
            let Change::TrialState { trial, state } = change else { continue };
            let Some(held) = self.trials.get(trial) else { continue };
            let outcome = match state {
                TrialState::Completed => {
                    if growing.unscored.insert(*trial) {
                        asked.push(Action::Score(*trial));
                    }
                    continue;
                }
                TrialState::Diverged => Outcome::Diverged,
                TrialState::Failed(_) => Outcome::Failed,
                TrialState::Stopped(_) => Outcome::Stopped,
                TrialState::Cancelled => Outcome::Cancelled,
                TrialState::Queued | TrialState::Running(_) | TrialState::Waiting => continue,
            };
            growing.growth.end(held.number, outcome);
        }
        decisions.actions.append(&mut asked);
        if self.mode != Mode::Running {
            return;
        }
        loop {
            let added = growing.growth.advance();
            if added.is_empty() {
                return;
            }
            let mut told = Vec::new();
            for (number, planned) in added {
                let id = growing.next_trial;
                growing.next_trial = TrialId(id.0 + 1);
                let (new, trial) = growing.new_trial(number, &planned);
                let PlannedTrial { kind, replicate, configuration, .. } = planned;
                let new = Box::new(new);
                decisions.changes.push(Change::TrialAdded {
                    trial: id,
                    sweep: self.sweep,
                    number,
                    new,
                });
                told.push(Addition { number, kind, replicate, configuration });
                self.trials.insert(id, trial);
                self.queued.insert(id);
                self.open += 1;
                self.open_ranked += u64::from(kind.is_ranked());
            }
            decisions.actions.push(Action::Notice(Notice::Added(told)));
        }
    }
}
