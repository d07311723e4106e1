//! Sweeps that get trials while they run: draws that follow results, seeds for what is tied for best, and the baseline.

use converge_tests::{Sandbox, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

const TRIALS: &str = "select number, kind, configuration, replicate, objective_value from sweep_trials order by number";

fn tpe(sandbox: &Sandbox, script: &str) {
    let text = SCRIPTED
        .replace("name = \"scripted\"", "name = \"scripted\"\nmethod = \"tpe\"\nahead = 2")
        .replace(
            "{ values = [1e-5, 1e-4, 1e-3] }",
            "{ min = 1e-6, max = 1e-3, distribution = \"log_uniform_values\" }",
        );
    sandbox.write("s.toml", format!("{text}{script}\n[budget]\nmax_trials = 15\n"));
}

fn racing(sandbox: &Sandbox, head: &str) {
    let head = format!("name = \"scripted\"\nracing = true\n{head}");
    sandbox.write("s.toml", SCRIPTED.replace("name = \"scripted\"", &head));
}

#[test]
fn draws_that_follow_results_go_on_to_the_last_and_further_where_the_budget_is_raised() {
    let sandbox = Sandbox::new();
    tpe(&sandbox, "");
    let plan = sandbox.converge(&["plan", "s.toml", "--json"]).expect_code(0).json();
    assert_eq!(plan["trials"].as_array().unwrap().len(), 11, "those that need no results");
    for (most, said) in [
        ("budget.max_trials=15", "drawn       4 trials more from results"),
        (
            "budget.max_trials=11",
            "drawn       all 11 `max_trials` are drawn before a result counts",
        ),
    ] {
        let plan = sandbox.converge(&["plan", "s.toml", most]).expect_code(0).stdout;
        assert!(plan.contains(said), "{plan}");
    }
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(run.stderr.contains("sweep `scripted`: 15 trials;"), "{}", run.stderr);
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "finished");
    assert_eq!(status["sweeps"][0]["trials"]["completed"], 15);
    assert_eq!(status["sweeps"][0]["trials"]["planned"], 15);
    let again = sandbox.converge(&["resume"]).expect_code(0);
    assert!(again.stderr.contains("nothing left to do"), "{}", again.stderr);

    let before = sandbox.rows(TRIALS);
    let file = sandbox.path().join("s.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("max_trials = 15", "max_trials = 18")).unwrap();
    let extended = sandbox.converge(&["extend", "s.toml", "--yes"]).expect_code(0);
    assert!(extended.stdout.contains("adds no trial"), "{}", extended.stdout);
    assert!(extended.stdout.contains("while it runs"), "{}", extended.stdout);
    let status = sandbox.converge(&["status"]).expect_code(0).stdout;
    assert!(status.contains("15 of 18") && status.contains("interrupted"), "{status}");
    sandbox.converge(&["resume"]).expect_code(0);
    let after = sandbox.rows(TRIALS);
    assert_eq!((after.len(), &after[..15]), (18, &before[..]));
    // In one go it would have been the same.
    let other = Sandbox::new();
    other.write("s.toml", std::fs::read(&file).unwrap());
    other.converge(&["run", "s.toml", "--workers", "4"]).expect_code(0);
    assert_eq!(other.rows(TRIALS), after);
}

#[test]
fn a_sweep_whose_scheduler_is_killed_draws_what_it_would_have_drawn() {
    let undisturbed = Sandbox::new();
    tpe(&undisturbed, "[[run.script]]\nsteps = 4\nstep_milliseconds = 10");
    undisturbed.converge(&["run", "s.toml"]).expect_code(0);
    let sandbox = Sandbox::new();
    tpe(&sandbox, "[[run.script]]\nsteps = 4\nstep_milliseconds = 10");
    for least in [1, 6, 12] {
        let mut child = sandbox.start(&["run", "s.toml"]);
        sandbox.wait_for("select count(*) from sweep_trials where state = 'completed'", least);
        signal(child.id().cast_signed(), Signal::SIGKILL);
        child.wait().unwrap();
    }
    sandbox.converge(&["resume"]).expect_code(0);
    wait("workers are gone", || sandbox.processes().is_empty());
    assert_eq!(sandbox.rows(TRIALS), undisturbed.rows(TRIALS));
    // The record beside the database knows them as well.
    for file in ["sweeps.db", "sweeps.db-wal", "sweeps.db-shm"] {
        let _ = std::fs::remove_file(sandbox.home().join(file));
    }
    sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    let rebuilt = sandbox.rows("select count(*) from sweep_trials");
    assert_eq!(rebuilt, ["15"]);
}

#[test]
fn what_is_tied_for_best_gets_further_seeds_and_the_defaults_with_it() {
    let sandbox = Sandbox::new();
    racing(&sandbox, "max_replicates = 3\nbaseline = true");
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(run.stderr.contains("6 or more trials"), "{}", run.stderr);
    let seeds = sandbox.rows(
        "select replicate, count(*) from sweep_trials where kind = 'grid' group by replicate",
    );
    assert_eq!(seeds[0], "0|6");
    assert!(run.stderr.contains("racing: ") && run.stderr.contains("seed 2"), "{}", run.stderr);
    assert!(seeds.len() > 1, "{seeds:?}: {}", run.stderr);
    let baseline =
        sandbox.rows("select number, replicate from sweep_trials where kind = 'baseline'");
    assert_eq!(baseline[0], "1|0");
    assert_eq!(baseline.len(), seeds.len());
    // Beside the search: in no count, and in no ranking.
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["beside"]["completed"], baseline.len());
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    assert!(!best["configurations"].to_string().contains("2e-5"), "{best}");
    assert_eq!(status["sweeps"][0]["state"], "finished");
}

#[test]
fn the_baseline_is_added_to_a_sweep_that_has_none_and_not_where_the_search_holds_it() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let with = SCRIPTED.replace("name = \"scripted\"", "name = \"scripted\"\nbaseline = true");
    sandbox.write("s.toml", &with);
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(run.stderr.contains("nothing left to do"), "{}", run.stderr);
    let extended = sandbox.converge(&["extend", "s.toml", "--yes"]).expect_code(0);
    assert!(extended.stdout.contains("adds trial 7"), "{}", extended.stdout);
    sandbox.converge(&["resume"]).expect_code(0);
    let kinds = "select kind, count(*) from sweep_trials where state = 'completed' group by kind";
    assert_eq!(sandbox.rows(kinds), ["baseline|1", "grid|6"]);

    let other = Sandbox::new();
    other.write("s.toml", with.replace("1e-5, 1e-4, 1e-3", "2e-5, 1e-4"));
    other.converge(&["run", "s.toml"]).expect_code(0);
    assert_eq!(other.rows(kinds), ["grid|4"]);
}

#[test]
fn a_budget_ends_a_race_and_a_larger_one_goes_on_with_it() {
    let sandbox = Sandbox::new();
    racing(&sandbox, "max_replicates = 2");
    let run = sandbox.converge(&["run", "s.toml", "budget.max_steps=60"]).expect_code(4);
    assert!(run.stderr.contains("is used up"), "{}", run.stderr);
    let seeds = "select count(*) from sweep_trials where replicate = 1";
    assert_eq!(sandbox.number(seeds), Some(0));
    sandbox.converge(&["resume"]).expect_code(4);
    sandbox.converge(&["run", "s.toml", "budget.max_steps=1000"]).expect_code(0);
    assert!(sandbox.number(seeds) > Some(1));
}
