//! The sweep's budget: what is used is counted as it happens, and a total that is reached stops the sweep.
//!
//! Nothing is leased after that; workers checkpoint and leave, which costs them a few more steps at most.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::budget::{Allowance, Exhausted, Usage};
use converge_core::ids::AttemptId;
use converge_store::Change;

use super::{Decisions, Mode, Reactor};

/// What this session has used, beside what was used before it.
#[derive(Debug, Default)]
pub(super) struct Spending {
    allowance: Allowance,
    /// When the first event came, in the reactor's time.
    began: Option<i64>,
    /// Steps of this session.
    steps: u64,
    /// The last step that was counted, by open attempt.
    counted: BTreeMap<AttemptId, u64>,
    /// Open attempts of trials beside the search: their steps do not count.
    exempt: BTreeSet<AttemptId>,
}

impl Spending {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, ..Self::default() }
    }

    /// Takes an attempt whose steps count from here on.
    pub(super) fn begin(&mut self, attempt: AttemptId, step: u64) {
        self.counted.insert(attempt, step);
    }

    /// Takes an attempt whose steps do not count.
    pub(super) fn exempt(&mut self, attempt: AttemptId) {
        self.exempt.insert(attempt);
    }

    fn reach(&mut self, attempt: AttemptId, step: u64) {
        if self.exempt.contains(&attempt) {
            return;
        }
        let counted = self.counted.entry(attempt).or_insert(step);
        self.steps += step.saturating_sub(*counted);
        *counted = step.max(*counted);
    }
}

impl Reactor {
    /// Returns what the sweep has used over its life, this session included.
    pub fn used(&self, now: i64) -> Usage {
        let Usage { wall_ms, steps } = self.spending.allowance.used;
        let session =
            self.spending.began.map_or(0, |began| u64::try_from(now - began).unwrap_or(0));
        Usage {
            wall_ms: wall_ms.saturating_add(session),
            steps: steps.saturating_add(self.spending.steps),
        }
    }

    /// Counts the steps that changes tell of.
    pub(super) fn spend(&mut self, changes: &[Change]) {
        let spending = &mut self.spending;
        for change in changes {
            match change {
                Change::Leased { attempt, trial, from_step, .. } => match self.trials.get(trial) {
                    Some(trial) if !trial.kind.is_ranked() => spending.exempt(*attempt),
                    _ => spending.begin(*attempt, *from_step),
                },
                Change::Observed { attempt, step, .. } => spending.reach(*attempt, *step),
                Change::AttemptEnded { attempt, last_step, .. } => {
                    spending.reach(*attempt, *last_step);
                    spending.counted.remove(attempt);
                    spending.exempt.remove(attempt);
                }
                _ => {}
            }
        }
    }

    /// Stops the sweep where a total is reached.
    pub(super) fn hold_to_budget(&mut self, now: i64, decisions: &mut Decisions) {
        self.spending.began.get_or_insert(now);
        let would_grow = || self.growing.as_ref().is_some_and(super::Growing::would_grow);
        if self.mode != Mode::Running || (self.open_ranked == 0 && !would_grow()) {
            return;
        }
        let reached = self.spending.allowance.budget.exhausted(self.used(now));
        if !reached.is_empty() {
            let reasons: Vec<_> = reached.iter().map(Exhausted::to_string).collect();
            self.stop(Some(reasons.join("; ")), decisions);
        }
    }
}
