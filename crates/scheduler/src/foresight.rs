//! What `resume` would find: the sweep as stored, and on top of it what the workers of a dead scheduler have
//! written and nobody has read. Nothing is changed: the database is only read, logs are only read, and no process
//! is waited for or killed.

use converge_core::budget::Usage;
use converge_core::ids::TrialId;
use converge_core::sweep::Sweep;
use converge_store::{Reader, SweepRecord, TrialCounts};

use crate::home::Home;
use crate::mailbox;
use crate::reactor::{Event, Exit, Trial};
use crate::recovery::{RecoveryError, left_behind};
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
    let counts = TrialCounts::default();
    let record = &SweepRecord { open_trials: reader.trials(record.id)?, counts, ..record.clone() };
    let trials = load(record, sweep, reader)?;
    let mut reactor = left_behind(home, record, sweep, trials, record.open_workers.iter());
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
