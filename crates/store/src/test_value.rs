//! How good chosen trials are on the test split: each look is kept, since a second one is a choice by the test split.
//!
//! No log holds them, so they also stand in a file beside the sweep's record, `sweeps/<id>.tests.jsonl`, a line each: it is
//! written and synced before the commit, and read when the database is made anew.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use converge_core::ids::{SweepId, TrialId};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::reader::{QueryError, Reader, rows};
use crate::record::{self, RecordError};
use crate::store::Store;

/// What a look at the test split found.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTestLook {
    /// The chosen trial.
    pub trial: TrialId,
    /// The evaluation whose weights were asked.
    pub step: u64,
    /// Examples of the split.
    pub examples: u64,
    /// By name, such as `test/accuracy`; each once.
    pub metrics: Vec<(String, f64)>,
}

/// A look at the test split of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct TestLook {
    /// The how manieth it was, from 1.
    pub look: u64,
    /// Number of the trial.
    pub trial: u64,
    /// The evaluation whose weights were asked.
    pub step: u64,
    /// Examples of the split.
    pub examples: u64,
    /// By name; NaN where one is not finite.
    pub metrics: BTreeMap<String, f64>,
    /// When. Unit: Unix milliseconds.
    pub at_ms: i64,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    look: u64,
    trial: TrialId,
    step: u64,
    examples: u64,
    /// None: not finite.
    metrics: Vec<(String, Option<f64>)>,
    at_ms: i64,
}

impl Store {
    /// Keeps what a look at the test split of a sweep found; returns the how manieth it was.
    ///
    /// # Durability
    /// A power cut cannot take it back: who has seen it cannot forget it either.
    ///
    /// # Errors
    /// [`RecordError`]; nothing was kept in the database then.
    pub fn add_test_look(
        &mut self,
        sweep: SweepId,
        found: &NewTestLook,
        now_ms: i64,
    ) -> Result<u64, RecordError> {
        let NewTestLook { trial, step, examples, metrics } = found;
        self.synced_transaction(|connection| {
            let look: u64 = connection.query_row(
                "SELECT 1 + coalesce(max(test_values.look), 0)
                FROM test_values JOIN sweep_trials ON sweep_trials.id = test_values.trial
                WHERE sweep_trials.sweep = ?1",
                [sweep.0],
                |row| row.get(0),
            )?;
            let metrics = metrics.iter().map(|(name, value)| {
                let number = value.is_finite().then_some(*value);
                (name.clone(), number)
            });
            let (trial, step, examples) = (*trial, *step, *examples);
            let metrics = metrics.collect();
            let line = Line { look, trial, step, examples, metrics, at_ms: now_ms };
            insert(connection, &line)?;
            note(connection, sweep, &line)?;
            Ok(look)
        })
    }
}

fn insert(connection: &Connection, line: &Line) -> rusqlite::Result<()> {
    let Line { look, trial, step, examples, metrics, at_ms } = line;
    let mut insert = connection.prepare_cached(
        "INSERT INTO test_values (trial, step, metric, value, examples, look, at_ms)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (name, value) in metrics {
        insert.execute((trial.0, step, name, value, examples, look, at_ms))?;
    }
    Ok(())
}

/// Writes a look down beside the record of its sweep.
fn note(connection: &Connection, sweep: SweepId, line: &Line) -> Result<(), RecordError> {
    let Some(path) = record::path(connection.path(), sweep) else { return Ok(()) };
    let path = path.with_extension("tests.jsonl");
    let failed = |source| RecordError::File { path: path.clone(), source };
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let mut file = file.map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)
}

/// Takes the looks at a sweep's test split from the file beside its record; lines that cannot be read are left out: a
/// crash may have cut the last one off.
pub(crate) fn restore(connection: &Connection, record: &Path) -> rusqlite::Result<()> {
    let text = std::fs::read_to_string(record.with_extension("tests.jsonl")).unwrap_or_default();
    let mut known = connection.prepare("SELECT 1 FROM sweep_trials WHERE id = ?1")?;
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        // A look whose commit failed was made again, with the same number.
        let twice = "SELECT 1 FROM test_values WHERE trial = ?1 AND look = ?2";
        let twice = connection.prepare_cached(twice)?.exists((line.trial.0, line.look))?;
        if !twice && known.exists([line.trial.0])? {
            insert(connection, &line)?;
        }
    }
    Ok(())
}

impl Reader {
    /// Returns all looks at the test split of a sweep, the first one first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn test_looks(&self, sweep: SweepId) -> Result<Vec<TestLook>, QueryError> {
        self.note("test values", |connection| {
            let sql = "SELECT test_values.look, sweep_trials.number, test_values.step,
                    test_values.examples, test_values.at_ms, test_values.metric, test_values.value
                FROM test_values JOIN sweep_trials ON sweep_trials.id = test_values.trial
                WHERE sweep_trials.sweep = ?1
                ORDER BY test_values.look, test_values.id";
            let mut looks: Vec<TestLook> = Vec::new();
            for (look, name, value) in rows(connection, sql, [sweep.0], |row| {
                let look = TestLook {
                    look: row.get(0)?,
                    trial: row.get(1)?,
                    step: row.get(2)?,
                    examples: row.get(3)?,
                    metrics: BTreeMap::new(),
                    at_ms: row.get(4)?,
                };
                let value: Option<f64> = row.get(6)?;
                Ok((look, row.get::<_, String>(5)?, value.unwrap_or(f64::NAN)))
            })? {
                if looks.last().is_none_or(|last| last.look != look.look) {
                    looks.push(look);
                }
                if let Some(last) = looks.last_mut() {
                    last.metrics.insert(name, value);
                }
            }
            Ok(looks)
        })
    }
}
