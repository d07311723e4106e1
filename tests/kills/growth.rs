//! `kill -9` where a sweep gets trials: it gets the same ones, once.

use crate::sweep::{growing, sandbox_of, undisturbed_of};
use crate::walk::killed_at;

/// Before a value is looked up, in the transaction that adds trials, and around the commits after the first ones.
const POINTS: [&str; 12] = [
    "growth.before",
    "growth.before:3",
    "growth.before:7",
    "record.written:2",
    "record.renamed:2",
    "store.commit.before:12",
    "store.commit.after:12",
    "store.commit.before:18",
    "store.commit.after:18",
    "store.commit.after:22",
    "store.commit.after:26",
    "up_log.after:30",
];

#[test]
fn a_kill_while_a_sweep_grows_changes_nothing() {
    let sweep = growing();
    let expected = undisturbed_of(&sweep);
    let mut wrong = Vec::new();
    for point in POINTS {
        let sandbox = sandbox_of(&sweep);
        let problems = killed_at(&sandbox, &["run", "kills.toml"], point, &expected);
        wrong.extend(problems.iter().map(|problem| format!("killed at `{point}`: {problem}")));
        let added = sandbox.number("select count(*) from sweep_trials where replicate = 1");
        assert!(added > Some(1), "killed at `{point}`: {added:?} seeds were added");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
