//! The sweep that is disturbed: a tiny BERT, three trials of five steps, a checkpoint after each step.

use std::process::{Child, ExitStatus};

use converge_faults::{Mutant, ONCE_VARIABLE, POINT_VARIABLE, SIGNAL_VARIABLE, disk};
use converge_tests::{Sandbox, repository, wait};

use crate::contents::Contents;

const SWEEP: &str = r#"
[sweep]
name = "kills"
seed = 7
[parameters]
learning_rate = { values = [1e-3, 5e-3, 2e-2] }
[train]
batch_size = 8
epochs = 1
evaluations_per_epoch = 2
[model]
preset = "tiny"
[data]
train = "sweeps/smoke.tsv"
validation_fraction = 0.25
[run]
workers = 2
keep_best = 1
checkpoint_seconds = 0
"#;

/// More of it: trials pause in the middle, and one of the three is stopped there.
pub(crate) const RUNGS: &str = r#"
[early_stop]
type = "top_k"
first = 0.5
keep = 2
ties = false
"#;

/// What happens to a run, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// `NAME` or `NAME:N`.
    pub(crate) point: &'a str,
    /// One or more signals; `kill -9` where there is none.
    pub(crate) signals: &'a str,
    pub(crate) mutant: Option<Mutant>,
}

impl<'a> Plan<'a> {
    /// `kill -9`.
    pub(crate) fn kill(point: &'a str) -> Self {
        Self { point, signals: "SIGKILL", mutant: None }
    }
}

/// Makes a sandbox with the sweep and its data.
pub(crate) fn sandbox() -> Sandbox {
    sandbox_of(SWEEP)
}

/// The same, with more in the sweep.
pub(crate) fn sandbox_with(more: &str) -> Sandbox {
    sandbox_of(&format!("{SWEEP}{more}"))
}

/// The sweep as one that grows: its configurations are tied, and it has the defaults beside it.
pub(crate) fn growing() -> String {
    SWEEP.replace("seed = 7", "seed = 7\nracing = true\nmax_replicates = 2\nbaseline = true")
}

/// The same for another sweep.
pub(crate) fn sandbox_of(sweep: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("kills.toml", sweep);
    let data = std::fs::read(repository().join("sweeps/smoke.tsv")).unwrap();
    sandbox.write("sweeps/smoke.tsv", data);
    sandbox
}

/// Runs the sweep undisturbed.
pub(crate) fn undisturbed() -> Contents {
    undisturbed_in(&sandbox())
}

/// The same for another sweep.
pub(crate) fn undisturbed_of(sweep: &str) -> Contents {
    undisturbed_in(&sandbox_of(sweep))
}

/// The same in a sandbox of its own.
pub(crate) fn undisturbed_in(sandbox: &Sandbox) -> Contents {
    sandbox.converge(&["run", "kills.toml"]).expect_code(0);
    let contents = Contents::of(sandbox);
    assert_eq!(contents.violations(sandbox), Vec::<String>::new());
    contents
}

/// Starts a command with a plan for it.
pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str], plan: &Plan<'_>) -> Child {
    let mut command = sandbox.command(arguments);
    command
        .env(POINT_VARIABLE, plan.point)
        .env(ONCE_VARIABLE, fired(sandbox))
        .env(SIGNAL_VARIABLE, plan.signals)
        .env(disk::JOURNAL_VARIABLE, journal(sandbox));
    if let Some(mutant) = plan.mutant {
        command.env("CONVERGE_MUTANT", mutant.word());
    }
    sandbox.spawn(&mut command)
}

/// Returns the file that whoever reaches the point makes; it holds the pid.
pub(crate) fn fired(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.path().join("fired")
}

/// Returns the journal of the disk.
pub(crate) fn journal(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.path().join("disk.journal")
}

/// Waits until a command has ended or its point was reached; returns how it ended, if it did.
pub(crate) fn until_fired(sandbox: &Sandbox, child: &mut Child) -> Option<ExitStatus> {
    let mut ended = None;
    wait("the point is reached or the command ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some() || fired(sandbox).exists()
    });
    ended
}

/// Goes on as a user would: `resume` where there is a sweep, the same `run` where there is none yet. It has to end well
/// the first time.
pub(crate) fn go_on(sandbox: &Sandbox) -> Result<(), String> {
    let sweep = sandbox.number("select count(*) from sweeps").unwrap_or(0);
    let arguments: &[&str] = if sweep > 0 { &["resume"] } else { &["run", "kills.toml"] };
    let output = sandbox.converge(arguments);
    if output.code == Some(0) {
        return Ok(());
    }
    Err(format!("`{}` ended with {:?}:\n{}", arguments[0], output.code, output.stderr))
}

/// Compares what is there with an undisturbed run; returns everything that is wrong.
pub(crate) fn problems(sandbox: &Sandbox, expected: &Contents) -> Vec<String> {
    let contents = Contents::of(sandbox);
    let mut problems = contents.differences(expected);
    problems.extend(contents.violations(sandbox));
    problems
}
