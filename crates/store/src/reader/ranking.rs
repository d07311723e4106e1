//! What ranking needs: one value per ended trial, for the sweep's objective or any other metric.

use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Objective;

use super::trial::ObjectiveValue;
use super::{QueryError, Reader, json, rows};
use crate::objective;
use crate::sweep::Configuration;
use crate::word::{at_word, goal_word};

/// A trial that takes part in ranking: completed or diverged.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedTrial {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// From 1 within the sweep.
    pub number: u64,
    /// The same for all replicates of the configuration.
    pub fingerprint: String,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// Which seed: from 0.
    pub replicate: u64,
    /// Diverged rather than completed: ranked last, whatever its value.
    pub diverged: bool,
    /// None: never observed, or NaN only.
    pub objective: Option<ObjectiveValue>,
}

impl Reader {
    /// Returns the completed and diverged trials of a sweep with their value of `objective`, which may be
    /// another than the sweep's. Reads extremes only, never curves.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn ranking(
        &self,
        sweep: SweepId,
        objective: &Objective,
    ) -> Result<Vec<RankedTrial>, QueryError> {
        self.query("the ranking", |connection| {
            let columns = objective::columns("?3", "?4");
            let sql = format!(
                "SELECT trials.id, trials.number, trials.fingerprint, trials.configuration,
                    trials.replicate, trials.state = 'diverged', {columns}
                FROM trials
                LEFT JOIN metrics ON metrics.name = ?2
                LEFT JOIN trial_metrics
                    ON trial_metrics.trial = trials.id AND trial_metrics.metric = metrics.id
                WHERE trials.sweep = ?1 AND trials.state IN ('completed', 'diverged')
                ORDER BY trials.number"
            );
            let parameters =
                (sweep.0, &objective.metric, goal_word(objective.goal), at_word(objective.at));
            rows(connection, &sql, parameters, |row| {
                let objective = match (row.get(6)?, row.get(7)?) {
                    (Some(value), Some(step)) => Some(ObjectiveValue { value, step }),
                    _ => None,
                };
                Ok(RankedTrial {
                    id: TrialId(row.get(0)?),
                    number: row.get(1)?,
                    fingerprint: row.get(2)?,
                    configuration: json(row, "configuration")?,
                    replicate: row.get(4)?,
                    diverged: row.get(5)?,
                    objective,
                })
            })
        })
    }
}
