//! The rungs of early stopping: of one trial, and of a sweep as the scheduler needs them to go on.

use std::collections::BTreeMap;

use converge_core::early_stop::Verdict;
use converge_core::ids::{SweepId, TrialId};
use rusqlite::{Connection, Row};

use super::{QueryError, Reader, rows};
use crate::change::{RungDecision, RungStanding};
use crate::database_error::unreadable;
use crate::word::BESIDE;

/// A rung that a trial has reached.
#[derive(Debug, Clone, PartialEq)]
pub struct RungRecord {
    /// From 0.
    pub rung: u64,
    /// Its step in this trial.
    pub step: u64,
    /// What the trial is compared by.
    pub standing: RungStanding,
    /// What was decided; none: nothing yet.
    pub decision: Option<RungDecision>,
    /// Unit: Unix milliseconds.
    pub reached_at_ms: i64,
    /// Unit: Unix milliseconds.
    pub decided_at_ms: Option<i64>,
}

/// A sweep's search at its rungs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ladder {
    /// All its trials, by number.
    pub trials: Vec<LadderTrial>,
    /// By trial that is not final: the objective at each step that counts so far, in order.
    pub evaluations: BTreeMap<TrialId, Vec<(u64, f64)>>,
}

/// A trial at its rungs.
#[derive(Debug, Clone, PartialEq)]
pub struct LadderTrial {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// From 1 within the sweep.
    pub number: u64,
    /// Which seed, from 0.
    pub replicate: u64,
    /// Its entry in the sweep's facts.
    pub facts_index: u64,
    /// The word of its state.
    pub state: String,
    /// Steps at which its attempts paused.
    pub paused: Vec<u64>,
    /// The furthest step from which an attempt began.
    pub began_at: u64,
    /// The furthest step that an attempt has come to.
    pub came_to: u64,
    /// When it was added. Unit: Unix milliseconds.
    pub created_at_ms: i64,
    /// Its objective, where it is complete.
    pub objective: Option<f64>,
    /// In order.
    pub rungs: Vec<RungRecord>,
}

impl Reader {
    /// Returns the rungs of a sweep's trials, and what those that are not final have observed of the objective. A pass
    /// over all trials.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn ladder(&self, sweep: SweepId) -> Result<Ladder, QueryError> {
        self.query("the rungs of a sweep", |connection| {
            Ok(Ladder {
                trials: trials(connection, sweep)?,
                evaluations: evaluations(connection, sweep)?,
            })
        })
    }

    /// Returns the steps that trials of a sweep's search did not have to do: stopped at a rung, or complete early. A pass
    /// over those.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn steps_saved(&self, sweep: SweepId) -> Result<u64, QueryError> {
        self.query("the steps saved", |connection| {
            let sql = format!(
                "SELECT coalesce(sum(max(0, sweep_trials.total_steps -
                    (SELECT max(attempts.last_step) FROM attempts WHERE attempts.trial = sweep_trials.id)
                )), 0)
                FROM sweep_trials INDEXED BY trials_by_state
                WHERE sweep = ?1 AND state IN ('stopped', 'completed') AND NOT {BESIDE}"
            );
            connection.prepare_cached(&sql)?.query_row([sweep.0], |row| row.get(0))
        })
    }
}

fn trials(connection: &Connection, sweep: SweepId) -> rusqlite::Result<Vec<LadderTrial>> {
    let sql = "SELECT rungs.* FROM sweep_trials JOIN rungs ON rungs.trial = sweep_trials.id
        WHERE sweep_trials.sweep = ?1 ORDER BY rungs.trial, rungs.rung";
    let mut of_trial: BTreeMap<i64, Vec<RungRecord>> = BTreeMap::new();
    for (trial, rung) in
        rows(connection, sql, [sweep.0], |row| Ok((row.get("trial")?, record(row)?)))?
    {
        of_trial.entry(trial).or_default().push(rung);
    }
    let sql = "SELECT sweep_trials.id, attempts.from_step, attempts.last_step, attempts.ending IS 'paused'
        FROM sweep_trials JOIN attempts ON attempts.trial = sweep_trials.id
        WHERE sweep_trials.sweep = ?1";
    let mut attempts: BTreeMap<i64, (u64, u64, Vec<u64>)> = BTreeMap::new();
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    for (trial, from, last, paused) in
        rows::<(i64, u64, u64, bool)>(connection, sql, [sweep.0], read)?
    {
        let (began_at, came_to, pauses) = attempts.entry(trial).or_default();
        *began_at = from.max(*began_at);
        *came_to = last.max(*came_to);
        pauses.extend(paused.then_some(last));
    }
    let sql = format!(
        "SELECT id, number, facts_index, state, created_at_ms, objective_value, replicate FROM sweep_trials
        WHERE sweep = ?1 AND NOT {BESIDE} ORDER BY number"
    );
    rows(connection, &sql, [sweep.0], |row| {
        let id: i64 = row.get(0)?;
        let (began_at, came_to, paused) = attempts.remove(&id).unwrap_or_default();
        Ok(LadderTrial {
            id: TrialId(id),
            number: row.get(1)?,
            facts_index: row.get(2)?,
            state: row.get(3)?,
            created_at_ms: row.get(4)?,
            objective: row.get(5)?,
            replicate: row.get(6)?,
            paused,
            began_at,
            came_to,
            rungs: of_trial.remove(&id).unwrap_or_default(),
        })
    })
}

fn evaluations(
    connection: &Connection,
    sweep: SweepId,
) -> rusqlite::Result<BTreeMap<TrialId, Vec<(u64, f64)>>> {
    let sql = "SELECT sweep_trials.id, observations.step, observations.value
        FROM sweeps
        CROSS JOIN sweep_trials INDEXED BY trials_by_state ON sweep_trials.sweep = sweeps.id
            AND sweep_trials.state IN ('queued', 'running', 'waiting')
        CROSS JOIN attempts ON attempts.trial = sweep_trials.id
        CROSS JOIN metrics ON metrics.name = sweeps.objective_metric
        CROSS JOIN observations ON observations.attempt = attempts.id
            AND observations.metric = metrics.id
            AND observations.step > attempts.from_step
            AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
        WHERE sweeps.id = ?1
        ORDER BY sweep_trials.id, observations.step";
    let mut found: BTreeMap<TrialId, Vec<(u64, f64)>> = BTreeMap::new();
    let seen = rows(connection, sql, [sweep.0], |row| {
        // NULL is NaN.
        let value = row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN);
        Ok((TrialId(row.get(0)?), row.get(1)?, value))
    })?;
    for (trial, step, value) in seen {
        found.entry(trial).or_default().push((step, value));
    }
    Ok(found)
}

/// Reads the rungs of a trial.
pub(super) fn rungs_of(
    connection: &Connection,
    trial: TrialId,
) -> rusqlite::Result<Vec<RungRecord>> {
    rows(connection, "SELECT * FROM rungs WHERE trial = ?1 ORDER BY rung", [trial.0], record)
}

fn record(row: &Row<'_>) -> rusqlite::Result<RungRecord> {
    let decision = match row.get::<_, Option<String>>("decision")? {
        None => None,
        Some(word) => Some(RungDecision {
            verdict: match word.as_str() {
                "promoted" => Verdict::Promoted,
                "stopped" => Verdict::Stopped,
                _ => return Err(unreadable("decision", format!("unknown word `{word}`"))),
            },
            rank: row.get("rank")?,
            among: row.get("among")?,
            place: row.get("place")?,
        }),
    };
    Ok(RungRecord {
        rung: row.get("rung")?,
        step: row.get("step")?,
        standing: RungStanding { value: row.get("value")?, marks: row.get("marks")? },
        decision,
        reached_at_ms: row.get("reached_at_ms")?,
        decided_at_ms: row.get("decided_at_ms")?,
    })
}
