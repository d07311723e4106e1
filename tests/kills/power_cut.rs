//! Power cuts: whatever was not synced is taken away, as `crates/faults/src/disk.rs` says, and then the run goes on.
//!
//! Workers' logs and the database's log are not synced with each frame and each commit, so one can be older than the
//! other: each is taken back alone as well.

use std::path::Path;

use converge_faults::{ALL, Mutant, disk};

use crate::contents::Contents;
use crate::sweep::{Plan, fired, go_on, journal, sandbox, start, undisturbed, until_fired};

/// What is lost besides files that had to be synced.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    /// All that is not synced.
    Everything,
    /// The database's last transactions; the workers' logs are whole: they are read again.
    Transactions,
    /// The workers' last frames; the database is whole: its offsets lie behind the ends of the logs.
    Frames,
}

impl Lost {
    const ALL: [Self; 3] = [Self::Everything, Self::Transactions, Self::Frames];

    fn spares(self, path: &Path) -> bool {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let is_database = path.ends_with("sweeps.db-wal");
        match self {
            Self::Everything => false,
            Self::Transactions => is_log,
            Self::Frames => is_database,
        }
    }
}

/// Cuts the power at a point, goes on, and returns what is wrong afterwards.
fn cut_at(plan: &Plan<'_>, lost: Lost, expected: &Contents) -> Vec<String> {
    let sandbox = sandbox();
    let mut child = start(&sandbox, &["run", "kills.toml"], plan);
    until_fired(&sandbox, &mut child);
    if !fired(&sandbox).exists() {
        return vec![format!("it is never reached:\n{}", sandbox.talk())];
    }
    sandbox.kill_all();
    child.wait().unwrap();
    disk::cut(&journal(&sandbox), &sandbox.home(), &|path| lost.spares(path)).unwrap();
    if let Err(error) = go_on(&sandbox) {
        return vec![error];
    }
    // The logs of before the cut are not what they were.
    let mut contents = Contents::of(&sandbox);
    contents.with_logs = false;
    let mut problems = contents.differences(expected);
    problems.extend(contents.violations(&sandbox));
    problems
}

fn walk(lost: Lost, points: impl IntoIterator<Item = &'static str>) {
    let expected = undisturbed();
    let mut wrong = Vec::new();
    for point in points {
        let problems = cut_at(&Plan::kill(point), lost, &expected);
        wrong.extend(
            problems.iter().map(|problem| format!("cut at `{point}`, {lost:?}: {problem}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn beginning_with(prefixes: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    let named = |point: &&&str| prefixes.iter().any(|prefix| point.starts_with(prefix));
    ALL.iter().filter(named).copied()
}

#[test]
fn a_power_cut_in_the_scheduler_costs_time_and_nothing_else() {
    let early = beginning_with(&["home.after", "store.file.", "store.migrate.", "store.sweep."]);
    let late = beginning_with(&["store.worker.", "launch.", "down_log.", "housekeeping."]);
    let commits = ["store.commit.after:6", "store.commit.after:9", "store.commit.after:14"];
    walk(Lost::Everything, early.chain(late).chain(commits));
}

#[test]
fn a_power_cut_in_a_worker_costs_time_and_nothing_else() {
    let at_the_end = beginning_with(&["up_log.ended.", "best."]);
    let files = ["file.begun:3", "file.written:4", "file.renamed:5", "link.made", "link.renamed"];
    walk(Lost::Everything, beginning_with(&["checkpoint."]).chain(at_the_end).chain(files));
}

#[test]
fn database_and_logs_may_be_of_different_age() {
    for lost in [Lost::Transactions, Lost::Frames] {
        let points = ["store.commit.after:9", "checkpoint.removed", "up_log.ended.after"];
        walk(lost, points.into_iter().chain(["housekeeping.half", "checkpoint.reported:2"]));
    }
}

#[test]
fn a_checkpoint_that_has_its_name_before_its_content_is_noticed() {
    let expected = undisturbed();
    let caught = |mutant| {
        let plan = Plan { mutant, ..Plan::kill("checkpoint.reported") };
        let cuts = Lost::ALL.map(|lost| cut_at(&plan, lost, &expected));
        cuts.into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(caught(None), Vec::<String>::new());
    let found = caught(Some(Mutant::RenameBeforeSync)).join("\n");
    assert!(found.contains("checkpoint"), "the mutant is caught by what a user would see: {found}");
}
