//! A sweep as the scheduler needs it to begin or go on, and the workers that may still be alive.

use converge_core::facts::Facts;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::Objective;
use rusqlite::{Connection, Row};

use super::summary::{TrialCounts, counts, objective};
use super::trial::{Chosen, TrialRecord, trials};
use super::{QueryError, Reader, json, row, rows};
use crate::session::SessionId;
use crate::sweep::Configuration;
use crate::word::{self, SweepState};

/// A sweep, but for its final trials: those are asked for with [`Reader::trials`].
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRecord {
    /// Its id.
    pub id: SweepId,
    /// Unique in its home.
    pub name: String,
    /// SHA-256 (hex) over what makes it this sweep.
    pub identity: String,
    /// The normalised sweep as JSON.
    pub definition: String,
    /// The file it came from.
    pub source_path: Option<String>,
    /// The text of that file.
    pub source_text: String,
    /// `KEY=VALUE` as given on the command line, in order.
    pub overrides: Vec<String>,
    /// Static facts, one entry per combination of model and data settings.
    pub facts: Vec<Facts>,
    /// How its trials are ranked.
    pub objective: Objective,
    /// Where it stands.
    pub state: SweepState,
    /// Version of converge that made it.
    pub version: String,
    /// Unit: Unix milliseconds.
    pub created_at_ms: i64,
    /// How many of its trials stand where.
    pub counts: TrialCounts,
    /// Steps of its completed trials.
    pub completed_steps: u64,
    /// Trials that are not final, by number. Of a hundred thousand that are, going on needs nothing but their number.
    pub open_trials: Vec<TrialRecord>,
    /// The best trial of its best configuration.
    pub best: Option<BestTrial>,
    /// Greater than every attempt's id in this home.
    pub next_attempt_id: AttemptId,
    /// Greater than every trial's id in this home.
    pub next_trial_id: TrialId,
    /// Workers of this sweep that are not known to have ended.
    pub open_workers: Vec<WorkerRecord>,
}

/// The best replicate of a sweep's best configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct BestTrial {
    /// From 1 within the sweep.
    pub number: u64,
    /// Its objective.
    pub value: f64,
    /// What the search chose for it.
    pub configuration: Configuration,
}

/// A worker that is not known to have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Its id.
    pub id: WorkerId,
    /// The session that started it.
    pub session: SessionId,
    /// The sweep of that session.
    pub sweep: SweepId,
    /// Where its logs are, relative to the home.
    pub directory: String,
    /// What it was started for.
    pub device: String,
    /// None: it was never started, or the scheduler died before it could say so.
    pub pid: Option<u32>,
    /// Start time of the process in clock ticks after boot.
    pub process_start: Option<u64>,
    /// Boot in which it was started.
    pub boot_id: Option<String>,
    /// Bytes of `up.log` read so far.
    pub up_offset: u64,
    /// Sequence number wanted next from `up.log`.
    pub up_next_seq: u64,
    /// Sequence number of the next frame for `down.log`.
    pub down_next_seq: u64,
    /// Attempts that it may still carry out; at most one, but for a worker that is leased ahead.
    pub open_attempts: Vec<OpenAttemptRecord>,
}

/// An attempt that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAttemptRecord {
    /// Its id.
    pub id: AttemptId,
    /// Its trial.
    pub trial: TrialId,
    /// From 1 within the trial.
    pub number: u64,
    /// Steps done before it.
    pub from_step: u64,
    /// Last step observed.
    pub last_step: u64,
    /// Sequence number in `down.log` of the frame that leased it.
    pub down_seq: u64,
}

impl Reader {
    /// Returns a whole sweep, but for its final trials.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep(&self, sweep: SweepId) -> Result<Option<SweepRecord>, QueryError> {
        self.query("the sweep", |connection| {
            let sql = "SELECT * FROM sweeps WHERE id = ?1";
            row(connection, sql, [sweep.0], |row| record(connection, sweep, row))
        })
    }

    /// Returns a sweep's static facts, one entry per combination of model and data settings.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn facts(&self, sweep: SweepId) -> Result<Vec<Facts>, QueryError> {
        self.query("the facts of a sweep", |connection| {
            let sql = "SELECT facts FROM sweeps WHERE id = ?1";
            Ok(row(connection, sql, [sweep.0], |row| json(row, "facts"))?.unwrap_or_default())
        })
    }

    /// Returns the workers of all sweeps of this home that are not known to have ended.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn open_workers(&self) -> Result<Vec<WorkerRecord>, QueryError> {
        self.query("the workers", |connection| open_workers(connection, None))
    }
}

fn record(connection: &Connection, sweep: SweepId, row: &Row<'_>) -> rusqlite::Result<SweepRecord> {
    let next_attempt: i64 =
        connection
            .query_row("SELECT coalesce(max(id), 0) + 1 FROM attempts", [], |row| row.get(0))?;
    let next_trial: i64 =
        connection
            .query_row("SELECT coalesce(max(id), 0) + 1 FROM sweep_trials", [], |row| row.get(0))?;
    Ok(SweepRecord {
        id: sweep,
        name: row.get("name")?,
        identity: row.get("identity")?,
        definition: row.get("definition")?,
        source_path: row.get("source_path")?,
        source_text: row.get("source_text")?,
        overrides: json(row, "overrides")?,
        facts: json(row, "facts")?,
        objective: objective(row)?,
        state: word::sweep_state(row.get_ref("state")?.as_str()?)?,
        version: row.get("version")?,
        created_at_ms: row.get("created_at_ms")?,
        counts: counts(connection, sweep)?,
        completed_steps: completed_steps(connection, sweep)?,
        open_trials: trials(connection, sweep, Chosen::Open)?,
        best: best(connection, sweep)?,
        next_attempt_id: AttemptId(next_attempt),
        next_trial_id: TrialId(next_trial),
        open_workers: open_workers(connection, Some(sweep))?,
    })
}

fn completed_steps(connection: &Connection, sweep: SweepId) -> rusqlite::Result<u64> {
    let sql = "SELECT steps FROM trial_counts WHERE sweep = ?1 AND state = 'completed'";
    Ok(row(connection, sql, [sweep.0], |row| row.get(0))?.unwrap_or(0))
}

fn best(connection: &Connection, sweep: SweepId) -> rusqlite::Result<Option<BestTrial>> {
    let sql = "SELECT best_trial, CASE goal WHEN 'maximize' THEN max ELSE min END, configuration
        FROM best_configuration
        WHERE sweep = (SELECT name FROM sweeps WHERE id = ?1)";
    row(connection, sql, [sweep.0], |row| {
        let (number, value) = (row.get(0)?, row.get(1)?);
        Ok(BestTrial { number, value, configuration: json(row, "configuration")? })
    })
}

fn open_workers(
    connection: &Connection,
    sweep: Option<SweepId>,
) -> rusqlite::Result<Vec<WorkerRecord>> {
    let sql = "SELECT workers.*, sessions.sweep
        FROM workers JOIN sessions ON sessions.id = workers.session
        WHERE workers.ended_at_ms IS NULL AND (?1 IS NULL OR sessions.sweep = ?1)
        ORDER BY workers.id";
    rows(connection, sql, [sweep.map(|sweep| sweep.0)], |row| {
        let id = WorkerId(row.get("id")?);
        Ok(WorkerRecord {
            id,
            session: SessionId(row.get("session")?),
            sweep: SweepId(row.get("sweep")?),
            directory: row.get("directory")?,
            device: row.get("device")?,
            pid: row.get("pid")?,
            process_start: row.get("process_start")?,
            boot_id: row.get("boot_id")?,
            up_offset: row.get("up_offset")?,
            up_next_seq: row.get("up_next_seq")?,
            down_next_seq: row.get("down_next_seq")?,
            open_attempts: open_attempts(connection, id)?,
        })
    })
}

fn open_attempts(
    connection: &Connection,
    worker: WorkerId,
) -> rusqlite::Result<Vec<OpenAttemptRecord>> {
    let sql = "SELECT id, trial, number, from_step, last_step, down_seq
        FROM attempts WHERE worker = ?1 AND ending IS NULL ORDER BY id";
    rows(connection, sql, [worker.0], |row| {
        Ok(OpenAttemptRecord {
            id: AttemptId(row.get(0)?),
            trial: TrialId(row.get(1)?),
            number: row.get(2)?,
            from_step: row.get(3)?,
            last_step: row.get(4)?,
            down_seq: row.get(5)?,
        })
    })
}
