//! A worker that says what cannot be: nothing of it reaches the store, and only its trial suffers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::budget::Allowance;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::items::{Answers, ItemResults};
use converge_core::objective::{At, Goal, Objective};
use converge_core::script::Script;
use converge_core::settings::{Preset, Settings};
use converge_core::sweep::FailurePolicy;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Best, Up, Work};
use converge_scheduler::reactor::{
    Action, Climb, EarlyStopping, Event, LogPlace, Options, Reactor, Trial,
};
use converge_store::Change;

const WORKER: WorkerId = WorkerId(7);
const ATTEMPT: AttemptId = AttemptId(5);

/// A reactor whose one worker runs attempt 5 of a trial of 10 steps.
fn busy() -> Reactor {
    let work = Work::Scripted {
        script: Script::default(),
        settings: Settings::defaults(Preset::Tiny.into(), "a.tsv"),
        objective: Objective { metric: "a".into(), goal: Goal::Maximize, at: At::Best },
    };
    let trial = Trial {
        number: 1,
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
        climb: Climb::default(),
    };
    let options = Options {
        workers: 1,
        sweep: SweepId(1),
        failure: FailurePolicy::default(),
        failed: 0,
        next_attempt: ATTEMPT,
        home: "/home/me/.converge".into(),
        checkpoint_seconds: 60.0,
        gradient_checkpointing: false,
        allowance: Allowance::default(),
        early_stop: EarlyStopping::default(),
    };
    let mut reactor = Reactor::new(options, [(TrialId(1), trial)]);
    reactor.step(Event::Tick, 0).unwrap();
    reactor.step(Event::Launched(WORKER), 0).unwrap();
    let born = Up::Born {
        pid: 1,
        version: "1".into(),
        device: "scripted".into(),
        threads: 1,
        machine: BTreeMap::new(),
    };
    let leased = say(&mut reactor, 1, born).0;
    assert!(leased.iter().any(|change| matches!(change, Change::Leased { .. })));
    reactor
}

fn say(reactor: &mut Reactor, seq: u64, message: Up) -> (Vec<Change>, Vec<Action>) {
    let place = LogPlace { offset: seq * 100, next_seq: seq + 1, torn_lines: 0 };
    let frames = vec![Frame { seq, end: seq * 100, message }];
    let decisions = reactor.step(Event::Frames { worker: WORKER, frames, place }, 1).unwrap();
    (decisions.changes, decisions.actions)
}

fn step(step: u64, metrics: &[(&str, f64)]) -> Up {
    let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Up::Step { attempt: ATTEMPT, step, metrics, items: None }
}

/// A step that was evaluated, with so many answers and losses.
fn evaluated(answers: usize, losses: usize) -> Up {
    let answers = Answers::Classes { classes: vec![1; answers] };
    let items = Some(ItemResults { answers, losses: vec![0.5; losses] });
    Up::Step { attempt: ATTEMPT, step: 1, metrics: vec![("a".into(), 0.5)], items }
}

fn checkpoint(step: u64, directory: &str) -> Up {
    Up::Checkpoint { attempt: ATTEMPT, step, directory: directory.into() }
}

fn ended(step: u64, ending: AttemptEnding, best: Option<&str>, bytes: u64) -> Up {
    let best = best.map(|directory| Best { step, value: 0.5, directory: directory.into() });
    Up::Ended { attempt: ATTEMPT, step, ending, best, peak_memory_bytes: Some(bytes) }
}

#[test]
fn what_cannot_be_is_counted_and_its_worker_killed() {
    let diverged = AttemptEnding::Diverged { step: u64::MAX, quantity: "loss".into() };
    let own = "/home/me/.converge/attempts/5";
    let mut impossible = vec![
        step(11, &[("a", 0.5)]),
        step(u64::MAX, &[("a", 0.5)]),
        step(1, &[("a", 0.5), ("b", 0.5), ("a", 0.25)]),
        step(1, &[("", 0.5)]),
        step(1, &[(&"x".repeat(5000), 0.5)]),
        evaluated(3, 4),
        evaluated(200_000, 200_000),
        checkpoint(11, &format!("{own}/checkpoint-11")),
        ended(11, AttemptEnding::Completed, None, 0),
        ended(10, diverged, None, 0),
        ended(10, AttemptEnding::Completed, None, u64::MAX),
    ];
    for elsewhere in [
        "/etc",
        "",
        "/home/me/.converge",
        "/home/me/.converge/attempts/5",
        "/home/me/.converge/attempts/5/",
        "/home/me/.converge/attempts/50/best",
        "/home/me/.converge/attempts/4/best",
        "/home/me/.converge/attempts/5/../4/best",
        "/home/me/.converge/attempts/5/./best",
        "/home/me/.converge/attempts/5//best",
        "/home/me/.converge/attempts/5/best/..",
        "/home/me/.converge-2/attempts/5/best",
        "attempts/5/best",
        "/home/me/.converge/attempts/5/a\u{1b}[2J",
        "/home/me/.converge/attempts/5/a\nb",
    ] {
        impossible.push(checkpoint(3, elsewhere));
        impossible.push(ended(10, AttemptEnding::Completed, Some(elsewhere), 0));
    }
    impossible.push(checkpoint(3, &format!("{own}/{}", "x".repeat(5000))));
    for message in impossible {
        let mut reactor = busy();
        let (changes, actions) = say(&mut reactor, 2, message.clone());
        let log_read = Change::LogRead { worker: WORKER, offset: 200, next_seq: 3, torn_lines: 0 };
        let stale = Change::StaleFrames { worker: WORKER, count: 1 };
        assert_eq!(changes, [stale, log_read], "{message:?}");
        assert!(actions.contains(&Action::Kill(WORKER)), "{message:?}");
    }
}

#[test]
fn what_can_be_is_taken() {
    let own = "/home/me/.converge/attempts/5";
    for message in [
        step(10, &[("a", f64::NAN), ("b", f64::INFINITY)]),
        step(1, &[]),
        evaluated(3, 3),
        evaluated(0, 0),
        checkpoint(3, &format!("{own}/checkpoint-3")),
        checkpoint(3, &format!("{own}/deep/checkpoint-3")),
        ended(10, AttemptEnding::Completed, Some(&format!("{own}/best")), 1 << 40),
        ended(0, AttemptEnding::Released, None, 0),
    ] {
        let (changes, actions) = say(&mut busy(), 2, message.clone());
        assert!(changes.len() >= 2, "{message:?}");
        let refused = |change: &Change| matches!(change, Change::StaleFrames { .. });
        assert!(!changes.iter().any(refused), "{message:?}");
        assert!(!actions.contains(&Action::Kill(WORKER)));
    }
    let (changes, _) = say(&mut busy(), 2, checkpoint(3, &format!("{own}/checkpoint-3")));
    assert!(changes.iter().any(|change| matches!(change,
        Change::Checkpointed { directory, .. } if directory == "attempts/5/checkpoint-3")));
}
