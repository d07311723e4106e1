//! `resume` as a plan: what it would do, and failed trials that are tried again.

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

/// One of each: completed, failed (data), failed (killed, six times), diverged, completed after a panic.
const ENDS: &str = r#"
[[run.script]]
when = { learning_rate = 1e-5, batch_size = 16 }
end = "panic"
at_step = 4
attempts = 1
[[run.script]]
when = { learning_rate = 1e-4, batch_size = 16 }
end = "data"
at_step = 3
attempts = 1
[[run.script]]
when = { learning_rate = 1e-4 }
end = "kill"
at_step = 5
attempts = 6
[[run.script]]
when = { learning_rate = 1e-3, batch_size = 16 }
end = "diverge"
at_step = 2
"#;

const STATES: &str = "select number, state, (select count(*) from attempts a where a.trial = t.id) \
                      from sweep_trials t order by number";

/// Returns the database's bytes, and the names and sizes of all files of the home.
fn home(sandbox: &Sandbox) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![sandbox.home()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().ends_with("-shm") {
                // SQLite's index of the log is a reader's as much as the writer's.
                let bytes = std::fs::read(&path).unwrap();
                let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
                files.push(format!("{} {} {sum}", path.display(), bytes.len()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn failed_trials_are_queued_again_by_class_and_a_finished_sweep_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", format!("{SCRIPTED}{ENDS}"));
    sandbox.converge(&["run", "s.toml"]).expect_code(3);
    let ended = [
        "1|completed|2",
        "2|completed|1",
        "3|failed|1",
        "4|failed|6",
        "5|diverged|1",
        "6|completed|1",
    ];
    assert_eq!(sandbox.rows(STATES), ended);

    let unknown =
        sandbox.converge(&["resume", "--retry", "oom,lost,diverged"]).expect_code(2).stderr;
    assert!(unknown.contains("`lost` names no trials that can be retried"), "{unknown}");
    assert!(unknown.contains("failed, cancelled, all, oom, panic, killed"), "{unknown}");
    assert!(unknown.contains("diverged is a result"), "{unknown}");

    let before = home(&sandbox);
    let dry = sandbox.converge(&["resume", "--dry-run"]).expect_code(0).stdout;
    assert!(dry.contains("nothing left to do"), "{dry}");
    assert!(dry.contains("skipped  3 completed"), "{dry}");
    assert!(dry.contains("skipped  1 diverged"), "{dry}");
    assert!(dry.contains("1 failed, data: trial 3 (once); `--retry data`"), "{dry}");
    assert!(dry.contains("1 failed, killed: trial 4 (6 times); `--retry killed`"), "{dry}");
    let dry = sandbox
        .converge(&["resume", "--dry-run", "--retry", "killed", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(
        dry["counts"],
        serde_json::json!({ "continue": 0, "start": 0, "retry": 1, "skip": 5, "wait": 0 })
    );
    assert_eq!(dry["trials"][3]["action"], "retry");
    assert_eq!(dry["trials"][3]["failures"]["killed"], 6);
    assert_eq!(dry["trials"][2]["why"], "failed: data, once");
    assert_eq!(dry["command"], "converge resume scripted --retry killed");
    assert_eq!(home(&sandbox), before, "a dry run changes nothing");

    // Of the class that was named, and of no other.
    let one = sandbox.converge(&["resume", "--retry", "killed"]).expect_code(3);
    assert!(one.stderr.contains("1 trial queued again (`killed`)"), "{}", one.stderr);
    let ended = [
        "1|completed|2",
        "2|completed|1",
        "3|failed|1",
        "4|completed|7",
        "5|diverged|1",
        "6|completed|1",
    ];
    assert_eq!(sandbox.rows(STATES), ended);
    let none = sandbox.converge(&["resume", "--retry", "oom"]).expect_code(3).stderr;
    assert!(
        none.contains("0 trials queued again") && none.contains("nothing left to do"),
        "{none}"
    );
    sandbox.converge(&["resume", "scripted", "--retry", "all"]).expect_code(0);
    assert_eq!(sandbox.rows(STATES)[2], "3|completed|2");
    let curve = "select count(*), min(step), max(step) from curves where trial = 3 and metric = 'train/loss'";
    assert_eq!(sandbox.rows(curve), ["10|1|10"], "the failed attempt's steps do not count twice");
}

#[test]
fn a_forgiven_trial_has_all_its_retries_again() {
    let sandbox = Sandbox::new();
    let script = "[[run.script]]\nwhen = { learning_rate = 1e-4, batch_size = 16 }\nend = \"kill\"\nat_step = 5\n";
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
    sandbox.converge(&["run", "s.toml"]).expect_code(3);
    assert_eq!(sandbox.rows(STATES)[2], "3|failed|6");
    sandbox.converge(&["resume", "--retry", "failed"]).expect_code(3);
    assert_eq!(sandbox.rows(STATES)[2], "3|failed|12");
}

/// Trials that take a while, with a checkpoint every ten steps.
fn slow(sandbox: &Sandbox) {
    let script = "[[run.script]]\nsteps = 100000\nstep_milliseconds = 4\ncheckpoint_every = 10\n";
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
}

#[test]
fn a_dry_run_reads_what_a_dead_scheduler_left_unread_and_changes_nothing() {
    let sandbox = Sandbox::new();
    slow(&sandbox);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from checkpoints", 2);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    let workers = sandbox.worker_pids();
    wait("workers leave by themselves", || workers.iter().all(|pid| !runs(*pid)));

    let stored = "select max(step) from checkpoints";
    let unread = sandbox.number(stored).unwrap();
    let before = home(&sandbox);
    let text = sandbox.converge(&["resume", "--dry-run"]).expect_code(0).stdout;
    assert!(
        text.contains("6 trials, 6 to do, after reading what the last session left (2 workers)"),
        "{text}"
    );
    let dry = sandbox.converge(&["resume", "--dry-run", "--json"]).expect_code(0).json();
    assert_eq!(home(&sandbox), before, "not a byte of the home has changed");
    assert_eq!(dry["left_behind_workers"], 2);
    assert_eq!(
        dry["counts"],
        serde_json::json!({ "continue": 2, "start": 4, "retry": 0, "skip": 0, "wait": 0 })
    );
    let promised: Vec<u64> = dry["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["from_step"].as_u64().unwrap())
        .collect();
    assert!(promised[..2].iter().all(|step| *step > 0), "{promised:?}");
    assert_eq!(&promised[2..], [0; 4]);
    assert!(promised[..2].iter().max().unwrap().cast_signed() >= unread, "{promised:?} {unread}");

    // And so it happens.
    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select count(*) from attempts where number = 2", 2);
    let from = "select from_step from attempts where number = 2 order by trial";
    let from: Vec<u64> = sandbox.rows(from).iter().map(|step| step.parse().unwrap()).collect();
    assert_eq!(from, promised[..2]);

    // Nobody has to stop for a look.
    let beside = sandbox.converge(&["resume", "--dry-run", "--json"]).expect_code(0);
    assert!(beside.stderr.contains(&format!("pid {}", child.id())), "{}", beside.stderr);
    assert_eq!(beside.json()["counts"]["skip"], 0);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_dry_run_without_a_sweep_is_an_error_with_a_hint() {
    let sandbox = Sandbox::new();
    let refused = sandbox.converge(&["resume", "--dry-run"]).expect_code(2).stderr;
    assert!(refused.contains("hint:"), "{refused}");
    sandbox.converge(&["resume", "--json"]).expect_code(2);
}
