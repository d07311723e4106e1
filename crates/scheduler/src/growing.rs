//! A stored sweep that grows while it runs, taken up as it stands.

use converge_core::growth::{Growth, Outcome, Present};
use converge_core::sweep::Sweep;
use converge_core::trial::TrialState;
use converge_store::{QueryError, Reader, SweepRecord, TrialRecord};

use crate::reactor::Growing;

/// Returns what a sweep will get; none where it has all its trials from the beginning.
///
/// # Errors
/// [`QueryError`].
pub fn load(
    record: &SweepRecord,
    sweep: &Sweep,
    reader: &Reader,
) -> Result<Option<Growing>, QueryError> {
    if !sweep.grows() {
        return Ok(None);
    }
    let trials = reader.trials(record.id)?;
    let last = trials.last().map_or(0, |trial| trial.number);
    let growth = Growth::new(sweep, &record.facts, trials.into_iter().map(present), last);
    Ok(growth.map(|growth| Growing {
        growth,
        sweep: sweep.clone(),
        facts: record.facts.clone(),
        next_trial: record.next_trial_id,
        unscored: Default::default(),
    }))
}

/// Returns whether a sweep, none of whose trials is open, will get none either.
///
/// # Errors
/// [`QueryError`].
pub fn is_over(record: &SweepRecord, sweep: &Sweep, reader: &Reader) -> Result<bool, QueryError> {
    Ok(load(record, sweep, reader)?.is_none_or(|growing| growing.is_over()))
}

fn present(trial: TrialRecord) -> Present {
    let value = trial.objective.map(|objective| objective.value);
    Present {
        number: trial.number,
        kind: trial.kind,
        fingerprint: trial.fingerprint,
        replicate: trial.replicate,
        configuration: trial.configuration,
        case: usize::try_from(trial.facts_index).unwrap_or(usize::MAX),
        total_steps: trial.total_steps,
        outcome: match trial.state {
            TrialState::Queued | TrialState::Running(_) | TrialState::Waiting => None,
            TrialState::Completed => Some(Outcome::Completed(value)),
            TrialState::Diverged => Some(Outcome::Diverged),
            TrialState::Failed(_) => Some(Outcome::Failed),
            TrialState::Stopped(_) => Some(Outcome::Stopped),
            TrialState::Cancelled => Some(Outcome::Cancelled),
        },
    }
}
