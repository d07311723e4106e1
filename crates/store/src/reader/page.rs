//! What the page of `serve` asks for, beyond what commands do: curves thinned out, one metric of all trials, and a
//! cheap way to know which trials can have changed.

pub(crate) mod curves;
pub(crate) mod marker;

use converge_core::ids::{SweepId, TrialId};
use rusqlite::Connection;

use super::summary::SweepSummary;
use super::{QueryError, Reader, row, rows};
use crate::sweep::Configuration;

/// One metric of one trial, among those of all trials of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricValue {
    /// Number of the trial within the sweep.
    pub trial: u64,
    /// Smallest value; none: NaN only.
    pub min: Option<f64>,
    /// Largest value; none: NaN only.
    pub max: Option<f64>,
    /// Last value; none: NaN.
    pub last: Option<f64>,
}

/// What stands above a sweep's trials, beside its summary.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepHeader {
    /// Steps of its completed, stopped, diverged, failed and cancelled trials, as far as they were done, and of running ones.
    pub steps_done: u64,
    /// Steps of all its trials; of one that ended early those that it did.
    pub steps_total: u64,
    /// Devices of the newest session's workers, and how many of these have not ended.
    pub devices: Vec<(String, u64)>,
    /// The best configuration, with the number of its best replicate, and of its completed replicates.
    pub best: Option<BestConfiguration>,
}

/// The best configuration of a sweep, as the view `best_configuration` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct BestConfiguration {
    /// Parameter to value.
    pub configuration: Configuration,
    /// Mean objective over its completed replicates.
    pub mean: Option<f64>,
    /// How many these are.
    pub replicates: u64,
    /// Number of the best of them.
    pub trial: u64,
}

/// What a sweep was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepSource {
    /// The sweep file, absolute; none: it came from elsewhere.
    pub path: Option<String>,
    /// Its text.
    pub text: String,
    /// `KEY=VALUE` as given on the command line, a JSON list.
    pub overrides: String,
}

impl Reader {
    /// Returns the sweep of this id.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_summary(&self, sweep: SweepId) -> Result<Option<SweepSummary>, QueryError> {
        let name = self.query("a sweep", |connection| {
            let sql = "SELECT name FROM sweeps WHERE id = ?1";
            row(connection, sql, [sweep.0], |row| row.get::<_, String>(0))
        })?;
        name.map_or(Ok(None), |name| self.sweep_named(&name))
    }

    /// Returns progress in steps, devices and the best configuration of a sweep. Reads no list of trials, but those
    /// that run or ended early.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_header(&self, sweep: SweepId) -> Result<SweepHeader, QueryError> {
        self.query("a sweep's progress", |connection| {
            let (steps_done, steps_total) = steps(connection, sweep)?;
            Ok(SweepHeader {
                steps_done,
                steps_total,
                devices: devices(connection, sweep)?,
                best: best(connection, sweep)?,
            })
        })
    }

    /// Returns the ids of the trials of a sweep that have these numbers, in this order; none where there is no such trial.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trial_ids(
        &self,
        sweep: SweepId,
        numbers: &[u64],
    ) -> Result<Vec<Option<TrialId>>, QueryError> {
        self.query("the numbers of trials", |connection| {
            let sql = "SELECT id FROM sweep_trials WHERE sweep = ?1 AND number = ?2";
            let id = |number: &u64| row(connection, sql, (sweep.0, number), |row| row.get(0));
            numbers.iter().map(|number| Ok(id(number)?.map(TrialId))).collect()
        })
    }

    /// Returns the text that a sweep was made from.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_source(&self, sweep: SweepId) -> Result<Option<SweepSource>, QueryError> {
        self.query("a sweep's file", |connection| {
            let sql = "SELECT source_path, source_text, overrides FROM sweeps WHERE id = ?1";
            row(connection, sql, [sweep.0], |row| {
                Ok(SweepSource { path: row.get(0)?, text: row.get(1)?, overrides: row.get(2)? })
            })
        })
    }

    /// Returns one metric of all trials of a sweep that have it, by number. Reads extremes, never curves.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn metric_values(
        &self,
        sweep: SweepId,
        metric: &str,
    ) -> Result<Vec<MetricValue>, QueryError> {
        self.query("a metric of all trials", |connection| {
            let sql =
                "SELECT sweep_trials.number, trial_metrics.min, trial_metrics.max, trial_metrics.last
                FROM metrics
                JOIN sweep_trials ON sweep_trials.sweep = ?1
                JOIN trial_metrics
                    ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
                WHERE metrics.name = ?2
                ORDER BY sweep_trials.number";
            rows(connection, sql, (sweep.0, metric), |row| {
                Ok(MetricValue {
                    trial: row.get(0)?,
                    min: row.get(1)?,
                    max: row.get(2)?,
                    last: row.get(3)?,
                })
            })
        })
    }
}

/// Adds up steps: counts by state know those of trials that wait or are complete; the others are looked at.
fn steps(connection: &Connection, sweep: SweepId) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT
            coalesce(sum(CASE WHEN state = 'completed' THEN steps END), 0),
            coalesce(sum(CASE WHEN state IN ('completed', 'queued', 'running', 'waiting') THEN steps END), 0)
        FROM trial_counts WHERE sweep = ?1";
    let (completed, open): (u64, u64) = connection
        .prepare_cached(sql)?
        .query_row([sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT sweep_trials.state IN ('running', 'waiting'), coalesce(sum(
                (SELECT max(attempts.last_step) FROM attempts WHERE attempts.trial = sweep_trials.id)
            ), 0)
        FROM sweep_trials INDEXED BY trials_by_state
        WHERE sweep_trials.sweep = ?1 AND sweep_trials.state IN ('running', 'waiting', 'stopped', 'diverged', 'failed', 'cancelled')
        GROUP BY 1";
    let (mut done, mut total) = (completed, open);
    for (running, steps) in
        rows(connection, sql, [sweep.0], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, u64>(1)?)))?
    {
        done += steps;
        if !running {
            total += steps;
        }
    }
    Ok((done, total))
}

fn devices(connection: &Connection, sweep: SweepId) -> rusqlite::Result<Vec<(String, u64)>> {
    let sql = "SELECT device, sum(ended_at_ms IS NULL)
        FROM workers
        WHERE session = (SELECT max(id) FROM sessions WHERE sweep = ?1)
        GROUP BY device ORDER BY device";
    rows(connection, sql, [sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn best(connection: &Connection, sweep: SweepId) -> rusqlite::Result<Option<BestConfiguration>> {
    let sql = "SELECT configuration, mean, replicates, best_trial FROM best_configuration
        WHERE sweep = (SELECT name FROM sweeps WHERE id = ?1)";
    row(connection, sql, [sweep.0], |row| {
        Ok(BestConfiguration {
            configuration: super::json(row, "configuration")?,
            mean: row.get(1)?,
            replicates: row.get(2)?,
            trial: row.get(3)?,
        })
    })
}
