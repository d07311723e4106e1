//! Decisions of the reactor about failures, cancelled trials and pauses: event in, changes and actions out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::budget::Allowance;
use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::script::Script;
use converge_core::settings::{Preset, Settings};
use converge_core::sweep::FailurePolicy;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Assignment, Down, Up, Work};
use converge_scheduler::reactor::{
    Action, Climb, Decisions, EarlyStopping, Ending, Event, Exit, LogPlace, Notice, Options,
    Reactor, Trial, WorkerState,
};
use converge_store::{Change, SweepState};

/// A reactor, and the frames that its workers have written.
struct World {
    reactor: Reactor,
    seqs: BTreeMap<WorkerId, u64>,
    now: i64,
    /// Everything that was decided, in order.
    changes: Vec<Change>,
    actions: Vec<Action>,
}

fn trial(number: u64, state: TrialState) -> (TrialId, Trial) {
    let mut settings = Settings::defaults(Preset::Tiny.into(), "/data.tsv");
    settings.train.batch_size = 4;
    let objective =
        Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best };
    let trial = Trial {
        number,
        kind: TrialKind::Grid,
        state,
        attempts: 0,
        failures: BTreeMap::new(),
        accumulation_factor: 1,
        resume_point: None,
        work: Work::Scripted { script: Script::default(), settings, objective },
        total_steps: 10,
        step: 0,
        loss: None,
        value: None,
        climb: Climb::default(),
    };
    (TrialId(number.cast_signed()), trial)
}

impl World {
    fn new(workers: u64, trials: u64, failure: FailurePolicy) -> Self {
        Self::of(workers, (1..=trials).map(|n| trial(n, TrialState::Queued)).collect(), failure)
    }

    fn of(workers: u64, trials: Vec<(TrialId, Trial)>, failure: FailurePolicy) -> Self {
        let options = Options {
            workers,
            sweep: SweepId(1),
            failure,
            failed: 0,
            next_attempt: AttemptId(1),
            home: "/home".into(),
            checkpoint_seconds: 60.0,
            gradient_checkpointing: false,
            allowance: Allowance::default(),
            early_stop: EarlyStopping::default(),
        };
        let reactor = Reactor::new(options, trials);
        let (seqs, changes, actions) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut world = Self { reactor, seqs, now: 0, changes, actions };
        world.happen(Event::Tick);
        world
    }

    /// Steps; workers that are to be started are born at once.
    fn happen(&mut self, event: Event) -> Decisions {
        let decisions = self.reactor.step(event, self.now).unwrap();
        self.changes.extend(decisions.changes.iter().cloned());
        self.actions.extend(decisions.actions.iter().cloned());
        for action in &decisions.actions {
            if *action == Action::Launch {
                let worker = WorkerId(self.seqs.len() as i64 + 1);
                self.seqs.insert(worker, 0);
                self.happen(Event::Launched(worker));
                self.say(
                    worker,
                    Up::Born {
                        pid: 1,
                        version: "test".into(),
                        device: "scripted".into(),
                        threads: 1,
                        machine: BTreeMap::new(),
                    },
                );
            }
        }
        decisions
    }

    fn say(&mut self, worker: WorkerId, message: Up) -> Decisions {
        let seq = self.seqs.get_mut(&worker).unwrap();
        *seq += 1;
        let frame = Frame { seq: *seq, end: *seq * 10, message };
        let place = LogPlace { offset: frame.end, next_seq: *seq + 1, torn_lines: 0 };
        self.happen(Event::Frames { worker, frames: vec![frame], place })
    }

    /// Returns the worker that has a trial, and its attempt.
    fn holder(&self, number: u64) -> Option<(WorkerId, AttemptId)> {
        self.reactor.workers().find_map(|(id, worker)| match worker.state {
            WorkerState::Busy(lease) if lease.trial == TrialId(number.cast_signed()) => {
                Some((*id, lease.attempt))
            }
            _ => None,
        })
    }

    /// The worker of a trial says how its attempt ended; after a failure it leaves.
    fn end(&mut self, number: u64, ending: AttemptEnding) -> Decisions {
        let (worker, attempt) = self.holder(number).unwrap();
        let failed = matches!(ending, AttemptEnding::Failed(_));
        let decisions = self.say(
            worker,
            Up::Ended { attempt, step: 3, ending, best: None, peak_memory_bytes: None },
        );
        if failed {
            self.happen(Event::Exited { worker, exit: Exit::Code(1) });
        }
        decisions
    }

    fn fail(&mut self, number: u64, class: FailureClass) -> Decisions {
        self.end(number, AttemptEnding::Failed(Failure { class, message: "x".into() }))
    }

    /// All workers that were told to leave do so.
    fn leave(&mut self) {
        let leaving: Vec<WorkerId> =
            self.reactor.workers().filter(|(_, w)| w.dismissed).map(|(id, _)| *id).collect();
        for worker in leaving {
            let busy = self.reactor.workers().find_map(|(id, w)| match w.state {
                WorkerState::Busy(lease) if *id == worker => Some(lease.attempt),
                _ => None,
            });
            if let Some(attempt) = busy {
                let ending = AttemptEnding::Released;
                self.say(
                    worker,
                    Up::Ended { attempt, step: 3, ending, best: None, peak_memory_bytes: None },
                );
            }
            self.say(worker, Up::Bye);
            self.happen(Event::Exited { worker, exit: Exit::Code(0) });
        }
    }

    fn state(&self, number: u64) -> &str {
        self.reactor.trial(TrialId(number.cast_signed())).unwrap().state.word()
    }

    fn assignments(&self) -> Vec<&Assignment> {
        let assigned = self.actions.iter().filter_map(|action| match action {
            Action::Send(_, message) => match message.as_ref() {
                Down::Assign(assignment) => Some(assignment.as_ref()),
                _ => None,
            },
            _ => None,
        });
        assigned.collect()
    }

    fn ending(&self) -> Option<&Ending> {
        self.actions.iter().find_map(|action| match action {
            Action::Finish(ending) => Some(ending),
            _ => None,
        })
    }

    fn was_answered(&self, request: &str) -> bool {
        self.actions.contains(&Action::Answer(request.into()))
    }
}

fn retries(class: FailureClass, count: u64) -> FailurePolicy {
    let mut policy = FailurePolicy::default();
    policy.retries.0.insert(class, count);
    policy
}

#[test]
fn after_running_out_of_memory_a_trial_goes_on_with_smaller_micro_batches() {
    let mut world = World::new(1, 1, retries(FailureClass::Oom, 3));
    let mut told = Vec::new();
    for attempt in 1..=4 {
        if attempt == 1 {
            let (worker, attempt) = world.holder(1).unwrap();
            let directory = "/home/attempts/1/checkpoint-3".into();
            world.say(worker, Up::Checkpoint { attempt, step: 3, directory });
        }
        for action in world.fail(1, FailureClass::Oom).actions {
            if let Action::Notice(Notice::Failed { retried, micro_batches, .. }) = action {
                told.push((retried, micro_batches.map(|division| division.to_string())));
            }
        }
    }
    let factors: Vec<u64> = world.assignments().iter().map(|a| a.accumulation_factor).collect();
    assert_eq!(factors, [1, 2, 4, 4], "a micro-batch of one example is the smallest");
    let two = Some("2 micro-batches of 2".to_owned());
    let four = Some("4 micro-batches of 1".to_owned());
    assert_eq!(told, [(true, two), (true, four.clone()), (true, four), (false, None)]);
    let from: Vec<Option<u64>> =
        world.assignments().iter().map(|a| a.resume_from.as_ref().map(|from| from.step)).collect();
    assert_eq!(from, [None, Some(3), Some(3), Some(3)], "from the checkpoint of the first attempt");
    let stored: Vec<u64> = world
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Leased { accumulation_factor, .. } => Some(*accumulation_factor),
            _ => None,
        })
        .collect();
    assert_eq!(stored, factors, "each attempt's row says so");
    assert_eq!(world.state(1), "failed");
}

#[test]
fn other_failures_do_not_divide_a_step() {
    let mut world = World::new(1, 1, FailurePolicy::default());
    world.fail(1, FailureClass::Panic);
    let factors: Vec<u64> = world.assignments().iter().map(|a| a.accumulation_factor).collect();
    assert_eq!(factors, [1, 1]);
}

#[test]
fn a_worker_killed_by_the_kernel_for_memory_is_told_from_one_killed_by_hand() {
    for (exit, class) in [
        (Exit::OutOfMemory(9), FailureClass::Oom),
        (Exit::OutOfMemory(6), FailureClass::Oom),
        (Exit::Signal(9), FailureClass::Killed),
        (Exit::Signal(6), FailureClass::Killed),
    ] {
        let mut world = World::new(1, 1, FailurePolicy::default());
        let (worker, attempt) = world.holder(1).unwrap();
        let decisions = world.happen(Event::Exited { worker, exit });
        let ended = decisions.changes.iter().find_map(|change| match change {
            Change::AttemptEnded { ending: AttemptEnding::Failed(failure), .. } => {
                Some(failure.class)
            }
            _ => None,
        });
        assert_eq!(ended, Some(class));
        let unexplained: Vec<_> =
            decisions.unexplained.iter().map(|of| (of.attempt, of.worker)).collect();
        assert_eq!(unexplained, [(attempt, worker)], "its logs are wanted");
    }
}

#[test]
fn a_worker_without_progress_is_killed_when_the_timeout_is_over() {
    let policy = FailurePolicy { timeout_seconds: 30, ..FailurePolicy::default() };
    let mut world = World::new(1, 1, policy);
    assert_eq!(world.assignments()[0].timeout_seconds, 30);
    let (worker, _) = world.holder(1).unwrap();
    world.now = 29_000;
    world.say(worker, Up::Beat);
    world.now = 59_000;
    assert_eq!(world.happen(Event::Tick).actions, [], "it was heard 30 s ago");
    world.now = 59_001;
    assert_eq!(world.happen(Event::Tick).actions, [Action::Kill(worker)]);
    world.now = 60_000;
    assert_eq!(world.happen(Event::Tick).actions, [], "killed once");
    let ended = world.happen(Event::Exited { worker, exit: Exit::Signal(9) });
    let failure = ended.changes.iter().find_map(|change| match change {
        Change::AttemptEnded { ending: AttemptEnding::Failed(failure), .. } => {
            Some(failure.clone())
        }
        _ => None,
    });
    let message = "no progress for 30 s: hung, and killed".to_owned();
    assert_eq!(failure, Some(Failure { class: FailureClass::Timeout, message }));
    assert_eq!(world.assignments().len(), 2, "and the trial is tried again");
}

#[test]
fn failures_in_a_row_stop_the_sweep_gently() {
    let policy = FailurePolicy { max_consecutive: Some(2), ..FailurePolicy::default() };
    let mut world = World::new(2, 6, policy);
    world.fail(1, FailureClass::Data);
    world.end(2, AttemptEnding::Completed);
    world.fail(3, FailureClass::Data);
    assert_eq!(world.ending(), None, "one that completed came between");
    world.fail(5, FailureClass::Config);
    // The other worker is asked to checkpoint and leave.
    let (worker, _) = world.holder(4).unwrap();
    assert!(world.actions.contains(&Action::Send(worker, Box::new(Down::Exit))));
    world.leave();
    let reason = "2 failed in a row (`max_consecutive` in [failure]), the last was trial 5 (config); \
                  `converge show 5` tells more";
    let reason = Some(reason.to_owned());
    assert_eq!(world.ending(), Some(&Ending::Interrupted { at_once: false, reason }));
    assert_eq!((world.state(4), world.state(6)), ("queued", "queued"));
}

#[test]
fn failed_trials_of_earlier_sessions_count_for_max_failed_and_do_not_stop_a_resume_at_once() {
    let failed = TrialState::Failed(Failure { class: FailureClass::Data, message: "x".into() });
    let policy =
        FailurePolicy { max_failed: Some(2), max_consecutive: Some(2), ..FailurePolicy::default() };
    let trials = vec![
        trial(1, failed.clone()),
        trial(2, failed),
        trial(3, TrialState::Queued),
        trial(4, TrialState::Queued),
        trial(5, TrialState::Queued),
    ];
    let mut world = World::of(1, trials, policy);
    world.end(3, AttemptEnding::Completed);
    assert_eq!(world.ending(), None);
    world.fail(4, FailureClass::Data);
    world.leave();
    let Some(Ending::Interrupted { reason: Some(reason), .. }) = world.ending() else {
        panic!("{:?}", world.ending())
    };
    assert!(reason.starts_with("3 failed (`max_failed` in [failure])"), "{reason}");
}

#[test]
fn a_limit_that_the_last_trial_reaches_is_an_end_like_others() {
    let policy = FailurePolicy { max_failed: Some(1), ..FailurePolicy::default() };
    let mut world = World::new(1, 1, policy);
    world.fail(1, FailureClass::Data);
    assert_eq!(world.ending(), Some(&Ending::Finished { failed: 1 }));
}

#[test]
fn a_cancelled_trial_that_waits_is_not_run_and_one_that_runs_is_released() {
    let mut world = World::new(1, 3, FailurePolicy::default());
    let trials = vec![TrialId(1), TrialId(2), TrialId(99)];
    let decisions = world.happen(Event::Cancel { request: "r".into(), trials: trials.clone() });
    assert_eq!(world.state(2), "cancelled");
    assert!(decisions.actions.contains(&Action::Notice(Notice::Cancelled { trial: 2 })));
    let (worker, attempt) = world.holder(1).unwrap();
    let release = Action::Send(worker, Box::new(Down::Release));
    assert!(decisions.actions.contains(&release));
    assert!(!world.was_answered("r"), "trial 1 still runs");
    // Asked again, by somebody who lost patience: it is released once.
    world.happen(Event::Cancel { request: "again".into(), trials });
    assert_eq!(world.actions.iter().filter(|action| **action == release).count(), 1);

    let directory = "/home/attempts/1/checkpoint-3".to_owned();
    world.say(worker, Up::Checkpoint { attempt, step: 3, directory });
    let decisions = world.end(1, AttemptEnding::Released);
    assert_eq!(world.state(1), "cancelled");
    assert!(decisions.actions.contains(&Action::CleanUp { trial: 1 }), "its checkpoint goes");
    assert!(world.was_answered("r") && world.was_answered("again"));
    let states: Vec<&Change> = decisions
        .changes
        .iter()
        .filter(|change| matches!(change, Change::TrialState { .. }))
        .collect();
    let cancelled = Change::TrialState { trial: TrialId(1), state: TrialState::Cancelled };
    assert_eq!(states, [&cancelled], "it is never queued in between");
    // The worker goes on with what is left.
    world.end(3, AttemptEnding::Completed);
    world.leave();
    assert_eq!(world.ending(), Some(&Ending::Finished { failed: 0 }));
}

#[test]
fn a_trial_that_ends_before_it_can_be_cancelled_keeps_its_result() {
    for (ending, state) in [
        (AttemptEnding::Completed, "completed"),
        (
            AttemptEnding::Failed(Failure { class: FailureClass::Data, message: "x".into() }),
            "failed",
        ),
        // A retry would have been left.
        (
            AttemptEnding::Failed(Failure { class: FailureClass::Panic, message: "x".into() }),
            "cancelled",
        ),
        (AttemptEnding::Abandoned, "cancelled"),
    ] {
        let mut world = World::new(1, 2, FailurePolicy::default());
        world.happen(Event::Cancel { request: "r".into(), trials: vec![TrialId(1)] });
        world.end(1, ending);
        assert_eq!(world.state(1), state);
        assert!(world.was_answered("r"));
    }
}

#[test]
fn a_worker_that_is_killed_while_its_trial_is_cancelled_does_not_bring_it_back() {
    let mut world = World::new(1, 2, FailurePolicy::default());
    world.happen(Event::Cancel { request: "r".into(), trials: vec![TrialId(1)] });
    let (worker, _) = world.holder(1).unwrap();
    world.happen(Event::Exited { worker, exit: Exit::Signal(9) });
    assert_eq!(world.state(1), "cancelled");
    assert!(world.was_answered("r") && world.holder(2).is_some());
}

#[test]
fn a_paused_sweep_has_no_workers_and_goes_on_when_told() {
    let mut world = World::new(2, 4, FailurePolicy::default());
    let decisions = world.happen(Event::Pause { request: "p".into() });
    let paused = Change::SweepState { sweep: SweepId(1), state: SweepState::Paused };
    assert!(decisions.changes.contains(&paused));
    assert!(decisions.actions.contains(&Action::Notice(Notice::Pausing)));
    assert!(world.reactor.is_paused() && !world.was_answered("p"));
    world.leave();
    assert!(world.was_answered("p"));
    assert_eq!(world.actions.iter().filter(|a| **a == Action::Notice(Notice::Paused)).count(), 1);
    assert_eq!((world.reactor.workers().count(), world.state(1)), (0, "queued"));
    let launched = world.seqs.len();
    world.happen(Event::Tick);
    assert_eq!(
        (world.seqs.len(), world.ending()),
        (launched, None),
        "it stays, and starts nothing"
    );
    // What waits can be cancelled meanwhile; a second pause is answered at once.
    world.happen(Event::Cancel { request: "c".into(), trials: vec![TrialId(4)] });
    world.happen(Event::Pause { request: "p2".into() });
    assert!(world.was_answered("c") && world.was_answered("p2"));

    let decisions = world.happen(Event::Unpause { request: "u".into() });
    let running = Change::SweepState { sweep: SweepId(1), state: SweepState::Running };
    assert!(decisions.changes.contains(&running) && world.was_answered("u"));
    for number in 1..=3 {
        world.end(number, AttemptEnding::Completed);
    }
    world.leave();
    assert_eq!(world.ending(), Some(&Ending::Finished { failed: 0 }));
}

#[test]
fn a_pause_that_is_taken_back_waits_for_workers_that_are_leaving() {
    let mut world = World::new(1, 2, FailurePolicy::default());
    world.happen(Event::Pause { request: "p".into() });
    world.happen(Event::Unpause { request: "u".into() });
    assert!(world.was_answered("p") && world.was_answered("u"));
    assert_eq!(world.seqs.len(), 1, "the memory of the first is not free yet");
    world.leave();
    assert_eq!(world.seqs.len(), 2);
    assert!(world.holder(1).is_some());
}

#[test]
fn a_paused_sweep_stops_at_the_first_interrupt_and_at_its_end() {
    let mut world = World::new(1, 2, FailurePolicy::default());
    world.happen(Event::Pause { request: "p".into() });
    world.leave();
    world.happen(Event::Interrupt);
    assert_eq!(world.ending(), Some(&Ending::Interrupted { at_once: false, reason: None }));

    let mut world = World::new(1, 1, FailurePolicy::default());
    world.happen(Event::Pause { request: "p".into() });
    // It completed instead of being released.
    world.end(1, AttemptEnding::Completed);
    world.leave();
    assert!(world.was_answered("p"));
    assert_eq!(world.ending(), Some(&Ending::Finished { failed: 0 }));
}
