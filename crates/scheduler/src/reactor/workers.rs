//! Workers as the reactor sees them: their first word, their silence and their end.

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::WorkerId;
use converge_core::trial::{AttemptEnding, IllegalTransition};
use converge_store::Change;

use super::attempts::End;
use super::{Action, Decisions, Exit, Lease, Mode, PATIENCE_MS, Reactor, STILLBORN_MAX};

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// What it is doing.
    pub state: WorkerState,
    /// When it was last heard, in the reactor's time.
    pub heard_at: i64,
    /// Whether it was told to leave.
    pub dismissed: bool,
    /// Number of the next frame to it.
    pub down_seq: u64,
    /// Number of its last frame.
    pub up_seq: u64,
    /// Whether it was killed for its silence.
    pub(super) silenced: bool,
    /// Whether it has said goodbye: what it is leased after that it will not read.
    pub(super) departed: bool,
}

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Not heard yet.
    Starting,
    /// Waits for a trial.
    Idle,
    /// Runs an attempt.
    Busy(Lease),
    /// Will be gone: it said so, or its attempt failed and the process is replaced.
    Leaving,
}

impl Worker {
    /// A worker that was just started.
    pub fn starting(now: i64) -> Self {
        Self::new(WorkerState::Starting, now, false, 0)
    }

    /// A worker of a dead scheduler.
    pub fn left_behind(lease: Option<Lease>, up_seq: u64) -> Self {
        Self::new(lease.map_or(WorkerState::Leaving, WorkerState::Busy), 0, true, up_seq)
    }

    fn new(state: WorkerState, heard_at: i64, dismissed: bool, up_seq: u64) -> Self {
        let (silenced, departed) = (false, false);
        Self { state, heard_at, dismissed, down_seq: 1, up_seq, silenced, departed }
    }
}

impl Reactor {
    /// Kills workers that have said nothing for too long: hung, stopped, or swapped out. A worker that trains says so
    /// only while it gets on.
    pub(super) fn kill_silent(
        &mut self,
        now: i64,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        let timeout = i64::try_from(self.failure.timeout_seconds).unwrap_or(i64::MAX);
        for (id, worker) in &mut self.workers {
            let patience = match worker.state {
                WorkerState::Busy(_) => timeout.saturating_mul(1000),
                WorkerState::Starting | WorkerState::Idle | WorkerState::Leaving => PATIENCE_MS,
            };
            let silent = now - worker.heard_at > patience;
            if silent && worker.state != WorkerState::Idle && !worker.silenced {
                worker.silenced = true;
                decisions.actions.push(Action::Kill(*id));
            }
        }
        Ok(())
    }

    /// Ends the worker, and the attempt that it left open.
    pub(super) fn take_exit(
        &mut self,
        id: WorkerId,
        exit: &Exit,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        let Some(worker) = self.workers.remove(&id) else { return Ok(()) };
        match worker.state {
            WorkerState::Busy(lease) => {
                let ending = self.ending_of(&worker, exit);
                let end = End {
                    step: lease.step,
                    ending,
                    closed_seq: worker.up_seq,
                    best: None,
                    peak_memory_bytes: None,
                };
                self.end_attempt(id, lease, end, decisions)?;
            }
            WorkerState::Starting if self.mode == Mode::Running => {
                self.stillborn += 1;
                if self.stillborn >= STILLBORN_MAX {
                    let reason = format!(
                        "{STILLBORN_MAX} workers in a row ended before their first word ({})",
                        exit.text()
                    );
                    self.stop(Some(reason), decisions);
                }
            }
            WorkerState::Starting | WorkerState::Idle | WorkerState::Leaving => {}
        }
        decisions.changes.push(Change::WorkerEnded { worker: id, exit: exit.text() });
        Ok(())
    }

    /// Says whose fault it is that an attempt ended with its process.
    fn ending_of(&self, worker: &Worker, exit: &Exit) -> AttemptEnding {
        if worker.silenced {
            let seconds = self.failure.timeout_seconds;
            let message = format!("no progress for {seconds} s: hung, and killed");
            return AttemptEnding::Failed(Failure { class: FailureClass::Timeout, message });
        }
        // One that left in peace had not heard of the lease: its goodbye and the lease crossed.
        if worker.departed || matches!(self.mode, Mode::Killing | Mode::Recovering) {
            return AttemptEnding::Abandoned;
        }
        let class = match exit {
            Exit::OutOfMemory(_) => FailureClass::Oom,
            Exit::Code(_) | Exit::Signal(_) | Exit::Unknown => FailureClass::Killed,
        };
        let message = format!("the worker ended without a word: {}", exit.text());
        AttemptEnding::Failed(Failure { class, message })
    }
}

impl Exit {
    /// Describes the exit, for people and for the database.
    pub fn text(&self) -> String {
        match self {
            Self::Code(code) => format!("exit code {code}"),
            Self::Signal(9) => {
                "signal 9 (SIGKILL: by hand, or by the kernel when memory ran out)".into()
            }
            Self::OutOfMemory(9) => "signal 9 (SIGKILL by the kernel: memory ran out)".into(),
            Self::OutOfMemory(signal) => format!("signal {signal} (it could get no more memory)"),
            Self::Signal(signal) => format!("signal {signal}"),
            Self::Unknown => "unknown".into(),
        }
    }
}
