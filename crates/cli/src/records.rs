//! The trials of a sweep as diagnoses want them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use converge_core::facts::Facts;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_diagnose::curve::Curve;
use converge_diagnose::record::{End, Record, is_needed};
use converge_store::{Reader, SweepSummary, TrialRecord};

use crate::report::Report;

/// Reads all trials of the search of a sweep, with the curves that are needed.
pub(crate) fn records(reader: &Reader, summary: &SweepSummary) -> Result<Vec<Record>, Report> {
    let facts: Vec<Arc<Facts>> = reader.facts(summary.id)?.into_iter().map(Arc::new).collect();
    let mut curves: BTreeMap<u64, BTreeMap<String, Curve>> = BTreeMap::new();
    reader.observations(summary.id, |observation| {
        if is_needed(observation.metric) || observation.metric == summary.objective.metric {
            let of_trial = curves.entry(observation.trial).or_default();
            let point = (observation.step, observation.value);
            match of_trial.get_mut(observation.metric) {
                Some(curve) => curve.0.push(point),
                None => {
                    of_trial.insert(observation.metric.to_owned(), Curve(vec![point]));
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    let mut records = Vec::new();
    for trial in reader.trials(summary.id)?.into_iter().filter(|trial| trial.kind.is_ranked()) {
        let facts_index = usize::try_from(trial.facts_index).ok();
        let (Some(facts), Some(settings)) =
            (facts_index.and_then(|index| facts.get(index)), reader.settings(trial.id)?)
        else {
            continue;
        };
        records.push(Record {
            end: end(reader, summary, &trial)?,
            number: trial.number,
            configuration: trial.configuration,
            fingerprint: trial.fingerprint,
            replicate: trial.replicate,
            settings,
            facts: Arc::clone(facts),
            objective: summary.objective.clone(),
            total_steps: trial.total_steps,
            curves: curves.remove(&trial.number).unwrap_or_default(),
        });
    }
    Ok(records)
}

fn end(reader: &Reader, summary: &SweepSummary, trial: &TrialRecord) -> Result<End, Report> {
    Ok(match trial.state {
        TrialState::Completed => End::Completed,
        TrialState::Diverged => {
            let detail = reader.trial(summary.id, trial.number)?;
            let endings = detail.into_iter().flat_map(|detail| detail.attempts);
            let ending = endings.filter_map(|attempt| attempt.ending).next_back();
            match ending {
                Some(AttemptEnding::Diverged { step, quantity }) => {
                    End::Diverged { step, quantity }
                }
                _ => End::Diverged { step: 0, quantity: "the objective".to_owned() },
            }
        }
        TrialState::Stopped(_) => End::Stopped,
        TrialState::Failed(_) => End::Failed,
        TrialState::Cancelled => End::Cancelled,
        TrialState::Queued | TrialState::Running(_) | TrialState::Waiting => End::Open,
    })
}
