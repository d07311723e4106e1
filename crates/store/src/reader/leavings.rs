//! What a trial has left on disk.

use converge_core::ids::{SweepId, TrialId};
use rusqlite::OptionalExtension;

use super::{QueryError, Reader, rows};
use crate::change::BestWeights;
use crate::word::BESIDE;

/// What a trial has left on disk, as far as the database knows.
///
/// Looked up for every trial that ends, so it asks for no more than that.
#[derive(Debug, Clone, PartialEq)]
pub struct Leavings {
    /// Whose.
    pub trial: TrialId,
    /// Whether it is of the search: its best weights may be pushed out by better ones.
    pub ranked: bool,
    /// Whether it completed; its best weights count then.
    pub completed: bool,
    /// Its best weights.
    pub best_weights: Option<BestWeights>,
    /// Whether nothing more will happen to it.
    pub is_final: bool,
    /// The checkpoint that is kept to go on from, relative to the home.
    pub resume_directory: Option<String>,
    /// Folders of its attempts, relative to the home.
    pub directories: Vec<String>,
}

/// Best weights of a completed trial that are on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptWeights {
    /// Whose.
    pub trial: TrialId,
    /// What they are.
    pub weights: BestWeights,
}

impl Reader {
    /// Returns the best weights on disk of a sweep's completed trials of the search, by the trials' numbers.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn kept_weights(&self, sweep: SweepId) -> Result<Vec<KeptWeights>, QueryError> {
        self.query("the weights on disk", |connection| {
            let sql = format!(
                "SELECT id, best_weights_step, best_weights_value, best_weights_directory
                FROM sweep_trials INDEXED BY trials_with_weights
                WHERE sweep = ?1 AND best_weights_step IS NOT NULL AND state = 'completed'
                    AND NOT {BESIDE}
                ORDER BY number"
            );
            rows(connection, &sql, [sweep.0], |row| {
                let value = row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN);
                let weights = BestWeights { step: row.get(1)?, value, directory: row.get(3)? };
                Ok(KeptWeights { trial: TrialId(row.get(0)?), weights })
            })
        })
    }

    /// Returns the numbers of final trials that a killed session may not have cleaned up after.
    ///
    /// Cleaning follows the commit that ended the trial, before the next commit: so only the last trial of each worker
    /// of the last session can have missed it, and the one before if another was leased with the same commit.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn uncleaned(&self, sweep: SweepId) -> Result<Vec<u64>, QueryError> {
        self.query("trials that were not cleaned up after", |connection| {
            let sql = "SELECT number FROM sweep_trials INDEXED BY trials_with_checkpoint
                WHERE sweep = ?1 AND resume_step IS NOT NULL
                    AND state NOT IN ('queued', 'running', 'waiting')
                UNION
                SELECT sweep_trials.number
                FROM workers
                CROSS JOIN sweep_trials
                WHERE workers.session = (SELECT max(id) FROM sessions WHERE sweep = ?1)
                    AND sweep_trials.id IN (
                        SELECT trial FROM attempts INDEXED BY attempts_of_worker
                        WHERE worker = workers.id
                        ORDER BY id DESC
                        LIMIT 2
                    )
                    AND sweep_trials.state NOT IN ('queued', 'running', 'waiting')
                ORDER BY number";
            rows(connection, sql, [sweep.0], |row| row.get(0))
        })
    }

    /// Returns what the trial of a number has left on disk.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn leavings(&self, sweep: SweepId, number: u64) -> Result<Option<Leavings>, QueryError> {
        self.query("what a trial has left", |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "SELECT id, state = 'completed', best_weights_step, best_weights_value,
                        best_weights_directory, resume_directory, NOT {BESIDE}, ended_at_ms IS NOT NULL
                    FROM sweep_trials WHERE sweep = ?1 AND number = ?2"
                ))?
                .query_row((sweep.0, number), |row| {
                    let step: Option<u64> = row.get(2)?;
                    let weights = step.map(|step| {
                        // NULL is NaN.
                        let value = row.get::<_, Option<f64>>(3)?.unwrap_or(f64::NAN);
                        let directory = row.get(4)?;
                        Ok::<_, rusqlite::Error>(BestWeights { step, value, directory })
                    });
                    Ok(Leavings {
                        trial: TrialId(row.get(0)?),
                        ranked: row.get(6)?,
                        completed: row.get(1)?,
                        best_weights: weights.transpose()?,
                        is_final: row.get(7)?,
                        resume_directory: row.get(5)?,
                        directories: Vec::new(),
                    })
                })
                .optional()?;
            let Some(mut found) = found else { return Ok(None) };
            let sql = "SELECT directory FROM attempts WHERE trial = ?1 ORDER BY number";
            found.directories = rows(connection, sql, [found.trial.0], |row| row.get(0))?;
            Ok(Some(found))
        })
    }
}
