//! The objective of a trial, taken from the extremes of its metrics.

use converge_core::ids::TrialId;
use rusqlite::Connection;

/// Value by direction and evaluation: `?goal` and `?at` are SQL expressions of their words.
fn column(goal: &str, at: &str, suffix: &str) -> String {
    format!(
        "CASE WHEN {at} = 'last' THEN trial_metrics.last{suffix}
        WHEN {goal} = 'maximize' THEN trial_metrics.max{suffix}
        ELSE trial_metrics.min{suffix} END"
    )
}

/// Returns two columns, value and step, of a row of `trial_metrics`; `goal` and `at` are SQL expressions.
///
/// The value is NULL where the trial has none but NaN.
pub(crate) fn columns(goal: &str, at: &str) -> String {
    format!("{}, {}", column(goal, at, ""), column(goal, at, "_step"))
}

/// Writes a completed trial's objective, so that no reader has to look for it.
pub(crate) fn set(connection: &Connection, trial: TrialId) -> rusqlite::Result<()> {
    let columns = columns("sweeps.objective_goal", "sweeps.objective_at");
    connection
        .prepare_cached(&format!(
            "UPDATE sweep_trials SET (objective_value, objective_step) = (
                SELECT {columns}
                FROM sweeps
                JOIN metrics ON metrics.name = sweeps.objective_metric
                JOIN trial_metrics
                    ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
                WHERE sweeps.id = sweep_trials.sweep
            )
            WHERE id = ?1"
        ))?
        .execute([trial.0])?;
    Ok(())
}
