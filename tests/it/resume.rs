//! Killed at any moment and resumed, a sweep ends as if nothing had happened.

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::{SCRIPTED, smoke};

/// Observations that count: wall times differ between any two runs, all else must be equal to the last bit.
const CURVES: &str = "select trial, metric, step, value from curves \
                      where metric <> 'train/seconds' order by trial, metric, step";

/// The smoke sweep, made long enough to be killed in its middle.
const SMOKE: &[&str] = &["sweeps/smoke.toml", "run.checkpoint_seconds=0.05", "run.workers=2"];
/// Draws over the same data; dropout on.
const RANDOM: &str = r#"
[sweep]
name = "random"
method = "random"
[budget]
max_trials = 4
[parameters]
learning_rate = { distribution = "log_uniform_values", min = 1e-3, max = 1e-2 }
batch_size = { values = [4, 8] }
dropout = { min = 0.05, max = 0.3 }
[train]
epochs = 12
evaluations_per_epoch = 1
[model]
preset = "tiny"
[data]
train = "sweeps/smoke.tsv"
validation_fraction = 0.25
[run]
workers = 2
checkpoint_seconds = 0.05
"#;

fn with_arguments<'a>(command: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(command).chain(arguments.iter().copied()).collect()
}

/// Runs a sweep undisturbed and returns what it stored.
fn undisturbed(arguments: &[&str]) -> (Vec<String>, Vec<String>) {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    sandbox.write("random.toml", RANDOM);
    sandbox.converge(&with_arguments("run", arguments)).expect_code(0);
    (sandbox.rows(CURVES), sandbox.rows("select * from best_configuration"))
}

/// Kills the scheduler and every worker when so many observations are stored, resumes, and compares.
fn killed_at(arguments: &[&str], moments: &[i64]) {
    let (curves, best) = undisturbed(arguments);
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    sandbox.write("random.toml", RANDOM);
    let mut child = sandbox.start(&with_arguments("run", arguments));
    for moment in moments {
        let target = curves.len() as i64 * moment / 100;
        sandbox.wait_for("select count(*) from observations", target);
        signal(child.id().cast_signed(), Signal::SIGKILL);
        let workers = sandbox.worker_pids();
        workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
        child.wait().unwrap();
        wait("workers are gone", || workers.iter().all(|pid| !runs(*pid)));
        let open = "select count(*) from sweep_trials where state not in ('completed')";
        assert!(sandbox.number(open).unwrap() > 0, "killed in the middle, not after the end");
        child = sandbox.start(&["resume"]);
    }
    let status = child.wait().unwrap();
    let talk = std::fs::read_to_string(sandbox.path().join("talk.log")).unwrap();
    assert!(status.success(), "{talk}");
    assert_eq!(
        sandbox.rows("select distinct state from sweep_trials"),
        ["completed"],
        "every trial is completed, and none twice"
    );
    let twice =
        "select trial from attempts where ending = 'completed' group by trial having count(*) > 1";
    assert_eq!(sandbox.rows(twice), Vec::<String>::new());
    let endings = "select count(*) from attempts where ending = 'abandoned'";
    assert!(sandbox.number(endings).unwrap() > 0, "something was interrupted");
    assert_eq!(sandbox.rows(CURVES), curves);
    let comparable = |rows: &[String]| {
        rows.iter()
            .map(|row| row.split("attempts/").next().unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(comparable(&sandbox.rows("select * from best_configuration")), comparable(&best));
}

#[test]
fn a_killed_grid_ends_with_the_same_bits() {
    killed_at(SMOKE, &[10, 50, 85]);
}

#[test]
fn a_killed_random_sweep_ends_with_the_same_bits() {
    killed_at(&["random.toml"], &[30, 60]);
}

#[test]
fn a_killed_worker_costs_one_checkpoint_interval_and_not_the_sweep() {
    let (curves, _) = undisturbed(SMOKE);
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let mut child = sandbox.start(&with_arguments("run", SMOKE));
    sandbox.wait_for("select count(*) from observations", curves.len() as i64 / 3);
    let workers = sandbox.worker_pids();
    signal(workers[0], Signal::SIGKILL);
    assert!(child.wait().unwrap().success());
    assert_eq!(sandbox.rows(CURVES), curves);
    let killed = "select count(*) from attempts where failure_class = 'killed'";
    assert_eq!(sandbox.number(killed), Some(1));
}

/// A sweep whose trials last until they are told to stop.
fn endless(sandbox: &Sandbox) {
    sandbox.write(
        "s.toml",
        format!("{SCRIPTED}[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n"),
    );
}

#[test]
fn workers_checkpoint_and_leave_when_their_scheduler_is_killed() {
    let sandbox = Sandbox::new();
    endless(&sandbox);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 2);
    let workers = sandbox.worker_pids();
    assert_eq!(workers.len(), 2);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    wait("workers leave by themselves", || workers.iter().all(|pid| !runs(*pid)));
    // What they wrote after its death is read by the next session, which goes on from their checkpoints.
    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select count(*) from attempts where number = 2", 2);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let released = "select count(*) from attempts where number = 1 and ending = 'released'";
    assert_eq!(sandbox.number(released), Some(2));
    assert_eq!(
        sandbox.number("select count(*) from attempts where number = 2 and from_step = 0"),
        Some(0)
    );
}

#[test]
fn the_first_interrupt_checkpoints_and_the_second_kills() {
    let sandbox = Sandbox::new();
    endless(&sandbox);
    for first in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        let before = sandbox.number("select count(*) from attempts").unwrap_or(0);
        let mut child = sandbox.start(&["run", "s.toml"]);
        sandbox.wait_for("select count(distinct attempt) from observations", before + 2);
        signal(child.id().cast_signed(), first);
        assert_eq!(child.wait().unwrap().code(), Some(4), "{first}");
        assert_eq!(
            sandbox.number("select count(*) from sweep_trials where state = 'running'"),
            Some(0)
        );
    }
    let talk = std::fs::read_to_string(sandbox.path().join("talk.log")).unwrap();
    assert!(talk.contains("go on with `converge resume scripted`"), "{talk}");
    assert_eq!(sandbox.rows("select distinct ending from attempts"), ["released"]);

    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select count(*) from attempts where ending is null", 2);
    // Workers that are stopped cannot checkpoint: only the second interrupt gets rid of them.
    sandbox.worker_pids().iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
    signal(child.id().cast_signed(), Signal::SIGINT);
    wait("the first interrupt is told", || {
        std::fs::read_to_string(sandbox.path().join("talk.log")).unwrap().contains("Ctrl-C again")
    });
    signal(child.id().cast_signed(), Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.number("select count(*) from attempts where ending = 'abandoned'"), Some(2));
    assert_eq!(
        sandbox.number("select count(*) from attempts where failure_class is not null"),
        Some(0)
    );
}

#[test]
fn stop_is_the_first_interrupt_from_another_terminal() {
    let sandbox = Sandbox::new();
    endless(&sandbox);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(*) from observations", 4);
    let stop = sandbox.converge(&["stop"]).expect_code(0);
    assert!(stop.stderr.contains("stopped"), "{}", stop.stderr);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(sandbox.converge(&["stop"]).expect_code(0).stderr.contains("nothing runs"));
}
