//! How good chosen trials are on the test split: each look is kept, since a second one is a choice by the test split.

use std::collections::BTreeMap;

use converge_core::ids::{SweepId, TrialId};

use crate::database_error::DatabaseError;
use crate::reader::{QueryError, Reader, rows};
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
    /// By name; NaN where a metric was none.
    pub metrics: BTreeMap<String, f64>,
    /// When. Unit: Unix milliseconds.
    pub at_ms: i64,
}

impl Store {
    /// Keeps what a look at the test split of a sweep found; returns the how manieth it was.
    ///
    /// # Durability
    /// A power cut cannot take it back: who has seen it cannot forget it either.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was kept then.
    pub fn add_test_look(
        &mut self,
        sweep: SweepId,
        found: &NewTestLook,
        now_ms: i64,
    ) -> Result<u64, DatabaseError> {
        let NewTestLook { trial, step, examples, metrics } = found;
        self.synced_transaction::<_, rusqlite::Error>(|connection| {
            let look: u64 = connection.query_row(
                "SELECT 1 + coalesce(max(test_values.look), 0)
                FROM test_values JOIN sweep_trials ON sweep_trials.id = test_values.trial
                WHERE sweep_trials.sweep = ?1",
                [sweep.0],
                |row| row.get(0),
            )?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO test_values (trial, step, metric, value, examples, look, at_ms)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for (name, value) in metrics {
                insert.execute((trial.0, step, name, value, examples, look, now_ms))?;
            }
            Ok(look)
        })
        .map_err(DatabaseError::of)
    }
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
