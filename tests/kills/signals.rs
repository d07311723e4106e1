//! Every signal at every moment: the process sends it to itself at a fail point, so that it comes exactly there.

use std::process::ExitStatus;

use converge_faults::ALL;
use converge_tests::{signal, wait};
use nix::sys::signal::Signal;

use crate::contents::Contents;
use crate::sweep::{Plan, fired, go_on, problems, sandbox, start, undisturbed};

/// Points of the scheduler before it listens: there it dies of the signal, and nothing has begun.
const DEAF: [&str; 3] = ["home.", "store.file.", "store.migrate."];

fn points(prefixes: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    // Half a write followed by the whole one is nothing that happens.
    let named = |point: &&&str| {
        prefixes.iter().any(|prefix| point.starts_with(prefix)) && !point.ends_with(".half")
    };
    ALL.iter().filter(named).copied()
}

/// Sends the scheduler signals at a point; returns how it ended, and goes on.
fn interrupted_at(point: &str, signals: &str, expected: &Contents) -> ExitStatus {
    let sandbox = sandbox();
    let plan = Plan { point, signals, mutant: None };
    let status = start(&sandbox, &["run", "kills.toml"], &plan).wait().unwrap();
    assert!(fired(&sandbox).exists(), "`{point}` is never reached:\n{}", sandbox.talk());
    wait("workers are gone", || sandbox.processes().is_empty());
    let running = sandbox.number("select count(*) from attempts where ending is null");
    assert!(status.code().is_none() || running.is_none_or(|running| running == 0), "{running:?}");
    let charged = sandbox.number("select count(*) from attempts where failure_class is not null");
    assert!(
        charged.is_none_or(|charged| charged == 0),
        "{signals} at `{point}` charges {charged:?}"
    );
    go_on(&sandbox).unwrap_or_else(|error| panic!("{signals} at `{point}`: {error}"));
    let problems = problems(&sandbox, expected);
    assert!(problems.is_empty(), "{signals} at `{point}`:\n{}", problems.join("\n"));
    status
}

#[test]
fn one_signal_to_the_scheduler_is_an_interrupt_wherever_it_comes() {
    let expected = undisturbed();
    let kinds = ["SIGINT", "SIGTERM", "SIGHUP"];
    let moments = points(&["home.", "store.", "worker_folder.", "launch.", "down_log.", "bell."])
        .filter(|point| !point.starts_with("store.copy."))
        .chain(["store.commit.after:4", "store.commit.after:9", "down_log.after:2", "bell.after:3"])
        .chain(["launch.after:2", "worker_folder.after:3", "attempt_folder.cleared"]);
    for (point, kind) in moments.zip(kinds.into_iter().cycle()) {
        let deaf = DEAF.iter().any(|deaf| point.starts_with(deaf));
        // The two others are ignored there if whoever started the tests ignores them.
        let kind = if deaf { "SIGTERM" } else { kind };
        let status = interrupted_at(point, kind, &expected);
        assert_eq!(status.code(), (!deaf).then_some(4), "{kind} at `{point}`");
    }
}

#[test]
fn a_second_signal_to_the_scheduler_kills_the_workers_wherever_it_comes() {
    let expected = undisturbed();
    let pairs = ["SIGINT SIGTERM", "SIGHUP SIGINT", "SIGTERM SIGHUP"];
    let moments = ["launch.after:2", "attempt_folder.cleared", "down_log.after:2", "bell.after:3"];
    let moments = moments.into_iter().chain(["store.commit.after:9", "worker_folder.after:3"]);
    for (point, pair) in moments.zip(pairs.into_iter().cycle()) {
        let status = interrupted_at(point, pair, &expected);
        assert_eq!(status.code(), Some(130), "{pair} at `{point}`");
    }
}

/// An interrupt that comes when the last trial has ended has nothing to interrupt.
#[test]
fn a_signal_after_the_last_trial_does_not_make_the_sweep_unfinished() {
    let expected = undisturbed();
    for point in ["housekeeping.after:3", "housekeeping.before:3"] {
        let sandbox = sandbox();
        let plan = Plan { point, signals: "SIGINT", mutant: None };
        let status = start(&sandbox, &["run", "kills.toml"], &plan).wait().unwrap();
        assert!(fired(&sandbox).exists(), "`{point}` is never reached:\n{}", sandbox.talk());
        assert_eq!(status.code(), Some(0), "at `{point}`:\n{}", sandbox.talk());
        assert_eq!(problems(&sandbox, &expected), Vec::<String>::new(), "at `{point}`");
    }
}

/// Sends a worker signals at a point, and lets it go on if it was stopped; the run has to end by itself.
fn worker_signalled_at(point: &str, signals: &str, expected: &Contents) {
    let sandbox = sandbox();
    let plan = Plan { point, signals, mutant: None };
    let mut child = start(&sandbox, &["run", "kills.toml"], &plan);
    let mut ended = None;
    wait("the run ends", || {
        if signals == "SIGSTOP"
            && let Some(pid) =
                std::fs::read_to_string(fired(&sandbox)).ok().and_then(|pid| pid.parse().ok())
        {
            signal(pid, Signal::SIGCONT);
        }
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert!(fired(&sandbox).exists(), "`{point}` is never reached:\n{}", sandbox.talk());
    let talk = sandbox.talk();
    assert_eq!(ended.unwrap().code(), Some(0), "{signals} at `{point}`:\n{talk}");
    // A worker that is told to leave may be leased a trial while it says goodbye: nobody's fault.
    let charged =
        sandbox.rows("select failure_message from attempts where failure_class is not null");
    assert_eq!(charged, Vec::<String>::new(), "{signals} at `{point}`");
    let problems = problems(&sandbox, expected);
    assert!(problems.is_empty(), "{signals} at `{point}`:\n{}", problems.join("\n"));
}

#[test]
fn signals_to_a_worker_cost_nothing_wherever_they_come() {
    let expected = undisturbed();
    let training = &["attempt_folder.made", "checkpoint.", "best.", "directory.", "up_log.ended."];
    // Of these the first come in the worker that prepares, which has nothing to go back to.
    let later = ["up_log.before:4", "up_log.after:4", "up_log.rung:4", "file.renamed:4"];
    let moments = points(training).chain(later);
    for (point, kind) in
        moments.zip(["SIGTERM", "SIGSTOP", "SIGINT", "SIGTERM", "SIGHUP"].into_iter().cycle())
    {
        worker_signalled_at(point, kind, &expected);
    }
}
