//! Rungs, as the reactor deals with them: where trials pause, who is leased first, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::budget::Allowance;
use converge_core::early_stop::{EarlyStop, Known, Ladder, Rule};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::script::Script;
use converge_core::settings::{Preset, Settings};
use converge_core::sweep::FailurePolicy;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Down, Up, Work};
use converge_scheduler::reactor::{
    Action, Climb, Decisions, EarlyStopping, Ending, Event, Exit, LogPlace, Notice, Options,
    Reactor, Trial, WorkerState,
};
use converge_store::Change;

const ACCURACY: &str = "validation/accuracy";

fn objective() -> Objective {
    Objective { metric: ACCURACY.into(), goal: Goal::Maximize, at: At::Best }
}

fn trial(number: u64) -> (TrialId, Trial) {
    let settings = Settings::defaults(Preset::Tiny.into(), "/data.tsv");
    let work = Work::Scripted { script: Script::default(), settings, objective: objective() };
    let trial = Trial {
        number,
        kind: TrialKind::Grid,
        state: TrialState::Queued,
        attempts: 0,
        failures: BTreeMap::new(),
        accumulation_factor: 1,
        resume_point: None,
        work,
        total_steps: 10,
        step: 0,
        loss: None,
        value: None,
        climb: Climb { rungs: vec![2, 6], ..Climb::default() },
    };
    (TrialId(number.cast_signed()), trial)
}

/// One worker on four trials, whose frames are made up.
struct Stage {
    reactor: Reactor,
    seq: u64,
    last: Decisions,
    actions: Vec<Action>,
}

const WORKER: WorkerId = WorkerId(1);

impl Stage {
    fn new(rule: Rule) -> Self {
        let settings = EarlyStop { rule, eta: 2, ties: false, ..EarlyStop::default() };
        let known = (1..=4)
            .map(|trial| Known { trial, batch: 0, rungs: Vec::new(), ended: None })
            .collect();
        let options = Options {
            workers: 1,
            sweep: SweepId(1),
            failure: FailurePolicy::default(),
            failed: 0,
            next_attempt: AttemptId(1),
            home: "/home".into(),
            checkpoint_seconds: 60.0,
            gradient_checkpointing: false,
            allowance: Allowance::default(),
            early_stop: EarlyStopping {
                ladder: Some(Ladder::new(settings, objective(), known)),
                patience: None,
            },
        };
        let reactor = Reactor::new(options, (1..=4).map(trial));
        let mut stage = Self { reactor, seq: 0, last: Decisions::default(), actions: Vec::new() };
        stage.happen(Event::Tick);
        stage.happen(Event::Launched(WORKER));
        stage.say(Up::Born {
            pid: 1,
            version: "test".into(),
            device: "scripted".into(),
            threads: 1,
            machine: BTreeMap::new(),
        });
        stage
    }

    fn happen(&mut self, event: Event) {
        self.last = self.reactor.step(event, 0).unwrap();
        self.actions.extend(self.last.actions.iter().cloned());
    }

    fn say(&mut self, message: Up) {
        self.seq += 1;
        let frame = Frame { seq: self.seq, end: self.seq * 10, message };
        let place = LogPlace { offset: frame.end, next_seq: self.seq + 1, torn_lines: 0 };
        self.happen(Event::Frames { worker: WORKER, frames: vec![frame], place });
    }

    fn running(&self) -> Option<(u64, AttemptId)> {
        self.reactor.workers().find_map(|(_, worker)| match worker.state {
            WorkerState::Busy(lease) => Some((lease.trial.0.cast_unsigned(), lease.attempt)),
            _ => None,
        })
    }

    /// The running trial evaluates at a step, checkpoints and ends; returns its number.
    fn come(&mut self, step: u64, value: f64, ending: AttemptEnding) -> u64 {
        let (trial, attempt) = self.running().unwrap();
        self.say(Up::Step { attempt, step, metrics: vec![(ACCURACY.into(), value)], items: None });
        let directory = format!("/home/attempts/{attempt}/checkpoint-{step}");
        self.say(Up::Checkpoint { attempt, step, directory });
        self.say(Up::Ended { attempt, step, ending, best: None, peak_memory_bytes: None });
        trial
    }

    fn states(&self) -> Vec<&'static str> {
        self.reactor.trials().map(|(_, trial)| trial.state.word()).collect()
    }

    fn until_steps(&self) -> Vec<Option<u64>> {
        let assigned = self.actions.iter().filter_map(|action| match action {
            Action::Send(_, message) => match message.as_ref() {
                Down::Assign(assignment) => Some(assignment.until_step),
                _ => None,
            },
            _ => None,
        });
        assigned.collect()
    }
}

#[test]
fn all_pause_at_the_first_rung_and_the_better_half_goes_on_first_of_all() {
    let mut stage = Stage::new(Rule::Halving);
    for (value, trial) in [(0.5, 1), (0.8, 2), (0.7, 3)] {
        assert_eq!(stage.come(2, value, AttemptEnding::Paused), trial);
    }
    assert_eq!(stage.states(), ["waiting", "waiting", "waiting", "running"]);
    stage.come(2, 0.6, AttemptEnding::Paused);
    assert_eq!(stage.states(), ["stopped", "running", "queued", "stopped"]);
    let stopped: Vec<_> = stage
        .last
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Notice(Notice::Stopped { trial, step, rank, among, rung, rungs }) => {
                Some((*trial, *step, *rank, *among, *rung, *rungs))
            }
            _ => None,
        })
        .collect();
    assert_eq!(stopped, [(4, 2, 3, 4, 1, 2), (1, 2, 4, 4, 1, 2)]);
    assert_eq!(stage.come(6, 0.81, AttemptEnding::Paused), 2);
    assert_eq!(stage.come(6, 0.9, AttemptEnding::Paused), 3);
    assert_eq!(stage.states(), ["stopped", "stopped", "running", "stopped"]);
    assert_eq!(stage.until_steps(), [Some(2), Some(2), Some(2), Some(2), Some(6), Some(6), None]);
    stage.come(10, 0.85, AttemptEnding::Completed);
    stage.happen(Event::Exited { worker: WORKER, exit: Exit::Code(0) });
    assert!(stage.actions.contains(&Action::Finish(Ending::Finished { failed: 0 })));
}

#[test]
fn who_was_promoted_is_leased_before_who_never_ran() {
    let mut stage = Stage::new(Rule::Asha);
    stage.come(2, 0.5, AttemptEnding::Paused);
    stage.come(2, 0.8, AttemptEnding::Paused);
    // Two have come: the better one goes on, before trial 3.
    assert_eq!(stage.running().unwrap().0, 2);
    assert_eq!(stage.states(), ["waiting", "running", "queued", "queued"]);
}

#[test]
fn a_pause_elsewhere_than_at_the_rung_is_no_word_of_a_worker() {
    let mut stage = Stage::new(Rule::Halving);
    stage.come(3, 0.5, AttemptEnding::Paused);
    assert!(stage.last.actions.contains(&Action::Kill(WORKER)));
    assert_eq!(stage.states()[0], "running");
}

#[test]
fn what_is_compared_is_stored_with_the_evaluation() {
    let mut stage = Stage::new(Rule::Halving);
    let (_, attempt) = stage.running().unwrap();
    let step = |step, value| Up::Step {
        attempt,
        step,
        metrics: vec![(ACCURACY.into(), value)],
        items: None,
    };
    stage.say(step(1, 0.9));
    stage.say(step(2, 0.6));
    let found = stage.last.changes.iter().find_map(|change| match change {
        Change::Reached { rung, step, standing, .. } => Some((*rung, *step, standing.value)),
        _ => None,
    });
    // The best so far, as trials are ranked.
    assert_eq!(found, Some((0, 2, Some(0.9))));
}

#[test]
fn who_is_cancelled_while_waiting_is_not_waited_for() {
    let mut stage = Stage::new(Rule::Halving);
    stage.come(2, 0.9, AttemptEnding::Paused);
    stage.happen(Event::Cancel { request: "r".into(), trials: vec![TrialId(1)] });
    assert_eq!(stage.states()[0], "cancelled");
    for value in [0.5, 0.6, 0.7] {
        stage.come(2, value, AttemptEnding::Paused);
    }
    // Half of four go on, and it is none of them.
    assert_eq!(stage.states(), ["cancelled", "stopped", "running", "queued"]);
}
