//! `[failure]`: how a trial goes on after running out of memory, and when too many failures stop the sweep.

use converge_core::ids::TrialId;
use converge_core::micro_batches::{MicroBatches, factor_after_oom};
use converge_core::settings::TrainSettings;
use converge_core::trial::TrialState;
use converge_protocol::message::Work;

use super::{Decisions, Mode, Reactor, Trial};

impl Trial {
    /// How it is trained.
    fn train(&self) -> &TrainSettings {
        match &self.work {
            Work::FineTune { settings, .. } | Work::Scripted { settings, .. } => &settings.train,
        }
    }

    /// Divides its steps further, after an attempt that ran out of memory.
    pub(super) fn divide_further(&mut self) -> MicroBatches {
        self.accumulation_factor = factor_after_oom(self.train(), self.accumulation_factor);
        MicroBatches::of(self.train(), self.accumulation_factor)
    }
}

impl Reactor {
    /// Counts a trial that has become final; where too many have failed, what they share is likelier to be wrong than
    /// each of them, and the sweep stops before it burns the rest.
    ///
    /// `max_failed` counts all trials of the sweep that stand as failed, whenever they failed. `max_consecutive` counts
    /// since the session began, or since a trial last completed or diverged: a resumed sweep gets a fair try.
    pub(super) fn count_final(&mut self, id: TrialId, decisions: &mut Decisions) {
        let Some(trial) = self.trials.get(&id).filter(|trial| trial.kind.is_ranked()) else {
            return;
        };
        let (number, failure) = match &trial.state {
            TrialState::Failed(failure) => (trial.number, failure.clone()),
            TrialState::Completed | TrialState::Diverged | TrialState::Stopped(_) => {
                self.failed_in_a_row = 0;
                return;
            }
            TrialState::Queued
            | TrialState::Running(_)
            | TrialState::Waiting
            | TrialState::Cancelled => return,
        };
        self.failed += 1;
        self.failed_in_a_row += 1;
        if (self.open == 0 && !self.may_grow())
            || !matches!(self.mode, Mode::Running | Mode::Paused { .. })
        {
            return;
        }
        let last = format!("the last was trial {number} ({})", failure.class.word());
        let look = format!("`converge show {number}` tells more");
        if self.failure.max_consecutive.is_some_and(|most| self.failed_in_a_row >= most) {
            let count = self.failed_in_a_row;
            let reason =
                format!("{count} failed in a row (`max_consecutive` in [failure]), {last}; {look}");
            self.stop(Some(reason), decisions);
        } else if self.failure.max_failed.is_some_and(|most| self.failed >= most) {
            let count = self.failed;
            let reason = format!("{count} failed (`max_failed` in [failure]), {last}; {look}");
            self.stop(Some(reason), decisions);
        }
    }
}
