//! A sweep as it is stored, turned into the reactor's trials.

use std::collections::BTreeMap;

use converge_core::early_stop::{Ended, Known, KnownRung, Ladder, Marks, Rule, Standing};
use converge_core::facts::Facts;
use converge_core::ids::TrialId;
use converge_core::micro_batches::factor_after_oom;
use converge_core::search_space::Configuration;
use converge_core::seed::TrialSeeds;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_core::trial::{TrialKind, TrialState};
use converge_core::{probe, refit};
use converge_protocol::message::Work;
use converge_store::{QueryError, Reader, RungRecord, SweepRecord};

use crate::reactor::rungs::key;
use crate::reactor::{Climb, EarlyStopping, ResumePoint, Trial};

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

/// Returns what a session needs to know of `[early_stop]`: who has reached which rung, and what was decided.
///
/// # Errors
/// [`LoadError`].
pub fn early_stopping(
    record: &SweepRecord,
    sweep: &Sweep,
    reader: &Reader,
) -> Result<EarlyStopping, LoadError> {
    let patience = sweep.early_stop.patience;
    if sweep.early_stop.rule == Rule::None {
        return Ok(EarlyStopping { ladder: None, patience });
    }
    let climbing = reader.ladder(record.id)?.trials.into_iter();
    let climbing = climbing.filter(|trial| trial.replicate < sweep.replicates);
    let known = climbing.map(|trial| {
        let examples = examples(record, trial.facts_index);
        let ended = match trial.state.as_str() {
            "queued" | "running" | "waiting" | "stopped" => None,
            "completed" => {
                Some(Ended::Completed(Standing { value: trial.objective, examples, marks: None }))
            }
            _ => Some(Ended::Otherwise),
        };
        // A rung counts once its attempt has paused there. Where the trial was tried again from before, it has to come
        // there once more.
        let again = |step: u64| {
            matches!(trial.state.as_str(), "queued" | "running") && trial.began_at < step
        };
        let counts = |rung: &&RungRecord| {
            rung.decision.is_some() || (trial.paused.contains(&rung.step) && !again(rung.step))
        };
        let reached = trial.rungs.iter().filter(counts);
        let rungs = reached.map(|rung| KnownRung {
            standing: standing(rung, examples),
            verdict: rung.decision.map(|decision| (decision.verdict, decision.place)),
        });
        Known { trial: key(trial.id), batch: trial.created_at_ms, rungs: rungs.collect(), ended }
    });
    let ladder = Ladder::new(sweep.early_stop, sweep.objective.clone(), known.collect());
    Ok(EarlyStopping { ladder: Some(ladder), patience })
}

fn standing(rung: &RungRecord, examples: u64) -> Standing {
    let marks = rung.standing.marks.as_deref().and_then(Marks::from_bytes);
    Standing { value: rung.standing.value, examples, marks }
}

/// Returns the examples that the objective of a trial is measured on.
fn examples(record: &SweepRecord, facts_index: u64) -> u64 {
    let facts = usize::try_from(facts_index).ok().and_then(|index| record.facts.get(index));
    let split = facts.and_then(|facts| match record.objective.metric.starts_with("validation/") {
        true => facts.validation.as_ref(),
        false => Some(&facts.train),
    });
    split.map_or(0, |split| split.examples)
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
    let mut ladder = match sweep.early_stop.rule {
        Rule::None => converge_store::Ladder::default(),
        _ => reader.ladder(record.id)?,
    };
    let mut rungs: BTreeMap<TrialId, Vec<RungRecord>> =
        ladder.trials.into_iter().map(|trial| (trial.id, trial.rungs)).collect();
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
        let reached = rungs.remove(&stored.id).unwrap_or_default();
        let examples = examples(record, stored.facts_index);
        let climb = Climb {
            rungs: match (&work, facts) {
                _ if !climbs(sweep, stored.kind, stored.replicate) => Vec::new(),
                (Work::Scripted { script, settings, .. }, _) => {
                    sweep.early_stop.rungs_of_script(script, &settings.train)
                }
                (Work::FineTune { settings, .. }, Some(facts)) => {
                    sweep.early_stop.rungs(facts.train.examples, &settings.train)
                }
                (Work::FineTune { .. }, None) => Vec::new(),
            },
            passed: reached.iter().filter(|rung| rung.decision.is_some()).count() as u64,
            reached: reached
                .iter()
                .find(|rung| rung.decision.is_none())
                .map(|rung| standing(rung, examples)),
            evaluations: ladder.evaluations.remove(&stored.id).unwrap_or_default(),
            examples,
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
                climb,
            },
        ));
    }
    Ok(trials)
}

/// Returns whether a trial pauses at the rungs of its sweep. Further seeds of the best have nothing to prove there.
fn climbs(sweep: &Sweep, kind: TrialKind, replicate: u64) -> bool {
    kind.is_ranked() && replicate < sweep.replicates
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
    // A refit has nothing left to choose by, and a probe nothing to choose.
    let objective = match kind {
        TrialKind::Refit => refit::objective(),
        TrialKind::Probe => probe::objective(),
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
