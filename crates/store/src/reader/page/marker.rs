//! Which trials can have changed: those that run, and all when counts say that one began or ended.

use converge_core::ids::{AttemptId, SweepId};

use super::super::summary::{TrialCounts, counts};
use super::super::trial::{Chosen, TrialRecord, trials};
use super::super::{QueryError, Reader, rows};

/// Where the trials of a sweep stand, in few numbers. Two that are equal mean that of all trials only those that run
/// have moved: nothing begins, ends, is added or queued again without changing a count or an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrialsMarker {
    /// How many stand where.
    pub counts: TrialCounts,
    /// Number and open attempt of those that run.
    pub running: Vec<(u64, AttemptId)>,
    /// The newest attempt of the home: a trial may begin and end between two looks.
    pub newest_attempt: i64,
}

impl Reader {
    /// Returns where the trials of a sweep stand. Reads no list of trials.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trials_marker(&self, sweep: SweepId) -> Result<TrialsMarker, QueryError> {
        self.query("where trials stand", |connection| {
            let sql = "SELECT sweep_trials.number, attempts.id
                FROM sweep_trials INDEXED BY trials_by_state
                JOIN attempts ON attempts.trial = sweep_trials.id AND attempts.ending IS NULL
                WHERE sweep_trials.sweep = ?1 AND sweep_trials.state = 'running'
                ORDER BY sweep_trials.number";
            Ok(TrialsMarker {
                counts: counts(connection, sweep)?,
                running: rows(connection, sql, [sweep.0], |row| {
                    Ok((row.get(0)?, AttemptId(row.get(1)?)))
                })?,
                newest_attempt: connection
                    .prepare_cached("SELECT coalesce(max(id), 0) FROM attempts")?
                    .query_row([], |row| row.get(0))?,
            })
        })
    }

    /// Returns the trials of a sweep that have these numbers, in this order.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trials_numbered(
        &self,
        sweep: SweepId,
        numbers: &[u64],
    ) -> Result<Vec<TrialRecord>, QueryError> {
        self.query("trials", |connection| {
            let mut found = Vec::with_capacity(numbers.len());
            for number in numbers {
                found.extend(trials(connection, sweep, Chosen::Number(*number))?);
            }
            Ok(found)
        })
    }
}
