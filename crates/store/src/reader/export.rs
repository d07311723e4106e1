//! A sweep row by row, for files in the forms of others: nothing is held but the trial at hand.

use std::ops::ControlFlow;

use converge_core::ids::{SweepId, TrialId};
use converge_core::trial::TrialKind;
use rusqlite::Connection;

use super::curve::value;
use super::{QueryError, Reader, json, rows};
use crate::sweep::Configuration;
use crate::word;

/// A trial as files for others have it. Words are those of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedTrial {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// From 1 within the sweep.
    pub number: u64,
    /// What it is for.
    pub kind: TrialKind,
    /// `queued`, `running`, `completed`, `diverged`, `failed` or `cancelled`.
    pub state: String,
    /// The same for all replicates of the configuration.
    pub fingerprint: String,
    /// Which seed: from 0.
    pub replicate: u64,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// The sweep's objective; none unless completed, or where it was never a number.
    pub objective_value: Option<f64>,
    /// The step of that evaluation.
    pub objective_step: Option<u64>,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// Why it failed.
    pub failure_class: Option<String>,
    /// The same for people.
    pub failure_message: Option<String>,
    /// Relative to the home.
    pub best_weights_directory: Option<String>,
    /// Unit: Unix milliseconds.
    pub created_at_ms: i64,
    /// Unit: Unix milliseconds.
    pub ended_at_ms: Option<i64>,
    /// In order.
    pub attempts: Vec<ExportedAttempt>,
}

impl ExportedTrial {
    /// Returns about when an attempt did a step: its steps are spread evenly over its time, of which an open one has
    /// had all up to `now_ms`. Unit: Unix milliseconds.
    pub fn at_ms(&self, attempt: u64, step: u64, now_ms: i64) -> i64 {
        let Some(attempt) = self.attempts.iter().find(|one| one.number == attempt) else {
            return self.created_at_ms;
        };
        let steps = attempt.last_step.saturating_sub(attempt.from_step).max(1) as f64;
        let share = step.saturating_sub(attempt.from_step) as f64 / steps;
        let time = attempt.ended_at_ms.unwrap_or(now_ms) - attempt.started_at_ms;
        attempt.started_at_ms + (time.max(0) as f64 * share.min(1.0)) as i64
    }
}

/// An attempt, as far as it says when steps were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedAttempt {
    /// From 1 within the trial.
    pub number: u64,
    /// Steps done before it.
    pub from_step: u64,
    /// Last step that it did.
    pub last_step: u64,
    /// When training began, or else when it was leased. Unit: Unix milliseconds.
    pub started_at_ms: i64,
    /// None: open. Unit: Unix milliseconds.
    pub ended_at_ms: Option<i64>,
    /// Where known. Unit: bytes.
    pub peak_memory_bytes: Option<u64>,
}

/// A value of a trial that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportedValue<'a> {
    /// Number of the attempt within the trial.
    pub attempt: u64,
    /// Step, counted over the whole trial.
    pub step: u64,
    /// Name of the metric.
    pub metric: &'a str,
    /// NaN and infinities as they were observed.
    pub value: f64,
}

/// What is handed out of a sweep, trial after trial.
#[derive(Debug)]
pub enum Exported<'a> {
    /// A trial, before its values.
    Trial(Box<ExportedTrial>),
    /// One of its values, by step and metric.
    Value(ExportedValue<'a>),
}

/// A parameter of a sweep and, in Optuna's form, its distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterRecord {
    /// As users write it.
    pub name: String,
    /// JSON, such as `{"name":"CategoricalDistribution","attributes":{"choices":[16,32]}}`.
    pub distribution: String,
}

impl Reader {
    /// Returns the parameters of a sweep that some trial has, in the order of its definition.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn parameters(&self, sweep: SweepId) -> Result<Vec<ParameterRecord>, QueryError> {
        self.query("the parameters", |connection| {
            let sql =
                "SELECT name, distribution FROM parameters WHERE sweep = ?1 ORDER BY position";
            rows(connection, sql, [sweep.0], |row| {
                Ok(ParameterRecord { name: row.get(0)?, distribution: row.get(1)? })
            })
        })
    }

    /// Hands each trial of a sweep to `visit`, by number, and after each its values that count, by step and metric,
    /// until it breaks. All are of one state of the database; one trial and one value are held at a time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn export(
        &self,
        sweep: SweepId,
        mut visit: impl FnMut(Exported<'_>) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        self.query("the sweep", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, number, kind, state, fingerprint, replicate, configuration,
                    objective_value, objective_step, total_steps, failure_class, failure_message,
                    best_weights_directory, created_at_ms, ended_at_ms
                FROM sweep_trials WHERE sweep = ?1 ORDER BY number",
            )?;
            let mut rows = statement.query([sweep.0])?;
            while let Some(row) = rows.next()? {
                let id = TrialId(row.get(0)?);
                let trial = ExportedTrial {
                    id,
                    number: row.get(1)?,
                    kind: word::trial_kind(row.get_ref(2)?.as_str()?)?,
                    state: row.get(3)?,
                    fingerprint: row.get(4)?,
                    replicate: row.get(5)?,
                    configuration: json(row, "configuration")?,
                    objective_value: row.get(7)?,
                    objective_step: row.get(8)?,
                    total_steps: row.get(9)?,
                    failure_class: row.get(10)?,
                    failure_message: row.get(11)?,
                    best_weights_directory: row.get(12)?,
                    created_at_ms: row.get(13)?,
                    ended_at_ms: row.get(14)?,
                    attempts: attempts(connection, id)?,
                };
                if visit(Exported::Trial(Box::new(trial))).is_break()
                    || values(connection, id, &mut visit)?.is_break()
                {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn attempts(connection: &Connection, trial: TrialId) -> rusqlite::Result<Vec<ExportedAttempt>> {
    let sql = "SELECT number, from_step, last_step, coalesce(started_at_ms, leased_at_ms),
            ended_at_ms, peak_memory_bytes
        FROM attempts WHERE trial = ?1 ORDER BY number";
    rows(connection, sql, [trial.0], |row| {
        Ok(ExportedAttempt {
            number: row.get(0)?,
            from_step: row.get(1)?,
            last_step: row.get(2)?,
            started_at_ms: row.get(3)?,
            ended_at_ms: row.get(4)?,
            peak_memory_bytes: row.get(5)?,
        })
    })
}

fn values(
    connection: &Connection,
    trial: TrialId,
    visit: &mut impl FnMut(Exported<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut statement = connection.prepare_cached(
        "SELECT attempts.number, observations.step, metrics.name, observations.value
        FROM attempts
        CROSS JOIN observations ON observations.attempt = attempts.id
            AND observations.step > attempts.from_step
            AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
        CROSS JOIN metrics ON metrics.id = observations.metric
        WHERE attempts.trial = ?1
        ORDER BY attempts.number, observations.step, observations.metric",
    )?;
    let mut rows = statement.query([trial.0])?;
    while let Some(row) = rows.next()? {
        let value = ExportedValue {
            attempt: row.get(0)?,
            step: row.get(1)?,
            metric: row.get_ref(2)?.as_str()?,
            value: value(row, 3)?,
        };
        if visit(Exported::Value(value)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
