//! From a sweep file to the best configuration, with every reading command on the way.

use converge_tests::{Output, Sandbox, repository};

/// A scripted sweep: everything but the training is real.
pub(crate) const SCRIPTED: &str = r#"
[sweep]
name = "scripted"
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { values = [1e-5, 1e-4, 1e-3] }
batch_size = { values = [16, 32] }
[run]
device = "scripted"
workers = 2
"#;

/// Puts the smoke sweep and its data into a sandbox.
pub(crate) fn smoke(sandbox: &Sandbox) {
    for file in ["sweeps/smoke.toml", "sweeps/smoke.tsv"] {
        sandbox.write(file, std::fs::read(repository().join(file)).unwrap());
    }
}

#[test]
fn a_tiny_bert_is_swept_stored_ranked_and_not_trained_twice() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let run = sandbox.converge(&["run", "sweeps/smoke.toml"]).expect_code(0);
    assert!(run.stdout.starts_with("sweep `smoke`, largest validation/accuracy"), "{}", run.stdout);
    assert_eq!(
        sandbox.rows("select state, count(*) from sweep_trials group by state"),
        ["completed|6"]
    );
    // Every step of every trial, once.
    let holes = "select t.number from sweep_trials t left join curves c on c.trial = t.number and c.metric = 'train/loss' \
                 group by t.id having count(c.step) <> t.total_steps or max(c.step) <> t.total_steps";
    assert_eq!(sandbox.rows(holes), Vec::<String>::new());
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    let first = &best["configurations"][0];
    assert!(first["mean"].as_f64().unwrap() > 0.75, "a tiny network learns the sentences: {best}");
    let view = sandbox.rows("select * from best_configuration");
    assert_eq!(view.len(), 1, "{view:?}");
    assert!(view[0].contains("smoke"), "{view:?}");
    // The shell of the oldest system that is supported reads every view (Debian 12: SQLite 3.40).
    for view in ["best_configuration", "trials_wide", "curves"] {
        let mut shell = std::process::Command::new("sqlite3");
        shell
            .arg("-readonly")
            .arg(sandbox.home().join("sweeps.db"))
            .arg(format!("select * from {view} limit 1"));
        assert!(!Output::of(&mut shell).expect_code(0).stdout.is_empty(), "{view}");
    }

    let again = sandbox.converge(&["run", "sweeps/smoke.toml"]).expect_code(0);
    assert!(again.stderr.contains("nothing left to do"), "{}", again.stderr);
    assert_eq!(sandbox.number("select count(*) from attempts"), Some(6));

    let exported = sandbox.converge(&["export"]).expect_code(0).stdout;
    let counted = sandbox.number("select count(*) from curves").unwrap();
    assert_eq!(exported.lines().count() as i64, counted + 1);
    let evaluated = [
        "loss",
        "loss_deviation",
        "confidence",
        "confidently_wrong",
        "accuracy",
        "macro_f1",
        "mcc",
        "auroc",
        "f1/bread",
        "f1/sea",
        "recall/bread",
        "recall/sea",
        "predicted/bread",
        "predicted/sea",
    ];
    let mut expected: Vec<String> = ["validation", "train_subset"]
        .iter()
        .flat_map(|split| evaluated.iter().map(move |name| format!("{split}/{name}")))
        .collect();
    // Two layers: the lower is the bottom, the upper the top, and there is no middle.
    for group in ["embeddings", "bottom", "top", "head"] {
        expected.extend([format!("train/gradient_norm/{group}"), format!("travel/{group}")]);
    }
    for group in ["bottom", "top", "head"] {
        expected.push(format!("train/update_ratio/{group}"));
    }
    // Some of the six trials train with AdamW.
    let of_updates = ["epsilon_share", "same_batch_drop", "expected_drop"];
    expected.extend(of_updates.iter().map(|name| format!("train/{name}")));
    let every_step = ["loss", "learning_rate", "tokens", "gradient_norm", "seconds"];
    expected.extend(every_step.iter().map(|name| format!("train/{name}")));
    expected.sort();
    assert_eq!(sandbox.rows("select distinct metric from curves order by metric"), expected);
}

#[test]
fn weights_stay_for_the_best_and_checkpoints_for_nobody() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    sandbox
        .converge(&["run", "sweeps/smoke.toml", "run.keep_best=2", "run.checkpoint_seconds=0.01"])
        .expect_code(0);
    let kept = sandbox.rows(
        "select best_weights_directory from sweep_trials where best_weights_directory is not null",
    );
    assert_eq!(kept.len(), 2, "{kept:?}");
    let mut on_disk: Vec<String> = Vec::new();
    for attempt in std::fs::read_dir(sandbox.home().join("attempts")).unwrap() {
        for entry in std::fs::read_dir(attempt.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                on_disk.push(path.strip_prefix(sandbox.home()).unwrap().display().to_string());
            }
        }
    }
    on_disk.sort();
    let mut kept = kept;
    kept.sort();
    assert_eq!(on_disk, kept);
    for directory in kept {
        assert!(sandbox.home().join(directory).join("model.safetensors").is_file());
    }
}

#[test]
fn reading_commands_tell_the_same_story() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "finished");
    assert_eq!(status["sweeps"][0]["trials"]["completed"], 6);
    let trials = sandbox
        .converge(&["trials", "--where", "learning_rate<=1e-4", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(trials.as_array().unwrap().len(), 4);
    let best = sandbox.converge(&["best", "--top", "1", "--json"]).expect_code(0).json();
    let number = best["configurations"][0]["trials"][0].to_string();
    let shown = sandbox.converge(&["show", "best", "--json"]).expect_code(0).json();
    assert_eq!(shown["trial"].to_string(), number);
    assert_eq!(shown["objective"], best["configurations"][0]["mean"]);
    let curve = sandbox.converge(&["curve", &number, "train/loss", "--json"]).expect_code(0).json();
    assert_eq!(curve[0]["points"].as_array().unwrap().len(), 10);
    let plot = sandbox.converge(&["curve", "1-3", "train/loss"]).expect_code(0).stdout;
    assert!(plot.contains("train/loss") && plot.contains("trial 3"), "{plot}");
    let lines = sandbox.converge(&["export", "--format", "jsonl"]).expect_code(0).stdout;
    let value: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(value["trial"], 1);
    let by_loss =
        sandbox.converge(&["best", "--metric", "validation/loss", "--json"]).expect_code(0).json();
    assert_eq!(by_loss["objective"]["goal"], "minimize");
    sandbox.converge(&["best", "--metric", "validation/los"]).expect_code(2);
    assert!(sandbox.converge(&["doctor"]).expect_code(0).stdout.contains("sound, 1 sweeps"));
    let log = sandbox.converge(&["show", "1", "--log"]).expect_code(0);
    assert!(!log.stdout.is_empty());
}

#[test]
fn failures_are_retried_by_class_and_counted_and_divergence_is_a_result() {
    let sandbox = Sandbox::new();
    let script = r#"
[[run.script]]
when = { learning_rate = 1e-5 }
end = "panic"
at_step = 4
attempts = 1
[[run.script]]
when = { learning_rate = 1e-4, batch_size = 16 }
end = "data"
at_step = 3
[[run.script]]
when = { learning_rate = 1e-4 }
end = "kill"
at_step = 5
attempts = 2
[[run.script]]
when = { learning_rate = 1e-3 }
end = "diverge"
at_step = 2
"#;
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(3);
    assert!(run.stderr.contains("1 trial failed"), "{}", run.stderr);
    assert_eq!(
        sandbox.rows("select number, state, (select count(*) from attempts a where a.trial = t.id) from sweep_trials t order by number"),
        ["1|completed|2", "2|completed|2", "3|failed|1", "4|completed|3", "5|diverged|1", "6|diverged|1"]
    );
    let endings = sandbox
        .rows("select failure_class from attempts where failure_class is not null order by id");
    assert_eq!(endings.len(), 5, "{endings:?}");
    let ranked = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    assert_eq!(ranked["configurations"].as_array().unwrap().len(), 5);
    assert!(ranked["configurations"][4]["mean"].is_null(), "diverged comes last: {ranked}");
    assert!(sandbox.converge(&["show", "3"]).expect_code(0).stdout.contains("failure: data"));
}

#[test]
fn replicates_train_with_other_seeds_and_are_ranked_by_their_mean() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let overrides = [
        "run",
        "sweeps/smoke.toml",
        "sweep.replicates=2",
        "batch_size=8",
        "learning_rate=5e-3",
        "optimizer=adamw",
    ];
    sandbox.converge(&overrides).expect_code(0);
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    let only = &best["configurations"][0];
    assert_eq!(only["trials"].as_array().unwrap().len(), 2);
    let values: Vec<f64> = sandbox
        .rows("select objective_value from sweep_trials order by number")
        .iter()
        .map(|value| value.parse().unwrap())
        .collect();
    assert_eq!(only["mean"].as_f64().unwrap(), (values[0] + values[1]) / 2.0);
    let first = sandbox
        .rows("select value from curves where metric = 'train/loss' and trial = 1 order by step");
    let second = sandbox
        .rows("select value from curves where metric = 'train/loss' and trial = 2 order by step");
    assert_ne!(first, second, "other seeds, other curves");
}
