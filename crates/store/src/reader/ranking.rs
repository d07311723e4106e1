//! What ranking needs: one value per ended trial, for the sweep's objective or any other metric.

use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Objective;
use rusqlite::Connection;

use super::trial::ObjectiveValue;
use super::{QueryError, Reader, json, rows};
use crate::objective;
use crate::sweep::Configuration;
use crate::word::{BESIDE, at_word, goal_word};

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

/// How long a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialLength {
    /// Optimizer updates until it is complete.
    pub total_steps: u64,
    /// Examples of an update.
    pub batch_size: u64,
    /// Its entry in the sweep's facts.
    pub facts_index: u64,
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
        self.query("the ranking", |connection| ranked(connection, sweep, objective, Which::All))
    }

    /// Returns the same trials for the sweep's own objective, but only those of the best `most` configurations:
    /// ranked among themselves they have the places that they have among all.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn best_ranking(
        &self,
        sweep: SweepId,
        objective: &Objective,
        most: usize,
    ) -> Result<Vec<RankedTrial>, QueryError> {
        self.query("the best configurations", |connection| {
            let mut best: Vec<String> = Vec::new();
            // Those behind all others have no cost, and NULL would come first.
            for costs in
                ["cost IS NOT NULL ORDER BY cost, first_trial", "cost IS NULL ORDER BY first_trial"]
            {
                let sql = format!(
                    "SELECT (SELECT fingerprint FROM sweep_trials WHERE id = configurations.trial)
                    FROM configurations WHERE sweep = ?1 AND {costs} LIMIT ?2"
                );
                let left = i64::try_from(most.saturating_sub(best.len())).unwrap_or(i64::MAX);
                best.extend(rows(connection, &sql, (sweep.0, left), |row| {
                    row.get::<_, String>(0)
                })?);
            }
            let mut trials = Vec::new();
            for fingerprint in &best {
                trials.extend(ranked(connection, sweep, objective, Which::Of(fingerprint))?);
            }
            Ok(trials)
        })
    }

    /// Returns the baseline's completed and diverged trials in the same form: they stand beside the search.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn baseline(
        &self,
        sweep: SweepId,
        objective: &Objective,
    ) -> Result<Vec<RankedTrial>, QueryError> {
        self.query("the baseline", |connection| {
            ranked(connection, sweep, objective, Which::Baseline)
        })
    }

    /// Returns how long trials are, in their order.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trial_lengths(&self, trials: &[TrialId]) -> Result<Vec<TrialLength>, QueryError> {
        self.query("the lengths of trials", |connection| {
            let one = |trial: &TrialId| {
                let sql =
                    "SELECT total_steps, json_extract(settings, '$.train.batch_size'), facts_index
                    FROM sweep_trials WHERE id = ?1";
                connection.prepare_cached(sql)?.query_row([trial.0], |row| {
                    Ok(TrialLength {
                        total_steps: row.get(0)?,
                        batch_size: row.get(1)?,
                        facts_index: row.get(2)?,
                    })
                })
            };
            trials.iter().map(one).collect()
        })
    }

    /// Returns the number of configurations with a completed or diverged trial.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn ranked_configurations(&self, sweep: SweepId) -> Result<u64, QueryError> {
        self.query("the number of configurations", |connection| {
            connection
                .prepare_cached("SELECT count(*) FROM configurations WHERE sweep = ?1")?
                .query_row([sweep.0], |row| row.get(0))
        })
    }
}

/// Which trials are read.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// All of the search.
    All,
    /// Those of one configuration of the search.
    Of(&'a str),
    /// The defaults, beside the search.
    Baseline,
}

/// Reads completed and diverged trials, by number.
fn ranked(
    connection: &Connection,
    sweep: SweepId,
    objective: &Objective,
    which: Which<'_>,
) -> rusqlite::Result<Vec<RankedTrial>> {
    let columns = objective::columns("?3", "?4");
    // A `+` keeps to the index of fingerprints, or of those beside the search: a few rows each.
    let chosen = match which {
        Which::All => {
            format!("NOT +sweep_trials.{BESIDE} AND ?5 IS NULL ORDER BY sweep_trials.number")
        }
        Which::Of(_) => format!(
            "NOT +sweep_trials.{BESIDE} AND sweep_trials.fingerprint = ?5
            ORDER BY +sweep_trials.number"
        ),
        Which::Baseline => format!(
            "sweep_trials.{BESIDE} AND +sweep_trials.kind = 'baseline' AND ?5 IS NULL
            ORDER BY +sweep_trials.number"
        ),
    };
    let fingerprint = match which {
        Which::Of(fingerprint) => Some(fingerprint),
        Which::All | Which::Baseline => None,
    };
    let sql = format!(
        "SELECT sweep_trials.id, sweep_trials.number, sweep_trials.fingerprint, sweep_trials.configuration,
            sweep_trials.replicate, sweep_trials.state = 'diverged', {columns}
        FROM sweep_trials
        LEFT JOIN metrics ON metrics.name = ?2
        LEFT JOIN trial_metrics
            ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
        WHERE sweep_trials.sweep = ?1 AND +sweep_trials.state IN ('completed', 'diverged')
            AND {chosen}"
    );
    let (goal, at) = (goal_word(objective.goal), at_word(objective.at));
    let parameters = (sweep.0, &objective.metric, goal, at, fingerprint);
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
}
