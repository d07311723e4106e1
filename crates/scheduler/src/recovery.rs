//! What the workers of a dead scheduler left behind is read to its end before anything new is leased.
//!
//! A worker whose scheduler dies checkpoints and leaves within seconds. It is given that time, is killed by
//! pid, start time and boot id if it does not, and its open attempt ends abandoned: not charged to the trial.

use std::time::{Duration, Instant};

use converge_core::budget::Allowance;
use converge_core::ids::{SweepId, TrialId};
use converge_core::sweep::Sweep;
use converge_core::trial::IllegalTransition;
use converge_faults::point;
use converge_store::{ApplyError, Change, QueryError, Store, SweepRecord, WorkerRecord};

use crate::home::Home;
use crate::launcher::local::Identity;
use crate::mailbox::{Mail, Mailbox};
use crate::reactor::{EarlyStopping, Event, Exit, Lease, Options, Reactor, Trial, Worker};
use crate::trials::{LoadError, definition, load};
use crate::{clock, evidence};

/// How long old workers may take to leave by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Old workers cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A sweep cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database refused what was read.
    #[error("cannot store what the last session left behind")]
    Store(#[from] ApplyError),
    /// The state contradicts itself.
    #[error("a defect in converge: {0}")]
    Defect(#[from] IllegalTransition),
}

/// What recovery needs of the machine: old processes, their logs, and time. The simulation of the tests has its own.
pub trait Outside {
    /// Returns whether this very process is still there.
    fn is_alive(&self, process: &Identity) -> bool;

    /// Kills this very process, if it is still there.
    fn kill(&mut self, process: &Identity);

    /// Reads what is new in a worker's log.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&mut self, worker: &WorkerRecord) -> std::io::Result<Mail>;

    /// Lets time pass.
    fn wait(&mut self, time: Duration);

    /// Returns the time since some beginning.
    fn elapsed(&self) -> Duration;

    /// Returns the time of day, for the record. Unit: milliseconds since 1970, UTC.
    fn unix_ms(&self) -> i64;
}

/// The machine as it is.
struct ThisMachine<'a> {
    home: &'a Home,
    started: Instant,
}

impl Outside for ThisMachine<'_> {
    fn is_alive(&self, process: &Identity) -> bool {
        process.is_alive()
    }

    fn kill(&mut self, process: &Identity) {
        process.kill();
    }

    fn read(&mut self, worker: &WorkerRecord) -> std::io::Result<Mail> {
        let directory = self.home.root().join(&worker.directory);
        Mailbox::reopen(&directory, worker.up_offset, worker.up_next_seq)?.read()
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn unix_ms(&self) -> i64 {
        clock::unix_ms()
    }
}

/// Reads the logs of all old workers to their end and closes their attempts; returns how many there were.
///
/// # Errors
/// [`RecoveryError`].
pub fn recover(home: &Home, store: &mut Store) -> Result<u64, RecoveryError> {
    recover_from(&mut ThisMachine { home, started: Instant::now() }, home, store)
}

/// [`recover`] on any machine.
///
/// # Errors
/// [`RecoveryError`].
pub fn recover_from(
    outside: &mut dyn Outside,
    home: &Home,
    store: &mut Store,
) -> Result<u64, RecoveryError> {
    let workers = store.read().open_workers()?;
    let identities: Vec<Identity> = workers.iter().filter_map(identity).collect();
    let started = outside.elapsed();
    while identities.iter().any(|identity| outside.is_alive(identity)) {
        if outside.elapsed().saturating_sub(started) > PATIENCE {
            identities.iter().for_each(|identity| outside.kill(identity));
        }
        outside.wait(LOOK);
    }
    let mut sweeps: Vec<SweepId> = workers.iter().map(|worker| worker.sweep).collect();
    sweeps.dedup();
    for sweep in sweeps {
        let of_sweep: Vec<&WorkerRecord> =
            workers.iter().filter(|worker| worker.sweep == sweep).collect();
        recover_sweep(outside, home, store, sweep, &of_sweep)?;
    }
    Ok(workers.len() as u64)
}

fn recover_sweep(
    outside: &mut dyn Outside,
    home: &Home,
    store: &mut Store,
    sweep: SweepId,
    workers: &[&WorkerRecord],
) -> Result<(), RecoveryError> {
    let Some(record) = store.read().sweep(sweep)? else { return Ok(()) };
    let sweep = definition(&record)?;
    let trials = load(&record, &sweep, store.read())?;
    let mut reactor = left_behind(home, &record, &sweep, trials, workers.iter().copied());
    for worker in workers {
        let mut events = Vec::new();
        match outside.read(worker) {
            Ok(mail) => events.push(Event::Frames {
                worker: worker.id,
                frames: mail.frames,
                place: mail.place,
            }),
            // Without its log the attempt goes on from its last stored checkpoint.
            Err(error) => {
                let directory = &worker.directory;
                tracing::warn!(directory, %error, "cannot read an old worker's log")
            }
        }
        events.push(Event::Exited { worker: worker.id, exit: Exit::Unknown });
        let mut changes: Vec<Change> = Vec::new();
        for event in events {
            let decisions = reactor.step(event, 0)?;
            changes.extend(decisions.changes);
            let unexplained = decisions.unexplained.into_iter();
            changes.extend(unexplained.map(|attempt| evidence::collect(home, attempt, None)));
        }
        point("recovery.before");
        store.apply(&changes, outside.unix_ms())?;
        point("recovery.after");
    }
    Ok(())
}

/// Returns a reactor that takes what workers of a dead scheduler have written, and leases nothing.
pub(crate) fn left_behind<'a>(
    home: &Home,
    record: &SweepRecord,
    sweep: &Sweep,
    trials: Vec<(TrialId, Trial)>,
    workers: impl Iterator<Item = &'a WorkerRecord>,
) -> Reactor {
    let options = Options {
        workers: 0,
        sweep: record.id,
        failure: sweep.failure.clone(),
        failed: record.counts.failed,
        next_attempt: record.next_attempt_id,
        home: home.root().display().to_string(),
        checkpoint_seconds: sweep.run.checkpoint_seconds,
        gradient_checkpointing: sweep.run.gradient_checkpointing,
        // Leases nothing: there is nothing to hold back.
        allowance: Allowance::default(),
        // Likewise.
        early_stop: EarlyStopping::default(),
    };
    let workers = workers.map(|worker| {
        let lease = worker.open_attempts.first().map(|attempt| Lease {
            attempt: attempt.id,
            trial: attempt.trial,
            step: attempt.last_step,
        });
        (worker.id, Worker::left_behind(lease, worker.up_next_seq.saturating_sub(1)))
    });
    Reactor::recover(options, trials, workers)
}

fn identity(worker: &WorkerRecord) -> Option<Identity> {
    Some(Identity {
        pid: worker.pid?,
        process_start: worker.process_start?,
        boot_id: worker.boot_id.clone()?,
    })
}
