//! `gc`, `repair` and `rebuild`: what a home can do without, what is wrong with it, and a database from its logs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::{SCRIPTED, smoke};

/// A sweep with every kind of end; the last configuration goes on until it is told to stop.
fn mixed(sandbox: &Sandbox) {
    let rules = "\
[[run.script]]
when = { learning_rate = 1e-5 }
steps = 6
items = true
[[run.script]]
when = { learning_rate = 1e-4 }
steps = 8
items = true
at_step = 5
end = \"kill\"
attempts = 1
[[run.script]]
when = { batch_size = 16 }
steps = 8
at_step = 4
end = \"data\"
[[run.script]]
steps = 4000
step_milliseconds = 5
checkpoint_every = 10
";
    let text = SCRIPTED.replace("workers = 2\n", "workers = 2\nkeep_best = 2\n") + rules;
    sandbox.write("s.toml", text);
}

/// Runs it, kills everything once, goes on, and interrupts it.
fn killed_and_interrupted(sandbox: &Sandbox) {
    mixed(sandbox);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select max(step) from observations", 30);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    let workers = sandbox.worker_pids();
    workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    child.wait().unwrap();
    wait("workers are gone", || workers.iter().all(|pid| !runs(*pid)));
    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select max(step) from observations", 60);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    // A kill may have hit a checkpoint while it was written.
    sandbox.converge(&["repair", "--yes"]).expect_code(0);
}

fn write(sandbox: &Sandbox, path: &str, bytes: usize) {
    let path = sandbox.home().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![0; bytes]).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn folders(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn gc_shows_what_can_go_and_deletes_it_when_told() {
    let sandbox = Sandbox::new();
    killed_and_interrupted(&sandbox);
    let point =
        sandbox.rows("select resume_directory from sweep_trials where resume_step is not null");
    assert_eq!(point.len(), 1, "one trial is unfinished");
    let completed = sandbox.rows(
        "select attempts.directory from attempts join sweep_trials on sweep_trials.id = attempts.trial \
         where sweep_trials.state = 'completed' and ending = 'completed' order by attempts.id",
    );
    assert_eq!(completed.len(), 4);
    write(&sandbox, &format!("{}/checkpoint-3/weights", completed[0]), 5000);
    write(&sandbox, &format!("{}/.model.safetensors.7.0.tmp", completed[1]), 6000);
    write(&sandbox, "attempts/999/checkpoint-3/weights", 7000);
    write(&sandbox, "cache/tokens-00.bin", 8000);
    let before = folders(&sandbox.home().join("attempts"));

    let shown = sandbox.converge(&["gc"]).expect_code(0);
    assert!(shown.stdout.contains("can be deleted"), "{}", shown.stdout);
    assert!(shown.stderr.contains("nothing was deleted"), "{}", shown.stderr);
    assert_eq!(folders(&sandbox.home().join("attempts")), before);
    let plan = sandbox.converge(&["gc", "--dry-run", "--json"]).expect_code(0).json();
    assert_eq!(plan["deleted"], false);
    assert!(plan["bytes"].as_u64().unwrap() >= 18_000, "{plan}");

    let done = sandbox.converge(&["gc", "--yes"]).expect_code(0);
    assert!(done.stdout.contains("deleted"), "{}", done.stdout);
    for gone in [
        format!("{}/checkpoint-3", completed[0]),
        format!("{}/.model.safetensors.7.0.tmp", completed[1]),
        "attempts/999".into(),
    ] {
        assert!(!sandbox.home().join(&gone).exists(), "{gone}");
    }
    assert!(sandbox.home().join(&point[0]).is_dir(), "the checkpoint to go on from stays");
    assert!(sandbox.home().join("cache/tokens-00.bin").is_file(), "a sweep is unfinished");
    let weights = "select count(*) from sweep_trials where best_weights_step is not null";
    assert_eq!(sandbox.number(weights), Some(2));
    assert!(sandbox.converge(&["gc"]).expect_code(0).stdout.starts_with("nothing to delete"));

    // The byte budget takes the worse of the two; logs, the database and the checkpoint stay.
    let best = "select best_trial from best_configuration";
    let winner = sandbox.number(best).unwrap();
    sandbox.converge(&["gc", "--yes", "--max-bytes", "1kB", "--keep-best", "1"]).expect_code(0);
    assert_eq!(sandbox.number(weights), Some(0), "one by the number, one by the bytes");
    assert_eq!(sandbox.number(best), Some(winner), "results stay");
    assert!(sandbox.home().join(&point[0]).is_dir());
    assert!(sandbox.home().join("workers/1/up.log").is_file());
    sandbox.converge(&["repair"]).expect_code(0);

    let refused = sandbox.converge(&["gc", "--max-bytes", "much"]).expect_code(2);
    assert!(refused.stderr.contains("expected a size"), "{}", refused.stderr);
}

#[test]
fn gc_and_repair_touch_nothing_of_a_running_sweep() {
    let sandbox = Sandbox::new();
    mixed(&sandbox);
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select max(step) from observations", 20);
    for command in [["gc", "--yes"], ["repair", "--yes"], ["rebuild", "--yes"]] {
        let refused = sandbox.converge(&command).expect_code(2);
        assert!(refused.stderr.contains(&format!("pid {}", child.id())), "{}", refused.stderr);
    }
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn repair_finds_what_is_wrong_and_mends_it() {
    let sandbox = Sandbox::new();
    killed_and_interrupted(&sandbox);
    assert_eq!(sandbox.converge(&["repair"]).expect_code(0).stdout, "nothing is wrong\n");
    let doctor = sandbox.converge(&["doctor"]).expect_code(0).stdout;
    assert!(doctor.contains("ok    files"), "{doctor}");
    let content = || sandbox.rows("select trial, metric, step, value from curves").len();
    let before = content();

    let database = rusqlite::Connection::open(sandbox.home().join("sweeps.db")).unwrap();
    database
        .execute_batch(
            "update sweep_trials set objective_value = 9.5 where number = 1;
            update trial_metrics set max = 7.5 where trial = 2;
            delete from parameters;
            drop view trials_wide; create view trials_wide as select 1 as sweep, 2 as number;
            pragma foreign_keys = off;",
        )
        .unwrap();
    let weights = sandbox.rows(
        "select best_weights_directory from sweep_trials where best_weights_step is not null limit 1",
    );
    std::fs::remove_dir_all(sandbox.home().join(&weights[0])).unwrap();
    let point =
        sandbox.rows("select resume_directory from sweep_trials where resume_step is not null");
    std::fs::remove_dir_all(sandbox.home().join(&point[0])).unwrap();
    database
        .execute_batch(
            "update sweep_trials set state = 'running' where number =
                (select number from sweep_trials where state = 'queued' limit 1);",
        )
        .unwrap();
    drop(database);
    write(&sandbox, "attempts/999/log.txt", 10);
    write(&sandbox, "attempts/1/checkpoint-5.tmp/weights", 10);
    let log = sandbox.home().join("workers/1/up.log");
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(sandbox.home().join("sweeps/1.jsonl")).unwrap();

    let found = sandbox.converge(&["repair", "--json"]).expect_code(1).json();
    let problems: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["problem"].as_str().unwrap())
        .collect();
    for expected in [
        "the objective that is stored of trial 1",
        "the extremes that are stored of trial 2",
        "the view trials_wide",
        "is running, and none of its attempts is open",
        "`attempts/999` belongs to no attempt",
        "`attempts/1/checkpoint-5.tmp` was never finished",
        "best weights of trial",
        "is gone: it goes on from",
        "`workers/1/up.log` can be read or written by others",
        "has no record beside the database",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{expected}: {problems:#?}"
        );
    }
    let doctor = sandbox.converge(&["doctor"]).expect_code(0).stdout;
    assert!(doctor.contains("look  files") && doctor.contains("converge repair"), "{doctor}");
    assert!(sandbox.home().join("attempts/999").is_dir(), "looking changes nothing");

    let mended = sandbox.converge(&["repair", "--yes"]).expect_code(0).stdout;
    assert!(mended.contains("done: rows are put right"), "{mended}");
    assert_eq!(sandbox.converge(&["repair"]).expect_code(0).stdout, "nothing is wrong\n");
    assert!(!sandbox.home().join("attempts/999").exists());
    assert_eq!(content(), before);
    let mode = std::fs::metadata(&log).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // And the sweep goes on.
    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select count(*) from attempts where ending is null", 1);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_damaged_database_is_named_and_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let path = sandbox.home().join("sweeps.db");
    std::fs::write(&path, "this was a database once, before the disk failed".repeat(100)).unwrap();
    for command in [&["repair"][..], &["repair", "--yes"]] {
        let refused = sandbox.converge(command).expect_code(1);
        assert!(refused.stderr.contains("converge rebuild"), "{}", refused.stderr);
    }
    let doctor = sandbox.converge(&["doctor"]).expect_code(1).stdout;
    assert!(doctor.contains("converge rebuild"), "{doctor}");
    sandbox.converge(&["rebuild"]).expect_code(2);
    sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    assert_eq!(
        sandbox.rows("select state, count(*) from sweep_trials group by state"),
        ["completed|6"]
    );
    let kept = folders(&sandbox.home());
    assert!(kept.iter().any(|name| name.starts_with("sweeps.db.replaced-")), "{kept:?}");
}

/// Everything in the database but times, and what only the scheduler's own life could tell.
const CONTENT: [&str; 9] = [
    "select id, name, identity, definition, source_path, source_text, overrides, facts, objective_metric, \
     objective_goal, objective_at, state, created_at_ms, version from sweeps order by id",
    "select id, sweep, number, kind, fingerprint, replicate, facts_index, total_steps, state, failure_class, \
     failure_message, charged_from, objective_value, objective_step, best_weights_step, best_weights_value, \
     best_weights_directory, resume_step, resume_directory, created_at_ms, configuration, settings from sweep_trials order by id",
    "select id, trial, number, worker, directory, from_step, until_step, last_step, down_seq, opened_seq, closed_seq, \
     ending, diverged_step, diverged_quantity, failure_class, failure_message, peak_memory_bytes from attempts order by id",
    "select attempt, step, directory, seq from checkpoints order by attempt, step",
    "select attempt, step, name, value, seq from observations join metrics on metrics.id = metric \
     order by attempt, step, name",
    "select trial, name, min, min_step, max, max_step, last, last_step from trial_metrics \
     join metrics on metrics.id = metric order by trial, name",
    "select id, session, directory, device, pid, process_start, boot_id, version, machine, up_offset, up_next_seq, \
     down_next_seq, stale_frames, torn_lines, exit from workers order by id",
    "select attempt, step, hex(data) from item_results order by attempt, step",
    "select trial, look, step, metric, value, examples, at_ms from test_values order by id",
];

fn content(sandbox: &Sandbox) -> Vec<Vec<String>> {
    CONTENT.iter().map(|query| sandbox.rows(query)).collect()
}

#[track_caller]
fn rebuilt_is_the_original(sandbox: &Sandbox) {
    sandbox.converge(&["repair", "--yes"]).expect_code(0);
    let original = content(sandbox);
    let views = |view: &str| sandbox.rows(&format!("select * from {view}"));
    let (best, curves) = (views("best_configuration"), views("curves").len());
    assert!(original[4].len() > 50 && original[2].len() > 2, "there is something to lose");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(sandbox.home().join(format!("sweeps.db{suffix}")));
    }
    let rebuilt = sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    assert!(rebuilt.stderr.is_empty(), "{}", rebuilt.stderr);
    let new = content(sandbox);
    for ((query, original), new) in CONTENT.iter().zip(&original).zip(&new) {
        for (old, new) in original.iter().zip(new) {
            assert_eq!(old, new, "{query}");
        }
        assert_eq!(original.len(), new.len(), "{query}");
    }
    assert_eq!(views("best_configuration"), best);
    assert_eq!(views("curves").len(), curves);
    assert_eq!(sandbox.converge(&["repair"]).expect_code(0).stdout, "nothing is wrong\n");
}

#[test]
fn a_database_made_anew_from_the_logs_is_the_original() {
    let sandbox = Sandbox::new();
    killed_and_interrupted(&sandbox);
    rebuilt_is_the_original(&sandbox);
    // It is good for all that the original was.
    let mut child = sandbox.start(&["resume"]);
    let attempts = "select count(*) from attempts where ending is null and from_step > 0";
    sandbox.wait_for(attempts, 1);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    rebuilt_is_the_original(&sandbox);
}

#[test]
fn a_trained_sweep_is_made_anew_to_the_last_bit() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let run = ["run", "sweeps/smoke.toml", "run.checkpoint_seconds=0.05", "run.workers=2"];
    let mut child = sandbox.start(&run);
    sandbox.wait_for("select count(*) from observations", 800);
    let workers = sandbox.worker_pids();
    signal(workers[0], Signal::SIGKILL);
    assert!(child.wait().unwrap().success());
    let killed = "select count(*) from attempts where failure_class = 'killed'";
    assert_eq!(sandbox.number(killed), Some(1));
    rebuilt_is_the_original(&sandbox);
}

#[test]
fn two_sweeps_of_one_home_are_made_anew_together() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    sandbox.converge(&["run", "s.toml", "--name", "second"]).expect_code(0);
    rebuilt_is_the_original(&sandbox);
}
