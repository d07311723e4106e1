//! `cancel` and `pause`: with a scheduler and without, and what is left of the trials.

use std::process::Child;

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

/// Two trials run, four wait, and none ends by itself.
fn endless(sandbox: &Sandbox) -> Child {
    sandbox.write(
        "s.toml",
        format!("{SCRIPTED}[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n"),
    );
    let child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 2);
    child
}

fn stop(mut child: Child) {
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

fn talk(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path().join("talk.log")).unwrap()
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("select number, state from sweep_trials order by number")
}

/// Returns the checkpoints on disk, of all attempts.
fn checkpoints(sandbox: &Sandbox) -> Vec<String> {
    let mut found = Vec::new();
    for attempt in std::fs::read_dir(sandbox.home().join("attempts")).unwrap() {
        for entry in std::fs::read_dir(attempt.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.push(path.strip_prefix(sandbox.home()).unwrap().display().to_string());
            }
        }
    }
    found
}

fn requests(sandbox: &Sandbox) -> usize {
    let Ok(entries) = std::fs::read_dir(sandbox.home().join("requests")) else { return 0 };
    // One that is being written has another name; whoever writes it may be killed in between.
    let is_whole = |name: std::ffi::OsString| !name.to_string_lossy().starts_with('.');
    entries.flatten().filter(|entry| is_whole(entry.file_name())).count()
}

#[test]
fn cancelled_trials_of_a_running_sweep_are_stopped_dropped_and_never_run() {
    let sandbox = Sandbox::new();
    let child = endless(&sandbox);
    let cancel = sandbox.converge(&["cancel", "1", "4-5"]).expect_code(0);
    assert_eq!(cancel.stderr, "trials 1,4-5: cancelled\n");
    assert_eq!(requests(&sandbox), 0);
    assert_eq!(
        sandbox.rows("select ending, failure_class from attempts where trial = 1"),
        ["released|null"]
    );
    assert_eq!(
        sandbox.rows("select resume_step, objective_value from sweep_trials where number = 1"),
        ["null|null"]
    );
    // Its worker goes on with the next.
    sandbox.wait_for("select count(*) from attempts where trial = 3", 1);
    let again = sandbox.converge(&["cancel", "1"]).expect_code(0);
    assert_eq!(again.stderr, "trial 1: cancelled before\n");
    let rest = sandbox.converge(&["cancel", "state=queued", "batch_size=32"]).expect_code(0);
    assert_eq!(rest.stderr, "trial 6: cancelled\n");
    stop(child);
    assert_eq!(
        states(&sandbox),
        ["1|cancelled", "2|queued", "3|queued", "4|cancelled", "5|cancelled", "6|cancelled"]
    );
    assert_eq!(checkpoints(&sandbox).len(), 2, "those of the trials that are to go on");
    assert!(talk(&sandbox).contains("trial 1: cancelled"), "{}", talk(&sandbox));
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    let counts = &status["sweeps"][0]["trials"];
    assert_eq!((&counts["cancelled"], &counts["failed"]), (&4.into(), &0.into()));

    // A resume runs what is left, and that is success.
    sandbox.write("s.toml", format!("{SCRIPTED}[[run.script]]\nsteps = 2000\n"));
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(run.stderr.contains("4 trials were cancelled"), "{}", run.stderr);
    assert_eq!(sandbox.number("select count(*) from attempts where trial in (4, 5, 6)"), Some(0));
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    assert_eq!(best["configurations"].as_array().unwrap().len(), 2, "ranked nowhere: {best}");
    assert!(sandbox.converge(&["show", "1"]).expect_code(0).stdout.contains("cancelled"));
}

#[test]
fn without_a_scheduler_trials_are_cancelled_in_the_database() {
    let sandbox = Sandbox::new();
    stop(endless(&sandbox));
    assert_eq!(checkpoints(&sandbox).len(), 2);
    let cancel = sandbox.converge(&["cancel", "1-3"]).expect_code(0);
    assert_eq!(cancel.stderr, "trials 1-3: cancelled\n");
    assert_eq!(checkpoints(&sandbox), Vec::<String>::new());
    assert_eq!(states(&sandbox)[..3], ["1|cancelled", "2|cancelled", "3|cancelled"]);
    // When nothing is left to do, the sweep is finished.
    sandbox.converge(&["cancel", "state=queued"]).expect_code(0);
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "finished");
    let resume = sandbox.converge(&["resume"]).expect_code(0);
    assert!(resume.stderr.contains("nothing left to do"), "{}", resume.stderr);
    let none = sandbox.converge(&["cancel", "state=queued"]).expect_code(0);
    assert_eq!(none.stderr, "no trial fits: nothing to cancel\n");
}

#[test]
fn trials_that_ended_keep_their_results() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let before = states(&sandbox);
    let cancel = sandbox.converge(&["cancel", "1-2"]).expect_code(0);
    assert_eq!(cancel.stderr, "trials 1-2: completed already, and keep their results\n");
    assert_eq!(states(&sandbox), before);
    for wrong in ["7", "0", "x", "colour=red"] {
        let refused = sandbox.converge(&["cancel", wrong]).expect_code(2);
        assert!(refused.stderr.contains("hint:"), "{}", refused.stderr);
    }
    sandbox.converge(&["cancel"]).expect_code(2);
}

#[test]
fn a_request_outlives_the_scheduler_that_did_not_carry_it_out() {
    let sandbox = Sandbox::new();
    let mut child = endless(&sandbox);
    // A scheduler that is stopped does not answer; the one that asks is killed meanwhile.
    signal(child.id().cast_signed(), Signal::SIGSTOP);
    let mut asking = sandbox.command(&["cancel", "1"]).spawn().unwrap();
    wait("the request is there", || requests(&sandbox) == 1);
    signal(asking.id().cast_signed(), Signal::SIGKILL);
    asking.wait().unwrap();
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    let child = sandbox.start(&["resume"]);
    sandbox
        .wait_for("select count(*) from sweep_trials where number = 1 and state = 'cancelled'", 1);
    wait("the request is gone", || requests(&sandbox) == 0);
    stop(child);
}

#[test]
fn trials_of_another_sweep_of_the_home_are_cancelled_by_the_scheduler_that_runs() {
    let sandbox = Sandbox::new();
    stop(endless(&sandbox));
    let child = sandbox.start(&["run", "s.toml", "--name", "other"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 4);
    let cancel = sandbox.converge(&["cancel", "1-2", "--sweep", "scripted"]).expect_code(0);
    assert_eq!(cancel.stderr, "trials 1-2: cancelled\n");
    let cancelled = "select s.name, t.number from sweep_trials t join sweeps s on s.id = t.sweep \
                     where t.state = 'cancelled' order by t.number";
    assert_eq!(sandbox.rows(cancelled), ["scripted|1", "scripted|2"]);
    stop(child);
}

#[test]
fn a_paused_sweep_gives_the_machine_back_and_goes_on_in_its_own_process() {
    let sandbox = Sandbox::new();
    let mut child = endless(&sandbox);
    let workers = sandbox.worker_pids();
    let pause = sandbox.converge(&["pause"]).expect_code(0);
    assert!(pause.stderr.starts_with("sweep `scripted` is paused"), "{}", pause.stderr);
    assert!(workers.iter().all(|pid| !runs(*pid)), "all workers have left");
    assert!(runs(child.id().cast_signed()), "the scheduler stays");
    assert_eq!(sandbox.rows("select distinct ending from attempts"), ["released"]);
    assert_eq!(checkpoints(&sandbox).len(), 2);
    let state = || {
        let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
        status["sweeps"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "paused");
    assert!(talk(&sandbox).contains("paused: all workers have left"), "{}", talk(&sandbox));
    // Again: it is paused. Another run still finds the home held.
    sandbox.converge(&["pause"]).expect_code(0);
    sandbox.converge(&["run", "s.toml"]).expect_code(2);
    let refused = sandbox.converge(&["resume", "--workers", "1"]).expect_code(2);
    assert!(refused.stderr.contains("keeps its number of workers"), "{}", refused.stderr);

    let resume = sandbox.converge(&["resume"]).expect_code(0);
    assert!(resume.stderr.starts_with("sweep `scripted` goes on"), "{}", resume.stderr);
    sandbox.wait_for("select count(*) from attempts where number = 2 and from_step > 0", 2);
    assert_eq!(state(), "running");
    let held = sandbox.converge(&["resume"]).expect_code(2);
    assert!(held.stderr.contains("another converge is running"), "{}", held.stderr);

    sandbox.converge(&["pause"]).expect_code(0);
    sandbox.converge(&["stop"]).expect_code(0);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert_eq!(state(), "interrupted");
    let nothing = sandbox.converge(&["pause"]).expect_code(0);
    assert!(nothing.stderr.starts_with("nothing runs"), "{}", nothing.stderr);
}

#[test]
fn a_paused_scheduler_that_is_killed_leaves_a_sweep_that_can_be_resumed() {
    let sandbox = Sandbox::new();
    let mut child = endless(&sandbox);
    sandbox.converge(&["pause"]).expect_code(0);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "killed");
    // Another sweep that runs in the home is not what is paused.
    let other = sandbox.start(&["run", "s.toml", "--name", "other"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 4);
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "interrupted");
    sandbox.converge(&["resume", "scripted"]).expect_code(2);
    stop(other);
    let child = sandbox.start(&["resume", "scripted"]);
    sandbox.wait_for("select count(*) from attempts where number = 2", 2);
    stop(child);
}

#[test]
fn stray_signals_do_not_end_a_scheduler() {
    let sandbox = Sandbox::new();
    let child = endless(&sandbox);
    for stray in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGPIPE] {
        signal(child.id().cast_signed(), stray);
    }
    let before = sandbox.number("select count(*) from observations").unwrap();
    sandbox.wait_for("select count(*) from observations", before + 10);
    stop(child);
}
