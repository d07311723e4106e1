//! Makes a database anew from what lies beside it: the sweeps' records, the workers' logs and the notes on them.
//!
//! Attempts are taken in the order of their numbers, which is the order of their leases, each with all its frames:
//! what two attempts of different trials did at the same time does not depend on each other. Every frame goes the way
//! that it went the first time, through the reactor and its fence. What nobody wrote down is derived:
//!
//! - An attempt without a last word ended as the scheduler noted, else abandoned.
//! - A failed trial that was leased again had been queued again by the user.
//! - An attempt that is missing in a trial's numbers was leased and never told: abandoned.
//! - A trial that had paused at a rung and was leased again had been promoted; by what, and who was stopped, is decided
//!   once more when all is read, of the same values.
//! - Checkpoints and best weights are there if they are there.
//! - Times are those of the logs' last writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use converge_core::budget::Allowance;
use converge_core::early_stop::Verdict;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::sweep::{FailurePolicy, Sweep};
use converge_core::trial::{AttemptEnding, IllegalTransition, StopReason, TrialState};
use converge_protocol::frame::{Frame, Reader as LogReader};
use converge_protocol::message::{Assignment, Down, Up};
use converge_store::{
    ApplyError, Change, DatabaseError, QueryError, RestoreError, RungDecision, Store, SweepState,
    WorkerNote, records,
};

use crate::clock;
use crate::home::Home;
use crate::launcher::local::Identity;
use crate::reactor::{EarlyStopping, Event, Lease, LogPlace, Options, Reactor, Trial, Worker};
use crate::trials::{LoadError, definition, early_stopping, load};
use crate::worker_notes::{self, End};

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Sweeps with a record.
    pub sweeps: u64,
    /// Attempts whose logs were read.
    pub attempts: u64,
    /// What could not be taken over, for people.
    pub problems: Vec<String>,
}

/// A database cannot be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A folder cannot be read.
    #[error("cannot read the home")]
    Home(#[source] std::io::Error),
    /// A sweep cannot be made anew.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A sweep cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The rows cannot be written.
    #[error("cannot write the new database")]
    Apply(#[from] ApplyError),
    /// Likewise.
    #[error("cannot write the new database")]
    Database(#[from] DatabaseError),
    /// The logs contradict themselves.
    #[error("the logs contradict themselves: {0}")]
    Illegal(#[from] IllegalTransition),
    /// Somebody still writes.
    #[error("worker {0} of an earlier session is still running")]
    Alive(WorkerId),
    /// Nothing says what the trials are.
    #[error("there is no record of any sweep in `{}`", .0.display())]
    NoRecords(PathBuf),
}

/// Fills an empty store from what lies in the home.
///
/// # Errors
/// [`RebuildError`]; the store is then half filled and of no use.
pub fn rebuild(home: &Home, store: &mut Store) -> Result<Rebuilt, RebuildError> {
    let mut rebuilt = Rebuilt::default();
    let records = records(&home.database()).map_err(RebuildError::Home)?;
    if records.is_empty() {
        return Err(RebuildError::NoRecords(home.root().join("sweeps")));
    }
    let mut replay = Replay::default();
    for (_, path) in records {
        let id = store.restore_sweep(&path)?;
        if let Some(record) = store.read().sweep(id)? {
            let sweep = definition(&record)?;
            for (trial, held) in load(&record, &sweep, store.read())? {
                replay.trials.insert(trial, (id, held));
            }
            replay.sweeps.insert(id, sweep);
        }
        rebuilt.sweeps += 1;
    }
    for (id, folder) in folders(home)? {
        match Logs::read(id, &folder) {
            Ok(logs) if logs.is_alive() => return Err(RebuildError::Alive(id)),
            Ok(logs) => replay.add(id, logs, store, &mut rebuilt)?,
            Err(error) => rebuilt.problems.push(format!("workers/{id}: {error}")),
        }
    }
    replay.run(store, &mut rebuilt)?;
    for (id, sweep) in &replay.sweeps {
        decide(store, *id, sweep)?;
    }
    settle(home, store)?;
    Ok(rebuilt)
}

/// Returns the folders of workers, by number.
fn folders(home: &Home) -> Result<BTreeMap<WorkerId, PathBuf>, RebuildError> {
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(home.root().join("workers")).map_err(RebuildError::Home)? {
        let path = entry.map_err(RebuildError::Home)?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|n| n.parse().ok());
        if let Some(number) = number {
            folders.insert(WorkerId(number), path);
        }
    }
    Ok(folders)
}

/// All that a worker and its scheduler wrote.
#[derive(Debug)]
struct Logs {
    note: Option<WorkerNote>,
    end: Option<End>,
    up: Vec<Frame<Up>>,
    up_place: LogPlace,
    assigned: Vec<(u64, Assignment)>,
    down_next_seq: u64,
    written_ms: i64,
    /// Frames of `up` that were taken.
    taken: usize,
    hold: Option<String>,
}

impl Logs {
    fn read(_: WorkerId, folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("up.log");
        let written = std::fs::metadata(&path)?.modified()?;
        let written_ms = written
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let mut reader = LogReader::default();
        let up = reader.feed::<Up>(&std::fs::read(path)?);
        let up_place = LogPlace {
            offset: reader.offset(),
            next_seq: reader.next_seq(),
            torn_lines: up.torn_lines,
        };
        let mut reader = LogReader::default();
        let down = reader.feed::<Down>(&std::fs::read(folder.join("down.log"))?);
        let hold = up.hold.or(down.hold).map(|hold| hold.to_string());
        let assigned = down
            .frames
            .into_iter()
            .filter_map(|frame| match frame.message {
                Down::Assign(assignment) => Some((frame.seq, *assignment)),
                _ => None,
            })
            .collect();
        Ok(Self {
            note: worker_notes::read_start(folder),
            end: worker_notes::read_end(folder),
            up: up.frames,
            up_place,
            assigned,
            down_next_seq: reader.next_seq(),
            written_ms,
            taken: 0,
            hold,
        })
    }

    fn is_alive(&self) -> bool {
        let process = self.note.as_ref().and_then(WorkerNote::process);
        process.is_some_and(|(pid, process_start, boot_id)| {
            Identity { pid, process_start, boot_id }.is_alive()
        })
    }

    /// Takes the frames up to the first that fits, or up to the one after it.
    fn take(&mut self, including: bool, fits: impl Fn(&Up) -> bool) -> Vec<Frame<Up>> {
        let rest = &self.up[self.taken..];
        let place = rest.iter().position(|frame| fits(&frame.message));
        let count =
            place.map_or(if including { rest.len() } else { 0 }, |at| at + usize::from(including));
        let taken = rest[..count].to_vec();
        self.taken += count;
        taken
    }

    /// Returns the sequence number of the last frame that was taken.
    fn last_seq(&self) -> u64 {
        self.taken.checked_sub(1).and_then(|last| self.up.get(last)).map_or(0, |frame| frame.seq)
    }
}

/// Returns the attempt that a frame is about.
fn attempt_of(message: &Up) -> Option<AttemptId> {
    match message {
        Up::Started { attempt, .. }
        | Up::Step { attempt, .. }
        | Up::Checkpoint { attempt, .. }
        | Up::Ended { attempt, .. } => Some(*attempt),
        _ => None,
    }
}

/// The state while attempts are taken one by one.
#[derive(Debug, Default)]
struct Replay {
    sweeps: BTreeMap<SweepId, Sweep>,
    trials: BTreeMap<TrialId, (SweepId, Trial)>,
    workers: BTreeMap<WorkerId, Logs>,
    /// Worker and place among its assignments, by attempt.
    leases: BTreeMap<AttemptId, (WorkerId, usize)>,
    /// Numbers of attempts that are in no log: leased in the moment in which their scheduler was killed.
    untold: BTreeSet<AttemptId>,
    /// The last attempt that each worker was told of.
    last: BTreeMap<WorkerId, AttemptId>,
}

impl Replay {
    /// Takes in a worker, and makes its row.
    fn add(
        &mut self,
        id: WorkerId,
        logs: Logs,
        store: &mut Store,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), RebuildError> {
        if let Some(hold) = &logs.hold {
            rebuilt.problems.push(format!("workers/{id}: a log cannot be read to its end: {hold}"));
        }
        let Some(note) = &logs.note else {
            let attempts = logs.assigned.len();
            rebuilt.problems.push(format!(
                "workers/{id}: nothing says whose worker it was; {attempts} attempts are left out"
            ));
            return Ok(());
        };
        if note.sweep().is_none_or(|sweep| !self.sweeps.contains_key(&sweep)) {
            rebuilt.problems.push(format!("workers/{id}: there is no record of its sweep"));
            return Ok(());
        }
        store.restore_worker(note)?;
        for (place, (_, assignment)) in logs.assigned.iter().enumerate() {
            self.leases.insert(assignment.attempt, (id, place));
        }
        self.workers.insert(id, logs);
        Ok(())
    }

    /// Returns the worker that an attempt before this one was leased to and never heard of, and the place in its log:
    /// the newest of those that were told nothing afterwards.
    fn silent(&self, attempt: AttemptId, worker: WorkerId) -> Option<(WorkerId, u64)> {
        let told_later =
            |id: &WorkerId| self.last.get(id).is_some_and(|last| *last >= attempt) || *id >= worker;
        let (id, logs) = self.workers.iter().rfind(|(id, _)| !told_later(id))?;
        Some((*id, logs.down_next_seq))
    }

    fn run(&mut self, store: &mut Store, rebuilt: &mut Rebuilt) -> Result<(), RebuildError> {
        let newest = self.leases.last_key_value().map_or(0, |(attempt, _)| attempt.0);
        self.untold = (1..=newest)
            .map(AttemptId)
            .filter(|attempt| !self.leases.contains_key(attempt))
            .collect();
        for (attempt, (worker, _)) in &self.leases {
            self.last.insert(*worker, *attempt);
        }
        for (attempt, (worker, place)) in std::mem::take(&mut self.leases) {
            match self.attempt(attempt, worker, place, store) {
                Ok(()) => rebuilt.attempts += 1,
                Err(Skip::Because(why)) => {
                    rebuilt.problems.push(format!("attempt {attempt}: {why}; left out"));
                }
                Err(Skip::Failed(error)) => return Err(error),
            }
        }
        let leased: BTreeMap<WorkerId, u64> = store
            .read()
            .open_workers()?
            .into_iter()
            .map(|worker| (worker.id, worker.down_next_seq))
            .collect();
        for (id, logs) in &mut self.workers {
            let frames = logs.take(true, |_| false);
            let mut changes = Vec::new();
            changes.extend(frames.into_iter().filter_map(|frame| match frame.message {
                Up::Born { version, machine, .. } => {
                    Some(Change::WorkerBorn { worker: *id, version, machine })
                }
                _ => None,
            }));
            let LogPlace { offset, next_seq, torn_lines } = logs.up_place;
            changes.push(Change::LogRead { worker: *id, offset, next_seq, torn_lines });
            // One more where a lease was never told.
            let next_seq = leased.get(id).copied().unwrap_or(0).max(logs.down_next_seq);
            changes.push(Change::DownLogged { worker: *id, next_seq });
            let exit = logs.end.as_ref().map_or("unknown".into(), |end| end.exit.clone());
            changes.push(Change::WorkerEnded { worker: *id, exit });
            store.apply(&changes, logs.written_ms)?;
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        attempt: AttemptId,
        worker: WorkerId,
        place: usize,
        store: &mut Store,
    ) -> Result<(), Skip> {
        let because = |why: &str| Skip::Because(why.into());
        let silent = self.silent(attempt, worker);
        let logs = self.workers.get_mut(&worker).ok_or_else(|| because("its worker is unknown"))?;
        let (down_seq, assignment) = logs.assigned[place].clone();
        let trial_id =
            assignment.trial.ok_or_else(|| because("an older version did not log its trial"))?;
        let (sweep, trial) =
            self.trials.get_mut(&trial_id).ok_or_else(|| because("no record has its trial"))?;
        let failure =
            self.sweeps.get(sweep).map_or(FailurePolicy::default(), |sweep| sweep.failure.clone());
        let sweep = *sweep;

        let mut changes = Vec::new();
        if matches!(trial.state, TrialState::Failed(_)) {
            changes.push(Change::TrialState { trial: trial_id, state: TrialState::Queued });
            trial.state = TrialState::Queued;
            trial.failures.clear();
        }
        if trial.state == TrialState::Waiting {
            changes.push(Change::TrialState { trial: trial_id, state: TrialState::Queued });
            trial.state = TrialState::Queued;
            trial.climb.reached = None;
        }
        // What it was leased for says which rungs it has passed: a trial that was cancelled while it waited, and is
        // tried again, comes there once more.
        let ahead = |rung: &&u64| assignment.until_step.is_some_and(|until| **rung >= until);
        let rungs = &trial.climb.rungs;
        trial.climb.passed = (rungs.len() - rungs.iter().filter(ahead).count()) as u64;
        if trial.state != TrialState::Queued {
            return Err(Skip::Because(format!("its trial was {} before", trial.state.word())));
        }
        // Only what is before it on this worker: what it says comes after the lease.
        let before = logs.take(false, |message| attempt_of(message) == Some(attempt));
        for frame in &before {
            if let Up::Born { version, machine, .. } = &frame.message {
                let (version, machine) = (version.clone(), machine.clone());
                changes.push(Change::WorkerBorn { worker, version, machine });
            }
        }
        changes.extend(before.last().map(|frame| read_to(worker, frame)));
        let from_step = assignment.resume_from.as_ref().map_or(0, |from| from.step);
        for number in trial.attempts + 1..assignment.attempt_number {
            let point = trial.resume_point.as_ref().map_or(0, |point| point.step);
            let lost = self.untold.pop_first().filter(|id| *id < attempt);
            let (Some(lost), Some((worker, down_seq))) = (lost, silent) else {
                return Err(because("an attempt before it is in no log"));
            };
            changes.extend(abandoned(lost, trial_id, number, worker, point, down_seq));
        }
        changes.push(Change::Leased {
            attempt,
            trial: trial_id,
            number: assignment.attempt_number,
            worker,
            from_step,
            directory: format!("attempts/{attempt}"),
            down_seq,
            accumulation_factor: assignment.accumulation_factor,
        });
        let home = assignment.attempt_directory.strip_suffix(&format!("/attempts/{attempt}"));
        let home = home.unwrap_or_default().to_string();
        let frames = frames_of(attempt, from_step, logs);
        let mut next = trial.clone();
        next.state = TrialState::Running(attempt);
        next.attempts = assignment.attempt_number;
        let options = Options {
            workers: 0,
            sweep,
            failure,
            failed: 0,
            next_attempt: AttemptId(attempt.0 + 1),
            home,
            checkpoint_seconds: assignment.checkpoint_seconds,
            gradient_checkpointing: assignment.gradient_checkpointing,
            allowance: Allowance::default(),
            early_stop: EarlyStopping::default(),
        };
        let lease = Lease { attempt, trial: trial_id, step: from_step };
        let first = frames.first().map_or(1, |frame| frame.seq);
        let held = Worker::left_behind(Some(lease), first.saturating_sub(1));
        let mut reactor = Reactor::recover(options, [(trial_id, next)], [(worker, held)]);
        let end = frames.last().map_or(0, |frame| frame.end);
        let next_seq = logs.last_seq() + 1;
        let place = LogPlace { offset: end, next_seq, torn_lines: 0 };
        let event = Event::Frames { worker, frames, place };
        let decisions =
            reactor.step(event, 0).map_err(|error| Skip::Failed(RebuildError::Illegal(error)))?;
        changes.extend(decisions.changes);
        match store.apply(&changes, logs.written_ms) {
            Ok(()) => {}
            Err(error @ ApplyError::Refused { .. }) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                return Err(Skip::Because(why.unwrap_or_else(|| error.to_string())));
            }
            Err(error) => return Err(Skip::Failed(error.into())),
        }
        if let Some(after) = reactor.trial(trial_id) {
            *trial = after.clone();
        }
        Ok(())
    }
}

/// Makes the changes of an attempt that no worker ever heard of.
fn abandoned(
    attempt: AttemptId,
    trial: TrialId,
    number: u64,
    worker: WorkerId,
    from_step: u64,
    down_seq: u64,
) -> [Change; 3] {
    let directory = format!("attempts/{attempt}");
    [
        Change::Leased {
            attempt,
            trial,
            number,
            worker,
            from_step,
            directory,
            down_seq,
            // It did not get to divide anything.
            accumulation_factor: 1,
        },
        Change::AttemptEnded {
            attempt,
            ending: AttemptEnding::Abandoned,
            last_step: from_step,
            closed_seq: 0,
            best: None,
            peak_memory_bytes: None,
        },
        Change::TrialState { trial, state: TrialState::Queued },
    ]
}

/// Takes all frames about an attempt; where its last word is missing, how it ended is added.
fn frames_of(attempt: AttemptId, from_step: u64, logs: &mut Logs) -> Vec<Frame<Up>> {
    let ends = |message: &Up| matches!(message, Up::Ended { attempt: of, .. } if *of == attempt);
    let said = logs.up[logs.taken..].iter().any(|frame| ends(&frame.message));
    if said {
        return logs.take(true, ends);
    }
    let another = |message: &Up| attempt_of(message).is_some_and(|of| of != attempt);
    let goes_on = logs.up[logs.taken..].iter().any(|frame| another(&frame.message));
    let mut frames = logs.take(!goes_on, another);
    let last = frames.iter().rev().find_map(|frame| match frame.message {
        Up::Step { step, .. } => Some(step),
        _ => None,
    });
    let noted = logs.end.as_ref().and_then(|end| end.attempt.clone());
    let (ending, step, peak_memory_bytes) = match noted {
        Some((of, ending, step)) if of == attempt => {
            (ending, step, logs.end.as_ref().and_then(|end| end.peak_memory_bytes))
        }
        _ => (AttemptEnding::Abandoned, last.unwrap_or(from_step), None),
    };
    let end = frames.last().map_or(0, |frame| frame.end);
    frames.push(Frame {
        seq: logs.last_seq(),
        end,
        message: Up::Ended { attempt, step, ending, best: None, peak_memory_bytes },
    });
    frames
}

fn read_to(worker: WorkerId, frame: &Frame<Up>) -> Change {
    Change::LogRead { worker, offset: frame.end, next_seq: frame.seq + 1, torn_lines: 0 }
}

/// Why an attempt was not taken over.
enum Skip {
    Because(String),
    Failed(RebuildError),
}

impl From<RebuildError> for Skip {
    fn from(error: RebuildError) -> Self {
        Self::Failed(error)
    }
}

/// Makes the decisions of early stopping again.
///
/// Where what was lost matters (a cancellation that no log tells of) they may come out otherwise; a trial that has gone
/// beyond a rung was promoted there all the same.
fn decide(store: &mut Store, id: SweepId, sweep: &Sweep) -> Result<(), RebuildError> {
    let Some(record) = store.read().sweep(id)? else { return Ok(()) };
    let Some(mut ladder) = early_stopping(&record, sweep, store.read())?.ladder else {
        return Ok(());
    };
    let climbing = store.read().ladder(id)?.trials;
    let newest: BTreeMap<TrialId, u64> = climbing
        .iter()
        .filter(|trial| trial.state == TrialState::Waiting.word())
        .filter_map(|trial| Some((trial.id, trial.rungs.last()?.rung)))
        .collect();
    let mut beyond: BTreeSet<(u64, TrialId)> = BTreeSet::new();
    for trial in &climbing {
        let passed = trial.rungs.iter().filter(|rung| trial.came_to > rung.step);
        beyond.extend(passed.map(|rung| (rung.rung, trial.id)));
    }
    let mut changes = Vec::new();
    let mut next_place: BTreeMap<u64, u64> = BTreeMap::new();
    for made in ladder.decide() {
        let trial = TrialId(made.trial.cast_signed());
        let (verdict, rank, among, place) = (made.verdict, made.rank, made.among, made.order);
        let waits_at = newest.get(&trial).copied();
        let state = match verdict {
            Verdict::Promoted => TrialState::Queued,
            // What went on is what was promoted.
            Verdict::Stopped if waits_at.is_none() => continue,
            Verdict::Stopped => TrialState::Stopped(StopReason::Outranked),
        };
        if verdict == Verdict::Promoted {
            let next = next_place.entry(made.rung).or_default();
            *next = (place + 1).max(*next);
        }
        beyond.remove(&(made.rung, trial));
        let decision = RungDecision { verdict, rank, among, place };
        changes.push(Change::Decided { trial, rung: made.rung, decision });
        if waits_at == Some(made.rung) {
            changes.push(Change::TrialState { trial, state });
        }
    }
    for (rung, trial) in beyond {
        let place = next_place.entry(rung).or_default();
        let decision =
            RungDecision { verdict: Verdict::Promoted, rank: 1, among: 1, place: *place };
        *place += 1;
        changes.push(Change::Decided { trial, rung, decision });
    }
    store.apply(&changes, clock::unix_ms())?;
    Ok(())
}

/// Tells the rows what is on disk, and how sweeps and sessions stand.
fn settle(home: &Home, store: &mut Store) -> Result<(), RebuildError> {
    let mut changes = Vec::new();
    for trial in store.read().holdings()?.trials {
        if trial.best_weights.is_some_and(|best| home.inside(&best.directory).is_none()) {
            changes.push(Change::BestWeights { trial: trial.id, weights: None });
        }
        if let Some(point) = trial.resume
            && home.inside(&point.directory).is_none()
        {
            let points = store.read().checkpoints_that_count(trial.id)?;
            let point = points.into_iter().find(|point| home.inside(&point.directory).is_some());
            let point = point.filter(|_| !trial.is_final);
            changes.push(Change::ResumePoint { trial: trial.id, point });
        }
    }
    for sweep in store.read().sweeps()? {
        let finished = sweep.is_over();
        let state = if finished { SweepState::Finished } else { SweepState::Interrupted };
        changes.push(Change::SweepState { sweep: sweep.id, state });
    }
    let now = clock::unix_ms();
    store.apply(&changes, now)?;
    store.close_restored_sessions(now)?;
    Ok(())
}
