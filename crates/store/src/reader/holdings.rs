//! What a home's rows name on disk: folders of attempts and workers, checkpoints, best weights.

use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};

use super::{QueryError, Reader, rows};
use crate::change::{BestWeights, ResumePoint};
use crate::word::BESIDE;

/// What a home's rows name on disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holdings {
    /// By id.
    pub trials: Vec<TrialHolding>,
    /// By id.
    pub attempts: Vec<AttemptHolding>,
    /// By id.
    pub workers: Vec<WorkerHolding>,
}

/// What a trial names on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialHolding {
    /// The trial.
    pub id: TrialId,
    /// Its sweep.
    pub sweep: SweepId,
    /// From 1 within the sweep.
    pub number: u64,
    /// Whether it is of the search: only then its weights are compared with others.
    pub ranked: bool,
    /// Whether nothing more will happen to it.
    pub is_final: bool,
    /// Whether it completed: its weights are then ranked.
    pub completed: bool,
    /// The checkpoint to go on from.
    pub resume: Option<ResumePoint>,
    /// Its best weights.
    pub best_weights: Option<BestWeights>,
}

/// An attempt and its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptHolding {
    /// The attempt.
    pub id: AttemptId,
    /// Its trial.
    pub trial: TrialId,
    /// Relative to the home.
    pub directory: String,
}

/// A worker and its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHolding {
    /// The worker.
    pub id: WorkerId,
    /// The sweep that it worked for.
    pub sweep: SweepId,
    /// Relative to the home.
    pub directory: String,
    /// Whether it is known to have ended.
    pub ended: bool,
}

impl Reader {
    /// Returns what the rows of all sweeps name on disk.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn holdings(&self) -> Result<Holdings, QueryError> {
        self.query("what the rows name on disk", |connection| {
            let trials = rows(
                connection,
                &format!(
                    "SELECT id, sweep, number, ended_at_ms IS NOT NULL, state = 'completed', resume_step,
                        resume_directory, best_weights_step, best_weights_value,
                        best_weights_directory, NOT {BESIDE}
                    FROM sweep_trials ORDER BY id"
                ),
                [],
                |row| {
                    let resume = match row.get(5)? {
                        Some(step) => Some(ResumePoint { step, directory: row.get(6)? }),
                        None => None,
                    };
                    let best_weights = match row.get(7)? {
                        Some(step) => Some(BestWeights {
                            step,
                            value: row.get::<_, Option<f64>>(8)?.unwrap_or(f64::NAN),
                            directory: row.get(9)?,
                        }),
                        None => None,
                    };
                    Ok(TrialHolding {
                        id: TrialId(row.get(0)?),
                        sweep: SweepId(row.get(1)?),
                        number: row.get(2)?,
                        ranked: row.get(10)?,
                        is_final: row.get(3)?,
                        completed: row.get(4)?,
                        resume,
                        best_weights,
                    })
                },
            )?;
            let sql = "SELECT id, trial, directory FROM attempts ORDER BY id";
            let attempts = rows(connection, sql, [], |row| {
                Ok(AttemptHolding {
                    id: AttemptId(row.get(0)?),
                    trial: TrialId(row.get(1)?),
                    directory: row.get(2)?,
                })
            })?;
            let sql = "SELECT workers.id, sessions.sweep, workers.directory,
                    workers.ended_at_ms IS NOT NULL
                FROM workers JOIN sessions ON sessions.id = workers.session ORDER BY workers.id";
            let workers = rows(connection, sql, [], |row| {
                Ok(WorkerHolding {
                    id: WorkerId(row.get(0)?),
                    sweep: SweepId(row.get(1)?),
                    directory: row.get(2)?,
                    ended: row.get(3)?,
                })
            })?;
            Ok(Holdings { trials, attempts, workers })
        })
    }

    /// Returns the checkpoints from which a trial can go on, as far as the rows know, the newest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn checkpoints_that_count(&self, trial: TrialId) -> Result<Vec<ResumePoint>, QueryError> {
        self.query("a trial's checkpoints", |connection| {
            let sql = "SELECT checkpoints.step, checkpoints.directory
                FROM attempts JOIN checkpoints ON checkpoints.attempt = attempts.id
                WHERE attempts.trial = ?1 AND checkpoints.step >= attempts.from_step
                    AND checkpoints.step <= coalesce(attempts.until_step, checkpoints.step)
                ORDER BY checkpoints.step DESC, attempts.number DESC";
            rows(connection, sql, [trial.0], |row| {
                Ok(ResumePoint { step: row.get(0)?, directory: row.get(1)? })
            })
        })
    }
}
