//! What a sweep is, in a file beside the database: `sweeps/<id>.jsonl`.
//!
//! Workers' logs hold everything that was observed and decided, but not what the trials are. With this file they do,
//! and the database can be made anew ([`crate::restore`]). It is written aside, synced and renamed before the commit
//! that makes or extends the sweep: it may know of trials that a crash then kept from being stored, never the reverse.
//!
//! The first line holds the row of `sweeps` and the names of a trial's columns, each further line a trial. What
//! changes while a sweep runs is left out. Settings that follow from sweep and configuration stand as null.

use std::fs::{DirBuilder, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use converge_core::ids::SweepId;
use converge_core::sweep::Sweep;
use converge_faults::point;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sweep::Configuration;

/// Folder of these files in the home.
const FOLDER: &str = "sweeps";
/// Counted up when a file means something else than before.
pub(crate) const VERSION: u32 = 1;

/// Columns that change while a sweep runs: derived from the logs when a database is made anew.
const CHANGING: [&str; 13] = [
    "state",
    "failure_class",
    "failure_message",
    "charged_from",
    "objective_value",
    "objective_step",
    "best_weights_step",
    "best_weights_value",
    "best_weights_directory",
    "resume_step",
    "resume_directory",
    "ended_at_ms",
    "sweep",
];

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// The row of `sweeps`, by column.
    pub(crate) sweep: serde_json::Map<String, Value>,
    /// Columns of the lines that follow.
    pub(crate) trial_columns: Vec<String>,
    /// How many lines follow.
    pub(crate) trials: u64,
}

/// Returns where the record of a sweep is, beside a database; none where that is no file.
pub(crate) fn path(database: Option<&str>, sweep: SweepId) -> Option<PathBuf> {
    let folder = folder(Path::new(database.filter(|path| !path.is_empty())?))?;
    Some(folder.join(format!("{sweep}.jsonl")))
}

/// Returns the folder of records beside a database.
pub(crate) fn folder(database: &Path) -> Option<PathBuf> {
    Some(database.parent()?.join(FOLDER))
}

/// Writes the record of a sweep as its rows are now; the caller has not committed them yet.
pub(crate) fn write(connection: &Connection, sweep: SweepId) -> Result<(), RecordError> {
    let Some(path) = path(connection.path(), sweep) else { return Ok(()) };
    let aside = path.with_extension("tmp");
    let failed = |source| RecordError::File { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let written = write_aside(connection, sweep, &aside)
            .and_then(|()| {
                point("record.written");
                std::fs::rename(&aside, &path).map_err(failed)
            })
            .and_then(|()| {
                point("record.renamed");
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
            });
        if written.is_err() {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&aside);
        }
        return written;
    }
    Ok(())
}

fn write_aside(connection: &Connection, sweep: SweepId, path: &Path) -> Result<(), RecordError> {
    let failed = |source| RecordError::File { path: path.to_owned(), source };
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = BufWriter::with_capacity(1 << 20, file.map_err(failed)?);
    let mut statement = connection.prepare("SELECT * FROM sweeps WHERE id = ?1")?;
    let columns: Vec<String> = statement.column_names().map(Into::into).collect();
    let row = statement.query_row([sweep.0], |row| values(row, columns.len()))?;
    let sweep_row: serde_json::Map<String, Value> = columns
        .into_iter()
        .zip(row)
        .filter(|(column, _)| !CHANGING.contains(&column.as_str()))
        .collect();
    let definition = sweep_row.get("definition").and_then(Value::as_str).unwrap_or_default();
    let definition: Option<Sweep> = serde_json::from_str(definition).ok();

    let mut statement = connection.prepare("SELECT * FROM sweep_trials LIMIT 0")?;
    let all: Vec<String> = statement.column_names().map(Into::into).collect();
    let kept: Vec<String> =
        all.into_iter().filter(|column| !CHANGING.contains(&column.as_str())).collect();
    drop(statement.query([])?);
    let count = connection.query_row(
        "SELECT count(*) FROM sweep_trials WHERE sweep = ?1",
        [sweep.0],
        |row| row.get(0),
    )?;
    let head =
        Head { version: VERSION, sweep: sweep_row, trial_columns: kept.clone(), trials: count };
    let mut line = |value: &Value| -> Result<(), RecordError> {
        serde_json::to_writer(&mut out, value)?;
        out.write_all(b"\n").map_err(failed)
    };
    line(&serde_json::to_value(&head)?)?;
    let at = |name: &str| kept.iter().position(|column| column == name);
    let (configuration, settings) = (at("configuration"), at("settings"));
    let sql =
        format!("SELECT {} FROM sweep_trials WHERE sweep = ?1 ORDER BY number", kept.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let mut values = values(row, kept.len())?;
        if let (Some(configuration), Some(settings), Some(sweep)) =
            (configuration, settings, &definition)
            && derived(sweep, &values[configuration]).as_ref() == Some(&values[settings])
        {
            values[settings] = Value::Null;
        }
        line(&Value::Array(values))?;
    }
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// Returns the settings that follow from a configuration, as the store writes them.
pub(crate) fn derived(sweep: &Sweep, configuration: &Value) -> Option<Value> {
    let configuration: Configuration = serde_json::from_str(configuration.as_str()?).ok()?;
    let known = |name: &String| sweep.parameters.iter().any(|parameter| parameter.name == *name);
    if !configuration.keys().all(known) {
        return None;
    }
    serde_json::to_string(&sweep.settings_of(&configuration)).ok().map(Value::String)
}

pub(crate) fn values(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<Value>> {
    let value = |index| {
        Ok(match row.get_ref(index)? {
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(_) => row.get::<_, String>(index)?.into(),
        })
    };
    (0..columns).map(value).collect()
}

/// The record of a sweep cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Its file.
    #[error("cannot write `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A row.
    #[error("cannot read the sweep's rows")]
    Row(#[from] rusqlite::Error),
    /// A value has no JSON form.
    #[error("cannot write the sweep as JSON")]
    Json(#[from] serde_json::Error),
}

impl RecordError {
    /// Returns whether it could be written with room on the disk.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}
