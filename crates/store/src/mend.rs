//! Resolves rows that contradict each other, without guessing at results: what was observed stays as it is.

use rusqlite::Connection;

use crate::database_error::DatabaseError;
use crate::reader::contradictions::Contradiction;
use crate::store::Store;
use crate::{objective, parameter, trial_metric, wide};

impl Store {
    /// Resolves contradictions: open attempts that nobody will end are abandoned, running trials without one wait
    /// again, and what is derived is computed anew.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing was changed then.
    pub fn mend(&mut self, found: &[Contradiction], now_ms: i64) -> Result<(), DatabaseError> {
        self.transaction::<_, rusqlite::Error>(|connection, _| {
            for contradiction in found {
                resolve(connection, contradiction, now_ms)?;
            }
            Ok(())
        })
        .map_err(DatabaseError::of)?;
        self.forget()
    }
}

fn resolve(
    connection: &Connection,
    contradiction: &Contradiction,
    now_ms: i64,
) -> rusqlite::Result<()> {
    match contradiction {
        Contradiction::RunningWithoutAttempt { trial } => {
            connection
                .execute("UPDATE sweep_trials SET state = 'queued' WHERE id = ?1", [trial.0])?;
        }
        Contradiction::AttemptOfIdleTrial { attempt, .. }
        | Contradiction::AttemptOfEndedWorker { attempt } => {
            connection.execute(
                "UPDATE attempts SET ending = 'abandoned', ended_at_ms = ?2,
                    closed_seq = (SELECT up_next_seq - 1 FROM workers WHERE id = attempts.worker)
                WHERE id = ?1 AND ending IS NULL",
                (attempt.0, now_ms),
            )?;
            connection.execute(
                "UPDATE sweep_trials SET state = 'queued' WHERE state = 'running'
                    AND id = (SELECT trial FROM attempts WHERE id = ?1)
                    AND NOT EXISTS
                        (SELECT 1 FROM attempts WHERE trial = sweep_trials.id AND ending IS NULL)",
                [attempt.0],
            )?;
        }
        Contradiction::WrongExtremes { trial } => {
            trial_metric::recompute(connection, *trial)?;
            let completed: bool = connection.query_row(
                "SELECT state = 'completed' FROM sweep_trials WHERE id = ?1",
                [trial.0],
                |row| row.get(0),
            )?;
            if completed {
                objective::set(connection, *trial)?;
            }
        }
        Contradiction::WrongObjective { trial } => objective::set(connection, *trial)?,
        Contradiction::WrongView => {
            parameter::fill_all(connection)?;
            wide::recreate(connection)?;
        }
        // What it did is not known: a user decides.
        Contradiction::EndedWithoutAttempt { .. } => {}
    }
    Ok(())
}
