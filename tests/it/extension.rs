//! `extend`: a changed file adds trials, old ones stay what they are, and what cannot be compared is refused.

use converge_tests::{Sandbox, signal};
use nix::sys::signal::Signal;

use crate::smoke::{SCRIPTED, smoke};

const TRIALS: &str = "select number, state, json_extract(configuration, '$.learning_rate'), \
                      json_extract(configuration, '$.batch_size'), replicate from sweep_trials order by number";

/// A sweep that has run, and the same file with `from` replaced by `to`.
fn changed(from: &str, to: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(SCRIPTED.contains(from), "{from}");
    sandbox.write("s.toml", SCRIPTED.replace(from, to));
    sandbox
}

#[test]
fn new_values_become_new_trials_and_the_old_ones_stay_under_their_numbers() {
    let sandbox = changed("[1e-5, 1e-4, 1e-3]", "[1e-4, 1e-3, 1e-2]");
    let before = sandbox.rows(TRIALS);
    let attempts = sandbox.rows("select * from attempts");
    let refused = sandbox.converge(&["run", "s.toml"]).expect_code(2).stderr;
    assert!(
        refused.contains("converge extend ") && refused.contains("--name scripted-2"),
        "{refused}"
    );

    let dry = sandbox.converge(&["extend", "s.toml", "--dry-run"]).expect_code(0).stdout;
    assert_eq!(
        dry,
        "\
sweep `scripted` changes
  parameters.learning_rate
    stored: 1e-5, 1e-4, 0.001
    now:    1e-4, 0.001, 0.01
adds 2 trials, 7 to 8, 20 steps in all
trial  batch_size  learning_rate  replicate  steps
    7          16           0.01          0     10
    8          32           0.01          0     10
keeps 6 trials as they are, under their numbers
2 of them are no longer in the file and stay
  with their results: trial 1, 2
"
    );
    let asked = sandbox.converge(&["extend", "s.toml"]).expect_code(2).stderr;
    assert!(asked.contains("nothing was changed") && asked.contains("--yes"), "{asked}");
    assert_eq!(sandbox.rows(TRIALS), before);

    let extended = sandbox.converge(&["extend", "s.toml", "--yes"]).expect_code(0);
    assert_eq!(extended.stdout, dry);
    assert!(
        extended.stderr.contains("2 trials added; go on with `converge resume scripted`"),
        "{}",
        extended.stderr
    );
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "interrupted");
    // The file is the sweep's now: `run` goes on as well as `resume`.
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let after = sandbox.rows(TRIALS);
    assert_eq!(after[..6], before);
    assert_eq!(after[6..], ["7|completed|0.01|16|0", "8|completed|0.01|32|0"]);
    assert_eq!(sandbox.rows("select * from attempts")[..6], attempts, "nothing old was run again");

    let again = sandbox.converge(&["extend", "s.toml"]).expect_code(0).stdout;
    assert!(again.contains("say the same") && again.contains("adds no trial"), "{again}");
}

#[test]
fn trials_of_removed_values_that_wait_are_still_trained() {
    let sandbox = Sandbox::new();
    let script = "[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n";
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 2);
    let held = sandbox
        .converge(&["extend", "s.toml", "learning_rate=1e-5", "--yes"])
        .expect_code(2)
        .stderr;
    assert!(held.contains(&format!("pid {}", child.id())), "{held}");
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));

    sandbox.write("s.toml", SCRIPTED);
    let extended = sandbox
        .converge(&["extend", "s.toml", "learning_rate=1e-5,1e-2", "--yes"])
        .expect_code(0)
        .stdout;
    assert!(extended.contains("4 of them are no longer in the file and stay"), "{extended}");
    assert!(extended.contains("  and will still be trained: trial 3, 4, 5, 6\n"), "{extended}");
    // With the script of the new file, as `[run]` changes freely: ten steps.
    sandbox.converge(&["resume"]).expect_code(0);
    assert_eq!(sandbox.rows("select distinct state from sweep_trials"), ["completed"]);
    assert_eq!(sandbox.number("select count(*) from sweep_trials"), Some(8));
}

#[test]
fn a_random_sweep_of_six_is_three_and_three() {
    let random = |draws: u64| {
        SCRIPTED.replace("[parameters]\n", &format!(
            "[budget]\nmax_trials = {draws}\n[parameters]\ndropout = {{ min = 0.0, max = 0.3 }}\n"
        )).replace("[sweep]\n", "[sweep]\nmethod = \"random\"\n")
    };
    let drawn = "select configuration, fingerprint, replicate from sweep_trials order by number";
    let whole = Sandbox::new();
    whole.write("s.toml", random(6));
    whole.converge(&["run", "s.toml"]).expect_code(0);

    let sandbox = Sandbox::new();
    sandbox.write("s.toml", random(3));
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    sandbox.write("s.toml", random(6));
    sandbox.converge(&["run", "s.toml"]).expect_code(2);
    let extended =
        sandbox.converge(&["extend", "scripted", "s.toml", "--yes"]).expect_code(0).stdout;
    assert!(extended.contains("  budget.max_trials\n    stored: 3\n    now:    6\n"), "{extended}");
    sandbox.converge(&["resume"]).expect_code(0);
    // The same paths give the same content hashes, whatever the folder: fingerprints differ by folder alone.
    let configurations = |sandbox: &Sandbox| -> Vec<String> {
        sandbox.rows(drawn).iter().map(|row| row.split('|').next().unwrap().to_string()).collect()
    };
    assert_eq!(configurations(&sandbox), configurations(&whole));
    assert_eq!(configurations(&whole).len(), 6);
}

#[test]
fn what_would_make_old_trials_incomparable_is_refused_with_reason_and_way_on() {
    let sandbox = changed("[model]", "[train]\nepochs = 5\n[model]");
    let before = sandbox.rows("select definition from sweeps");
    let refused = sandbox.converge(&["extend", "s.toml", "sweep.seed=7", "--yes"]).expect_code(2);
    assert!(
        refused.stdout.contains("  train.epochs\n    stored: 3\n    now:    5\n"),
        "{}",
        refused.stdout
    );
    for expected in [
        "error: sweep.seed: 42 -> 7: ",
        "error: train.epochs: 3 -> 5: the old trials have it otherwise",
        "hint: to compare both, make it a parameter: epochs = { values = [3, 5] }",
        "could not be compared",
        "s.toml sweep.seed=7 --name scripted-2",
    ] {
        assert!(refused.stderr.contains(expected), "{expected}\n{}", refused.stderr);
    }
    assert_eq!(sandbox.rows("select definition from sweeps"), before);
    // The hint holds: as a parameter both are in one sweep, and the old trials are its half.
    let axis = "[parameters]\nepochs = { values = [3, 5] }\n";
    sandbox.write("s.toml", SCRIPTED.replace("[parameters]\n", axis));
    let grown = sandbox.converge(&["extend", "s.toml", "--yes"]).expect_code(0).stdout;
    assert!(grown.contains("adds 6 trials, 7 to 12"), "{grown}");
}

#[test]
fn a_sweep_that_is_not_there_cannot_grow() {
    let sandbox = changed("[model]", "[model]");
    let refused = sandbox.converge(&["extend", "other", "s.toml"]).expect_code(2).stderr;
    assert!(
        refused.contains("there is no sweep `other`") && refused.contains("scripted"),
        "{refused}"
    );
    sandbox.converge(&["extend", "none.toml"]).expect_code(2);
}

#[test]
fn other_data_under_the_old_path_is_refused_and_moved_data_is_not() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let arguments = ["sweeps/smoke.toml", "epochs=2", "batch_size=8", "optimizer=adamw"];
    let with = |command: &'static str, rest: &[&'static str]| {
        let all: Vec<&str> = [command].iter().chain(&arguments).chain(rest).copied().collect();
        sandbox.converge(&all)
    };
    let run = with("run", &["learning_rate=1e-3"]).expect_code(0);
    assert!(run.stderr.contains("1 trials"), "{}", run.stderr);
    let data = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.tsv")).unwrap();
    sandbox.write("sweeps/moved.tsv", &data);
    let moved =
        with("extend", &["learning_rate=1e-3,5e-3", "data.train=sweeps/moved.tsv", "--yes"]);
    let moved = moved.expect_code(0).stdout;
    assert!(moved.contains("adds trial 2, ") && moved.contains("data.train"), "{moved}");
    sandbox.converge(&["resume"]).expect_code(0);
    assert_eq!(sandbox.rows("select distinct state from sweep_trials"), ["completed"]);
    assert_eq!(sandbox.number("select json_array_length(facts) from sweeps"), Some(1));

    sandbox.write("sweeps/moved.tsv", data.replacen("bread", "breads", 1));
    let other =
        with("extend", &["learning_rate=1e-3,5e-3,1e-2", "data.train=sweeps/moved.tsv", "--yes"]);
    let other = other.expect_code(2).stderr;
    assert!(other.contains("error: train: its content is not what the old trials"), "{other}");
    assert_eq!(sandbox.number("select count(*) from sweep_trials"), Some(2));
}
