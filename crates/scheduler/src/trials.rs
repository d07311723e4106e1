//! A sweep as it is stored, turned into the reactor's trials.

use converge_core::facts::Facts;
use converge_core::ids::TrialId;
use converge_core::micro_batches::factor_after_oom;
use converge_core::refit;
use converge_core::search_space::Configuration;
use converge_core::seed::TrialSeeds;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_core::trial::{TrialKind, TrialState};
use converge_protocol::message::Work;
use converge_store::{QueryError, Reader, SweepRecord};

use crate::reactor::{ResumePoint, Trial};

/// Device on which the scripted trainer stands in for training.
pub const SCRIPTED: &str = "scripted";

/// A stored sweep cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its definition is not what this version writes.
    #[error("the stored definition of sweep `{name}` is not readable")]
    Definition {
        /// The sweep.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Returns the sweep that a record holds.
///
/// # Errors
/// [`LoadError::Definition`].
pub fn definition(record: &SweepRecord) -> Result<Sweep, LoadError> {
    serde_json::from_str(&record.definition)
        .map_err(|source| LoadError::Definition { name: record.name.clone(), source })
}

/// Returns the trials of a sweep that are not final, as they stand.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    record: &SweepRecord,
    sweep: &Sweep,
    reader: &Reader,
) -> Result<Vec<(TrialId, Trial)>, LoadError> {
    let mut trials = Vec::with_capacity(record.open_trials.len());
    for stored in &record.open_trials {
        let settings = match &stored.state {
            // A final trial, where somebody asks for it, is never leased again.
            state if state.is_final() => sweep.settings.clone(),
            _ => reader
                .settings(stored.id)?
                .unwrap_or_else(|| sweep.settings_of(&stored.configuration)),
        };
        let facts =
            usize::try_from(stored.facts_index).ok().and_then(|index| record.facts.get(index));
        let work =
            work(sweep, facts, stored.kind, &stored.configuration, settings, stored.replicate);
        let total_steps = match &work {
            Work::Scripted { script, .. } => script.steps,
            Work::FineTune { .. } => stored.total_steps,
        };
        let (Work::Scripted { settings, .. } | Work::FineTune { settings, .. }) = &work;
        let accumulation_factor = match stored.ran_out_of_memory {
            true => factor_after_oom(&settings.train, stored.accumulation_factor),
            false => stored.accumulation_factor,
        };
        let step = match &stored.state {
            TrialState::Queued => stored.resume.as_ref().map_or(0, |point| point.step),
            _ => stored.last_step.unwrap_or(0),
        };
        trials.push((
            stored.id,
            Trial {
                number: stored.number,
                kind: stored.kind,
                state: stored.state.clone(),
                attempts: stored.attempts,
                failures: stored.failures.clone(),
                accumulation_factor,
                resume_point: stored
                    .resume
                    .clone()
                    .map(|point| ResumePoint { step: point.step, directory: point.directory }),
                work,
                total_steps,
                step,
                loss: None,
                value: stored.objective.as_ref().map(|objective| objective.value),
            },
        ));
    }
    Ok(trials)
}

/// Returns what an attempt of a trial has to do.
pub(crate) fn work(
    sweep: &Sweep,
    facts: Option<&Facts>,
    kind: TrialKind,
    configuration: &Configuration,
    settings: Settings,
    replicate: u64,
) -> Work {
    // A refit has nothing left to choose by.
    let objective = match kind {
        TrialKind::Refit => refit::objective(),
        _ => sweep.objective.clone(),
    };
    if sweep.run.device == SCRIPTED {
        return Work::Scripted { script: sweep.script_of(configuration), settings, objective };
    }
    Work::FineTune {
        settings,
        seeds: TrialSeeds::new(sweep.seed, replicate),
        objective,
        expected_hashes: facts.map(|facts| facts.content_hashes.clone()).unwrap_or_default(),
    }
}

/// Returns the steps of a new trial: a script is as long as it says, whatever the data.
pub fn steps_of(sweep: &Sweep, configuration: &Configuration, total_steps: u64) -> u64 {
    match sweep.run.device.as_str() {
        SCRIPTED => sweep.script_of(configuration).steps,
        _ => total_steps,
    }
}
