//! `kill -9` of scheduler or worker at every fail point, one after the other.
//!
//! Points that are passed often are tried the first time, the second, and in the middle: the first worker is the one
//! that prepares, the first commit makes the sweep, the first file is the cache.

use converge_faults::ALL;
use converge_tests::{Sandbox, wait};

use crate::contents::Contents;
use crate::sweep::{
    Plan, RUNGS, fired, go_on, problems, sandbox, sandbox_with, start, undisturbed, undisturbed_in,
};

/// Points with the times at which they are tried besides the first.
const OFTEN: [(&str, &[u64]); 21] = [
    ("store.commit.before", &[2, 3, 4, 5, 6, 7, 8, 10, 14]),
    ("store.commit.after", &[2, 3, 4, 5, 6, 7, 8, 10, 14]),
    ("store.worker.after", &[2]),
    ("worker_folder.before", &[2, 3]),
    ("worker_folder.after", &[2, 3]),
    ("launch.before", &[2]),
    ("launch.after", &[2, 3]),
    ("down_log.before", &[2, 3]),
    ("down_log.half", &[2, 3, 4]),
    ("down_log.after", &[2, 3]),
    ("bell.before", &[2]),
    ("bell.after", &[2, 3]),
    ("housekeeping.half", &[2, 3]),
    ("up_log.opened", &[]),
    ("up_log.before", &[2, 4, 7]),
    ("up_log.half", &[2, 4, 7]),
    ("up_log.after", &[2, 4, 7]),
    ("file.begun", &[2, 4, 5, 6]),
    ("file.renamed", &[2, 4, 5, 6]),
    ("checkpoint.reported", &[3]),
    ("checkpoint.removed", &[2]),
];

/// The points of each test: what their names begin with.
const GROUPS: [&[&str]; 6] = [
    &[
        "home.",
        "store.file.",
        "store.migrate.",
        "store.sweep.",
        "store.worker.",
        "record.",
        "worker_folder.",
    ],
    &["store.commit."],
    &["launch.", "attempt_folder.", "down_log.", "bell."],
    &["housekeeping.", "best.", "checkpoint."],
    &["up_log."],
    &["file.", "link.", "directory."],
];

/// Points that a fresh run does not pass.
const ELSEWHERE: [&str; 4] = ["store.copy.", "recovery.", "pause.", "growth."];

fn begins(point: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| point.starts_with(prefix))
}

/// Kills a process at a point, goes on, and compares; returns everything that is wrong.
pub(crate) fn killed_at(
    sandbox: &Sandbox,
    arguments: &[&str],
    point: &str,
    expected: &Contents,
) -> Vec<String> {
    let mut child = start(sandbox, arguments, &Plan::kill(point));
    let status = child.wait().unwrap();
    if !fired(sandbox).exists() {
        return vec![format!("it is never reached:\n{}", sandbox.talk())];
    }
    // A worker's death is the scheduler's business, and the sweep goes on; but for the one that prepares.
    if !status.success()
        && let Err(error) = go_on(sandbox)
    {
        return vec![error];
    }
    let mut problems = problems(sandbox, expected);
    let again = sandbox.converge(&["resume"]);
    if again.code != Some(0) || !again.stderr.contains("nothing left to do") {
        problems.push(format!("and once more `resume`: {again:?}"));
    }
    wait("workers are gone", || sandbox.processes().is_empty());
    problems
}

/// Tries points one after the other, each in a sandbox of its own; fails with all that is wrong.
fn try_all(points: &[String], expected: &Contents) {
    let mut wrong = Vec::new();
    for point in points {
        let sandbox = sandbox();
        let problems = killed_at(&sandbox, &["run", "kills.toml"], point, expected);
        wrong.extend(problems.iter().map(|problem| format!("killed at `{point}`: {problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn walk(group: usize) {
    let times = |point: &&str| {
        let often = OFTEN.iter().filter(move |(name, _)| name == point);
        let times = often.flat_map(|(_, times)| *times);
        std::iter::once(&1).chain(times).map(|time| format!("{point}:{time}")).collect::<Vec<_>>()
    };
    let points = ALL.iter().filter(|point| begins(point, GROUPS[group]));
    try_all(&points.flat_map(times).collect::<Vec<_>>(), &undisturbed());
}

#[test]
fn a_kill_while_the_sweep_is_made_changes_nothing() {
    walk(0);
}

#[test]
fn a_kill_at_a_commit_changes_nothing() {
    walk(1);
}

#[test]
fn a_kill_between_commit_and_worker_changes_nothing() {
    walk(2);
}

#[test]
fn a_kill_at_a_checkpoint_or_at_its_removal_changes_nothing() {
    walk(3);
}

#[test]
fn a_kill_at_a_frame_changes_nothing() {
    walk(4);
}

#[test]
fn a_kill_at_a_file_changes_nothing() {
    walk(5);
}

#[test]
fn a_kill_at_a_rung_changes_nothing() {
    let expected = undisturbed_in(&sandbox_with(RUNGS));
    let mut wrong = Vec::new();
    for point in [
        "pause.checkpointed:1",
        "pause.checkpointed:2",
        "checkpoint.reported:3",
        "up_log.ended.before:1",
        "up_log.ended.after:2",
        "store.commit.before:8",
        "store.commit.before:12",
        "store.commit.before:14",
        "store.commit.after:10",
        "store.commit.after:14",
        "housekeeping.half:1",
    ] {
        let sandbox = sandbox_with(RUNGS);
        let problems = killed_at(&sandbox, &["run", "kills.toml"], point, &expected);
        wrong.extend(problems.iter().map(|problem| format!("killed at `{point}`: {problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_kill_while_the_dead_are_buried_changes_nothing() {
    let expected = undisturbed();
    for point in ALL.iter().filter(|point| point.starts_with("recovery.")) {
        for time in [1, 2] {
            let sandbox = sandbox();
            // Two workers are at work, and their scheduler dies.
            let mut child =
                start(&sandbox, &["run", "kills.toml"], &Plan::kill("store.commit.after:9"));
            assert!(!child.wait().unwrap().success());
            std::fs::remove_file(fired(&sandbox)).unwrap();
            let point = format!("{point}:{time}");
            let problems = killed_at(&sandbox, &["resume"], &point, &expected);
            assert!(problems.is_empty(), "killed at `{point}`:\n{}", problems.join("\n"));
        }
    }
}

#[test]
fn a_kill_while_a_database_is_upgraded_changes_nothing() {
    let expected = undisturbed();
    let first = repository_file("migrations/0001_sweeps_and_trials.sql");
    for point in ALL.iter().filter(|point| begins(point, &["store.copy.", "store.migrate."])) {
        let sandbox = sandbox();
        std::fs::create_dir_all(sandbox.home()).unwrap();
        let old = rusqlite::Connection::open(sandbox.home().join("sweeps.db")).unwrap();
        old.execute_batch(&first).unwrap();
        old.pragma_update(None, "application_id", 0x436e_7667).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let problems = killed_at(&sandbox, &["run", "kills.toml"], point, &expected);
        assert!(problems.is_empty(), "killed at `{point}`:\n{}", problems.join("\n"));
        let copy = sandbox.home().join("sweeps.db.v1");
        let copy = rusqlite::Connection::open(copy).unwrap();
        let version: i64 = copy.query_row("pragma user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 1, "killed at `{point}`, the copy holds what was before");
    }
}

fn repository_file(name: &str) -> String {
    std::fs::read_to_string(converge_tests::repository().join(name)).unwrap()
}

#[test]
fn every_point_is_walked_by_one_test() {
    for point in ALL {
        let groups = GROUPS.iter().filter(|group| begins(point, group)).count();
        let elsewhere = usize::from(begins(point, &ELSEWHERE));
        assert_eq!(groups + elsewhere, 1, "{point}");
    }
    for (point, _) in OFTEN {
        assert!(ALL.contains(&point), "{point}");
    }
}
