//! What `resume` would find: the sweep as stored, and on top of it what the workers of a dead scheduler have
//! written and nobody has read. Nothing is changed: the database is only read, logs are only read, and no process
//! is waited for or killed.

use converge_core::budget::{Allowance, Usage};
use converge_core::ids::TrialId;
use converge_core::sweep::Sweep;
use converge_store::{Reader, SweepRecord};

use crate::home::Home;
use crate::mailbox;
use crate::reactor::{Event, Exit, Lease, Options, Reactor, Trial, Worker};
use crate::recovery::RecoveryError;
use crate::trials::load;

/// A sweep as `resume` would find it.
#[derive(Debug)]
pub struct Foresight {
    /// Its trials, none of them running.
    pub trials: Vec<(TrialId, Trial)>,
    /// Workers whose logs were read to the end.
    pub workers: u64,
    /// Folders of workers whose logs cannot be read; their trials go on from what is stored.
    pub unreadable: Vec<String>,
    /// Steps that are in those logs and not in the database.
    pub steps: u64,
}

/// Looks ahead.
///
/// # Errors
/// [`RecoveryError`].
pub fn foresee(
    home: &Home,
    reader: &Reader,
    record: &SweepRecord,
    sweep: &Sweep,
) -> Result<Foresight, RecoveryError> {
    // Final trials as well: what is skipped is told too.
    let record = &SweepRecord { open_trials: reader.trials(record.id)?, ..record.clone() };
    let options = Options {
        workers: 0,
        sweep: record.id,
        failure: sweep.failure.clone(),
        failed: 0,
        next_attempt: record.next_attempt_id,
        home: home.root().display().to_string(),
        checkpoint_seconds: sweep.run.checkpoint_seconds,
        gradient_checkpointing: sweep.run.gradient_checkpointing,
        allowance: Allowance::default(),
    };
    let left_behind = record.open_workers.iter().map(|worker| {
        let lease = worker.open_attempts.first().map(|attempt| Lease {
            attempt: attempt.id,
            trial: attempt.trial,
            step: attempt.last_step,
        });
        (worker.id, Worker::left_behind(lease, worker.up_next_seq.saturating_sub(1)))
    });
    let mut reactor = Reactor::recover(options, load(record, sweep, reader)?, left_behind);
    let mut unreadable = Vec::new();
    for worker in &record.open_workers {
        let directory = home.root().join(&worker.directory);
        match mailbox::peek(&directory, worker.up_offset, worker.up_next_seq) {
            Ok(mail) => {
                let (frames, place) = (mail.frames, mail.place);
                reactor.step(Event::Frames { worker: worker.id, frames, place }, 0)?;
            }
            Err(_) => unreadable.push(worker.directory.clone()),
        }
        reactor.step(Event::Exited { worker: worker.id, exit: Exit::Unknown }, 0)?;
    }
    let Usage { steps, .. } = reactor.used(0);
    Ok(Foresight {
        workers: (record.open_workers.len() - unreadable.len()) as u64,
        trials: reactor.trials().map(|(id, trial)| (*id, trial.clone())).collect(),
        unreadable,
        steps,
    })
}
