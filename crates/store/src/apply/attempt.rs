//! Changes of attempts: from the lease to the end, and everything observed in between.

use converge_core::ids::{AttemptId, TrialId, WorkerId};
use converge_core::items::ItemResults;
use converge_core::packed;
use converge_core::trial::AttemptEnding;
use converge_faults::{Mutant, is_on};
use rusqlite::named_params;

use super::{Batch, OpenAttempt, Stop};
use crate::change::{BestWeights, Evidence};
use crate::refusal::Refusal;
use crate::trial_metric::{self, Extremes};

/// The fields of [`crate::Change::Leased`].
pub(super) struct Lease<'a> {
    pub(super) attempt: AttemptId,
    pub(super) trial: TrialId,
    pub(super) number: u64,
    pub(super) worker: WorkerId,
    pub(super) from_step: u64,
    pub(super) directory: &'a str,
    pub(super) down_seq: u64,
    pub(super) accumulation_factor: u64,
}

/// The fields of [`crate::Change::AttemptEnded`].
pub(super) struct End<'a> {
    pub(super) ending: &'a AttemptEnding,
    pub(super) last_step: u64,
    pub(super) closed_seq: u64,
    pub(super) best: Option<&'a BestWeights>,
    pub(super) peak_memory_bytes: Option<u64>,
}

impl Batch<'_> {
    pub(super) fn leased(&mut self, lease: &Lease<'_>) -> Result<(), Stop> {
        let trial = lease.trial;
        let state = self.stored_state(trial)?;
        if state != "queued" {
            return Err(Refusal::TrialIs { trial, state }.into());
        }
        let logs = self.open_worker(lease.worker)?;
        if lease.down_seq < logs.down_next_seq {
            return Err(Refusal::LogGoesBack {
                worker: lease.worker,
                from: logs.down_next_seq,
                to: lease.down_seq,
            }
            .into());
        }
        let expected = self.attempts_of(trial)? + 1;
        if lease.number != expected {
            let number = lease.number;
            return Err(Refusal::AttemptNumber { trial, expected, number }.into());
        }
        let attempt = lease.attempt;
        if self.find("SELECT 1 FROM attempts WHERE id = ?1", [attempt.0], |_| Ok(()))?.is_some() {
            return Err(Refusal::AttemptExists(attempt).into());
        }
        // An attempt starts from 0, or from a checkpoint that was committed before its lease.
        let resume = match lease.from_step {
            0 => None,
            step => Some(self.kept_checkpoint(trial, step)?),
        };
        self.flush()?;
        self.cut_off(trial, lease.from_step)?;
        self.execute(
            "INSERT INTO attempts (
                id, trial, number, worker, directory, from_step, last_step, down_seq, opened_seq,
                leased_at_ms, accumulation_factor
            ) VALUES (
                :id, :trial, :number, :worker, :directory, :from_step, :from_step, :down_seq,
                :opened_seq, :leased_at_ms, :accumulation_factor
            )",
            named_params! {
                ":id": attempt.0,
                ":trial": trial.0,
                ":number": lease.number,
                ":worker": lease.worker.0,
                ":directory": lease.directory,
                ":from_step": lease.from_step,
                ":down_seq": lease.down_seq,
                ":opened_seq": logs.up_next_seq,
                ":leased_at_ms": self.now_ms,
                ":accumulation_factor": lease.accumulation_factor,
            },
        )?;
        self.execute(
            "UPDATE sweep_trials SET state = 'running', resume_step = ?2, resume_directory = ?3
            WHERE id = ?1",
            (trial.0, resume.as_ref().map(|_| lease.from_step), resume),
        )?;
        self.execute(
            "UPDATE workers SET down_next_seq = ?2 WHERE id = ?1",
            (lease.worker.0, lease.down_seq.saturating_add(1)),
        )?;
        self.touched.insert(trial);
        let open = OpenAttempt { trial, from_step: lease.from_step, last_step: lease.from_step };
        self.cache.attempts.insert(attempt, open);
        Ok(())
    }

    /// Ends the part of all earlier attempts that counts at `from_step`.
    fn cut_off(&mut self, trial: TrialId, from_step: u64) -> Result<(), Stop> {
        let observed_past: bool = self
            .connection
            .prepare_cached(
                "SELECT EXISTS (
                    SELECT 1 FROM attempts
                    WHERE trial = ?1 AND min(last_step, coalesce(until_step, last_step)) > ?2
                )",
            )?
            .query_row((trial.0, from_step), |row| row.get(0))?;
        self.execute(
            "UPDATE attempts SET until_step = ?2
            WHERE trial = ?1 AND (until_step IS NULL OR until_step > ?2)",
            (trial.0, from_step),
        )?;
        if observed_past {
            trial_metric::recompute(self.connection, trial)?;
            // Weights of an evaluation that no longer counts are not this trial's best.
            self.execute(
                "UPDATE sweep_trials
                SET best_weights_step = NULL, best_weights_value = NULL,
                    best_weights_directory = NULL
                WHERE id = ?1 AND best_weights_step > ?2",
                (trial.0, from_step),
            )?;
        }
        Ok(())
    }

    pub(super) fn started(&mut self, attempt: AttemptId) -> Result<(), Stop> {
        self.open_attempt(attempt)?;
        self.execute(
            "UPDATE attempts SET started_at_ms = ?2 WHERE id = ?1 AND started_at_ms IS NULL",
            (attempt.0, self.now_ms),
        )?;
        Ok(())
    }

    pub(super) fn observed(
        &mut self,
        attempt: AttemptId,
        step: u64,
        seq: u64,
        metrics: &[(String, f64)],
    ) -> Result<(), Stop> {
        let open = self.open_attempt(attempt)?;
        if step <= open.last_step {
            let last_step = open.last_step;
            return Err(Refusal::StepNotPast { attempt, step, last_step }.into());
        }
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO observations (attempt, step, metric, value, seq)
            VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (name, value) in metrics {
            let metric = self.metric(name)?;
            match insert.execute((attempt.0, step, metric, value, seq)) {
                Err(error) if is_repeated_key(&error) => {
                    let metric = name.clone();
                    return Err(Refusal::MetricTwice { attempt, step, metric }.into());
                }
                done => done?,
            };
            self.extremes
                .entry((open.trial, metric))
                .and_modify(|extremes| extremes.observe(*value, step))
                .or_insert_with(|| Extremes::of(*value, step));
        }
        self.cache.attempts.insert(attempt, OpenAttempt { last_step: step, ..open });
        self.steps.insert(attempt, step);
        Ok(())
    }

    /// Keeps what was said of each validation example at a step that was just observed.
    pub(super) fn said(
        &mut self,
        attempt: AttemptId,
        step: u64,
        items: &ItemResults,
    ) -> Result<(), Stop> {
        let data = packed::items(items).ok_or(Refusal::ItemsUnfit { attempt, step })?;
        self.execute(
            "INSERT INTO item_results (attempt, step, data) VALUES (?1, ?2, ?3)",
            (attempt.0, step, data),
        )?;
        Ok(())
    }

    pub(super) fn checkpointed(
        &mut self,
        attempt: AttemptId,
        step: u64,
        directory: &str,
        seq: u64,
    ) -> Result<(), Stop> {
        let open = self.open_attempt(attempt)?;
        if step < open.from_step {
            let from_step = open.from_step;
            return Err(Refusal::StepBefore { attempt, step, from_step }.into());
        }
        self.execute(
            "INSERT INTO checkpoints (attempt, step, directory, seq, at_ms)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (attempt, step) DO UPDATE
            SET directory = excluded.directory, seq = excluded.seq, at_ms = excluded.at_ms",
            (attempt.0, step, directory, seq, self.now_ms),
        )?;
        self.execute(
            "UPDATE sweep_trials SET resume_step = ?2, resume_directory = ?3 WHERE id = ?1",
            (open.trial.0, step, directory),
        )?;
        Ok(())
    }

    pub(super) fn attempt_ended(&mut self, attempt: AttemptId, end: &End<'_>) -> Result<(), Stop> {
        let open = self.open_attempt(attempt)?;
        self.steps.remove(&attempt);
        let (diverged_step, quantity) = match end.ending {
            AttemptEnding::Diverged { step, quantity } => (Some(*step), Some(quantity)),
            _ => (None, None),
        };
        let failure = match end.ending {
            AttemptEnding::Failed(failure) => Some(failure),
            _ => None,
        };
        self.execute(
            "UPDATE attempts SET
                last_step = :last_step, closed_seq = :closed_seq, ending = :ending,
                diverged_step = :diverged_step, diverged_quantity = :diverged_quantity,
                failure_class = :failure_class, failure_message = :failure_message,
                peak_memory_bytes = :peak_memory_bytes, ended_at_ms = :ended_at_ms
            WHERE id = :id",
            named_params! {
                ":id": attempt.0,
                ":last_step": end.last_step.max(open.last_step),
                ":closed_seq": end.closed_seq,
                ":ending": end.ending.word(),
                ":diverged_step": diverged_step,
                ":diverged_quantity": quantity,
                ":failure_class": failure.map(|failure| failure.class.word()),
                ":failure_message": failure.map(|failure| &failure.message),
                ":peak_memory_bytes": end.peak_memory_bytes,
                ":ended_at_ms": self.now_ms,
            },
        )?;
        if end.best.is_some() {
            self.best_weights(open.trial, end.best)?;
        }
        self.cache.attempts.remove(&attempt);
        self.touched.insert(open.trial);
        Ok(())
    }

    pub(super) fn evidence(
        &mut self,
        attempt: AttemptId,
        evidence: &Evidence,
        peak_memory_bytes: Option<u64>,
    ) -> Result<(), Stop> {
        let ended = "SELECT 1 FROM attempts WHERE id = ?1 AND ending IS NOT NULL";
        if self.find(ended, [attempt.0], |_| Ok(()))?.is_none() {
            return Err(Refusal::AttemptNotEnded(attempt).into());
        }
        self.execute(
            "INSERT INTO evidence (attempt, log, stderr) VALUES (?1, ?2, ?3)",
            (attempt.0, &evidence.log, &evidence.stderr),
        )?;
        self.execute(
            "UPDATE attempts SET peak_memory_bytes = ?2 WHERE id = ?1 AND peak_memory_bytes IS NULL",
            (attempt.0, peak_memory_bytes),
        )?;
        Ok(())
    }

    /// Returns an attempt that may still write: the fence.
    fn open_attempt(&mut self, attempt: AttemptId) -> Result<OpenAttempt, Stop> {
        if let Some(open) = self.cache.attempts.get(&attempt) {
            return Ok(*open);
        }
        let open = self
            .find(
                "SELECT trial, from_step, last_step FROM attempts
                WHERE id = ?1 AND (ending IS NULL OR ?2)",
                (attempt.0, is_on(Mutant::NoFence)),
                |row| {
                    Ok(OpenAttempt {
                        trial: TrialId(row.get(0)?),
                        from_step: row.get(1)?,
                        last_step: row.get(2)?,
                    })
                },
            )?
            .ok_or(Refusal::AttemptNotOpen(attempt))?;
        self.cache.attempts.insert(attempt, open);
        Ok(open)
    }

    /// Returns the id of a metric's name, made on first sight.
    fn metric(&mut self, name: &str) -> Result<i64, Stop> {
        if let Some(id) = self.cache.metrics.get(name) {
            return Ok(*id);
        }
        if name.is_empty() {
            return Err(Refusal::Empty("the name of a metric").into());
        }
        self.execute("INSERT INTO metrics (name) VALUES (?1) ON CONFLICT DO NOTHING", [name])?;
        let id = self
            .connection
            .prepare_cached("SELECT id FROM metrics WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.cache.metrics.insert(name.to_owned(), id);
        Ok(id)
    }
}

fn is_repeated_key(error: &rusqlite::Error) -> bool {
    /// `SQLITE_CONSTRAINT_PRIMARYKEY`.
    const REPEATED_PRIMARY_KEY: i32 = 1555;
    matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.extended_code == REPEATED_PRIMARY_KEY)
}
