//! What workers say about their attempts, behind the fence of the attempt's number.

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, WorkerId};
use converge_core::metric::TRAIN_LOSS;
use converge_core::trial::{AttemptEnding, IllegalTransition, TrialEvent, TrialState};
use converge_faults::{Mutant, is_on};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Best, Up, Work};
use converge_store::{BestWeights, Change};

use super::{
    Action, Decisions, Lease, LogPlace, Mode, Notice, Reactor, ResumePoint, Unexplained,
    WorkerState,
};

/// How an attempt ended, as its last frame says or as its process shows.
pub(super) struct End {
    pub(super) step: u64,
    pub(super) ending: AttemptEnding,
    pub(super) closed_seq: u64,
    pub(super) best: Option<Best>,
    pub(super) peak_memory_bytes: Option<u64>,
}

impl Reactor {
    /// Takes frames in their order; those of an attempt that is not this worker's are counted and refused.
    pub(super) fn take_frames(
        &mut self,
        worker: WorkerId,
        frames: Vec<Frame<Up>>,
        place: LogPlace,
        now: i64,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.heard_at = now;
        }
        let mut stale = 0;
        for frame in frames {
            if !self.take_frame(worker, frame, decisions)? {
                stale += 1;
            }
        }
        if stale > 0 {
            decisions.changes.push(Change::StaleFrames { worker, count: stale });
        }
        let LogPlace { offset, next_seq, torn_lines } = place;
        decisions.changes.push(Change::LogRead { worker, offset, next_seq, torn_lines });
        Ok(())
    }

    /// Returns whether the frame was accepted.
    fn take_frame(
        &mut self,
        id: WorkerId,
        frame: Frame<Up>,
        decisions: &mut Decisions,
    ) -> Result<bool, IllegalTransition> {
        let plausible = self.is_plausible(&frame.message);
        let Some(worker) = self.workers.get_mut(&id) else { return Ok(false) };
        let seq = frame.seq;
        worker.up_seq = seq;
        if !plausible {
            // Whatever it has become, it is no worker any more; its attempt ends as killed.
            decisions.actions.push(Action::Kill(id));
            return Ok(false);
        }
        match frame.message {
            Up::Born { version, machine, .. } => {
                self.stillborn = 0;
                if worker.state == WorkerState::Starting {
                    worker.state = WorkerState::Idle;
                }
                decisions.changes.push(Change::WorkerBorn { worker: id, version, machine });
            }
            Up::Bye => {
                worker.departed = true;
                if matches!(worker.state, WorkerState::Idle | WorkerState::Starting) {
                    worker.state = WorkerState::Leaving;
                }
            }
            // Preparation has its own worker, and a beat proves progress and nothing more.
            Up::Beat | Up::Prepared { .. } | Up::Refused { .. } | Up::Inspected { .. } => {}
            Up::Started { attempt, .. } => {
                let Some(_) = lease_of(&worker.state, attempt) else { return Ok(false) };
                decisions.changes.push(Change::Started { attempt });
            }
            Up::Step { attempt, step, metrics, items }
                if is_on(Mutant::NoFence) && lease_of(&worker.state, attempt).is_none() =>
            {
                decisions.changes.push(Change::Observed { attempt, step, seq, metrics, items });
            }
            Up::Step { attempt, step, metrics, items } => {
                let WorkerState::Busy(lease) = &mut worker.state else { return Ok(false) };
                if lease.attempt != attempt || step <= lease.step {
                    return Ok(false);
                }
                lease.step = step;
                let trial = lease.trial;
                self.watch(trial, step, &metrics);
                let reached = self.climb(trial, step, &metrics, items.as_ref());
                decisions.changes.push(Change::Observed { attempt, step, seq, metrics, items });
                decisions.changes.extend(reached);
            }
            Up::Checkpoint { attempt, step, directory }
                if is_on(Mutant::NoFence) && lease_of(&worker.state, attempt).is_none() =>
            {
                let Some(directory) = self.own(attempt, &directory) else { return Ok(false) };
                decisions.changes.push(Change::Checkpointed { attempt, step, directory, seq });
            }
            Up::Checkpoint { attempt, step, directory } => {
                let Some(lease) = lease_of(&worker.state, attempt) else { return Ok(false) };
                let Some(directory) = self.own(attempt, &directory) else { return Ok(false) };
                if let Some(trial) = self.trials.get_mut(&lease.trial) {
                    trial.resume_point = Some(ResumePoint { step, directory: directory.clone() });
                }
                decisions.changes.push(Change::Checkpointed { attempt, step, directory, seq });
            }
            Up::Ended { attempt, step, ending, best, peak_memory_bytes } => {
                let Some(lease) = lease_of(&worker.state, attempt) else { return Ok(false) };
                // After a failure the process is replaced: its memory may be in any state.
                worker.state = match &ending {
                    AttemptEnding::Failed(_) => WorkerState::Leaving,
                    _ => WorkerState::Idle,
                };
                let end = End { step, ending, closed_seq: seq, best, peak_memory_bytes };
                self.end_attempt(id, lease, end, decisions)?;
            }
        }
        Ok(true)
    }

    /// Keeps what the progress display shows.
    fn watch(&mut self, trial: converge_core::ids::TrialId, step: u64, metrics: &[(String, f64)]) {
        let Some(trial) = self.trials.get_mut(&trial) else { return };
        trial.step = step;
        let objective = match &trial.work {
            Work::FineTune { objective, .. } | Work::Scripted { objective, .. } => objective,
        };
        for (name, value) in metrics {
            if name == TRAIN_LOSS {
                trial.loss = Some(*value);
            }
            if *name == objective.metric {
                let keep = trial.value.is_some_and(|old| {
                    objective.at == converge_core::objective::At::Best
                        && !objective.improves(*value, old)
                });
                if !keep {
                    trial.value = Some(*value);
                }
            }
        }
    }

    /// Ends an attempt and moves its trial on.
    pub(super) fn end_attempt(
        &mut self,
        worker: WorkerId,
        lease: Lease,
        end: End,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        let End { step, mut ending, closed_seq, best, peak_memory_bytes } = end;
        let best = best.and_then(|best| {
            let directory = self.own(lease.attempt, &best.directory)?;
            Some(BestWeights { step: best.step, value: best.value, directory })
        });
        let Some(trial) = self.trials.get_mut(&lease.trial) else { return Ok(()) };
        let mut full = None;
        if let AttemptEnding::Failed(Failure { class: FailureClass::DiskFull, message }) = &ending {
            // Not the trial's fault, and every other trial would meet it too: the sweep stops instead.
            full = Some(message.clone());
            ending = AttemptEnding::Abandoned;
        }
        let mut micro_batches = None;
        if let AttemptEnding::Failed(failure) = &ending {
            *trial.failures.entry(failure.class).or_default() += 1;
            if failure.class == FailureClass::Oom {
                micro_batches = Some(trial.divide_further());
            }
        }
        let event = TrialEvent::Ended(lease.attempt, ending.clone());
        trial.state = trial.state.next(&event, &trial.failures, &self.failure.retries)?;
        trial.step = step;
        decisions.changes.push(Change::AttemptEnded {
            attempt: lease.attempt,
            ending: ending.clone(),
            last_step: step,
            closed_seq,
            best,
            peak_memory_bytes,
        });
        if matches!(ending, AttemptEnding::Failed(_) | AttemptEnding::Abandoned) {
            decisions.unexplained.push(Unexplained { attempt: lease.attempt, worker });
        }
        let unwanted = self.unwanted.remove(&lease.trial);
        let number = trial.number;
        let notice = match ending {
            AttemptEnding::Completed => {
                Some(Notice::Completed { trial: number, value: trial.value })
            }
            AttemptEnding::Diverged { step, quantity } => {
                Some(Notice::Diverged { trial: number, step, quantity })
            }
            AttemptEnding::Failed(failure) => {
                let retried = trial.state == TrialState::Queued && !unwanted;
                Some(Notice::Failed {
                    trial: number,
                    attempt: trial.attempts,
                    failure: format!("{}: {}", failure.class.word(), failure.message),
                    retried,
                    micro_batches: micro_batches.filter(|_| retried),
                })
            }
            AttemptEnding::Released | AttemptEnding::Paused | AttemptEnding::Abandoned => None,
        };
        let state = trial.state.clone();
        if self.mode != Mode::Recovering {
            let told = !unwanted || state != TrialState::Queued;
            decisions.actions.extend(notice.filter(|_| told).map(Action::Notice));
        }
        if matches!(state, TrialState::Queued | TrialState::Waiting) && unwanted {
            // A session that reads it from what is stored knows that it came there.
            if state == TrialState::Waiting {
                self.wait_at_rung(lease.trial, decisions);
            }
            self.cancel_queued(lease.trial, decisions)?;
        } else {
            decisions.changes.push(Change::TrialState { trial: lease.trial, state: state.clone() });
            if state.is_final() {
                self.close(lease.trial);
                decisions.actions.push(Action::CleanUp { trial: number });
                self.count_final(lease.trial, decisions);
            } else if state == TrialState::Waiting {
                self.wait_at_rung(lease.trial, decisions);
            } else {
                self.enqueue(lease.trial);
            }
        }
        if let Some(message) = full {
            let reason = format!(
                "the disk is full: {message}; free space on it (of the home, `attempts` holds the most)"
            );
            self.stop(Some(reason), decisions);
        }
        Ok(())
    }
}

/// Returns the lease if it is for this attempt.
fn lease_of(state: &WorkerState, attempt: AttemptId) -> Option<Lease> {
    match state {
        WorkerState::Busy(lease) if lease.attempt == attempt => Some(*lease),
        _ => None,
    }
}
