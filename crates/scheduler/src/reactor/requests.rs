//! What users ask of a running scheduler: cancel trials, pause, go on.

use converge_core::ids::TrialId;
use converge_core::trial::{IllegalTransition, TrialEvent, TrialState};
use converge_protocol::message::Down;
use converge_store::{Change, SweepState};

use super::{Action, Decisions, Mode, Notice, Reactor, WorkerState};

/// Names a request, for its answer.
pub type RequestId = String;

/// A request that is not done yet.
#[derive(Debug)]
pub(super) enum Pending {
    /// Done when these trials are running no longer.
    Cancel { request: RequestId, running: Vec<TrialId> },
    /// Done when all workers have left.
    Pause { request: RequestId },
}

impl Reactor {
    /// Cancels what waits, and asks for what runs to be given back: it is cancelled when its attempt ends. A trial
    /// that ends otherwise before that keeps its result.
    pub(super) fn cancel(
        &mut self,
        request: RequestId,
        trials: Vec<TrialId>,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        let mut running = Vec::new();
        for id in trials {
            let Some(trial) = self.trials.get(&id) else { continue };
            match trial.state {
                TrialState::Queued | TrialState::Waiting => self.cancel_queued(id, decisions)?,
                TrialState::Running(attempt) => {
                    running.push(id);
                    if self.unwanted.insert(id) {
                        let holds = |state: &WorkerState| matches!(state, WorkerState::Busy(lease) if lease.attempt == attempt);
                        let holder = self.workers.iter().find(|(_, worker)| holds(&worker.state));
                        if let Some(worker) = holder.map(|(worker, _)| *worker) {
                            self.send(worker, Down::Release, decisions);
                        }
                    }
                }
                TrialState::Completed
                | TrialState::Diverged
                | TrialState::Failed(_)
                | TrialState::Cancelled
                | TrialState::Stopped(_) => {}
            }
        }
        self.pending.push(Pending::Cancel { request, running });
        Ok(())
    }

    /// Cancels a trial that waits for a worker or at a rung, and drops its checkpoint.
    pub(super) fn cancel_queued(
        &mut self,
        id: TrialId,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        self.dequeue(id);
        let Some(trial) = self.trials.get_mut(&id) else { return Ok(()) };
        trial.state =
            trial.state.next(&TrialEvent::Cancelled, &trial.failures, &self.failure.retries)?;
        decisions.changes.push(Change::TrialState { trial: id, state: trial.state.clone() });
        decisions.actions.push(Action::CleanUp { trial: trial.number });
        decisions.actions.push(Action::Notice(Notice::Cancelled { trial: trial.number }));
        self.close(id);
        Ok(())
    }

    /// Has all workers checkpoint and leave, and leases nothing until the user says so.
    pub(super) fn pause(&mut self, request: RequestId, decisions: &mut Decisions) {
        if self.mode == Mode::Running {
            self.mode = Mode::Paused { told: false };
            self.store_state(SweepState::Paused, decisions);
            decisions.actions.push(Action::Notice(Notice::Pausing));
            self.dismiss(decisions);
        }
        self.pending.push(Pending::Pause { request });
    }

    /// Leases again. Workers that are still leaving are waited for: their memory is not free before.
    pub(super) fn unpause(&mut self, request: RequestId, decisions: &mut Decisions) {
        if self.is_paused() {
            self.mode = Mode::Running;
            self.store_state(SweepState::Running, decisions);
            decisions.actions.push(Action::Notice(Notice::Unpaused));
            for pending in std::mem::take(&mut self.pending) {
                match pending {
                    Pending::Pause { request } => decisions.actions.push(Action::Answer(request)),
                    Pending::Cancel { .. } => self.pending.push(pending),
                }
            }
        }
        decisions.actions.push(Action::Answer(request));
    }

    fn store_state(&self, state: SweepState, decisions: &mut Decisions) {
        decisions.changes.push(Change::SweepState { sweep: self.sweep, state });
    }

    /// Answers what is done.
    pub(super) fn answer(&mut self, decisions: &mut Decisions) {
        let gone = self.workers.is_empty() && self.launching == 0;
        if gone && self.mode == (Mode::Paused { told: false }) && !self.is_over() {
            self.mode = Mode::Paused { told: true };
            decisions.actions.push(Action::Notice(Notice::Paused));
        }
        let ended = |id: &TrialId| self.trials.get(id).is_none_or(|trial| trial.state.is_final());
        self.pending.retain(|pending| {
            let (request, done) = match pending {
                Pending::Cancel { request, running } => (request, running.iter().all(ended)),
                Pending::Pause { request } => (request, gone),
            };
            if done {
                decisions.actions.push(Action::Answer(request.clone()));
            }
            !done
        });
    }
}
