use converge_tests::{Sandbox, signal};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

/// Six scripted trials of 12 steps, evaluated after 3, 6, 9 and 12; the learning rate decides, then the batch size.
fn sweep(early_stop: &str, script: &str) -> String {
    format!(
        "{SCRIPTED}[early_stop]\n{early_stop}\n[train]\nepochs = 4\n[[run.script]]\nsteps = 12\n{script}"
    )
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("select number, state from sweep_trials order by number")
}

/// The best learning rate is the second of three: trials 3 and 4; of them 3 has the better batch size.
const BEST_TWO: [&str; 6] =
    ["1|stopped", "2|stopped", "3|completed", "4|completed", "5|stopped", "6|stopped"];

#[test]
fn a_sweep_stops_what_is_not_worth_its_steps_and_says_so_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", sweep("type = \"top_k\"\nties = false", ""));
    let plan = sandbox.converge(&["plan", "s.toml"]).expect_code(0);
    assert!(plan.stdout.contains("early stop  top_k: 6 → 2 trials, at step 3"), "{}", plan.stdout);
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert_eq!(states(&sandbox), BEST_TWO);
    assert!(run.stderr.contains("stopped at step 3: rank 6 of 6 at rung 1 of 1"), "{}", run.stderr);
    assert!(run.stderr.contains("4 trials were stopped early: 36 steps saved"), "{}", run.stderr);
    assert!(!run.stderr.contains("failed"), "{}", run.stderr);

    let rungs = "select trial, rung, step, decision, rank, among from rungs order by rank";
    let of_best = sandbox.rows(rungs);
    assert_eq!(of_best.len(), 6);
    assert!(of_best[0].ends_with("|0|3|promoted|1|6") && of_best[5].ends_with("|0|3|stopped|6|6"));
    let endings =
        "select ending, from_step, last_step from attempts where trial = 3 order by number";
    assert_eq!(sandbox.rows(endings), ["paused|0|3", "completed|3|12"]);
    // A stopped trial's checkpoint is gone, its curve is not.
    let left = "select number from sweep_trials where resume_step is not null or best_weights_step is not null and state = 'stopped'";
    assert_eq!(sandbox.rows(left), Vec::<String>::new());
    let points = "select count(*) from curves where trial = 1 and metric = 'train/loss'";
    assert_eq!(sandbox.rows(points), ["3"]);

    let compared = sandbox.converge(&["compare", "3", "1"]).expect_code(0).stdout;
    assert!(compared.contains("trained     trial 1 is stopped, at step 3 of 12\n"), "{compared}");
    assert!(
        compared.contains("how sure    not known: not all of these were trained"),
        "{compared}"
    );
    let compared = sandbox.converge(&["compare", "3", "1", "--json"]).expect_code(0).json();
    assert_eq!(compared["sides"][1]["unfinished"][0]["state"], "stopped");
    assert_eq!(compared["sides"][0]["unfinished"], serde_json::json!([]));
    assert!(compared["paired"]["by"].is_null(), "{compared}");

    let status = sandbox.converge(&["status"]).expect_code(0);
    assert!(
        status.stdout.contains("early stopping: 4 stopped at a rung, 36 steps saved"),
        "{}",
        status.stdout
    );
    let json = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(json["sweeps"][0]["trials"]["stopped"], 4);
    assert_eq!(json["sweeps"][0]["trials"]["failed"], 0);
    assert_eq!(json["sweeps"][0]["steps_saved"], 36);
    let stopped =
        sandbox.converge(&["trials", "--where", "state=stopped", "--json"]).expect_code(0);
    assert_eq!(stopped.json().as_array().map(Vec::len), Some(4));
    let show = sandbox.converge(&["show", "1"]).expect_code(0);
    assert!(show.stdout.contains("stopped early at step 3 of 12: rank"), "{}", show.stdout);
    assert!(show.stdout.contains("\nrungs\n"), "{}", show.stdout);
    let best = sandbox.converge(&["best"]).expect_code(0);
    assert!(best.stdout.contains("4 trials were stopped early: 36 steps saved"), "{}", best.stdout);
    let cancel = sandbox.converge(&["cancel", "1,3"]).expect_code(0).stderr;
    assert_eq!(
        cancel,
        "trial 3: completed already, and keeps its results\ntrial 1: stopped early already\n"
    );
    assert_eq!(
        sandbox.rows("select state, count(*) from trials group by state order by state"),
        ["COMPLETE|2", "PRUNED|4"]
    );
    let again = sandbox.converge(&["resume"]).expect_code(0);
    assert!(again.stderr.contains("nothing left to do"), "{}", again.stderr);
}

#[test]
fn every_rule_promotes_the_same_whatever_the_number_of_workers_and_after_an_interruption() {
    for rule in [
        "type = \"halving\"\neta = 2\nties = false",
        "type = \"asha\"\nties = false",
        "type = \"median\"\nmin_trials = 2\nties = false",
    ] {
        let found = |workers: &str, interrupted: bool| {
            let sandbox = Sandbox::new();
            let slow = if interrupted { "step_milliseconds = 15\n" } else { "" };
            sandbox.write("s.toml", sweep(rule, slow));
            if interrupted {
                let mut child = sandbox.start(&["run", "s.toml", workers]);
                sandbox.wait_for("select count(*) from rungs", 3);
                signal(child.id().cast_signed(), Signal::SIGTERM);
                child.wait().unwrap();
                sandbox.converge(&["resume", "--dry-run"]).expect_code(0);
                sandbox.converge(&["resume"]).expect_code(0);
            } else {
                sandbox.converge(&["run", "s.toml", workers]).expect_code(0);
            }
            let rungs = "select trial, rung, step, value, decision, rank, among, place from rungs order by trial, rung";
            (states(&sandbox), sandbox.rows(rungs))
        };
        let reference = found("run.workers=1", false);
        assert!(reference.0.iter().any(|row| row.ends_with("stopped")), "{rule}: {reference:?}");
        assert_eq!(found("run.workers=4", false), reference, "{rule}");
        assert_eq!(found("run.workers=2", true), reference, "{rule}");
    }
}

#[test]
fn a_database_made_anew_has_the_same_decisions() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", sweep("type = \"halving\"\neta = 2\nties = false", ""));
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let rows = || {
        let rungs = "select trial, rung, step, value, decision, rank, among, place from rungs order by trial, rung";
        (states(&sandbox), sandbox.rows(rungs))
    };
    let before = rows();
    for name in ["sweeps.db", "sweeps.db-wal", "sweeps.db-shm"] {
        let _ = std::fs::remove_file(sandbox.home().join(name));
    }
    sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    assert_eq!(rows(), before);
}

#[test]
fn waiting_trials_can_be_cancelled_and_the_others_are_decided_without_them() {
    let sandbox = Sandbox::new();
    let slow = "step_milliseconds = 20\n";
    sandbox.write("s.toml", sweep("type = \"top_k\"\nties = false", slow));
    let mut child = sandbox.start(&["run", "s.toml", "run.workers=1"]);
    sandbox.wait_for("select count(*) from sweep_trials where state = 'waiting'", 2);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let resume = sandbox.converge(&["resume", "--dry-run"]).expect_code(0);
    assert!(resume.stdout.contains("at a rung"), "{}", resume.stdout);
    sandbox.converge(&["cancel", "1"]).expect_code(0);
    sandbox.converge(&["resume"]).expect_code(0);
    let mut expected = BEST_TWO;
    expected[0] = "1|cancelled";
    assert_eq!(states(&sandbox), expected);
}

#[test]
fn what_does_not_go_together_is_told_and_a_rule_does_not_change_later() {
    let sandbox = Sandbox::new();
    let wrong = "type = \"halving\"\nkeep = 3\nfirst = 0\neta = 1\npatience = 2\nfrist = 1\n";
    let text = sweep(wrong, "").replace("[sweep]\n", "[sweep]\nobjective = { at = \"last\" }\n");
    sandbox.write("s.toml", text);
    let told = sandbox.converge(&["plan", "s.toml"]).expect_code(2).stderr;
    for part in
        ["`keep` means nothing", "`first` must be more than 0", "`eta`", "`frist`", "`patience`"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    sandbox.write("s.toml", sweep("type = \"top_k\"", ""));
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    sandbox.write("s.toml", sweep("type = \"median\"", ""));
    let told = sandbox.converge(&["run", "s.toml"]).expect_code(2).stderr;
    assert!(told.contains("early_stop.type"), "{told}");
    let told = sandbox.converge(&["extend", "s.toml"]).expect_code(2).stderr;
    assert!(told.contains("early_stop"), "{told}");
}
