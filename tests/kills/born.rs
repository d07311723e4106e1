//! A second process in a worker's folder, as a cluster's scheduler may start one: a log has one writer for ever.

use std::process::{Command, Stdio};

use converge_faults::Mutant;
use converge_tests::{Sandbox, binary, signal, wait};
use nix::sys::signal::Signal;

use crate::contents::log_violations;

const ENDLESS: &str = r#"
[sweep]
name = "born"
[parameters]
learning_rate = { values = [1e-5] }
[model]
preset = "tiny"
[data]
train = "none.tsv"
[run]
device = "scripted"
workers = 1
[[run.script]]
steps = 100000
step_milliseconds = 5
"#;

/// Starts a worker, and another one in its folder; returns what is wrong with its log afterwards.
fn launched_twice(mutant: Option<Mutant>) -> Vec<String> {
    let sandbox = Sandbox::new();
    sandbox.write("born.toml", ENDLESS);
    let mut scheduler = sandbox.start(&["run", "born.toml"]);
    sandbox.wait_for("select count(*) from observations", 20);
    let folder = sandbox.home().join(&sandbox.rows("select directory from workers")[0]);
    let mut second = Command::new(binary());
    second.args(["worker", "--device", "scripted", "--threads", "1", "--directory"]).arg(&folder);
    second.current_dir(&folder).env("CONVERGE_HOME", sandbox.home()).env_remove("CONVERGE_LOG");
    second.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(mutant) = mutant {
        second.env("CONVERGE_MUTANT", mutant.word());
    }
    let mut second = second.spawn().unwrap();
    let log = folder.join("up.log");
    let mut status = None;
    wait("the second one leaves, or writes", || {
        status = second.try_wait().unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        status.is_some() || text.matches(r#""type":"born""#).count() > 1
    });
    // The first one goes on as if nothing had been.
    let steps = sandbox.number("select count(distinct step) from observations").unwrap();
    if status.is_some_and(|status| !status.success()) {
        sandbox.wait_for("select count(distinct step) from observations", steps + 20);
    }
    signal(scheduler.id().cast_signed(), Signal::SIGTERM);
    let ended = scheduler.wait().unwrap();
    sandbox.kill_all();
    second.wait().unwrap();
    let mut found = log_violations(&sandbox);
    if ended.code() != Some(4) {
        found.push(format!("the scheduler ended with {ended}"));
    }
    if status.is_none_or(|status| status.success()) {
        found.push("the second worker did not refuse".into());
    }
    found
}

#[test]
fn a_worker_does_not_begin_where_another_has_written() {
    assert_eq!(launched_twice(None), Vec::<String>::new());
}

#[test]
fn a_worker_that_begins_all_the_same_is_noticed() {
    let found = launched_twice(Some(Mutant::NoBornCheck)).join("\n");
    assert!(found.contains("born more than once") || found.contains("repeated frames"), "{found}");
}
