//! A total that is reached ends the leases, and nothing else: decisions of the reactor without any store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::budget::{Allowance, Budget, Usage};
use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::script::Script;
use converge_core::settings::{Preset, Settings};
use converge_core::sweep::FailurePolicy;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Down, Up, Work};
use converge_scheduler::reactor::{
    Action, Climb, Decisions, EarlyStopping, Ending, Event, Exit, LogPlace, Options, Reactor, Trial,
};

const WORKER: WorkerId = WorkerId(1);

fn trial(number: u64) -> Trial {
    let metric = "validation/accuracy".to_string();
    Trial {
        number,
        kind: TrialKind::Grid,
        state: TrialState::Queued,
        attempts: 0,
        failures: BTreeMap::new(),
        accumulation_factor: 1,
        resume_point: None,
        work: Work::Scripted {
            script: Script::default(),
            settings: Settings::defaults(Preset::Tiny.into(), "x.tsv"),
            objective: Objective { metric, goal: Goal::Maximize, at: At::Best },
        },
        total_steps: 10,
        step: 0,
        loss: None,
        value: None,
        climb: Climb::default(),
    }
}

fn born() -> Up {
    let (version, device) = ("0".to_string(), "scripted".to_string());
    Up::Born { pid: 7, version, device, threads: 1, machine: BTreeMap::new() }
}

/// Two trials of ten steps, one worker, and a log that only this test writes.
struct Stage {
    reactor: Reactor,
    seq: u64,
    now: i64,
}

impl Stage {
    fn new(budget: Budget, used: Usage) -> Self {
        let options = Options {
            workers: 1,
            sweep: SweepId(1),
            failure: FailurePolicy::default(),
            failed: 0,
            next_attempt: AttemptId(1),
            home: "/home".into(),
            checkpoint_seconds: 60.0,
            gradient_checkpointing: false,
            allowance: Allowance { budget, used },
            early_stop: EarlyStopping::default(),
        };
        let trials = [1, 2].map(|number| (TrialId(number), trial(number.cast_unsigned())));
        Self { reactor: Reactor::new(options, trials), seq: 0, now: 5_000 }
    }

    /// Lets the worker come and take the first trial.
    fn begun(budget: Budget, used: Usage) -> Self {
        let mut stage = Self::new(budget, used);
        assert_eq!(stage.step(Event::Tick).actions, [Action::Launch]);
        stage.step(Event::Launched(WORKER));
        let leased = stage.say(vec![born()]);
        assert!(
            matches!(&leased.actions[..], [Action::Send(_, message)] if matches!(**message, Down::Assign(_)))
        );
        stage
    }

    fn step(&mut self, event: Event) -> Decisions {
        self.reactor.step(event, self.now).unwrap()
    }

    fn say(&mut self, messages: Vec<Up>) -> Decisions {
        let frames = messages
            .into_iter()
            .map(|message| {
                self.seq += 1;
                Frame { seq: self.seq, end: self.seq, message }
            })
            .collect();
        let place = LogPlace { offset: self.seq, next_seq: self.seq + 1, torn_lines: 0 };
        self.step(Event::Frames { worker: WORKER, frames, place })
    }

    fn steps(&mut self, attempt: i64, steps: impl IntoIterator<Item = u64>) -> Decisions {
        let observed = |step| Up::Step {
            attempt: AttemptId(attempt),
            step,
            metrics: vec![("train/loss".into(), 1.0)],
            items: None,
        };
        self.say(steps.into_iter().map(observed).collect())
    }

    fn ended(&mut self, attempt: i64, step: u64, ending: AttemptEnding) -> Decisions {
        let attempt = AttemptId(attempt);
        self.say(vec![Up::Ended { attempt, step, ending, best: None, peak_memory_bytes: None }])
    }
}

fn is_told_to_leave(decisions: &Decisions) -> bool {
    decisions
        .actions
        .iter()
        .any(|action| matches!(action, Action::Send(_, message) if matches!(**message, Down::Exit)))
}

fn leases(decisions: &Decisions) -> usize {
    let assigned = |action: &&Action| matches!(action, Action::Send(_, message) if matches!(**message, Down::Assign(_)));
    decisions.actions.iter().filter(assigned).count()
}

fn ending(decisions: &Decisions) -> Option<&Ending> {
    decisions.actions.iter().find_map(|action| match action {
        Action::Finish(ending) => Some(ending),
        _ => None,
    })
}

fn steps(most: u64) -> Budget {
    Budget { max_steps: Some(most), ..Budget::default() }
}

#[test]
fn steps_of_all_sessions_count_and_the_last_one_stops_the_sweep() {
    let used = Usage { wall_ms: 0, steps: 93 };
    let mut stage = Stage::begun(steps(100), used);
    assert!(!is_told_to_leave(&stage.steps(1, 1..=6)));
    assert!(is_told_to_leave(&stage.steps(1, [7])));
    assert_eq!(stage.reactor.used(stage.now).steps, 100);
    // What a worker does before it has heard counts too, once.
    stage.steps(1, [8]);
    assert_eq!(leases(&stage.ended(1, 8, AttemptEnding::Released)), 0);
    assert_eq!(stage.reactor.used(stage.now).steps, 101);
    let last = stage.step(Event::Exited { worker: WORKER, exit: Exit::Code(0) });
    let Some(Ending::Interrupted { at_once: false, reason: Some(reason) }) = ending(&last) else {
        panic!("{last:?}")
    };
    assert_eq!(reason, "the budget `max_steps` is used up (100 of 100 steps)");
}

#[test]
fn steps_that_are_done_again_count_again() {
    let mut stage = Stage::begun(steps(13), Usage::default());
    stage.steps(1, 1..=6);
    let failure = Failure { class: FailureClass::Panic, message: "x".into() };
    stage.ended(1, 6, AttemptEnding::Failed(failure));
    // The process is replaced after a failure; the trial starts from nothing, since it left no checkpoint.
    stage.step(Event::Exited { worker: WORKER, exit: Exit::Code(0) });
    stage.seq = 0;
    stage.step(Event::Launched(WORKER));
    assert_eq!(leases(&stage.say(vec![born()])), 1);
    assert!(!is_told_to_leave(&stage.steps(2, 1..=6)));
    assert!(is_told_to_leave(&stage.steps(2, [7])));
}

#[test]
fn wall_time_of_all_sessions_counts_and_a_tick_notices() {
    let budget = Budget { max_wall: "1m".parse().ok(), ..Budget::default() };
    let used = Usage { wall_ms: 50_000, steps: 0 };
    let mut stage = Stage::begun(budget, used);
    stage.now += 9_999;
    assert!(!is_told_to_leave(&stage.step(Event::Tick)));
    stage.now += 1;
    assert!(is_told_to_leave(&stage.step(Event::Tick)));
    assert_eq!(stage.reactor.used(stage.now).wall_ms, 60_000);
}

#[test]
fn a_total_that_is_reached_before_the_first_event_starts_nothing() {
    let mut stage = Stage::new(steps(10), Usage { wall_ms: 0, steps: 10 });
    let decisions = stage.step(Event::Tick);
    assert!(!decisions.actions.contains(&Action::Launch), "{decisions:?}");
    assert!(matches!(ending(&decisions), Some(Ending::Interrupted { .. })), "{decisions:?}");
}

#[test]
fn the_last_step_of_the_budget_may_be_the_last_of_the_sweep() {
    let mut stage = Stage::begun(steps(20), Usage::default());
    stage.steps(1, 1..=10);
    assert_eq!(leases(&stage.ended(1, 10, AttemptEnding::Completed)), 1);
    // The worker completes before it hears that the budget is used up.
    stage.steps(2, 1..=10);
    stage.ended(2, 10, AttemptEnding::Completed);
    let last = stage.step(Event::Exited { worker: WORKER, exit: Exit::Code(0) });
    assert_eq!(ending(&last), Some(&Ending::Finished { failed: 0 }));
}

#[test]
fn what_stands_beside_the_search_takes_nothing_of_its_budget() {
    let mut refit = trial(3);
    refit.kind = TrialKind::Refit;
    let options = Options {
        workers: 1,
        sweep: SweepId(1),
        failure: FailurePolicy { max_failed: Some(1), ..FailurePolicy::default() },
        failed: 0,
        next_attempt: AttemptId(1),
        home: "/home".into(),
        checkpoint_seconds: 60.0,
        gradient_checkpointing: false,
        allowance: Allowance { budget: steps(10), used: Usage { wall_ms: 0, steps: 10 } },
        early_stop: EarlyStopping::default(),
    };
    let reactor = Reactor::new(options, [(TrialId(3), refit)]);
    let mut stage = Stage { reactor, seq: 0, now: 5_000 };
    assert_eq!(stage.step(Event::Tick).actions, [Action::Launch], "the budget is used up");
    stage.step(Event::Launched(WORKER));
    assert_eq!(leases(&stage.say(vec![born()])), 1);
    assert!(!is_told_to_leave(&stage.steps(1, 1..=6)));
    assert_eq!(stage.reactor.used(stage.now).steps, 10);
    let failure = Failure { class: FailureClass::Data, message: "x".into() };
    stage.ended(1, 6, AttemptEnding::Failed(failure));
    let last = stage.step(Event::Exited { worker: WORKER, exit: Exit::Code(1) });
    assert_eq!(
        ending(&last),
        Some(&Ending::Finished { failed: 0 }),
        "a failed search is another matter"
    );
}
