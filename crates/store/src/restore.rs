//! Making a database anew: rows that the logs do not hold come from the sweeps' records and the workers' notes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use converge_core::ids::{SweepId, WorkerId};
use converge_core::sweep::Sweep;
use rusqlite::types::{ToSqlOutput, Value as Sql};
use rusqlite::{Connection, OptionalExtension, ToSql};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::database_error::DatabaseError;
use crate::reader::{QueryError, Reader};
use crate::record::{self, Head};
use crate::store::Store;
use crate::{parameter, test_value, wide};

/// What the scheduler notes of a worker beside its logs: the rows that name it, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerNote {
    version: u32,
    /// The row of its session.
    session: Map<String, Value>,
    /// Its own row, without what changes.
    worker: Map<String, Value>,
}

impl WorkerNote {
    /// Returns the sweep that it worked for.
    pub fn sweep(&self) -> Option<SweepId> {
        self.session.get("sweep").and_then(Value::as_i64).map(SweepId)
    }

    /// Returns pid, start time and boot id of its process.
    pub fn process(&self) -> Option<(u32, u64, String)> {
        let number = |name: &str| self.worker.get(name).and_then(Value::as_u64);
        let boot_id = self.worker.get("boot_id")?.as_str()?.to_owned();
        Some((u32::try_from(number("pid")?).ok()?, number("process_start")?, boot_id))
    }
}

/// Columns of a worker that are made from its logs.
const OF_LOGS: [&str; 9] = [
    "up_offset",
    "up_next_seq",
    "down_next_seq",
    "stale_frames",
    "torn_lines",
    "ended_at_ms",
    "exit",
    "version",
    "machine",
];

/// A row cannot be made anew. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The record of a sweep cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what this version writes.
    #[error("`{}` is no record of a sweep: {problem}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The database's answer.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(DatabaseError::of(error))
    }
}

impl Reader {
    /// Returns what is to be noted of a worker beside its logs.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn worker_note(&self, worker: WorkerId) -> Result<WorkerNote, QueryError> {
        self.note("what is known of a worker", |connection| {
            let session = map(
                connection,
                "SELECT sessions.* FROM sessions JOIN workers ON workers.session = sessions.id
                WHERE workers.id = ?1",
                worker.0,
            )?;
            let mut own = map(connection, "SELECT * FROM workers WHERE id = ?1", worker.0)?;
            own.retain(|column, _| !OF_LOGS.contains(&column.as_str()));
            Ok(WorkerNote { version: record::VERSION, session, worker: own })
        })
    }

    /// Returns the sweeps that have no record beside the database.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweeps_without_record(&self) -> Result<Vec<(SweepId, String)>, QueryError> {
        let mut sweeps = Vec::new();
        for sweep in self.sweeps()? {
            if record::path(self.connection().path(), sweep.id).is_some_and(|path| !path.is_file())
            {
                sweeps.push((sweep.id, sweep.name));
            }
        }
        Ok(sweeps)
    }
}

/// Returns the records of a home's sweeps, given where its database is or was, in the order of the sweeps.
///
/// # Errors
/// Where the folder cannot be read; none is there before the first sweep.
pub fn records(database: &Path) -> std::io::Result<Vec<(SweepId, PathBuf)>> {
    let Some(folder) = record::folder(database) else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(id), Some("jsonl")) =
            (id, path.extension().and_then(|extension| extension.to_str()))
        {
            found.push((SweepId(id), path));
        }
    }
    found.sort();
    Ok(found)
}

impl Store {
    /// Writes the record of a sweep that has none.
    ///
    /// # Errors
    /// [`crate::RecordError`].
    pub fn write_record(&self, sweep: SweepId) -> Result<(), crate::RecordError> {
        record::write(self.connection(), sweep)
    }

    /// Makes a sweep and its trials anew, queued, from its record; returns its id.
    ///
    /// # Errors
    /// [`RestoreError`]; nothing is kept.
    pub fn restore_sweep(&mut self, path: &Path) -> Result<SweepId, RestoreError> {
        let file = std::fs::File::open(path)
            .map_err(|source| RestoreError::File { path: path.to_owned(), source })?;
        let damaged = |problem: String| RestoreError::Damaged { path: path.to_owned(), problem };
        let mut lines = BufReader::new(file).lines();
        let mut line = || match lines.next() {
            Some(Ok(line)) => Ok(line),
            Some(Err(error)) => Err(damaged(error.to_string())),
            None => Err(damaged("it ends early".into())),
        };
        let head: Head =
            serde_json::from_str(&line()?).map_err(|error| damaged(error.to_string()))?;
        if head.version != record::VERSION {
            return Err(damaged(format!("it has format {}", head.version)));
        }
        let id = head.sweep.get("id").and_then(Value::as_i64);
        let id = SweepId(id.ok_or_else(|| damaged("it has no `id`".into()))?);
        let definition = head.sweep.get("definition").and_then(Value::as_str).unwrap_or_default();
        let definition: Option<Sweep> = serde_json::from_str(definition).ok();
        self.synced_transaction(|connection| {
            let mut row = head.sweep.clone();
            row.insert("state".into(), "interrupted".into());
            insert(connection, "sweeps", &row)?;
            for _ in 0..head.trials {
                let values: Vec<Value> =
                    serde_json::from_str(&line()?).map_err(|error| damaged(error.to_string()))?;
                let mut row: Map<String, Value> =
                    head.trial_columns.iter().cloned().zip(values).collect();
                if row.get("settings").is_some_and(Value::is_null) {
                    let settings = definition
                        .as_ref()
                        .zip(row.get("configuration"))
                        .and_then(|(sweep, configuration)| record::derived(sweep, configuration));
                    let settings =
                        settings.ok_or_else(|| damaged("a trial has no settings".into()))?;
                    row.insert("settings".into(), settings);
                }
                row.insert("state".into(), "queued".into());
                row.insert("sweep".into(), id.0.into());
                insert(connection, "sweep_trials", &row)?;
            }
            test_value::restore(connection, path)?;
            parameter::fill(connection, id)?;
            wide::recreate(connection)?;
            Ok(id)
        })
    }

    /// Makes a worker anew, and its session where that is not there yet.
    ///
    /// # Errors
    /// [`RestoreError`]; nothing is kept.
    pub fn restore_worker(&mut self, note: &WorkerNote) -> Result<(), RestoreError> {
        self.transaction(|connection, _| {
            let id = note.session.get("id").and_then(Value::as_i64);
            let known = connection
                .query_row("SELECT 1 FROM sessions WHERE id = ?1", [id], |_| Ok(()))
                .optional()?;
            if known.is_none() {
                let mut session = note.session.clone();
                session.remove("ended_at_ms");
                session.remove("exit");
                insert(connection, "sessions", &session)?;
            }
            insert(connection, "workers", &note.worker)?;
            Ok(())
        })
    }

    /// Closes all sessions: nobody knows any more how they ended.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn close_restored_sessions(&mut self, now_ms: i64) -> Result<(), DatabaseError> {
        self.connection()
            .execute(
                "UPDATE sessions SET ended_at_ms = ?1, exit = 'not known: the database was made anew'
                WHERE ended_at_ms IS NULL",
                [now_ms],
            )
            .map(drop)
            .map_err(DatabaseError::of)
    }
}

fn map(connection: &Connection, sql: &str, id: i64) -> rusqlite::Result<Map<String, Value>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns: Vec<String> = statement.column_names().map(Into::into).collect();
    let values = statement.query_row([id], |row| record::values(row, columns.len()))?;
    Ok(columns.into_iter().zip(values).collect())
}

/// Inserts a row, as far as the table has its columns.
fn insert(connection: &Connection, table: &str, row: &Map<String, Value>) -> rusqlite::Result<()> {
    let known: Vec<String> = connection
        .prepare_cached("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let present: Vec<(&String, Column<'_>)> = row
        .iter()
        .filter(|(column, _)| known.contains(column))
        .map(|(column, value)| (column, Column(value)))
        .collect();
    let names: Vec<&str> = present.iter().map(|(column, _)| column.as_str()).collect();
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
    connection
        .prepare_cached(&sql)?
        .execute(rusqlite::params_from_iter(present.iter().map(|(_, value)| value)))?;
    Ok(())
}

/// A JSON value as a column.
struct Column<'a>(&'a Value);

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self.0 {
            Value::String(text) => Sql::Text(text.clone()),
            Value::Bool(value) => Sql::from(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Sql::Integer(number),
                (None, Some(number)) => Sql::Real(number),
                _ => Sql::Null,
            },
            Value::Null | Value::Array(_) | Value::Object(_) => Sql::Null,
        }))
    }
}
