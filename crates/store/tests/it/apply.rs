//! The contract of a batch: what goes in, what is refused, and that a refusal leaves nothing behind.

use std::collections::BTreeMap;

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{ApplyError, BestWeights, Change, Evidence, ResumePoint, SweepState};

use crate::home::{Home, METRIC, OTHER, checkpointed, ended, failed, observed, query, queued};

const ATTEMPT: AttemptId = AttemptId(1);
const TRIAL: TrialId = TrialId(1);

/// A home whose first trial has an open attempt.
fn running() -> Home {
    let mut home = Home::new(2);
    let lease = home.lease(TRIAL, 1, 0);
    home.apply(&[lease, Change::Started { attempt: ATTEMPT }]);
    home
}

#[test]
fn a_trial_goes_from_queued_to_completed() {
    let mut home = Home::new(1);
    let worker = home.worker;
    let machine = BTreeMap::from([("cpu".to_owned(), "avx512".to_owned())]);
    home.apply(&[
        Change::WorkerSpawned { worker, pid: 7, process_start: 1_234, boot_id: "boot".into() },
        Change::WorkerBorn { worker, machine: machine.clone(), version: "0.1.0".into() },
        Change::LogRead { worker, offset: 20, next_seq: 2, torn_lines: 0 },
    ]);
    let lease = home.lease(TRIAL, 1, 0);
    home.apply(&[lease]);
    assert_eq!(home.trial(1).state, TrialState::Running(ATTEMPT));
    let weights = BestWeights { step: 2, value: 0.75, directory: "attempts/1/best".into() };
    home.apply(&[
        Change::Started { attempt: ATTEMPT },
        observed(1, 1, &[(METRIC, 0.5), (OTHER, 0.7)]),
        observed(1, 2, &[(METRIC, 0.75), (OTHER, 0.6)]),
        checkpointed(1, 2),
        observed(1, 3, &[(METRIC, 0.625), (OTHER, 0.5)]),
        Change::LogRead { worker, offset: 300, next_seq: 14, torn_lines: 1 },
        Change::AttemptEnded {
            attempt: ATTEMPT,
            ending: AttemptEnding::Completed,
            last_step: 3,
            closed_seq: 13,
            best: Some(weights.clone()),
            peak_memory_bytes: Some(5_000),
        },
        Change::TrialState { trial: TRIAL, state: TrialState::Completed },
        Change::WorkerEnded { worker, exit: "exit 0".into() },
        Change::SweepState { sweep: home.sweep, state: SweepState::Finished },
    ]);

    let detail = home.store.read().trial(home.sweep, 1).unwrap().unwrap();
    let trial = &detail.trial;
    assert_eq!(trial.state, TrialState::Completed);
    assert_eq!(trial.best_weights, Some(weights));
    let resume = ResumePoint { step: 2, directory: "attempts/1/2".into() };
    assert_eq!(trial.resume, Some(resume));
    assert_eq!(trial.objective.map(|objective| (objective.value, objective.step)), Some((0.75, 2)));
    assert_eq!((trial.attempts, trial.last_step), (1, Some(3)));
    assert_eq!(trial.ended_at_ms, Some(2_003));
    assert_eq!(trial.attempts_ms, 1);
    let attempt = &detail.attempts[0];
    assert_eq!(attempt.ending, Some(AttemptEnding::Completed));
    assert_eq!((attempt.opened_seq, attempt.closed_seq), (2, Some(13)));
    assert_eq!(attempt.machine, Some(machine));
    assert_eq!(attempt.peak_memory_bytes, Some(5_000));
    assert_eq!(detail.checkpoints.len(), 1);
    assert_eq!(detail.settings, crate::home::settings());
    let names: Vec<_> = detail.metrics.iter().map(|metric| metric.metric.as_str()).collect();
    assert_eq!(names, [OTHER, METRIC]);
    assert_eq!(
        query(&home.path(), "SELECT objective_value, objective_step FROM sweep_trials"),
        ["0.75|2"]
    );
    let worker_row = "SELECT up_offset, up_next_seq, down_next_seq, torn_lines, exit FROM workers";
    assert_eq!(query(&home.path(), worker_row), ["300|14|2|1|exit 0"]);
    assert_eq!(query(&home.path(), "SELECT state FROM sweeps"), ["finished"]);
    assert!(home.store.read().open_workers().unwrap().is_empty());
}

#[test]
fn an_observation_of_a_closed_attempt_is_refused() {
    let mut home = running();
    home.apply(&[
        observed(1, 1, &[(METRIC, 0.5)]),
        ended(1, AttemptEnding::Released),
        queued(TRIAL),
    ]);
    let late = [observed(1, 2, &[(METRIC, 0.9)])];
    assert_eq!(home.refused(&late), "attempt 1 is not open");
    assert_eq!(home.refused(&[checkpointed(1, 2)]), "attempt 1 is not open");
    let again = [ended(1, AttemptEnding::Completed)];
    assert_eq!(home.refused(&again), "attempt 1 is not open");
    assert_eq!(home.refused(&[Change::Started { attempt: ATTEMPT }]), "attempt 1 is not open");
    let worker = home.worker;
    home.apply(&[
        Change::StaleFrames { worker, count: 2 },
        Change::StaleFrames { worker, count: 1 },
    ]);
    assert_eq!(query(&home.path(), "SELECT stale_frames FROM workers"), ["3"]);
}

#[test]
fn a_step_that_is_not_past_the_last_is_refused() {
    let mut home = running();
    home.apply(&[observed(1, 5, &[(METRIC, 0.5)])]);
    for step in [0, 4, 5] {
        assert_eq!(
            home.refused(&[observed(1, step, &[(OTHER, 0.5)])]),
            format!("step {step} of attempt 1 is not past its last step 5")
        );
    }
    // Also where the store has to look into the database, having just been opened.
    let path = home.path();
    let mut reopened = converge_store::Store::create_or_open(&path).unwrap();
    let error = reopened.apply(&[observed(1, 5, &[(OTHER, 0.5)])], 1).unwrap_err();
    assert!(matches!(error, ApplyError::Refused { index: 0, change: "observed", .. }));
    reopened.apply(&[observed(1, 6, &[(OTHER, 0.5)])], 1).unwrap();
}

#[test]
fn a_batch_goes_in_whole_or_not_at_all_and_names_what_was_wrong() {
    let mut home = running();
    let batch = [
        observed(1, 1, &[(METRIC, 0.5), ("made/here", 1.0)]),
        observed(1, 2, &[(METRIC, 0.6), ("made/here", 1.0), (METRIC, 0.6)]),
    ];
    let error = home.store.apply(&batch, 1).unwrap_err();
    assert!(matches!(error, ApplyError::Refused { index: 1, .. }), "{error:?}");
    assert_eq!(
        home.refused(&batch),
        format!("metric `{METRIC}` stands twice in step 2 of attempt 1")
    );
    // The name of the metric was rolled back too: its number must not be used from memory.
    home.apply(&[
        observed(1, 1, &[("another", 2.0)]),
        observed(1, 2, &[(METRIC, 0.6), ("made/here", 3.0)]),
    ]);
    let path = home.path();
    let curves = query(&path, "SELECT step, metric, value FROM curves ORDER BY step, metric");
    assert_eq!(curves, ["1|another|2.0", "2|made/here|3.0", "2|validation/accuracy|0.6"]);
}

#[test]
fn a_trial_is_running_exactly_while_an_attempt_is_open() {
    let mut home = running();
    let left = home.refused(&[ended(1, AttemptEnding::Released)]);
    assert_eq!(left, "the batch would leave trial 1 running with 0 open attempts");
    let left = home.refused(&[queued(TRIAL)]);
    assert_eq!(left, "the batch would leave trial 1 queued with 1 open attempts");
    let lease = home.lease(TRIAL, 2, 0);
    assert_eq!(home.refused(&[lease]), "trial 1 is running");
    let state = TrialState::Running(ATTEMPT);
    let change = Change::TrialState { trial: TrialId(2), state };
    assert_eq!(home.refused(&[change]), "trial 2 is queued");
    let worker = home.worker;
    let exit = Change::WorkerEnded { worker, exit: "signal 9".into() };
    assert_eq!(home.refused(&[exit]), "attempt 1 of worker 1 is open");
}

#[test]
fn a_result_needs_an_attempt_that_ended_so_and_stays() {
    let mut home = running();
    let completed = Change::TrialState { trial: TRIAL, state: TrialState::Completed };
    let refused = home.refused(&[ended(1, AttemptEnding::Released), completed.clone()]);
    assert_eq!(refused, "trial 1 cannot be completed: its last attempt is not");
    home.apply(&[ended(1, AttemptEnding::Completed), completed]);
    assert_eq!(home.refused(&[queued(TRIAL)]), "trial 1 is completed");
    let lease = home.lease(TRIAL, 2, 0);
    assert_eq!(home.refused(&[lease]), "trial 1 is completed");
    let failure = Failure { class: FailureClass::Config, message: "no such file".into() };
    let state = TrialState::Failed(failure);
    home.apply(&[Change::TrialState { trial: TrialId(2), state: state.clone() }]);
    assert_eq!(home.trial(2).state, state);
}

#[test]
fn failures_are_charged_by_class_until_the_user_queues_the_trial_again() {
    let mut home = Home::new(1);
    let endings = [
        failed(FailureClass::Killed),
        AttemptEnding::Abandoned,
        failed(FailureClass::Oom),
        AttemptEnding::Released,
        failed(FailureClass::Killed),
    ];
    for (number, ending) in (1..).zip(endings) {
        let lease = home.lease(TRIAL, number, 0);
        home.apply(&[lease]);
        home.apply(&[ended(number as i64, ending), queued(TRIAL)]);
    }
    let charged = BTreeMap::from([(FailureClass::Killed, 2), (FailureClass::Oom, 1)]);
    assert_eq!(home.trial(1).failures, charged);

    let lease = home.lease(TRIAL, 6, 0);
    home.apply(&[lease]);
    let failure = Failure { class: FailureClass::Oom, message: "oom it was".into() };
    let state = TrialState::Failed(failure);
    let given_up = Change::TrialState { trial: TRIAL, state: state.clone() };
    home.apply(&[ended(6, failed(FailureClass::Oom)), given_up]);
    assert_eq!(home.trial(1).state, state);
    home.apply(&[queued(TRIAL)]);
    let trial = home.trial(1);
    assert_eq!((trial.state, trial.ended_at_ms), (TrialState::Queued, None));
    assert_eq!(trial.failures, BTreeMap::new());
    let lease = home.lease(TRIAL, 7, 0);
    home.apply(&[lease]);
    home.apply(&[ended(7, failed(FailureClass::Panic)), queued(TRIAL)]);
    assert_eq!(home.trial(1).failures, BTreeMap::from([(FailureClass::Panic, 1)]));
}

#[test]
fn a_cancelled_trial_is_final_and_can_be_queued_again() {
    let mut home = running();
    let cancelled = |trial| Change::TrialState { trial, state: TrialState::Cancelled };
    assert_eq!(
        home.refused(&[cancelled(TRIAL)]),
        "the batch would leave trial 1 cancelled with 1 open attempts"
    );
    home.apply(&[ended(1, AttemptEnding::Released), cancelled(TRIAL), cancelled(TrialId(2))]);
    assert_eq!(home.trial(1).state, TrialState::Cancelled);
    assert!(home.trial(2).ended_at_ms.is_some());
    let counts = home.store.read().sweeps().unwrap()[0].trials;
    assert_eq!((counts.cancelled, counts.ended(), counts.failed), (2, 2, 0));
    assert_eq!(home.refused(&[cancelled(TRIAL)]), "trial 1 is cancelled");
    home.apply(&[queued(TRIAL)]);
    assert_eq!(home.trial(1).state, TrialState::Queued);
}

#[test]
fn evidence_stays_with_the_attempt_that_left_it() {
    let mut home = running();
    let evidence = Evidence { log: "last words\n".into(), stderr: String::new() };
    let left = |attempt| Change::Evidence {
        attempt,
        evidence: evidence.clone(),
        peak_memory_bytes: Some(7),
    };
    assert_eq!(home.refused(&[left(ATTEMPT)]), "no attempt 1 has ended");
    let ending = ended(1, failed(FailureClass::Oom));
    home.apply(&[ending, left(ATTEMPT), queued(TRIAL)]);
    let trial = home.trial(1);
    assert_eq!((trial.accumulation_factor, trial.ran_out_of_memory), (1, true));
    let mut lease = home.lease(TRIAL, 2, 0);
    let Change::Leased { accumulation_factor, .. } = &mut lease else { unreachable!("a lease") };
    *accumulation_factor = 2;
    home.apply(&[lease]);
    let detail = home.store.read().trial(home.sweep, 1).unwrap().unwrap();
    assert_eq!((detail.trial.accumulation_factor, detail.trial.ran_out_of_memory), (2, false));
    let of: Vec<_> =
        detail.attempts.iter().map(|a| (a.accumulation_factor, a.evidence.as_ref())).collect();
    assert_eq!(of, [(1, Some(&evidence)), (2, None)]);
    // What the worker itself said of its memory counts more than what was seen from outside.
    assert_eq!(detail.attempts[0].peak_memory_bytes, Some(1 << 30));
}

#[test]
fn attempts_are_numbered_without_gaps_and_never_twice() {
    let mut home = running();
    home.apply(&[ended(1, AttemptEnding::Released), queued(TRIAL)]);
    for number in [1, 3] {
        let lease = home.lease(TRIAL, number, 0);
        let refused = format!("the next attempt of trial 1 has number 2, not {number}");
        assert_eq!(home.refused(&[lease]), refused);
    }
    let mut used = home.lease(TrialId(2), 1, 0);
    let Change::Leased { attempt, .. } = &mut used else { unreachable!("a lease") };
    *attempt = ATTEMPT;
    assert_eq!(home.refused(&[used]), "attempt 1 exists already");
}

#[test]
fn an_attempt_starts_from_nothing_or_from_a_checkpoint_that_counts() {
    let mut home = running();
    let refused = home.refused(&[Change::ResumePoint {
        trial: TRIAL,
        point: Some(ResumePoint { step: 4, directory: "nowhere".into() }),
    }]);
    assert_eq!(refused, "trial 1 has no checkpoint at step 4 to go on from");
    home.apply(&[
        observed(1, 4, &[(METRIC, 0.5)]),
        checkpointed(1, 4),
        observed(1, 8, &[(METRIC, 0.6)]),
        checkpointed(1, 8),
        ended(1, failed(FailureClass::Killed)),
        queued(TRIAL),
    ]);
    let lease = home.lease(TRIAL, 2, 5);
    assert_eq!(home.refused(&[lease]), "trial 1 has no checkpoint at step 5 to go on from");
    // The checkpoint at 8 turns out to be unusable; going on from 4 makes it one that does not count.
    let lease = home.lease(TRIAL, 2, 4);
    home.apply(&[lease]);
    assert_eq!(home.trial(1).resume.map(|point| point.directory), Some("attempts/1/4".into()));
    home.apply(&[ended(3, AttemptEnding::Abandoned), queued(TRIAL)]);
    let lease = home.lease(TRIAL, 3, 8);
    assert_eq!(home.refused(&[lease]), "trial 1 has no checkpoint at step 8 to go on from");
    let lease = home.lease(TRIAL, 3, 4);
    home.apply(&[lease]);
    let refused = home.refused(&[checkpointed(5, 3)]);
    assert_eq!(refused, "step 3 is before attempt 5 began, at 4");
    // Released before its first step: a checkpoint where it began is a fact like any other.
    home.apply(&[checkpointed(5, 4), ended(5, AttemptEnding::Released), queued(TRIAL)]);
    assert_eq!(home.trial(1).resume.map(|point| point.directory), Some("attempts/5/4".into()));
    home.apply(&[Change::ResumePoint { trial: TRIAL, point: None }]);
    assert_eq!(home.trial(1).resume, None);
    let lease = home.lease(TRIAL, 4, 0);
    home.apply(&[lease]);
    assert_eq!(home.store.read().curve(TRIAL, METRIC).unwrap(), []);
}

#[test]
fn weights_of_an_evaluation_that_no_longer_counts_are_not_the_best() {
    let mut home = running();
    let weights = |step| BestWeights { step, value: 0.5, directory: format!("best/{step}") };
    home.apply(&[
        observed(1, 4, &[(METRIC, 0.5)]),
        checkpointed(1, 4),
        observed(1, 6, &[(METRIC, 0.6)]),
        Change::AttemptEnded {
            attempt: ATTEMPT,
            ending: failed(FailureClass::Killed),
            last_step: 6,
            closed_seq: 20,
            best: Some(weights(6)),
            peak_memory_bytes: None,
        },
        queued(TRIAL),
    ]);
    assert_eq!(home.trial(1).best_weights, Some(weights(6)));
    let lease = home.lease(TRIAL, 2, 4);
    home.apply(&[lease]);
    assert_eq!(home.trial(1).best_weights, None);
    home.apply(&[Change::BestWeights { trial: TRIAL, weights: Some(weights(4)) }]);
    assert_eq!(home.trial(1).best_weights, Some(weights(4)));
}

#[test]
fn logs_never_go_back() {
    let mut home = Home::new(1);
    let worker = home.worker;
    let read = |offset, next_seq| Change::LogRead { worker, offset, next_seq, torn_lines: 0 };
    home.apply(&[read(100, 5), Change::DownLogged { worker, next_seq: 4 }]);
    home.apply(&[read(100, 5), Change::DownLogged { worker, next_seq: 4 }]);
    assert_eq!(home.refused(&[read(99, 6)]), "the log of worker 1 would go back from 100 to 99");
    assert_eq!(home.refused(&[read(101, 4)]), "the log of worker 1 would go back from 5 to 4");
    let back = Change::DownLogged { worker, next_seq: 3 };
    assert_eq!(home.refused(&[back]), "the log of worker 1 would go back from 4 to 3");
    let lease = home.lease(TRIAL, 1, 0);
    assert_eq!(home.refused(&[lease]), "the log of worker 1 would go back from 4 to 1");
}

#[test]
fn what_is_not_there_is_named() {
    let mut home = Home::new(1);
    let exit = |worker| Change::WorkerEnded { worker, exit: "exit 1".into() };
    let worker = home.worker;
    home.apply(&[exit(worker)]);
    assert_eq!(home.refused(&[exit(worker)]), "worker 1 has ended");
    assert_eq!(home.refused(&[exit(WorkerId(9))]), "there is no worker with id 9");
    let stale = Change::StaleFrames { worker: WorkerId(9), count: 1 };
    assert_eq!(home.refused(&[stale]), "there is no worker with id 9");
    let lease = home.lease(TRIAL, 1, 0);
    assert_eq!(home.refused(&[lease]), "worker 1 has ended");
    let lease = home.lease(TrialId(9), 1, 0);
    assert_eq!(home.refused(&[lease]), "there is no trial with id 9");
    assert_eq!(home.refused(&[queued(TrialId(9))]), "there is no trial with id 9");
    let weights = Change::BestWeights { trial: TrialId(9), weights: None };
    assert_eq!(home.refused(&[weights]), "there is no trial with id 9");
    let finished = Change::SweepState { sweep: SweepId(9), state: SweepState::Finished };
    assert_eq!(home.refused(&[finished]), "there is no sweep with id 9");
}

#[test]
fn a_number_too_large_for_the_database_is_an_error_not_another_number() {
    let mut home = running();
    let metrics = vec![(METRIC.to_owned(), 1.0)];
    let huge =
        [Change::Observed { attempt: ATTEMPT, step: u64::MAX, seq: 1, metrics, items: None }];
    assert!(matches!(home.store.apply(&huge, 1), Err(ApplyError::Database(_))));
    assert_eq!(home.refused(&[observed(1, 1, &[("", 1.0)])]), "the name of a metric is empty");
    home.apply(&[observed(1, 1, &[(METRIC, 1.0)])]);
}
