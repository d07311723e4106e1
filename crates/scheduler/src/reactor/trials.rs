//! Trials as the reactor sees them, and leasing them to idle workers.

use std::collections::BTreeMap;

use converge_core::failure::FailureClass;
use converge_core::ids::AttemptId;
use converge_core::trial::{IllegalTransition, TrialEvent, TrialKind, TrialState};
use converge_protocol::message::{Assignment, Down, ResumeFrom, Work};
use converge_store::Change;

use super::{Climb, Decisions, Mode, Reactor, WorkerState};

/// A trial with all that leasing it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Number within its sweep.
    pub number: u64,
    /// What it is for: what stands beside the search takes nothing of its budget, and its failure does not stop it.
    pub kind: TrialKind,
    /// Where it stands.
    pub state: TrialState,
    /// Attempts so far.
    pub attempts: u64,
    /// Failed attempts by class.
    pub failures: BTreeMap<FailureClass, u64>,
    /// Times the accumulation of its settings, in its next attempt: more than 1 after it ran out of memory.
    pub accumulation_factor: u64,
    /// The last committed checkpoint.
    pub resume_point: Option<ResumePoint>,
    /// What an attempt has to do.
    pub work: Work,
    /// Steps from start to end.
    pub total_steps: u64,
    /// The last step seen.
    pub step: u64,
    /// The last training loss seen.
    pub loss: Option<f64>,
    /// The best value of the objective seen in this session, or stored.
    pub value: Option<f64>,
    /// Where it stands among the rungs of early stopping.
    pub climb: Climb,
}

/// A checkpoint that the database knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    /// The last step that it holds.
    pub step: u64,
    /// Where it is, relative to the home.
    pub directory: String,
}

/// The right of a worker to write for a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The fence: frames about any other attempt are refused.
    pub attempt: AttemptId,
    /// Of this trial.
    pub trial: converge_core::ids::TrialId,
    /// The last step whose observations were accepted.
    pub step: u64,
}

impl Reactor {
    /// Gives queued trials, in their order, to idle workers.
    pub(super) fn lease(
        &mut self,
        now: i64,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        if self.mode != Mode::Running {
            return Ok(());
        }
        let idle = |worker: &super::Worker| worker.state == WorkerState::Idle && !worker.dismissed;
        let idle: Vec<_> =
            self.workers.iter().filter(|(_, worker)| idle(worker)).map(|(id, _)| *id).collect();
        for worker_id in idle {
            let Some(trial_id) = self.next_queued() else { return Ok(()) };
            let Some(trial) = self.trials.get_mut(&trial_id) else { continue };
            let attempt = self.next_attempt;
            self.next_attempt = AttemptId(attempt.0 + 1);
            let leased = TrialEvent::Leased(attempt);
            trial.state = trial.state.next(&leased, &trial.failures, &self.failure.retries)?;
            trial.attempts += 1;
            let from_step = trial.resume_point.as_ref().map_or(0, |point| point.step);
            trial.step = from_step;
            trial.climb.begin_at(from_step);
            let directory = format!("attempts/{attempt}");
            let down_seq = self.workers.get(&worker_id).map_or(1, |worker| worker.down_seq);
            decisions.changes.push(Change::Leased {
                attempt,
                trial: trial_id,
                number: trial.attempts,
                worker: worker_id,
                from_step,
                directory: directory.clone(),
                down_seq,
                accumulation_factor: trial.accumulation_factor,
            });
            let assignment = Assignment {
                attempt,
                trial: Some(trial_id),
                attempt_number: trial.attempts,
                work: trial.work.clone(),
                resume_from: trial.resume_point.as_ref().map(|point| ResumeFrom {
                    step: point.step,
                    directory: format!("{}/{}", self.home, point.directory),
                }),
                attempt_directory: format!("{}/{directory}", self.home),
                cache_directory: format!("{}/cache", self.home),
                checkpoint_seconds: self.checkpoint_seconds,
                until_step: trial.climb.until_step(),
                patience: self.early_stop.patience.filter(|_| trial.kind.is_ranked()),
                gradient_checkpointing: self.gradient_checkpointing,
                accumulation_factor: trial.accumulation_factor,
                timeout_seconds: self.failure.timeout_seconds,
            };
            let lease = Lease { attempt, trial: trial_id, step: from_step };
            if let Some(worker) = self.workers.get_mut(&worker_id) {
                worker.state = WorkerState::Busy(lease);
                worker.heard_at = now;
            }
            self.send(worker_id, Down::Assign(Box::new(assignment)), decisions);
        }
        Ok(())
    }
}
