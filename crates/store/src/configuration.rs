//! The order of configurations, kept beside the trials: `best` reads the first few of it, and not every trial.
//!
//! The rule is [`converge_core::ranking`]'s. What is kept is only where a configuration stands; its trials are read
//! from their own rows.

use converge_core::ids::TrialId;
use converge_core::objective::Goal;
use converge_core::ranking::mean;
use rusqlite::{Connection, Row};

use crate::word::{self, BESIDE};

/// A trial of a configuration, as its place depends on it.
struct Replicate {
    id: i64,
    number: u64,
    end: End,
}

/// Whether and how a trial takes part in ranking.
enum End {
    /// Completed, with its objective.
    Completed(Option<f64>),
    Diverged,
    /// Not, or not yet.
    None,
}

/// A row of the table.
struct Place {
    trial: i64,
    first_trial: u64,
    mean: Option<f64>,
    cost: Option<f64>,
}

/// Finds the place of a trial's configuration anew, now that the trial has completed or diverged.
///
/// A trial beside the search has none.
pub(crate) fn place(connection: &Connection, trial: TrialId) -> rusqlite::Result<()> {
    let beside = connection
        .prepare_cached(&format!("SELECT {BESIDE} FROM sweep_trials WHERE id = ?1"))?
        .query_row([trial.0], |row| row.get(0))?;
    if beside {
        return Ok(());
    }
    let (sweep, fingerprint, goal): (i64, String, Goal) = connection
        .prepare_cached(
            "SELECT sweep_trials.sweep, sweep_trials.fingerprint, sweeps.objective_goal
            FROM sweep_trials JOIN sweeps ON sweeps.id = sweep_trials.sweep
            WHERE sweep_trials.id = ?1",
        )?
        .query_row([trial.0], |row| Ok((row.get(0)?, row.get(1)?, goal(row, 2)?)))?;
    // The `+` keeps to the index of fingerprints, which is that of a few rows.
    let replicates: Vec<Replicate> = connection
        .prepare_cached(
            "SELECT id, number, state, objective_value FROM sweep_trials
            WHERE sweep = ?1 AND fingerprint = ?2
            ORDER BY +number",
        )?
        .query_map((sweep, fingerprint), replicate)?
        .collect::<rusqlite::Result<_>>()?;
    match placed(&replicates, goal) {
        Some(place) => write(connection, sweep, &place),
        None => Ok(()),
    }
}

/// Fills the table from the trials: after a migration, when whatever it held was made by other rules.
pub(crate) fn fill(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM configurations", [])?;
    let mut statement = connection.prepare(&format!(
        "SELECT sweep_trials.id, sweep_trials.number, sweep_trials.state, sweep_trials.objective_value,
            sweep_trials.sweep, sweep_trials.fingerprint, sweeps.objective_goal
        FROM sweep_trials JOIN sweeps ON sweeps.id = sweep_trials.sweep
        WHERE NOT sweep_trials.{BESIDE}
        ORDER BY sweep_trials.sweep, sweep_trials.fingerprint, sweep_trials.number",
    ))?;
    let mut rows = statement.query([])?;
    let mut group: Option<(i64, String, Goal)> = None;
    let mut replicates: Vec<Replicate> = Vec::new();
    let finish = |group: &Option<(i64, String, Goal)>, replicates: &[Replicate]| match group {
        Some((sweep, _, goal)) => {
            placed(replicates, *goal).map_or(Ok(()), |place| write(connection, *sweep, &place))
        }
        None => Ok(()),
    };
    while let Some(row) = rows.next()? {
        let next = (row.get(4)?, row.get(5)?, goal(row, 6)?);
        if group.as_ref() != Some(&next) {
            finish(&group, &replicates)?;
            replicates.clear();
            group = Some(next);
        }
        replicates.push(replicate(row)?);
    }
    finish(&group, &replicates)
}

fn goal(row: &Row<'_>, column: usize) -> rusqlite::Result<Goal> {
    word::goal(row.get_ref(column)?.as_str()?)
}

fn replicate(row: &Row<'_>) -> rusqlite::Result<Replicate> {
    let end = match row.get_ref(2)?.as_str()? {
        "completed" => End::Completed(row.get(3)?),
        "diverged" => End::Diverged,
        _ => End::None,
    };
    Ok(Replicate { id: row.get(0)?, number: row.get(1)?, end })
}

/// Returns the place that replicates, in the order of their numbers, give their configuration; none while no trial of
/// it has completed or diverged.
fn placed(replicates: &[Replicate], goal: Goal) -> Option<Place> {
    let ended = |replicate: &&Replicate| !matches!(replicate.end, End::None);
    let first_trial = replicates.iter().find(ended)?.number;
    let trial = replicates.iter().map(|replicate| replicate.id).min()?;
    let mut values = Vec::new();
    let (mut diverged, mut without) = (false, false);
    for replicate in replicates {
        match replicate.end {
            End::Completed(Some(value)) => values.push(value),
            End::Completed(None) => without = true,
            End::Diverged => diverged = true,
            End::None => {}
        }
    }
    let mean = if without { None } else { mean(&values) };
    let cost = mean.filter(|_| !diverged).map(|mean| match goal {
        Goal::Maximize => -mean,
        Goal::Minimize => mean,
    });
    Some(Place { trial, first_trial, mean, cost })
}

fn write(connection: &Connection, sweep: i64, place: &Place) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO configurations (trial, sweep, first_trial, mean, cost)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (trial) DO UPDATE
            SET first_trial = excluded.first_trial, mean = excluded.mean, cost = excluded.cost",
        )?
        .execute((place.trial, sweep, place.first_trial, place.mean, place.cost))?;
    Ok(())
}
