//! Lives of the scheduler, and the workers that each of them starts.

use std::collections::BTreeMap;

use converge_core::ids::{SweepId, WorkerId};
use converge_faults::point;
use rusqlite::named_params;

use crate::database_error::DatabaseError;
use crate::store::Store;

/// One life of the scheduler process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

/// A session as it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// What it works on.
    pub sweep: SweepId,
    /// The scheduler's process id.
    pub pid: u32,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Name of the machine.
    pub host: String,
    /// Version of converge.
    pub version: String,
    /// What it runs on: CPU features, memory, devices.
    pub machine: BTreeMap<String, String>,
}

/// A session or worker cannot be written. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The home has no such session, or it is over.
    #[error("there is no open session with id {}", session.0)]
    NotOpen {
        /// The id.
        session: SessionId,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write the machine's facts as JSON")]
    Json(#[from] serde_json::Error),
    /// The database's answer.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<rusqlite::Error> for SessionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(DatabaseError::of(error))
    }
}

impl Store {
    /// Opens a session and sets its sweep to `running`; one that a killed scheduler left paused is interrupted.
    ///
    /// # Durability
    /// When this returns, neither a crash nor a power cut loses it.
    ///
    /// # Errors
    /// [`SessionError`]; nothing is kept.
    pub fn open_session(
        &mut self,
        session: &NewSession,
        now_ms: i64,
    ) -> Result<SessionId, SessionError> {
        let machine = serde_json::to_string(&session.machine)?;
        self.synced_transaction(|connection| {
            connection.execute(
                "INSERT INTO sessions (sweep, pid, boot_id, host, version, machine, started_at_ms)
                VALUES (:sweep, :pid, :boot_id, :host, :version, :machine, :started_at_ms)",
                named_params! {
                    ":sweep": session.sweep.0,
                    ":pid": session.pid,
                    ":boot_id": session.boot_id,
                    ":host": session.host,
                    ":version": session.version,
                    ":machine": machine,
                    ":started_at_ms": now_ms,
                },
            )?;
            let id = SessionId(connection.last_insert_rowid());
            connection
                .execute("UPDATE sweeps SET state = 'running' WHERE id = ?1", [session.sweep.0])?;
            // One scheduler to a home: whoever paused another sweep is gone.
            connection
                .execute("UPDATE sweeps SET state = 'interrupted' WHERE state = 'paused'", [])?;
            Ok(id)
        })
    }

    /// Notes how a session ended, for people: `finished`, `interrupted`, `killed`.
    ///
    /// A session that was killed stays without an end until the next scheduler gives it one. The sweep's state is a
    /// change of its own.
    ///
    /// # Durability
    /// When this returns, neither a crash nor a power cut loses it.
    ///
    /// # Errors
    /// [`SessionError::NotOpen`] where the session is over or was never opened.
    pub fn close_session(
        &mut self,
        session: SessionId,
        exit: &str,
        now_ms: i64,
    ) -> Result<(), SessionError> {
        self.synced_transaction(|connection| {
            let closed = connection.execute(
                "UPDATE sessions SET ended_at_ms = ?2, exit = ?3
                WHERE id = ?1 AND ended_at_ms IS NULL",
                (session.0, now_ms, exit),
            )?;
            if closed == 0 { Err(SessionError::NotOpen { session }) } else { Ok(()) }
        })
    }

    /// Notes the intent to start a worker, and gives it its number; `directory` makes its directory's name
    /// from that, relative to the home.
    ///
    /// The process is started after this, so that a crash in between leaves a worker without a pid and never
    /// a process that nobody knows.
    ///
    /// # Durability
    /// When this returns, neither a crash nor a power cut loses it.
    ///
    /// # Errors
    /// [`SessionError`]; nothing is kept.
    pub fn new_worker(
        &mut self,
        session: SessionId,
        device: &str,
        directory: impl FnOnce(WorkerId) -> String,
        now_ms: i64,
    ) -> Result<WorkerId, SessionError> {
        point("store.worker.before");
        let made = self.synced_transaction(|connection| {
            let id: i64 = connection.query_row(
                "SELECT coalesce(max(id), 0) + 1 FROM workers",
                [],
                |row| row.get(0),
            )?;
            let open: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND ended_at_ms IS NULL)",
                [session.0],
                |row| row.get(0),
            )?;
            if !open {
                return Err(SessionError::NotOpen { session });
            }
            connection.execute(
                "INSERT INTO workers (id, session, directory, device, started_at_ms)
                VALUES (?1, ?2, ?3, ?4, ?5)",
                (id, session.0, directory(WorkerId(id)), device, now_ms),
            )?;
            Ok(WorkerId(id))
        });
        point("store.worker.after");
        made
    }
}
