//! Budgets are totals for a sweep's life: reached, they stop it, say so, and are raised without losing anything.

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

/// Six trials of 40 steps; a step takes a few milliseconds.
fn scripted(sandbox: &Sandbox, milliseconds: u64) {
    let script = format!("[[run.script]]\nsteps = 40\nstep_milliseconds = {milliseconds}\n");
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
}

const STEPS: &str = "select sum(last_step - from_step) from attempts";

#[test]
fn a_step_budget_stops_the_sweep_and_a_larger_one_goes_on() {
    let sandbox = Sandbox::new();
    scripted(&sandbox, 2);
    let first = sandbox.converge(&["run", "s.toml", "budget.max_steps=100"]).expect_code(4);
    assert!(first.stderr.contains("the budget `max_steps` is used up"), "{}", first.stderr);
    let path = sandbox.path().canonicalize().unwrap().join("s.toml");
    let command =
        format!("raise it to go on: `converge run {} budget.max_steps=200`", path.display());
    assert!(first.stderr.contains(&command), "{}", first.stderr);
    let used = sandbox.number(STEPS).unwrap();
    assert!((100..=240).contains(&used), "{used}");
    assert_eq!(
        sandbox.number("select count(*) from sweep_trials where state = 'running'"),
        Some(0)
    );

    // Again with the same budget: said at once, and nothing is leased.
    let attempts = sandbox.number("select count(*) from attempts");
    let second = sandbox.converge(&["resume"]).expect_code(4);
    assert!(
        second.stderr.contains("is used up") && second.stderr.contains("trials left"),
        "{}",
        second.stderr
    );
    sandbox.converge(&["run", "s.toml", "budget.max_steps=90"]).expect_code(4);
    assert_eq!(sandbox.number("select count(*) from attempts"), attempts);

    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["budget"]["max_steps"], 90);
    assert_eq!(status["sweeps"][0]["budget"]["used_steps"], used);
    let shown = sandbox.converge(&["status"]).expect_code(0).stdout;
    assert!(shown.contains(&format!("scripted budget: max_steps 90, {used} used")), "{shown}");
    let plan = sandbox.converge(&["plan", "s.toml", "budget.max_steps=300"]).expect_code(0).stdout;
    assert!(plan.contains(&format!("budget      max_steps 300, {used} used")), "{plan}");

    // Totals, not "so many more": what was done counts, and the sweep ends within the new one.
    sandbox.converge(&["run", "s.toml", "budget.max_steps=1000"]).expect_code(0);
    assert_eq!(sandbox.rows("select distinct state from sweep_trials"), ["completed"]);
    assert_eq!(sandbox.number(STEPS), Some(240), "nothing was done twice");
}

#[test]
fn a_wall_budget_counts_sessions_and_those_that_were_killed() {
    let sandbox = Sandbox::new();
    scripted(&sandbox, 100);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select max(step) from observations", 10);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    let workers = sandbox.worker_pids();
    wait("workers leave by themselves", || workers.iter().all(|pid| !runs(*pid)));
    let used = |sandbox: &Sandbox| {
        let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
        status["sweeps"][0]["budget"]["used_wall_seconds"].as_f64().unwrap()
    };
    // Ten steps of a tenth of a second were seen, and nobody has written the session's end.
    let before = used(&sandbox);
    assert!((1.0..60.0).contains(&before), "{before}");

    // What the killed session used is gone for the total.
    let limit = before.ceil() as u64 + 1;
    let budget = format!("budget.max_wall={limit}s");
    let second = sandbox.converge(&["run", "s.toml", &budget]).expect_code(4);
    assert!(second.stderr.contains("the budget `max_wall` is used up"), "{}", second.stderr);
    assert!(second.stderr.contains("raise it to go on: `converge run"), "{}", second.stderr);
    assert_eq!(sandbox.rows("select exit from sessions order by id"), ["killed", "interrupted"]);
    assert!(used(&sandbox) >= limit as f64);
    let first = sandbox.number("select ended_at_ms - started_at_ms from sessions where id = 1");
    assert!((first.unwrap() as f64 / 1000.0 - before).abs() < 0.001, "{first:?} {before}");
    let sessions = sandbox.number("select count(*) from sessions");
    let third = sandbox.converge(&["resume"]).expect_code(4);
    assert!(third.stderr.contains("is used up"), "{}", third.stderr);
    assert_eq!(sandbox.number("select count(*) from sessions"), sessions, "no session was opened");
}

#[test]
fn budgets_that_are_none_are_told_with_their_place() {
    let sandbox = Sandbox::new();
    let text = format!("{SCRIPTED}[budget]\nmax_wall = 90\nmax_steps = 0\nmax_hours = 3\n");
    sandbox.write("s.toml", text);
    let refused = sandbox.converge(&["plan", "s.toml"]).expect_code(2).stderr;
    for expected in [
        "s.toml:15: [budget] `max_wall`: expected a length of time such as \"8h\" or \"90m\", found 90",
        "s.toml:16: [budget] `max_steps`: expected a whole number of 1 or more, found 0",
        "s.toml:17: [budget]: unknown key `max_hours`",
    ] {
        assert!(refused.contains(expected), "{refused}");
    }
}
