//! Rows that contradict each other. No crash makes them: a defect, another program, or a damaged disk does.

use converge_core::ids::{AttemptId, TrialId};

use super::{QueryError, Reader, rows};
use crate::{objective, parameter, trial_metric, wide};

/// Rows that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// Readers cannot even say where such a trial stands.
    #[error("trial {trial} is running, and none of its attempts is open")]
    RunningWithoutAttempt {
        /// The trial's id.
        trial: TrialId,
    },
    /// Nobody would ever end it.
    #[error("attempt {attempt} is open, and its trial is {state}")]
    AttemptOfIdleTrial {
        /// The attempt.
        attempt: AttemptId,
        /// The trial's state.
        state: String,
    },
    /// Likewise.
    #[error("attempt {attempt} is open, and its worker has ended")]
    AttemptOfEndedWorker {
        /// The attempt.
        attempt: AttemptId,
    },
    /// It says that all was done, and no attempt did it.
    #[error("trial {trial} is {state}, and none of its attempts ended so")]
    EndedWithoutAttempt {
        /// The trial's id.
        trial: TrialId,
        /// Its state.
        state: String,
    },
    /// Ranking would go by wrong numbers.
    #[error("the extremes that are stored of trial {trial} are not those of its curves")]
    WrongExtremes {
        /// The trial's id.
        trial: TrialId,
    },
    /// Likewise.
    #[error("the objective that is stored of trial {trial} is not the one of its metrics")]
    WrongObjective {
        /// The trial's id.
        trial: TrialId,
    },
    /// People, and Optuna, would miss some.
    #[error("the view trials_wide, or the table of parameters, is not what the trials have")]
    WrongView,
}

impl Contradiction {
    /// Returns whether [`crate::Store::mend`] can resolve it without guessing at results.
    pub fn can_be_mended(&self) -> bool {
        !matches!(self, Self::EndedWithoutAttempt { .. })
    }
}

impl Reader {
    /// Returns rows that contradict each other; `thorough`: curves too, about a million observations a second.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn contradictions(&self, thorough: bool) -> Result<Vec<Contradiction>, QueryError> {
        self.query("whether rows contradict each other", |connection| {
            let mut found = rows(
                connection,
                "SELECT id FROM sweep_trials WHERE state = 'running' AND NOT EXISTS
                    (SELECT 1 FROM attempts WHERE trial = sweep_trials.id AND ending IS NULL)",
                [],
                |row| Ok(Contradiction::RunningWithoutAttempt { trial: TrialId(row.get(0)?) }),
            )?;
            found.extend(rows(
                connection,
                "SELECT attempts.id, sweep_trials.state FROM attempts JOIN sweep_trials ON sweep_trials.id = attempts.trial
                WHERE attempts.ending IS NULL AND sweep_trials.state <> 'running' ORDER BY attempts.id",
                [],
                |row| {
                    let attempt = AttemptId(row.get(0)?);
                    Ok(Contradiction::AttemptOfIdleTrial { attempt, state: row.get(1)? })
                },
            )?);
            found.extend(rows(
                connection,
                "SELECT attempts.id FROM attempts JOIN workers ON workers.id = attempts.worker
                JOIN sweep_trials ON sweep_trials.id = attempts.trial
                WHERE attempts.ending IS NULL AND workers.ended_at_ms IS NOT NULL
                    AND sweep_trials.state = 'running' ORDER BY attempts.id",
                [],
                |row| Ok(Contradiction::AttemptOfEndedWorker { attempt: AttemptId(row.get(0)?) }),
            )?);
            found.extend(rows(
                connection,
                "SELECT id, state FROM sweep_trials WHERE state IN ('completed', 'diverged') AND NOT EXISTS
                    (SELECT 1 FROM attempts WHERE trial = sweep_trials.id AND ending = sweep_trials.state)",
                [],
                |row| {
                    let trial = TrialId(row.get(0)?);
                    Ok(Contradiction::EndedWithoutAttempt { trial, state: row.get(1)? })
                },
            )?);
            let columns = objective::columns("sweeps.objective_goal", "sweeps.objective_at");
            let sql = format!(
                "SELECT sweep_trials.id, objective_value, objective_step, {columns}
                FROM sweeps JOIN sweep_trials ON sweep_trials.sweep = sweeps.id AND sweep_trials.state = 'completed'
                LEFT JOIN metrics ON metrics.name = sweeps.objective_metric
                LEFT JOIN trial_metrics ON trial_metrics.trial = sweep_trials.id
                    AND trial_metrics.metric = metrics.id"
            );
            let objectives = rows(connection, &sql, [], |row| {
                let value = |index| row.get::<_, Option<f64>>(index);
                let step = |index| row.get::<_, Option<u64>>(index);
                let same = (value(1)?, step(2)?) == (value(3)?, step(4)?);
                Ok((!same).then_some(Contradiction::WrongObjective { trial: TrialId(row.get(0)?) }))
            })?;
            found.extend(objectives.into_iter().flatten());
            if wide::missing(connection)?.is_some() || !parameter::is_true(connection)? {
                found.push(Contradiction::WrongView);
            }
            if thorough {
                let sql = "SELECT id FROM sweep_trials WHERE EXISTS
                    (SELECT 1 FROM attempts WHERE trial = sweep_trials.id) ORDER BY id";
                for trial in rows(connection, sql, [], |row| Ok(TrialId(row.get(0)?)))? {
                    if !trial_metric::is_true(connection, trial)? {
                        found.push(Contradiction::WrongExtremes { trial });
                    }
                }
            }
            Ok(found)
        })
    }
}
