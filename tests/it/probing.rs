//! Before a search and after it: which learning rates are worth one, how long it will take, and what comes next.

use converge_tests::{Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::{SCRIPTED, smoke};

/// A probe of the smoke sweep, whose tiny model learns at large rates only; with nearly all sentences in each batch, so
/// that batches do not differ.
const PROBE: &[&str] =
    &["probe", "sweeps/smoke.toml", "batch_size=32", "--from", "1e-5", "--to", "10"];

fn probe<'a>(more: &[&'a str]) -> Vec<&'a str> {
    PROBE.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn the_probe_of_a_file_has_a_sweep_of_its_own_and_leaves_the_name_free() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let probed = sandbox.converge(&probe(&[])).expect_code(0);
    assert!(probed.stderr.contains("trial 1 of sweep `smoke-probe`"), "{}", probed.stderr);
    assert!(probed.stderr.contains("one value of several: optimizer=adamw"), "{}", probed.stderr);
    for part in ["1e-2", "search here", "learning_rate = { values = [", "log_uniform_values"] {
        assert!(probed.stdout.contains(part), "{part} in {}", probed.stdout);
    }
    let kinds = "select sweeps.name, kind, sweep_trials.state, total_steps from sweep_trials join sweeps on sweeps.id = sweep";
    assert_eq!(sandbox.rows(kinds), ["smoke-probe|probe|completed|120"]);

    // Done, it is shown again, and nothing is trained.
    let told = sandbox.converge(&probe(&["--json"])).expect_code(0).json();
    assert_eq!(sandbox.number("select count(*) from attempts"), Some(1));
    let points = told["points"].as_array().unwrap();
    assert_eq!(points.len() as u64, told["steps"].as_u64().unwrap());
    assert_eq!(told["points"][0]["learning_rate"], 1e-5);
    let (min, max) = (&told["range"]["min"], &told["range"]["max"]);
    // Of the rates of the smoke sweep, which all learn, one lies in it.
    assert!(min.as_f64() <= Some(5e-3) && max.as_f64() >= Some(1e-3), "{told}");
    let evaluations = "select count(*) from metrics where name like 'validation/%'";
    assert_eq!(sandbox.number(evaluations), Some(0), "nothing is evaluated");

    let best = sandbox.converge(&["best"]).expect_code(0).stdout;
    assert!(best.contains("it has no search, only trials beside it"), "{best}");

    // Another optimizer is another probe, beside the first.
    sandbox
        .converge(&["probe", "sweeps/smoke.toml", "optimizer=sgd", "--steps", "40"])
        .expect_code(0);
    let chosen =
        "select json_extract(configuration, '$.optimizer') from sweep_trials where number = 2";
    assert_eq!(sandbox.rows(chosen), ["sgd"]);
    assert_eq!(sandbox.number("select count(*) from sweep_trials where kind = 'probe'"), Some(2));
    for reading in
        [&["show", "2"][..], &["curve", "1-2"], &["trials"], &["status"], &["watch", "--once"]]
    {
        sandbox.converge(reading).expect_code(0);
    }
    for (wrong, why) in [
        (&["save", "1", "model"][..], "keeps no weights"),
        (&["refit", "1"], "is a probe itself"),
        (&["next"], "has no search"),
    ] {
        let refused = sandbox.converge(wrong).expect_code(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    // The file's own name is free for whatever it becomes.
    sandbox
        .converge(&[
            "run",
            "sweeps/smoke.toml",
            "learning_rate=5e-3",
            "optimizer=adamw",
            "epochs=1",
        ])
        .expect_code(0);
}

#[test]
fn the_probe_of_a_stored_sweep_stands_beside_its_search() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    sandbox
        .converge(&[
            "run",
            "sweeps/smoke.toml",
            "learning_rate=5e-3",
            "optimizer=adamw",
            "epochs=1",
        ])
        .expect_code(0);
    let before = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    sandbox
        .converge(&["probe", "smoke", "batch_size=8", "--steps", "40", "--to", "1"])
        .expect_code(0);
    assert_eq!(sandbox.converge(&["best", "--json"]).expect_code(0).json(), before);
    let status = sandbox.converge(&["status"]).expect_code(0).stdout;
    assert!(status.contains("smoke beside the search: 1 completed"), "{status}");
    let shown = sandbox.converge(&["show", "last"]).expect_code(0).stdout;
    assert!(shown.starts_with("trial 3 (probe) of sweep `smoke`: completed"), "{shown}");
    assert!(shown.contains("learning rates from 1e-7 to 1e0"), "{shown}");
    assert!(shown.contains("train.batch_size = 8  (parameter)"), "{shown}");
    let refused = sandbox.converge(&["probe", "smoke", "batch_sise=8"]).expect_code(2);
    assert!(refused.stderr.contains("did you mean `batch_size`?"), "{}", refused.stderr);
    sandbox.converge(&["probe", "nowhere"]).expect_code(2);
    let sound = sandbox.converge(&["repair"]).expect_code(0);
    assert!(!sound.stdout.contains("objective"), "{}", sound.stdout);
}

#[test]
fn a_probe_that_blows_up_is_done_and_no_failure() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let told = sandbox
        .converge(&[
            "probe",
            "sweeps/smoke.toml",
            "--from",
            "1e-4",
            "--to",
            "1e6",
            "--steps",
            "60",
            "--json",
        ])
        .expect_code(0)
        .json();
    assert_eq!(told["state"], "completed");
    assert!(told["steps"].as_u64() < told["total_steps"].as_u64(), "{told}");
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "finished", "{status}");
    for wrong in [
        &["probe", "sweeps/smoke.toml", "--steps", "5"][..],
        &["probe", "sweeps/smoke.toml", "--from", "-1"],
        &["probe", "sweeps/smoke.toml", "--from", "1", "--to", "1e-3"],
    ] {
        let refused = sandbox.converge(wrong).expect_code(2);
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
    sandbox.write("s.toml", SCRIPTED);
    let refused = sandbox.converge(&["probe", "s.toml"]).expect_code(2);
    assert!(refused.stderr.contains("trains nothing"), "{}", refused.stderr);
}

#[test]
fn a_killed_probe_ends_with_the_same_losses() {
    let arguments = probe(&["--steps", "200", "run.checkpoint_seconds=0"]);
    let undisturbed = Sandbox::new();
    smoke(&undisturbed);
    undisturbed.converge(&arguments).expect_code(0);

    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let mut child = sandbox.start(&arguments);
    sandbox.wait_for("select coalesce(max(last_step), 0) from attempts", 5);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    let workers = sandbox.worker_pids();
    workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    child.wait().unwrap();
    wait("workers are gone", || workers.iter().all(|pid| !runs(*pid)));
    // By the same command, or as any other sweep.
    sandbox.converge(&["resume", "smoke-probe"]).expect_code(0);
    let points = |sandbox: &Sandbox| {
        let told = sandbox.converge(&[&arguments[..], &["--json"]].concat()).expect_code(0).json();
        told["points"].clone()
    };
    assert_eq!(points(&sandbox), points(&undisturbed));
    assert_eq!(sandbox.number("select count(*) from attempts"), Some(2));
}

#[test]
fn a_plan_guesses_the_time_until_it_is_measured() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let plan = ["plan", "sweeps/smoke.toml", "run.workers=1"];
    let guessed = sandbox.converge(&plan).expect_code(0).stdout;
    assert!(guessed.contains("guessed from sizes alone: `--measure`"), "{guessed}");
    let measured = sandbox.converge(&[&plan[..], &["--measure"]].concat()).expect_code(0);
    assert!(
        measured.stderr.contains("measuring 4 cost classes with 1 worker"),
        "{}",
        measured.stderr
    );
    assert!(
        measured.stdout.contains("from steps and evaluations measured here"),
        "{}",
        measured.stdout
    );
    assert!(measured.stdout.contains("batch_size=4 optimizer=adamw"), "{}", measured.stdout);
    assert_eq!(sandbox.number("select count(*) from sweeps"), None, "nothing of it is in the home");

    // It is kept, and holds for what trains the same.
    let told = sandbox
        .converge(&[&plan[..], &["learning_rate=1e-3", "optimizer=adamw", "--json"]].concat())
        .expect_code(0)
        .json();
    assert_eq!(told["time"]["measured"], true);
    let seconds = |key: &str| told["time"][key].as_f64().unwrap();
    assert!(seconds("low") < seconds("seconds") && seconds("seconds") < seconds("high"), "{told}");
    let other =
        sandbox.converge(&[&plan[..], &["batch_size=7", "--json"]].concat()).expect_code(0).json();
    assert_eq!(other["time"]["measured"], false);

    let short = [&plan[..], &["budget.max_wall=1s", "epochs=5000"]].concat();
    let told = sandbox.converge(&short).expect_code(0).stdout;
    assert!(told.contains("less time than all trials take"), "{told}");

    // Early stopping leaves a part of it, and what is expected is compared with the budget.
    let early = ["early_stop.type=top_k", "early_stop.ties=false", "early_stop.keep=1"];
    let early = [&plan[..], &early, &["epochs=40000", "budget.max_wall=1s"]].concat();
    let told = sandbox.converge(&early).expect_code(0).stdout;
    assert!(
        told.contains("all trials trained to their end; early stopping leaves about"),
        "{told}"
    );
    assert!(told.contains("less time than all trials take with early stopping"), "{told}");
    let told = sandbox.converge(&[&early[..], &["--json"]].concat()).expect_code(0).json();
    let seconds = |key: &str| told["time"][key].as_f64().unwrap();
    assert!(seconds("expected_seconds") < 0.5 * seconds("seconds"), "{told}");
    // Draws that follow results are to come: as long as those that are planned.
    let tpe = [
        "sweep.method=tpe",
        "sweep.ahead=1",
        "budget.max_trials=40",
        "learning_rate=1e-3,2e-3,3e-3",
    ];
    let tpe = [&plan[..], &tpe, &["batch_size=4,5,6,7,8,9,10"]].concat();
    let told = sandbox.converge(&tpe).expect_code(0).stdout;
    assert!(told.contains("with the 30 trials still to be drawn, at the mean of these"), "{told}");
}

#[test]
fn the_next_sweep_is_written_from_the_last_and_runs() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    let refused = sandbox.converge(&["next"]).expect_code(2);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let told = sandbox.converge(&["next"]).expect_code(0);
    assert!(told.stderr.contains("wrote scripted-2.toml"), "{}", told.stderr);
    assert!(told.stdout.contains("learning_rate"), "{}", told.stdout);
    let text = std::fs::read_to_string(sandbox.path().join("scripted-2.toml")).unwrap();
    assert!(text.contains("train = \"none.tsv\""), "paths are as short as they were: {text}");
    let plan = sandbox.converge(&["plan", "scripted-2.toml", "--json"]).expect_code(0).json();
    assert_eq!((&plan["sweep"]["replicates"], &plan["sweep"]["racing"]), (&1.into(), &true.into()));
    assert_eq!(plan["trials"][0]["kind"], "enqueued");

    // Nothing is overwritten.
    sandbox.write("scripted-2.toml", "mine");
    let refused = sandbox.converge(&["next"]).expect_code(2);
    assert!(refused.stderr.contains("is there already"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(sandbox.path().join("scripted-2.toml")).unwrap(), "mine");

    sandbox.converge(&["next", "-o", "second.toml"]).expect_code(0);
    sandbox.converge(&["run", "second.toml"]).expect_code(0);
    let third = sandbox.converge(&["next"]).expect_code(0);
    assert!(third.stderr.contains("wrote scripted-3.toml"), "{}", third.stderr);
}

#[test]
fn where_nothing_worked_there_is_no_next_sweep() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", format!("{SCRIPTED}\n[[run.script]]\nsteps = 4\nend = \"diverge\"\n"));
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let refused = sandbox.converge(&["next"]).expect_code(2);
    assert!(
        refused.stderr.contains("none of its 6 configurations has a value"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("converge probe"), "{}", refused.stderr);
    assert!(!sandbox.path().join("scripted-2.toml").exists());
}
