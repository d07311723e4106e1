//! Curves, the names and extremes of metrics, and all observations of a sweep one after the other.

use std::ops::ControlFlow;

use converge_core::ids::{AttemptId, SweepId, TrialId};
use rusqlite::{Connection, Row};

use super::{QueryError, Reader, rows};

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Step, counted over the whole trial.
    pub step: u64,
    /// NaN and infinities as they were observed.
    pub value: f64,
    /// Number of the attempt that observed it.
    pub attempt: u64,
}

/// Smallest, largest and last value of a metric in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricExtremes {
    /// Its name.
    pub metric: String,
    /// Value and first step; none: NaN only.
    pub min: Option<(f64, u64)>,
    /// Value and first step; none: NaN only.
    pub max: Option<(f64, u64)>,
    /// Can be NaN.
    pub last: f64,
    /// Its step.
    pub last_step: u64,
}

/// One observation of a sweep that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation<'a> {
    /// Number of the trial within the sweep.
    pub trial: u64,
    /// Number of the attempt within the trial.
    pub attempt: u64,
    /// Step, counted over the whole trial.
    pub step: u64,
    /// Name of the metric.
    pub metric: &'a str,
    /// NaN and infinities as they were observed.
    pub value: f64,
}

/// What is known of a running trial right now.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningTrial {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// From 1 within the sweep.
    pub number: u64,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// Its open attempt.
    pub attempt: AttemptId,
    /// That attempt's number within the trial.
    pub attempt_number: u64,
    /// Steps done before that attempt.
    pub from_step: u64,
    /// Last step observed.
    pub last_step: u64,
    /// On what it runs.
    pub device: String,
    /// Unit: Unix milliseconds.
    pub leased_at_ms: i64,
    /// When training began. Unit: Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// Extremes and last values of all its metrics, by name.
    pub metrics: Vec<MetricExtremes>,
}

impl Reader {
    /// Returns the curve of a metric of a trial: what counts of each attempt, in step order.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn curve(&self, trial: TrialId, metric: &str) -> Result<Vec<Point>, QueryError> {
        self.query("a curve", |connection| {
            let sql = "SELECT observations.step, observations.value, attempts.number
                FROM metrics
                JOIN attempts ON attempts.trial = ?1
                JOIN observations ON observations.attempt = attempts.id
                    AND observations.step > attempts.from_step
                    AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
                    AND observations.metric = metrics.id
                WHERE metrics.name = ?2
                ORDER BY observations.step";
            rows(connection, sql, (trial.0, metric), |row| {
                Ok(Point { step: row.get(0)?, value: value(row, 1)?, attempt: row.get(2)? })
            })
        })
    }

    /// Returns the names of a sweep's metrics, sorted.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_metrics(&self, sweep: SweepId) -> Result<Vec<String>, QueryError> {
        self.query("the metrics", |connection| {
            let sql = "SELECT name FROM metrics
                WHERE EXISTS (
                    SELECT 1 FROM sweep_trials
                    JOIN trial_metrics
                        ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
                    WHERE sweep_trials.sweep = ?1
                )
                ORDER BY name";
            rows(connection, sql, [sweep.0], |row| row.get(0))
        })
    }

    /// Returns the extremes of all metrics of a trial, by name.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trial_metrics(&self, trial: TrialId) -> Result<Vec<MetricExtremes>, QueryError> {
        self.query("a trial's metrics", |connection| extremes(connection, trial))
    }

    /// Returns the running trials of a sweep with their last values.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn running_trials(&self, sweep: SweepId) -> Result<Vec<RunningTrial>, QueryError> {
        self.query("the running trials", |connection| {
            let sql = "SELECT sweep_trials.id, sweep_trials.number, sweep_trials.total_steps, attempts.id,
                    attempts.number, attempts.from_step, attempts.last_step, workers.device,
                    attempts.leased_at_ms, attempts.started_at_ms
                FROM sweep_trials INDEXED BY trials_by_state
                JOIN attempts ON attempts.trial = sweep_trials.id AND attempts.ending IS NULL
                JOIN workers ON workers.id = attempts.worker
                WHERE sweep_trials.sweep = ?1 AND sweep_trials.state = 'running'
                ORDER BY sweep_trials.number";
            rows(connection, sql, [sweep.0], |row| {
                let id = TrialId(row.get(0)?);
                Ok(RunningTrial {
                    id,
                    number: row.get(1)?,
                    total_steps: row.get(2)?,
                    attempt: AttemptId(row.get(3)?),
                    attempt_number: row.get(4)?,
                    from_step: row.get(5)?,
                    last_step: row.get(6)?,
                    device: row.get(7)?,
                    leased_at_ms: row.get(8)?,
                    started_at_ms: row.get(9)?,
                    metrics: extremes(connection, id)?,
                })
            })
        })
    }

    /// Hands each observation of a sweep that counts to `visit`, by trial, step and metric, until it breaks.
    ///
    /// Holds one row at a time, however long the sweep.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn observations(
        &self,
        sweep: SweepId,
        mut visit: impl FnMut(Observation<'_>) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        self.query("the observations", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sweep_trials.number, attempts.number, observations.step, metrics.name,
                    observations.value
                FROM sweep_trials
                CROSS JOIN attempts ON attempts.trial = sweep_trials.id
                CROSS JOIN observations ON observations.attempt = attempts.id
                    AND observations.step > attempts.from_step
                    AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
                CROSS JOIN metrics ON metrics.id = observations.metric
                WHERE sweep_trials.sweep = ?1
                ORDER BY sweep_trials.number, attempts.number, observations.step, observations.metric",
            )?;
            let mut rows = statement.query([sweep.0])?;
            while let Some(row) = rows.next()? {
                let observation = Observation {
                    trial: row.get(0)?,
                    attempt: row.get(1)?,
                    step: row.get(2)?,
                    metric: row.get_ref(3)?.as_str()?,
                    value: value(row, 4)?,
                };
                if visit(observation).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Reads a trial's extremes, by name of the metric.
pub(super) fn extremes(
    connection: &Connection,
    trial: TrialId,
) -> rusqlite::Result<Vec<MetricExtremes>> {
    let sql = "SELECT metrics.name, min, min_step, max, max_step, last, last_step
        FROM trial_metrics JOIN metrics ON metrics.id = trial_metrics.metric
        WHERE trial_metrics.trial = ?1
        ORDER BY metrics.name";
    rows(connection, sql, [trial.0], |row| {
        Ok(MetricExtremes {
            metric: row.get(0)?,
            min: row.get::<_, Option<f64>>(1)?.zip(row.get(2)?),
            max: row.get::<_, Option<f64>>(3)?.zip(row.get(4)?),
            last: value(row, 5)?,
            last_step: row.get(6)?,
        })
    })
}

/// Reads a value: SQLite keeps NaN as NULL.
pub(super) fn value(row: &Row<'_>, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
}
