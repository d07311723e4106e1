//! What a sweep has used of its budget: time of sessions, and steps of attempts.

use converge_core::ids::SweepId;
use rusqlite::Connection;

use super::{QueryError, Reader, json, row, rows};
use crate::session::SessionId;
use crate::word::BESIDE;

/// A session without an end: its scheduler is alive, or was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Its id.
    pub id: SessionId,
    /// What it works on.
    pub sweep: SweepId,
    /// Unit: Unix milliseconds.
    pub started_at_ms: i64,
    /// Folders of its workers, relative to the home.
    pub directories: Vec<String>,
}

/// Where a sweep came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its file, absolute; none if it came from elsewhere.
    pub path: Option<String>,
    /// `KEY=VALUE` as given on the command line, in order.
    pub overrides: Vec<String>,
}

impl Reader {
    /// Returns the time of a sweep's sessions that have ended. Unit: milliseconds.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn closed_wall_ms(&self, sweep: SweepId) -> Result<u64, QueryError> {
        self.query("the time of sessions", |connection| {
            // A clock that was set back between two times makes no time undone.
            connection
                .prepare_cached(
                    "SELECT coalesce(sum(max(ended_at_ms - started_at_ms, 0)), 0)
                    FROM sessions WHERE sweep = ?1 AND ended_at_ms IS NOT NULL",
                )?
                .query_row([sweep.0], |row| row.get(0))
        })
    }

    /// Returns the sessions of this home that have no end.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn open_sessions(&self) -> Result<Vec<OpenSession>, QueryError> {
        self.query("the open sessions", |connection| {
            let sql = "SELECT id, sweep, started_at_ms FROM sessions
                WHERE ended_at_ms IS NULL ORDER BY id";
            rows(connection, sql, [], |row| {
                let id = SessionId(row.get(0)?);
                Ok(OpenSession {
                    id,
                    sweep: SweepId(row.get(1)?),
                    started_at_ms: row.get(2)?,
                    directories: directories(connection, id)?,
                })
            })
        })
    }

    /// Returns the steps that the attempts of a sweep's search have done, failed and repeated ones included. A pass over
    /// all of them.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn steps_done(&self, sweep: SweepId) -> Result<u64, QueryError> {
        self.query("the steps of attempts", |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT coalesce(sum(attempts.last_step - attempts.from_step), 0)
                    FROM sweep_trials JOIN attempts ON attempts.trial = sweep_trials.id
                    WHERE sweep_trials.sweep = ?1 AND NOT sweep_trials.{BESIDE}"
                ))?
                .query_row([sweep.0], |row| row.get(0))
        })
    }

    /// Returns the normalised sweep as JSON, without its trials.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn definition(&self, sweep: SweepId) -> Result<Option<String>, QueryError> {
        self.query("a sweep's definition", |connection| {
            let sql = "SELECT definition FROM sweeps WHERE id = ?1";
            row(connection, sql, [sweep.0], |row| row.get(0))
        })
    }

    /// Returns where a sweep came from.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn origin(&self, sweep: SweepId) -> Result<Option<Origin>, QueryError> {
        self.query("where a sweep came from", |connection| {
            let sql = "SELECT source_path, overrides FROM sweeps WHERE id = ?1";
            row(connection, sql, [sweep.0], |row| {
                Ok(Origin { path: row.get("source_path")?, overrides: json(row, "overrides")? })
            })
        })
    }
}

fn directories(connection: &Connection, session: SessionId) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT directory FROM workers WHERE session = ?1 ORDER BY id";
    rows(connection, sql, [session.0], |row| row.get(0))
}
