//! Lists of sweeps: how many trials stand where, and the best value so far.

use converge_core::budget::Budget;
use converge_core::ids::SweepId;
use converge_core::objective::Objective;
use converge_core::sweep::Method;
use rusqlite::{Connection, Row};
use serde::Deserialize;

use super::{QueryError, Reader, row, rows};
use crate::word::{self, BESIDE, SweepState};

/// A sweep in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSummary {
    /// Its id.
    pub id: SweepId,
    /// Unique in its home.
    pub name: String,
    /// SHA-256 (hex) over what makes it this sweep.
    pub identity: String,
    /// How its trials are ranked.
    pub objective: Objective,
    /// Where it stands.
    pub state: SweepState,
    /// Version of converge that made it.
    pub version: String,
    /// The trials of its search by state.
    pub trials: TrialCounts,
    /// Those beside the search.
    pub beside: TrialCounts,
    /// Whether trials are added while it runs.
    pub grows: bool,
    /// How many trials its search will have; none where results decide it.
    pub planned: Option<u64>,
    /// Number of its newest trial, whatever it is for.
    pub last_number: u64,
    /// Mean objective of its best configuration, as in the view `best_configuration`.
    pub best: Option<f64>,
    /// When it was created. Unit: Unix milliseconds.
    pub created_at_ms: i64,
    /// When its first session began; none: never run.
    pub started_at_ms: Option<i64>,
    /// When its last session ended; none: never, or killed since.
    pub ended_at_ms: Option<i64>,
}

impl SweepSummary {
    /// Returns whether nothing is left to do: all its trials are final, those beside the search included, and if it grows,
    /// a session has found that none will be added.
    pub fn is_over(&self) -> bool {
        self.has_ended() && (!self.grows || self.state == SweepState::Finished)
    }

    /// Returns whether all trials that it has are final.
    pub fn has_ended(&self) -> bool {
        [&self.trials, &self.beside].iter().all(|counts| counts.ended() == counts.total())
    }
}

/// How many trials stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrialCounts {
    /// Wait for a worker.
    pub queued: u64,
    /// Have an open attempt.
    pub running: u64,
    /// Have paused at a rung, for whether they go on.
    pub waiting: u64,
    /// Did all their steps.
    pub completed: u64,
    /// Were stopped at a rung.
    pub stopped: u64,
    /// Met a loss or gradient that is not finite.
    pub diverged: u64,
    /// Used up their retries.
    pub failed: u64,
    /// Are not wanted any more.
    pub cancelled: u64,
}

impl TrialCounts {
    /// Returns the number of trials.
    pub fn total(&self) -> u64 {
        self.queued + self.running + self.waiting + self.ended()
    }

    /// Returns how many are final.
    pub fn ended(&self) -> u64 {
        self.completed + self.stopped + self.diverged + self.failed + self.cancelled
    }
}

const COLUMNS: &str = "SELECT sweeps.*,
    (SELECT mean FROM best_configuration WHERE best_configuration.sweep = sweeps.name) AS best,
    (SELECT min(started_at_ms) FROM sessions WHERE sweep = sweeps.id) AS started_at_ms,
    (SELECT coalesce(max(number), 0) FROM sweep_trials WHERE sweep = sweeps.id) AS last_number,
    (SELECT ended_at_ms FROM sessions WHERE sweep = sweeps.id ORDER BY id DESC LIMIT 1) AS ended_at_ms
    FROM sweeps";

impl Reader {
    /// Returns all sweeps of this home, oldest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweeps(&self) -> Result<Vec<SweepSummary>, QueryError> {
        self.query("the sweeps", |connection| {
            let sql = format!("{COLUMNS} ORDER BY sweeps.id");
            rows(connection, &sql, [], |row| summary(connection, row))
        })
    }

    /// Returns the sweep of this name.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_named(&self, name: &str) -> Result<Option<SweepSummary>, QueryError> {
        self.query("a sweep", |connection| {
            let sql = format!("{COLUMNS} WHERE sweeps.name = ?1");
            row(connection, &sql, [name], |row| summary(connection, row))
        })
    }

    /// Returns the sweep that was worked on last: the one of the newest session, else the newest.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn latest_sweep(&self) -> Result<Option<SweepSummary>, QueryError> {
        self.query("the latest sweep", |connection| {
            let sql = format!(
                "{COLUMNS} ORDER BY
                    (SELECT max(id) FROM sessions WHERE sweep = sweeps.id) DESC NULLS LAST,
                    sweeps.id DESC
                LIMIT 1"
            );
            row(connection, &sql, [], |row| summary(connection, row))
        })
    }
}

fn summary(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<SweepSummary> {
    let id = SweepId(row.get("id")?);
    let definition = Definition::read(row.get_ref("definition")?.as_str()?);
    let state = word::sweep_state(row.get_ref("state")?.as_str()?)?;
    let trials = counts(connection, id)?;
    Ok(SweepSummary {
        id,
        name: row.get("name")?,
        identity: row.get("identity")?,
        objective: objective(row)?,
        state,
        version: row.get("version")?,
        trials,
        beside: counts_beside(connection, id)?,
        grows: definition.grows(),
        planned: definition.planned(trials.total(), state),
        last_number: row.get("last_number")?,
        best: row.get("best")?,
        created_at_ms: row.get("created_at_ms")?,
        started_at_ms: row.get("started_at_ms")?,
        ended_at_ms: row.get("ended_at_ms")?,
    })
}

/// What is read of a sweep's definition here: a home may hold one that this version cannot read otherwise.
#[derive(Debug, Default, Deserialize)]
struct Definition {
    method: Option<Method>,
    #[serde(default)]
    replicates: u64,
    #[serde(default)]
    racing: bool,
    #[serde(default)]
    budget: Budget,
}

impl Definition {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    fn grows(&self) -> bool {
        self.racing || self.method.is_some_and(Method::is_adaptive)
    }

    /// Returns how many trials there will be, of which there are so many.
    fn planned(&self, there: u64, state: SweepState) -> Option<u64> {
        match (self.grows(), state, self.racing) {
            (false, ..) | (true, SweepState::Finished, _) => Some(there),
            (true, _, true) => None,
            (true, _, false) => {
                let drawn = self.budget.max_trials.unwrap_or(0).saturating_mul(self.replicates);
                Some(drawn.max(there))
            }
        }
    }
}

/// Returns whether a sweep of this definition gets trials while it runs.
pub(crate) fn grows(definition: &str) -> bool {
    Definition::read(definition).grows()
}

/// Reads a sweep's objective from its three columns.
pub(super) fn objective(row: &Row<'_>) -> rusqlite::Result<Objective> {
    Ok(Objective {
        metric: row.get("objective_metric")?,
        goal: word::goal(row.get_ref("objective_goal")?.as_str()?)?,
        at: word::at(row.get_ref("objective_at")?.as_str()?)?,
    })
}

/// Reads how many trials of a sweep's search are in each state.
pub(super) fn counts(connection: &Connection, sweep: SweepId) -> rusqlite::Result<TrialCounts> {
    let sql = "SELECT state, trials FROM trial_counts WHERE sweep = ?1";
    counted(connection, sql, sweep)
}

/// The same for those beside the search.
fn counts_beside(connection: &Connection, sweep: SweepId) -> rusqlite::Result<TrialCounts> {
    let sql = format!(
        "SELECT state, count(*) FROM sweep_trials INDEXED BY trials_beside
        WHERE sweep = ?1 AND {BESIDE} GROUP BY state"
    );
    counted(connection, &sql, sweep)
}

fn counted(connection: &Connection, sql: &str, sweep: SweepId) -> rusqlite::Result<TrialCounts> {
    let mut counts = TrialCounts::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let count = row.get(1)?;
        match row.get_ref(0)?.as_str()? {
            "queued" => counts.queued = count,
            "running" => counts.running = count,
            "waiting" => counts.waiting = count,
            "stopped" => counts.stopped = count,
            "completed" => counts.completed = count,
            "diverged" => counts.diverged = count,
            "failed" => counts.failed = count,
            _ => counts.cancelled = count,
        }
    }
    Ok(counts)
}
