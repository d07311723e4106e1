//! One scheduler to a home; homes that are read-only, full, or from a newer version.

use std::process::Command;

use converge_tests::{Output, Sandbox, binary, signal};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

#[test]
fn a_second_run_says_who_holds_the_home() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!("{SCRIPTED}[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n"),
    );
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(*) from observations", 1);
    let second = sandbox.converge(&["run", "s.toml"]).expect_code(2);
    let expected = format!("pid {}", child.id());
    assert!(second.stderr.contains(&expected), "{}", second.stderr);
    assert!(second.stderr.contains("hint: wait for it"), "{}", second.stderr);
    // Reading goes on meanwhile.
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "running");
    assert_eq!(status["scheduler_pid"], child.id());
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let path = sandbox.home().join("sweeps.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 9_999).unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    for command in [&["run", "s.toml"][..], &["resume"], &["best"], &["status"]] {
        let refused = sandbox.converge(command).expect_code(2);
        assert!(
            refused.stderr.contains("9999") && refused.stderr.contains("newer"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Runs a script as root of a mount namespace of its own; none where this machine does not allow that.
#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn in_namespace(sandbox: &Sandbox, script: &str) -> Option<Output> {
    let probe = Command::new("unshare").args(["-rm", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("skipped: this machine allows no mount namespaces (unshare -rm)");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "bash", "-euc", script]).current_dir(sandbox.path());
    command
        .env("CONVERGE", binary())
        .env("COLUMNS", "100")
        .env("CONVERGE_HOME", sandbox.home())
        .env_remove("CONVERGE_LOG");
    Some(Output::of(&mut command))
}

#[test]
fn a_read_only_home_can_be_read_and_not_run() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let expected = sandbox.converge(&["best"]).expect_code(0).stdout;
    let mount = "mount --bind .converge .converge; mount -o remount,bind,ro .converge;";
    let Some(read) = in_namespace(&sandbox, &format!("{mount} $CONVERGE best")) else { return };
    assert_eq!(read.expect_code(0).stdout, expected);
    let run = in_namespace(&sandbox, &format!("{mount} $CONVERGE run s.toml --name other"))
        .unwrap()
        .expect_code(1);
    assert!(run.stderr.contains("cannot write to"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: name another folder"), "{}", run.stderr);
    assert_eq!(sandbox.number("select count(*) from sweeps"), Some(1));
}

#[test]
fn a_full_disk_stops_the_sweep_and_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", format!("{SCRIPTED}[[run.script]]\nsteps = 2000\n"));
    // The database is judged by our own SQLite: for that of Debian 12, `json_valid(NULL)` is false, and a worker that
    // ended before it said what it runs on breaks the check of its column.
    // The home has 1.5 MB; the sweep's observations need more. Then there is room, and it goes on.
    let script = "mkdir .converge; mount -t tmpfs -o size=1500k none .converge; \
                  code=0; $CONVERGE run s.toml || code=$?; echo \"first: $code\"; \
                  $CONVERGE status --json > before.json; \
                  mount -o remount,size=100m .converge; \
                  $CONVERGE resume; $CONVERGE doctor > doctor.txt; grep -q 'database .*sound' doctor.txt; \
                  sqlite3 .converge/sweeps.db '\
                  select count(*), min(step), max(step), count(distinct trial) from curves where metric = \"train/loss\"; \
                  select distinct state from sweep_trials'";
    let Some(output) = in_namespace(&sandbox, script) else { return };
    let output = output.expect_code(0);
    let first = output.stdout.lines().find(|line| line.starts_with("first: ")).unwrap();
    assert!(["first: 1", "first: 4"].contains(&first), "{first}\n{}", output.stderr);
    // By whom it was met first: SQLite, or who makes a folder.
    let words = ["full", "No space left on device"];
    assert!(words.iter().any(|words| output.stderr.contains(words)), "{}", output.stderr);
    assert!(output.stderr.contains("converge resume"), "{}", output.stderr);
    assert!(
        output.stdout.ends_with("\n12000|1|2000|6\ncompleted\n"),
        "{}\n{}",
        output.stdout,
        output.stderr
    );
}
