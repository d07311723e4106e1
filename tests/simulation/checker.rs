//! The checker: holds the database to the logs, through a connection of its own.
//!
//! The invariants are those of the protocol, by their numbers there:
//!
//! 1. a trial has at most one open attempt, and exactly one completed one when it is completed;
//! 2. a log's offset and number move with the rows made from its frames;
//! 3. the rows of an attempt are exactly its steps from + 1 to k, each once, each in a log, none missing;
//! 4. an attempt starts from 0 or from a checkpoint that was stored before its lease;
//! 5. nothing of an attempt changes after its end;
//! 6. a file has one writer for ever (the simulated disk sees to that);
//! 7. no decision depends on the time of day (a history is played twice, see `history`);
//! 8. is about Slurm, which is not simulated here;
//! 9. every wait has an end (histories do, and so does recovery);
//! 10. what goes to `down.log` was stored before.
//!
//! Beside them: finished trials never change, no curve has a hole, a double or a foreign value, extremes are those of
//! the curves, retries keep to their policy, no configuration is there twice, and workers keep to their number.
//!
//! After each round what is new is checked: the open attempts, the logs of open workers, the newest rows. The whole
//! database is checked ([`Checker::check_all`], in `audit`) after each death and each error, before and after recovery,
//! at times in between, and at the end.

use std::collections::BTreeMap;

use converge_core::ids::{AttemptId, WorkerId};
use converge_core::trial::TrialState;
use converge_protocol::message::{Down, Up};
use converge_scheduler::reactor::Reactor;
use rusqlite::{Connection, OptionalExtension as _};

use crate::audit::Attempt;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::scheduler::Stop;
use crate::sweep::Sweep;

/// What was seen so far, so that it can be held against what comes.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// By worker.
    pub(crate) ledgers: BTreeMap<i64, Ledger>,
    /// Attempts that are over, as they were when that was first seen.
    pub(crate) closed: BTreeMap<i64, Attempt>,
    /// Trials that are final, likewise.
    pub(crate) finished: BTreeMap<i64, String>,
    /// Last step of each open attempt whose rows were looked at.
    steps: BTreeMap<i64, u64>,
}

/// Returns that something is not as it must be.
pub(crate) fn wrong<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Wrong(what.into()))
}

/// Returns the rows of a query; the database is whole, so it answers.
pub(crate) fn rows<T>(
    other: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = other.prepare_cached(sql).expect("a sound query");
    let rows = statement.query_map(parameters, read).expect("a readable database");
    rows.collect::<rusqlite::Result<_>>().expect("readable rows")
}

impl Checker {
    /// A frame is about to be written to `down.log`.
    pub(crate) fn sending(
        &self,
        other: &Connection,
        worker: WorkerId,
        message: &Down,
        seq: u64,
    ) -> Result<(), Stop> {
        let sql = "SELECT down_next_seq FROM workers WHERE id = ?1";
        let stored = rows(other, sql, [worker.0], |row| row.get::<_, u64>(0));
        if stored.first().is_none_or(|next| *next <= seq) {
            return wrong(format!("frame {seq} to worker {worker} is not stored: {stored:?}"));
        }
        if let Down::Assign(assignment) = message {
            let attempt = assignment.attempt;
            let (open, of) = self.lease(other, attempt)?;
            if !open || of != (worker, seq) {
                return wrong(format!(
                    "attempt {attempt} is given to {worker} in {seq}, not as {of:?}"
                ));
            }
        }
        Ok(())
    }

    /// A worker has read a frame that gives it an attempt.
    pub(crate) fn given(
        &self,
        other: &Connection,
        worker: WorkerId,
        attempt: AttemptId,
        seq: u64,
    ) -> Result<(), Stop> {
        let (_, of) = self.lease(other, attempt)?;
        if of == (worker, seq) {
            return Ok(());
        }
        wrong(format!("worker {worker} was given attempt {attempt} in {seq}, which is {of:?}"))
    }

    fn lease(
        &self,
        other: &Connection,
        attempt: AttemptId,
    ) -> Result<(bool, (WorkerId, u64)), Stop> {
        let found = other
            .prepare_cached("SELECT ending IS NULL, worker, down_seq FROM attempts WHERE id = ?1")
            .expect("a sound query")
            .query_row([attempt.0], |row| Ok((row.get(0)?, (WorkerId(row.get(1)?), row.get(2)?))))
            .optional()
            .expect("a readable row");
        found.map_or_else(|| wrong(format!("attempt {attempt} is given and not stored")), Ok)
    }

    /// Reads a log up to where the database says that it was read.
    pub(crate) fn read_log(
        &mut self,
        disk: &Disk,
        worker: i64,
        offset: u64,
        next_seq: u64,
    ) -> Result<&Ledger, Stop> {
        let ledger = self.ledgers.entry(worker).or_default();
        let log = disk.logs.get(&WorkerId(worker)).map_or(&[][..], |logs| logs.up.bytes());
        let offset = usize::try_from(offset).expect("logs are short");
        if let Err(what) = ledger.read_to(log, offset) {
            return wrong(format!("log of worker {worker}: {what}"));
        }
        if ledger.next_seq != next_seq {
            let found = ledger.next_seq;
            return wrong(format!("log of worker {worker}: next is {found}, stored {next_seq}"));
        }
        Ok(ledger)
    }

    /// Checks what a round can have changed.
    pub(crate) fn check_new(
        &mut self,
        other: &Connection,
        disk: &Disk,
        sweep: &Sweep,
        reactor: &Reactor,
    ) -> Result<(), Stop> {
        let sql = "SELECT id, up_offset, up_next_seq FROM workers WHERE ended_at_ms IS NULL";
        let workers: Vec<(i64, u64, u64)> =
            rows(other, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        for (worker, offset, next_seq) in workers {
            self.read_log(disk, worker, offset, next_seq)?;
        }
        let sql = "SELECT id, trial, worker, from_step, last_step, opened_seq
            FROM attempts WHERE ending IS NULL";
        let open: Vec<(i64, i64, i64, u64, u64, u64)> = rows(other, sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        });
        if open.len() as u64 > sweep.workers {
            return wrong(format!("{} open attempts for {} workers", open.len(), sweep.workers));
        }
        // What the scheduler holds in mind is what is stored: it can die at any time.
        for (trial, known) in reactor.trials() {
            let attempt = open.iter().find(|row| row.1 == trial.0).map(|row| AttemptId(row.0));
            let same = match (&known.state, attempt) {
                (TrialState::Running(known), Some(stored)) => *known == stored,
                (TrialState::Running(_), None) => false,
                (_, stored) => stored.is_none(),
            };
            if !same {
                return wrong(format!("trial {trial} is {:?} and has {attempt:?}", known.state));
            }
        }
        for (attempt, trial, worker, from, last, opened) in open {
            let seen = self.steps.insert(attempt, last).unwrap_or(from);
            if last > seen {
                self.check_steps(other, sweep, (attempt, trial, worker), seen, opened)?;
            }
        }
        Ok(())
    }

    /// Checks the rows of an open attempt after a step: those of the log, and no others.
    fn check_steps(
        &self,
        other: &Connection,
        sweep: &Sweep,
        (attempt, trial, worker): (i64, i64, i64),
        seen: u64,
        opened: u64,
    ) -> Result<(), Stop> {
        let sql = "SELECT step, seq, count(*) FROM observations WHERE attempt = ?1 AND step > ?2
            GROUP BY step, seq ORDER BY step";
        let stored: Vec<(u64, u64, usize)> =
            rows(other, sql, (attempt, seen), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let Some(planned) = sweep.planned(other, converge_core::ids::TrialId(trial)) else {
            return wrong(format!("attempt {attempt} is of trial {trial}, which nobody planned"));
        };
        let frames = self.ledgers.get(&worker).map_or(&[][..], |ledger| &ledger.frames);
        let written: Vec<(u64, u64, usize)> = frames
            .iter()
            .filter_map(|(seq, message)| match message {
                Up::Step { attempt: of, step, .. }
                    if of.0 == attempt && *seq >= opened && *step > seen =>
                {
                    Some((*step, *seq, planned.metrics(*step).len()))
                }
                _ => None,
            })
            .collect();
        if stored == written {
            return Ok(());
        }
        wrong(format!("attempt {attempt}: stored {stored:?}, written {written:?}"))
    }
}
