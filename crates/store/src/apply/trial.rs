//! Changes of trials: their state, and what of them lies on disk.

use converge_core::ids::TrialId;
use converge_core::trial::TrialState;

use super::{Batch, Stop};
use crate::change::{BestWeights, ResumePoint};
use crate::refusal::Refusal;
use crate::{configuration, objective};

impl Batch<'_> {
    pub(super) fn trial_state(&mut self, trial: TrialId, state: &TrialState) -> Result<(), Stop> {
        let before = self.stored_state(trial)?;
        self.flush()?;
        let allowed = match state {
            TrialState::Running(_) => false,
            TrialState::Queued => {
                ["running", "waiting", "failed", "cancelled"].contains(&before.as_str())
            }
            TrialState::Waiting => before == "running",
            TrialState::Stopped(_) => before == "waiting",
            TrialState::Completed | TrialState::Diverged => before == "running",
            TrialState::Failed(_) => before == "running" || before == "queued",
            TrialState::Cancelled => ["running", "queued", "waiting"].contains(&before.as_str()),
        };
        if !allowed {
            return Err(Refusal::TrialIs { trial, state: before }.into());
        }
        if matches!(state, TrialState::Completed | TrialState::Diverged) {
            let ending: Option<Option<String>> = self.find(
                "SELECT ending FROM attempts WHERE trial = ?1 ORDER BY number DESC LIMIT 1",
                [trial.0],
                |row| row.get(0),
            )?;
            // States and endings share these two words.
            if ending.flatten().as_deref() != Some(state.word()) {
                return Err(Refusal::NotSoEnded { trial, state: state.word() }.into());
            }
        }
        let failure = match state {
            TrialState::Failed(failure) => Some(failure),
            _ => None,
        };
        self.execute(
            "UPDATE sweep_trials SET state = ?2, failure_class = ?3, failure_message = ?4, ended_at_ms = ?5
            WHERE id = ?1",
            (
                trial.0,
                state.word(),
                failure.map(|failure| failure.class.word()),
                failure.map(|failure| &failure.message),
                state.is_final().then_some(self.now_ms),
            ),
        )?;
        if matches!(state, TrialState::Completed) {
            objective::set(self.connection, trial)?;
        }
        if matches!(state, TrialState::Completed | TrialState::Diverged) {
            configuration::place(self.connection, trial)?;
        }
        if matches!(state, TrialState::Queued) && ["failed", "cancelled"].contains(&before.as_str())
        {
            let next = self.attempts_of(trial)? + 1;
            self.execute(
                "UPDATE sweep_trials SET charged_from = ?2 WHERE id = ?1",
                (trial.0, next),
            )?;
        }
        self.touched.insert(trial);
        Ok(())
    }

    pub(super) fn resume_point(
        &mut self,
        trial: TrialId,
        point: Option<&ResumePoint>,
    ) -> Result<(), Stop> {
        if let Some(point) = point {
            self.kept_checkpoint(trial, point.step)?;
        }
        let changed = self.execute(
            "UPDATE sweep_trials SET resume_step = ?2, resume_directory = ?3 WHERE id = ?1",
            (trial.0, point.map(|point| point.step), point.map(|point| &point.directory)),
        )?;
        if changed == 0 { Err(Refusal::NoTrial(trial).into()) } else { Ok(()) }
    }

    pub(super) fn best_weights(
        &mut self,
        trial: TrialId,
        weights: Option<&BestWeights>,
    ) -> Result<(), Stop> {
        let changed = self.execute(
            "UPDATE sweep_trials
            SET best_weights_step = ?2, best_weights_value = ?3, best_weights_directory = ?4
            WHERE id = ?1",
            (
                trial.0,
                weights.map(|weights| weights.step),
                weights.map(|weights| weights.value),
                weights.map(|weights| &weights.directory),
            ),
        )?;
        if changed == 0 { Err(Refusal::NoTrial(trial).into()) } else { Ok(()) }
    }

    /// Returns the directory of the trial's newest checkpoint at `step` that was not cut off.
    pub(super) fn kept_checkpoint(&self, trial: TrialId, step: u64) -> Result<String, Stop> {
        let directory = self.find(
            "SELECT checkpoints.directory
            FROM attempts
            JOIN checkpoints ON checkpoints.attempt = attempts.id AND checkpoints.step = ?2
            WHERE attempts.trial = ?1
                AND attempts.from_step <= ?2
                AND ?2 <= coalesce(attempts.until_step, ?2)
            ORDER BY attempts.number DESC
            LIMIT 1",
            (trial.0, step),
            |row| row.get(0),
        )?;
        Ok(directory.ok_or(Refusal::NoCheckpoint { trial, step })?)
    }

    pub(super) fn stored_state(&self, trial: TrialId) -> Result<String, Stop> {
        let state =
            self.find("SELECT state FROM sweep_trials WHERE id = ?1", [trial.0], |row| row.get(0))?;
        Ok(state.ok_or(Refusal::NoTrial(trial))?)
    }

    pub(super) fn attempts_of(&self, trial: TrialId) -> Result<u64, Stop> {
        Ok(self
            .connection
            .prepare_cached("SELECT coalesce(max(number), 0) FROM attempts WHERE trial = ?1")?
            .query_row([trial.0], |row| row.get(0))?)
    }
}
