//! Rungs of early stopping: what a trial reached, what was decided, and what is read back of it.

use converge_core::early_stop::Verdict;
use converge_core::ids::{AttemptId, TrialId};
use converge_core::trial::{AttemptEnding, StopReason, TrialState};
use converge_store::{Change, RungDecision, RungStanding};

use crate::home::{Home, METRIC, checkpointed, ended, observed, query};

const TRIAL: TrialId = TrialId(1);
const STOPPED: TrialState = TrialState::Stopped(StopReason::Outranked);

fn reached(value: f64) -> Change {
    let standing = RungStanding { value: Some(value), marks: Some(vec![0, 1, 2]) };
    Change::Reached { trial: TRIAL, rung: 0, step: 2, standing }
}

fn decided(verdict: Verdict) -> Change {
    let decision = RungDecision { verdict, rank: 2, among: 3, place: 0 };
    Change::Decided { trial: TRIAL, rung: 0, decision }
}

fn state(state: TrialState) -> Change {
    Change::TrialState { trial: TRIAL, state }
}

/// A home whose first trial waits at step 2.
fn waiting() -> Home {
    let mut home = Home::new(2);
    let lease = home.lease(TRIAL, 1, 0);
    home.apply(&[
        lease,
        observed(1, 1, &[(METRIC, 0.5)]),
        observed(1, 2, &[(METRIC, 0.75)]),
        reached(0.75),
        checkpointed(1, 2),
        ended(1, AttemptEnding::Paused),
        state(TrialState::Waiting),
    ]);
    home
}

#[test]
fn a_trial_waits_is_promoted_and_goes_on_from_its_checkpoint() {
    let mut home = waiting();
    assert_eq!(home.trial(1).state, TrialState::Waiting);
    let record = home.store.read().sweep(home.sweep).unwrap().unwrap();
    assert_eq!((record.counts.waiting, record.counts.ended(), record.counts.total()), (1, 0, 2));
    assert_eq!(record.open_trials.len(), 2);
    home.apply(&[decided(Verdict::Promoted), state(TrialState::Queued)]);
    let lease = home.lease(TRIAL, 2, 2);
    home.apply(&[lease]);
    assert_eq!(home.trial(1).state, TrialState::Running(AttemptId(2)));
    let detail = home.store.read().trial(home.sweep, 1).unwrap().unwrap();
    let [rung] = detail.rungs.as_slice() else { panic!("{:?}", detail.rungs) };
    assert_eq!((rung.rung, rung.step, rung.standing.value), (0, 2, Some(0.75)));
    assert_eq!(rung.standing.marks.as_deref(), Some(&[0, 1, 2][..]));
    let decision = rung.decision.unwrap();
    assert_eq!((decision.verdict, decision.rank, decision.among), (Verdict::Promoted, 2, 3));
    let ladder = home.store.read().ladder(home.sweep).unwrap();
    assert_eq!(ladder.trials[0].paused, [2]);
    assert_eq!(ladder.trials[0].rungs, detail.rungs);
    assert_eq!(ladder.evaluations[&TRIAL], [(1, 0.5), (2, 0.75)]);
}

#[test]
fn a_stopped_trial_is_final_counted_apart_and_not_ranked() {
    let mut home = waiting();
    home.apply(&[decided(Verdict::Stopped), state(STOPPED)]);
    assert_eq!(home.trial(1).state, STOPPED);
    let counts = home.store.read().sweep(home.sweep).unwrap().unwrap().counts;
    assert_eq!((counts.stopped, counts.failed, counts.ended()), (1, 0, 1));
    assert_eq!(query(&home.path(), "SELECT count(*) FROM configurations"), ["0"]);
    assert_eq!(query(&home.path(), "SELECT state FROM trials WHERE number = 0"), ["PRUNED"]);
    let total = home.trial(1).total_steps;
    assert_eq!(home.store.read().steps_saved(home.sweep).unwrap(), total - 2);
    assert!(home.refused(&[state(TrialState::Queued)]).contains("stopped"));
}

#[test]
fn what_was_decided_is_neither_decided_nor_reached_again() {
    let mut home = waiting();
    // An attempt that does the rung again: the newer value counts until something is decided.
    home.apply(&[reached(0.5)]);
    home.apply(&[decided(Verdict::Promoted), state(TrialState::Queued), reached(0.25)]);
    assert_eq!(query(&home.path(), "SELECT value FROM rungs"), ["0.5"]);
    assert!(home.refused(&[decided(Verdict::Stopped)]).contains("does not wait at rung 0"));
    assert!(home.refused(&[state(STOPPED)]).contains("queued"));
    let other = Change::TrialState { trial: TrialId(2), state: TrialState::Waiting };
    assert!(home.refused(&[other]).contains("queued"));
}

#[test]
fn a_waiting_trial_can_be_cancelled() {
    let mut home = waiting();
    home.apply(&[state(TrialState::Cancelled)]);
    assert_eq!(home.trial(1).state, TrialState::Cancelled);
    assert_eq!(home.store.read().ladder(home.sweep).unwrap().trials[0].state, "cancelled");
}
