//! The scheduler's decisions: `step(event, now)` gives changes to store and actions to carry out.
//!
//! Nothing here reads a clock, touches a file or starts a process, so that simulation can drive it. All
//! changes of a step are committed before any of its actions is carried out: a worker never hears of a
//! lease that a crash could undo.

mod attempts;
mod budget;
mod growth;
mod plausible;
mod policy;
mod requests;
pub(crate) mod rungs;
mod trials;
mod workers;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use converge_core::budget::Allowance;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::micro_batches::MicroBatches;
use converge_core::sweep::FailurePolicy;
use converge_core::trial::{IllegalTransition, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Down, Up};
use converge_store::Change;

use budget::Spending;
use requests::Pending;

pub use growth::{Addition, Growing};
pub use requests::RequestId;
pub use rungs::{Climb, EarlyStopping};
pub use trials::{Lease, ResumePoint, Trial};
pub use workers::{Worker, WorkerState};

/// Silence after which a worker that is starting or leaving is killed; one that trains has `[failure] timeout`.
pub const PATIENCE_MS: i64 = 600_000;
/// Workers that die in a row before their first word, after which starting more is pointless.
const STILLBORN_MAX: u64 = 3;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker process was started.
    Launched(WorkerId),
    /// Starting a worker failed.
    LaunchFailed(String),
    /// Frames read from a worker's log, and the place after them.
    Frames {
        /// Whose.
        worker: WorkerId,
        /// New frames.
        frames: Vec<Frame<Up>>,
        /// Place in the log after them.
        place: LogPlace,
    },
    /// A worker process is gone, and its log was read to its end.
    Exited {
        /// Which.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// The user, or the system, wants the sweep to stop: once gently, twice at once.
    Interrupt,
    /// The user does not want these trials.
    Cancel {
        /// Answered once none of them is queued or running.
        request: RequestId,
        /// Trials of this sweep.
        trials: Vec<TrialId>,
    },
    /// What the store says that a trial came to: the answer to [`Action::Score`].
    Scored {
        /// Which.
        trial: TrialId,
        /// The objective; none where it never was a number.
        value: Option<f64>,
    },
    /// The user wants the machine for a while.
    Pause {
        /// Answered once all workers have left.
        request: RequestId,
    },
    /// The user wants the sweep to go on.
    Unpause {
        /// Answered at once.
        request: RequestId,
    },
    /// Time has passed.
    Tick,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// Bytes read.
    pub offset: u64,
    /// Number of the next frame.
    pub next_seq: u64,
    /// Torn lines met on the way there, since the last report.
    pub torn_lines: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By this signal, because memory ran out: the kernel took the process, or it could get no more.
    OutOfMemory(i32),
    /// Before this scheduler could watch it.
    Unknown,
}

/// Something to do, after the changes of the same step are committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a worker process; answered by [`Event::Launched`] or [`Event::LaunchFailed`].
    Launch,
    /// Append to a worker's log and ring its bell.
    Send(WorkerId, Box<Down>),
    /// Kill a worker at once; answered by [`Event::Exited`].
    Kill(WorkerId),
    /// Checkpoints of the trial are no longer needed, and its place among the best is known; of one that waits at a rung,
    /// those before its last.
    CleanUp {
        /// Its number within the sweep.
        trial: u64,
    },
    /// Say what a completed trial came to; answered by [`Event::Scored`].
    Score(TrialId),
    /// What was asked for is done.
    Answer(RequestId),
    /// Tell the user.
    Notice(Notice),
    /// Nothing is left to do.
    Finish(Ending),
}

/// News for the user.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A trial is done.
    Completed {
        /// Number within the sweep.
        trial: u64,
        /// Best value of the objective.
        value: Option<f64>,
    },
    /// A trial's loss or gradients left the finite numbers.
    Diverged {
        /// Number within the sweep.
        trial: u64,
        /// Where.
        step: u64,
        /// What.
        quantity: String,
    },
    /// An attempt failed; the trial is tried again, or not.
    Failed {
        /// Number within the sweep.
        trial: u64,
        /// Number of the attempt.
        attempt: u64,
        /// `class: message`.
        failure: String,
        /// Whether the trial is tried again.
        retried: bool,
        /// How it is then divided, where that is new: after it ran out of memory.
        micro_batches: Option<MicroBatches>,
    },
    /// A trial does not go on from a rung.
    Stopped {
        /// Number within the sweep.
        trial: u64,
        /// Where.
        step: u64,
        /// Its place among those that it was compared with.
        rank: u64,
        /// How many those were.
        among: u64,
        /// Which rung: from 1.
        rung: u64,
        /// How many there are.
        rungs: u64,
    },
    /// The user did not want a trial.
    Cancelled {
        /// Number within the sweep.
        trial: u64,
    },
    /// The sweep has got trials: draws that follow results, or seeds for those that are tied for best.
    Added(Vec<Addition>),
    /// Workers checkpoint and leave; the scheduler stays.
    Pausing,
    /// All workers have left.
    Paused,
    /// The sweep goes on after a pause.
    Unpaused,
    /// Workers checkpoint and stop.
    Stopping {
        /// Why, where it was not the user.
        reason: Option<String>,
    },
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every trial is final.
    Finished {
        /// Trials that failed.
        failed: u64,
    },
    /// Stopped before the end; `resume` goes on.
    Interrupted {
        /// Whether the user insisted and workers were killed.
        at_once: bool,
        /// Why, where it was not the user.
        reason: Option<String>,
    },
}

/// What a step brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// To be committed in one transaction, before the actions.
    pub changes: Vec<Change>,
    /// To be carried out in order.
    pub actions: Vec<Action>,
    /// Attempts whose logs should be looked at: what they say belongs into the same transaction.
    pub unexplained: Vec<Unexplained>,
}

/// An attempt that ended otherwise than by its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unexplained {
    /// Which.
    pub attempt: AttemptId,
    /// Who carried it out.
    pub worker: WorkerId,
}

/// What the scheduler is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Leasing trials.
    Running,
    /// Leasing nothing until the user says so; whether the user was told that all workers have left.
    Paused { told: bool },
    /// Waiting for workers to checkpoint and leave.
    Stopping { reason: Option<String> },
    /// Workers have been killed.
    Killing,
    /// Reading what the workers of a dead scheduler left behind: no lease, no launch.
    Recovering,
    /// The end was told.
    Done,
}

/// The scheduler's state: trials, workers, and what it is about.
#[derive(Debug)]
pub struct Reactor {
    trials: BTreeMap<TrialId, Trial>,
    /// Trials that wait for a worker, so that nobody looks through a hundred thousand to find one.
    queued: BTreeSet<TrialId>,
    /// The same for those that were promoted at a rung: who was at more of them comes first.
    promoted: BTreeSet<(Reverse<u64>, TrialId)>,
    /// Trials that are not final.
    open: u64,
    /// Those of them that are of the search.
    open_ranked: u64,
    /// Trials that failed, those of earlier sessions included.
    failed: u64,
    /// Trials that failed in this session since one completed or diverged.
    failed_in_a_row: u64,
    /// Running trials that the user does not want: they are released, and do not go on.
    unwanted: BTreeSet<TrialId>,
    /// What the user asked for and is not done yet.
    pending: Vec<Pending>,
    workers: BTreeMap<WorkerId, Worker>,
    next_attempt: AttemptId,
    sweep: SweepId,
    failure: FailurePolicy,
    /// Workers wanted at once.
    target: u64,
    launching: u64,
    stillborn: u64,
    mode: Mode,
    home: String,
    checkpoint_seconds: f64,
    gradient_checkpointing: bool,
    spending: Spending,
    early_stop: EarlyStopping,
    /// Where trials are added while it runs.
    growing: Option<Growing>,
}

/// What a reactor needs to know from outside.
#[derive(Debug, Clone)]
pub struct Options {
    /// Workers at once.
    pub workers: u64,
    /// The sweep that it is about.
    pub sweep: SweepId,
    /// What is done about failures.
    pub failure: FailurePolicy,
    /// Trials that had failed for good before, and are not among the reactor's.
    pub failed: u64,
    /// First attempt id that was never used.
    pub next_attempt: AttemptId,
    /// The home; absolute. The database holds paths relative to it, workers are given absolute ones.
    pub home: String,
    /// Least time between two checkpoints. Unit: seconds.
    pub checkpoint_seconds: f64,
    /// Whether layers are computed again in the backward pass.
    pub gradient_checkpointing: bool,
    /// The sweep's budget, and what was used of it before.
    pub allowance: Allowance,
    /// Which trials go on after a part of their training.
    pub early_stop: EarlyStopping,
}

impl Reactor {
    /// Starts with the trials that are not final, as they are stored, and no worker.
    pub fn new(options: Options, trials: impl IntoIterator<Item = (TrialId, Trial)>) -> Self {
        let trials: BTreeMap<TrialId, Trial> = trials.into_iter().collect();
        let waits = |(_, trial): &(&TrialId, &Trial)| trial.state == TrialState::Queued;
        let waiting: Vec<TrialId> = trials.iter().filter(waits).map(|(id, _)| *id).collect();
        let mut reactor = Self {
            queued: BTreeSet::new(),
            promoted: BTreeSet::new(),
            open_ranked: trials
                .values()
                .filter(|trial| !trial.state.is_final() && trial.kind.is_ranked())
                .count() as u64,
            open: trials.values().filter(|trial| !trial.state.is_final()).count() as u64,
            failed: options.failed
                + trials.values().filter(|trial| is_failed(trial)).count() as u64,
            failed_in_a_row: 0,
            unwanted: BTreeSet::new(),
            pending: Vec::new(),
            trials,
            workers: BTreeMap::new(),
            next_attempt: options.next_attempt,
            sweep: options.sweep,
            failure: options.failure,
            target: options.workers,
            launching: 0,
            stillborn: 0,
            mode: Mode::Running,
            home: options.home,
            checkpoint_seconds: options.checkpoint_seconds,
            gradient_checkpointing: options.gradient_checkpointing,
            spending: Spending::new(options.allowance),
            early_stop: options.early_stop,
            growing: None,
        };
        waiting.into_iter().for_each(|id| reactor.enqueue(id));
        reactor
    }

    /// Starts with the workers of a dead scheduler: their frames count, and open attempts end abandoned.
    pub fn recover(
        options: Options,
        trials: impl IntoIterator<Item = (TrialId, Trial)>,
        workers: impl IntoIterator<Item = (WorkerId, Worker)>,
    ) -> Self {
        let mut reactor = Self::new(options, trials);
        reactor.workers = workers.into_iter().collect();
        for worker in reactor.workers.values() {
            if let WorkerState::Busy(lease) = worker.state {
                match reactor.trials.get(&lease.trial) {
                    Some(trial) if !trial.kind.is_ranked() => {
                        reactor.spending.exempt(lease.attempt)
                    }
                    _ => reactor.spending.begin(lease.attempt, lease.step),
                }
            }
        }
        reactor.mode = Mode::Recovering;
        reactor
    }

    /// Takes an event and decides. `now` is in milliseconds of any clock that only goes forward.
    ///
    /// # Errors
    /// [`IllegalTransition`]: the state contradicts itself; the session must stop and store nothing more.
    pub fn step(&mut self, event: Event, now: i64) -> Result<Decisions, IllegalTransition> {
        let mut decisions = Decisions::default();
        match event {
            Event::Launched(worker) => {
                self.launching = self.launching.saturating_sub(1);
                self.workers.insert(worker, Worker::starting(now));
                // Interrupted or paused while it was starting.
                if self.mode != Mode::Running {
                    self.dismiss(&mut decisions);
                }
            }
            Event::LaunchFailed(message) => {
                self.launching = self.launching.saturating_sub(1);
                self.stop(Some(format!("cannot start a worker: {message}")), &mut decisions);
            }
            Event::Frames { worker, frames, place } => {
                self.take_frames(worker, frames, place, now, &mut decisions)?;
            }
            Event::Exited { worker, exit } => self.take_exit(worker, &exit, &mut decisions)?,
            Event::Interrupt => self.interrupt(&mut decisions),
            Event::Cancel { request, trials } => self.cancel(request, trials, &mut decisions)?,
            Event::Scored { trial, value } => self.score(trial, value),
            Event::Pause { request } => self.pause(request, &mut decisions),
            Event::Unpause { request } => self.unpause(request, &mut decisions),
            Event::Tick => self.kill_silent(now, &mut decisions)?,
        }
        self.decide(&mut decisions)?;
        self.spend(&decisions.changes);
        self.hold_to_budget(now, &mut decisions);
        self.grow(&mut decisions);
        let spent = decisions.changes.len();
        self.lease(now, &mut decisions)?;
        self.spend(&decisions.changes[spent..]);
        self.balance(&mut decisions);
        self.answer(&mut decisions);
        self.finish(&mut decisions);
        Ok(decisions)
    }

    /// Returns the sweep that it is about.
    pub fn sweep(&self) -> SweepId {
        self.sweep
    }

    /// Returns whether the sweep is paused, or about to be.
    pub fn is_paused(&self) -> bool {
        matches!(self.mode, Mode::Paused { .. })
    }

    /// Returns the trials, in the order of their ids.
    pub fn trials(&self) -> impl Iterator<Item = (&TrialId, &Trial)> {
        self.trials.iter()
    }

    /// Returns a trial.
    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(&id)
    }

    /// Returns the workers.
    pub fn workers(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.workers.iter()
    }

    fn send(&mut self, id: WorkerId, message: Down, decisions: &mut Decisions) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.down_seq += 1;
        decisions.changes.push(Change::DownLogged { worker: id, next_seq: worker.down_seq });
        decisions.actions.push(Action::Send(id, Box::new(message)));
    }

    /// Returns a path as the database holds it, if it lies in the attempt's own folder.
    ///
    /// What is stored here is read and deleted later: no word of a worker may name anything else.
    fn own(&self, attempt: AttemptId, path: &str) -> Option<String> {
        let relative = path.strip_prefix(self.home.as_str())?.trim_start_matches('/');
        let inside = relative.strip_prefix(&format!("attempts/{attempt}/"))?;
        let plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
        (path.len() <= 4096 && inside.split('/').all(plain)).then(|| relative.to_string())
    }

    fn interrupt(&mut self, decisions: &mut Decisions) {
        match self.mode {
            Mode::Running | Mode::Paused { .. } => self.stop(None, decisions),
            Mode::Stopping { .. } => {
                self.mode = Mode::Killing;
                decisions.actions.extend(self.workers.keys().copied().map(Action::Kill));
            }
            Mode::Killing | Mode::Recovering | Mode::Done => {}
        }
    }

    /// Asks every worker to checkpoint and leave.
    fn stop(&mut self, reason: Option<String>, decisions: &mut Decisions) {
        if !matches!(self.mode, Mode::Running | Mode::Paused { .. }) {
            return;
        }
        decisions.actions.push(Action::Notice(Notice::Stopping { reason: reason.clone() }));
        self.mode = Mode::Stopping { reason };
        self.dismiss(decisions);
    }

    /// Starts workers while there is more work than workers, and dismisses them when there is none left.
    fn balance(&mut self, decisions: &mut Decisions) {
        if self.mode != Mode::Running {
            return;
        }
        if self.open == 0 {
            // What comes next may follow from a value that is on its way.
            if !self.is_unscored() {
                self.dismiss(decisions);
            }
            return;
        }
        let alive =
            self.workers.values().filter(|worker| worker.state != WorkerState::Leaving).count()
                as u64;
        for _ in (alive + self.launching)..self.target.min(self.open) {
            self.launching += 1;
            decisions.actions.push(Action::Launch);
        }
    }

    fn dismiss(&mut self, decisions: &mut Decisions) {
        let staying: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.dismissed)
            .map(|(id, _)| *id)
            .collect();
        for worker in staying {
            self.send(worker, Down::Exit, decisions);
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.dismissed = true;
            }
        }
    }

    /// Counts a trial as final.
    fn close(&mut self, id: TrialId) {
        self.leave_ladder(id);
        self.open -= 1;
        let ranked = self.trials.get(&id).is_some_and(|trial| trial.kind.is_ranked());
        self.open_ranked -= u64::from(ranked);
    }

    fn finish(&mut self, decisions: &mut Decisions) {
        if !self.workers.is_empty() || self.launching > 0 || self.is_unscored() {
            return;
        }
        let ending = match &self.mode {
            Mode::Recovering | Mode::Done => return,
            // Also where the interrupt came after the last trial had ended.
            _ if self.is_over() => Ending::Finished { failed: self.failed },
            Mode::Stopping { reason } => {
                Ending::Interrupted { at_once: false, reason: reason.clone() }
            }
            Mode::Killing => Ending::Interrupted { at_once: true, reason: None },
            Mode::Running | Mode::Paused { .. } => return,
        };
        self.mode = Mode::Done;
        decisions.actions.push(Action::Finish(ending));
    }
}

fn is_failed(trial: &Trial) -> bool {
    matches!(trial.state, TrialState::Failed(_)) && trial.kind.is_ranked()
}
