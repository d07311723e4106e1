//! A sweep as a project of trackio: a database of its own with the two tables that it needs.
//!
//! A trial is a run. Each step with observations is a row, its metrics a JSON map, as trackio logs them.

use std::ops::ControlFlow;
use std::path::Path;

use converge_core::ids::SweepId;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

use crate::database_error::DatabaseError;
use crate::reader::export::{Exported, ExportedTrial};
use crate::reader::{QueryError, Reader};

/// As trackio 0.43 creates them, but for what it adds by itself.
const TABLES: &str = "
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
        run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT
    );
    CREATE INDEX idx_metrics_run_step ON metrics (run_id, step);
    CREATE INDEX idx_metrics_run_timestamp ON metrics (run_id, timestamp);
    CREATE TABLE configs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
        config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE (run_id)
    );
    CREATE INDEX idx_configs_run_name ON configs (run_name);";

/// Unix milliseconds as trackio writes times, in SQL.
const TIME: &str = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', ?1 / 1000.0, 'unixepoch')";

/// A project cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TrackioError {
    /// The sweep cannot be read.
    #[error(transparent)]
    Read(#[from] QueryError),
    /// The new database cannot be written.
    #[error("cannot write the project's database")]
    Write(#[source] DatabaseError),
}

impl Reader {
    /// Writes a sweep as a trackio project to a file that is not there yet. Holds one step at a time.
    ///
    /// # Durability
    /// None: the caller writes aside and renames.
    ///
    /// # Errors
    /// [`TrackioError`]; what was written is to be deleted.
    pub fn write_trackio(
        &self,
        sweep: SweepId,
        path: &Path,
        now_ms: i64,
    ) -> Result<(), TrackioError> {
        let failed = |error| TrackioError::Write(DatabaseError::of(error));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let out = Connection::open_with_flags(path, flags).map_err(failed)?;
        // Nobody reads it before it is whole.
        out.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;")
            .and_then(|()| out.execute_batch(TABLES))
            .map_err(failed)?;
        let mut project = Project { out: &out, now_ms, run: None };
        let mut problem = None;
        self.export(sweep, |exported| match project.take(exported) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Some(error);
                ControlFlow::Break(())
            }
        })?;
        let done = match problem {
            Some(error) => Err(error),
            None => project.end_step().and_then(|()| out.execute_batch("COMMIT")),
        };
        done.map_err(failed)?;
        out.close().map_err(|(_, error)| failed(error))
    }
}

/// The project under way.
struct Project<'a> {
    out: &'a Connection,
    now_ms: i64,
    run: Option<Run>,
}

/// The trial at hand, and the step that is being gathered.
struct Run {
    trial: Box<ExportedTrial>,
    name: String,
    attempt: u64,
    step: u64,
    metrics: Map<String, Value>,
}

impl Project<'_> {
    fn take(&mut self, exported: Exported<'_>) -> rusqlite::Result<()> {
        match exported {
            Exported::Trial(trial) => {
                self.end_step()?;
                let name = format!("trial-{}", trial.number);
                let created =
                    trial.attempts.first().map_or(trial.created_at_ms, |first| first.started_at_ms);
                self.out
                    .prepare_cached(&format!(
                        "INSERT INTO configs (created_at, run_id, run_name, config)
                        VALUES ({TIME}, ?2, ?2, ?3)"
                    ))?
                    .execute((created, &name, configuration(&trial).to_string()))?;
                self.run = Some(Run { trial, name, attempt: 0, step: 0, metrics: Map::new() });
            }
            Exported::Value(value) => {
                if self
                    .run
                    .as_ref()
                    .is_some_and(|run| (run.attempt, run.step) != (value.attempt, value.step))
                {
                    self.end_step()?;
                }
                if let Some(run) = &mut self.run {
                    (run.attempt, run.step) = (value.attempt, value.step);
                    run.metrics.insert(value.metric.to_owned(), number(value.value));
                }
            }
        }
        Ok(())
    }

    fn end_step(&mut self) -> rusqlite::Result<()> {
        let Some(run) = &mut self.run else { return Ok(()) };
        if run.metrics.is_empty() {
            return Ok(());
        }
        let metrics = Value::Object(std::mem::take(&mut run.metrics)).to_string();
        let at_ms = run.trial.at_ms(run.attempt, run.step, self.now_ms);
        self.out
            .prepare_cached(&format!(
                "INSERT INTO metrics (timestamp, run_id, run_name, step, metrics)
                VALUES ({TIME}, ?2, ?2, ?3, ?4)"
            ))?
            .execute((at_ms, &run.name, run.step, metrics))?;
        Ok(())
    }
}

/// Returns what trackio shows of a run: the configuration, and what is known of the trial. `_Group` is trackio's own.
fn configuration(trial: &ExportedTrial) -> Value {
    let known = json!({
        "trial": trial.number,
        "state": trial.state,
        "kind": trial.kind.word(),
        "replicate": trial.replicate,
        "fingerprint": trial.fingerprint,
        "objective_value": trial.objective_value.map(number),
        "objective_step": trial.objective_step,
        "failure_class": trial.failure_class,
        "_Group": trial.fingerprint,
    });
    let mut all = serde_json::to_value(&trial.configuration).unwrap_or_default();
    if let (Some(all), Value::Object(known)) = (all.as_object_mut(), known) {
        all.extend(known);
    }
    all
}

/// Returns a number as trackio writes it: JSON has neither NaN nor infinities.
fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}
