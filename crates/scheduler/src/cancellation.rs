//! Cancels trials of a sweep that no reactor has: nothing of it runs, so the database is all there is to change.

use std::collections::BTreeSet;

use converge_core::trial::TrialState;
use converge_store::{ApplyError, Change, QueryError, Store, SweepState, SweepSummary};

use crate::clock;
use crate::home::Home;
use crate::housekeeping::Housekeeping;

/// Trials cannot be cancelled; none of them was.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The database refused it.
    #[error("cannot store that trials are cancelled")]
    Store(#[from] ApplyError),
}

/// Cancels those of the trials that are queued or wait at a rung, in one transaction, and drops what they left on disk. A sweep with
/// nothing left to do is finished then.
///
/// # Errors
/// [`CancelError`].
pub fn cancel(
    home: &Home,
    store: &mut Store,
    sweep: &SweepSummary,
    numbers: &[u64],
) -> Result<(), CancelError> {
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    let trials = store.read().trials(sweep.id)?;
    let waits = |state: &TrialState| matches!(state, TrialState::Queued | TrialState::Waiting);
    let chosen: Vec<_> = trials
        .iter()
        .filter(|trial| numbers.contains(&trial.number) && waits(&trial.state))
        .collect();
    let mut changes: Vec<Change> = chosen
        .iter()
        .map(|trial| Change::TrialState { trial: trial.id, state: TrialState::Cancelled })
        .collect();
    let open = trials.iter().filter(|trial| !trial.state.is_final()).count();
    // Where results say what follows, the next session does.
    let grows = sweep.planned != Some(sweep.trials.total());
    if !chosen.is_empty() && open == chosen.len() && !grows {
        changes.push(Change::SweepState { sweep: sweep.id, state: SweepState::Finished });
    }
    store.apply(&changes, clock::unix_ms())?;
    // No weights are kept of a trial that did not complete: how many others keep theirs does not matter here.
    let mut housekeeping = Housekeeping::new(store, sweep.id, sweep.objective.clone(), u64::MAX)?;
    for trial in chosen.iter().filter(|trial| trial.attempts > 0) {
        let changes = housekeeping.clean_up(home, store, trial.number);
        store.apply(&changes, clock::unix_ms())?;
    }
    Ok(())
}
