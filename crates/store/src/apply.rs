//! A batch of changes as one transaction: all of them hold afterwards, or none.

mod addition;
mod attempt;
#[cfg(test)]
mod interrupted;
mod rung;
mod trial;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use converge_core::ids::{AttemptId, SweepId, TrialId};
use converge_faults::{Mutant, is_on};
use rusqlite::{Connection, OptionalExtension};

use crate::change::Change;
use crate::database_error::DatabaseError;
use crate::record::RecordError;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::trial_metric::Extremes;
use crate::word::SweepState;

/// A batch was not applied. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A change contradicts what is stored. Trying again does not help.
    #[error("cannot apply change {index} of the batch ({change})")]
    Refused {
        /// Its place in the batch, from 0; the batch's length where the batch as a whole is refused.
        index: usize,
        /// Its kind.
        change: &'static str,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// The record of a sweep that grows cannot be written. The same batch can be applied later.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The database's answer. The same batch can be applied later.
    #[error(transparent)]
    Database(DatabaseError),
}

impl ApplyError {
    /// Returns whether the same batch succeeds once there is room on the disk.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Database(error) => error.is_disk_full(),
            Self::Record(error) => error.is_disk_full(),
            Self::Refused { .. } => false,
        }
    }
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(DatabaseError::of(error))
    }
}

impl Store {
    /// Applies a batch of changes, in order, as one transaction.
    ///
    /// A worker's frames and the [`Change::LogRead`] that moves past them belong in the same batch: then each
    /// frame counts exactly once, whatever is killed when.
    ///
    /// # Durability
    /// When this returns `Ok`, a crash of the process loses nothing. A power cut may lose the last batches, whole
    /// and from the end: logs are then read again from the offsets that are left.
    ///
    /// # Errors
    /// [`ApplyError`]: nothing of the batch was kept, and the store can be used as before.
    pub fn apply(&mut self, changes: &[Change], now_ms: i64) -> Result<(), ApplyError> {
        if is_on(Mutant::OffsetApart) {
            let of_log = |change: &Change| matches!(change, Change::LogRead { .. });
            let (offsets, rows): (Vec<_>, Vec<_>) = changes.iter().cloned().partition(of_log);
            return self
                .apply_batch(&offsets, now_ms)
                .and_then(|()| self.apply_batch(&rows, now_ms));
        }
        self.apply_batch(changes, now_ms)
    }

    fn apply_batch(&mut self, changes: &[Change], now_ms: i64) -> Result<(), ApplyError> {
        self.transaction(|connection, cache| {
            let mut batch = Batch {
                connection,
                cache,
                extremes: BTreeMap::new(),
                steps: BTreeMap::new(),
                touched: BTreeSet::new(),
                grown: BTreeSet::new(),
                now_ms,
            };
            for (index, change) in changes.iter().enumerate() {
                batch.apply(change).map_err(|stop| stop.at(index, change.word()))?;
            }
            batch.finish().map_err(|stop| stop.at(changes.len(), "end of batch"))
        })
    }
}

/// What the store remembers between batches, to spare look-ups; emptied when a transaction is rolled back.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Id by name.
    metrics: HashMap<String, i64>,
    /// Open attempts only.
    attempts: HashMap<AttemptId, OpenAttempt>,
}

/// What has to be known of an attempt to take an observation from it.
#[derive(Debug, Clone, Copy)]
struct OpenAttempt {
    trial: TrialId,
    from_step: u64,
    last_step: u64,
}

/// A batch under way.
struct Batch<'a> {
    connection: &'a Connection,
    cache: &'a mut Cache,
    /// Extremes of this batch's observations, not yet written; by trial and metric.
    extremes: BTreeMap<(TrialId, i64), Extremes>,
    /// Last steps of this batch's observations, not yet written.
    steps: BTreeMap<AttemptId, u64>,
    /// Trials whose state or attempts changed.
    touched: BTreeSet<TrialId>,
    /// Sweeps that got trials.
    grown: BTreeSet<SweepId>,
    now_ms: i64,
}

/// Why a change did not go in.
enum Stop {
    Refused(Refusal),
    Record(RecordError),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Stop {
    fn at(self, index: usize, change: &'static str) -> ApplyError {
        match self {
            Self::Refused(refusal) => ApplyError::Refused { index, change, refusal },
            Self::Record(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Batch<'_> {
    fn apply(&mut self, change: &Change) -> Result<(), Stop> {
        match change {
            Change::WorkerSpawned { worker, pid, process_start, boot_id } => {
                self.worker_spawned(*worker, *pid, *process_start, boot_id)
            }
            Change::WorkerBorn { worker, machine, version } => {
                self.worker_born(*worker, machine, version)
            }
            Change::LogRead { worker, offset, next_seq, torn_lines } => {
                self.log_read(*worker, *offset, *next_seq, *torn_lines)
            }
            Change::DownLogged { worker, next_seq } => self.down_logged(*worker, *next_seq),
            Change::StaleFrames { worker, count } => self.stale_frames(*worker, *count),
            Change::WorkerEnded { worker, exit } => self.worker_ended(*worker, exit),
            Change::Leased {
                attempt,
                trial,
                number,
                worker,
                from_step,
                directory,
                down_seq,
                accumulation_factor,
            } => self.leased(&attempt::Lease {
                attempt: *attempt,
                trial: *trial,
                number: *number,
                worker: *worker,
                from_step: *from_step,
                directory,
                down_seq: *down_seq,
                accumulation_factor: *accumulation_factor,
            }),
            Change::Started { attempt } => self.started(*attempt),
            Change::Observed { attempt, step, seq, metrics, items } => {
                self.observed(*attempt, *step, *seq, metrics)?;
                items.as_ref().map_or(Ok(()), |items| self.said(*attempt, *step, items))
            }
            Change::Checkpointed { attempt, step, directory, seq } => {
                self.checkpointed(*attempt, *step, directory, *seq)
            }
            Change::AttemptEnded {
                attempt,
                ending,
                last_step,
                closed_seq,
                best,
                peak_memory_bytes,
            } => self.attempt_ended(
                *attempt,
                &attempt::End {
                    ending,
                    last_step: *last_step,
                    closed_seq: *closed_seq,
                    best: best.as_ref(),
                    peak_memory_bytes: *peak_memory_bytes,
                },
            ),
            Change::Evidence { attempt, evidence, peak_memory_bytes } => {
                self.evidence(*attempt, evidence, *peak_memory_bytes)
            }
            Change::Reached { trial, rung, step, standing } => {
                self.reached(*trial, *rung, *step, standing)
            }
            Change::Decided { trial, rung, decision } => self.decided(*trial, *rung, decision),
            Change::TrialState { trial, state } => self.trial_state(*trial, state),
            Change::TrialAdded { trial, sweep, number, new } => {
                self.trial_added(*trial, *sweep, *number, new)
            }
            Change::ResumePoint { trial, point } => self.resume_point(*trial, point.as_ref()),
            Change::BestWeights { trial, weights } => self.best_weights(*trial, weights.as_ref()),
            Change::SweepState { sweep, state } => self.sweep_state(*sweep, *state),
        }
    }

    fn sweep_state(&mut self, sweep: SweepId, state: SweepState) -> Result<(), Stop> {
        let changed =
            self.execute("UPDATE sweeps SET state = ?2 WHERE id = ?1", (sweep.0, state.word()))?;
        if changed == 0 { Err(Refusal::NoSweep(sweep).into()) } else { Ok(()) }
    }

    /// Writes what was held back, and looks whether the touched trials are whole.
    fn finish(&mut self) -> Result<(), Stop> {
        self.flush()?;
        for trial in std::mem::take(&mut self.touched) {
            let (state, open): (String, u64) = self
                .connection
                .prepare_cached(
                    "SELECT state,
                        (SELECT count(*) FROM attempts WHERE trial = sweep_trials.id AND ending IS NULL)
                    FROM sweep_trials WHERE id = ?1",
                )?
                .query_row([trial.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if open != u64::from(state == "running") {
                return Err(Refusal::LeftHalf { trial, state, open }.into());
            }
        }
        self.finish_growth()
    }

    /// Writes last steps and extremes that were held back.
    ///
    /// Observations come by the hundred for one attempt and metric; these rows are then written once.
    fn flush(&mut self) -> Result<(), Stop> {
        for (attempt, step) in std::mem::take(&mut self.steps) {
            self.execute("UPDATE attempts SET last_step = ?2 WHERE id = ?1", (attempt.0, step))?;
        }
        for ((trial, metric), extremes) in std::mem::take(&mut self.extremes) {
            extremes.merge_into(self.connection, trial, metric)?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(parameters)
    }

    /// Runs a query that gives one row or none.
    fn find<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.connection.prepare_cached(sql)?.query_row(parameters, read).optional()
    }
}
