//! A sweep file or an override may come from anybody: it is read or refused, and never more than that.

#![expect(clippy::disallowed_methods, reason = "the corpus lies in files")]

use std::collections::BTreeMap;
use std::path::Path;

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::machine::{Gpus, Machine, peak_memory, plan_workers};
use converge_core::materialise::{cases, trials};
use converge_core::sampler::sample;
use converge_core::sweep_file::read;
use proptest::prelude::*;

/// A sound file, which mutations start from.
const SOUND: &str = r#"
[sweep]
name = "x"
method = "grid"
seed = 7
replicates = 2
objective = { metric = "validation/accuracy", goal = "maximize", at = "best" }
[parameters]
learning_rate = [
  { values = [1e-3, 5e-3], when = { optimizer = "adamw" } },
  { distribution = "log_uniform_values", min = 1e-4, max = 1e-1, count = 3, when = { optimizer = "sgd" } },
]
optimizer = { values = ["adamw", "sgd"] }
dropout = { min = 0.0, max = 0.3, step = 0.1 }
batch_size = { min = 4, max = 16, step = 4 }
momentum = { values = [0.9], when = { optimizer = "sgd" } }
"data.train_limit" = { values = [10, 20] }
[train]
epochs = 12
class_weights = [1.0, 2.0]
[model]
preset = "tiny"
[data]
train = "a.tsv"
validation_fraction = 0.25
[run]
workers = "auto"
checkpoint_seconds = 0.5
[[run.script]]
steps = 10
when = { optimizer = "sgd" }
[budget]
max_trials = 50
[failure]
retries = { killed = 5 }
"#;

/// Words that stand where a value, a key or a piece of syntax was.
const WORDS: &[&str] = &[
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-308",
    "1e-320",
    "-0.0",
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "0x7fffffffffffffff",
    "true",
    "[]",
    "[[]]",
    "{}",
    "\"\"",
    "'''",
    "\"\"\"",
    "\"\\u0000\"",
    "\"\u{1b}[2J\"",
    "1979-05-27T07:32:00Z",
    "[sweep]",
    "[parameters]",
    "[[run.script]]",
    "[run]",
    "when = { x = 1 }",
    "optimizer",
    "count = 1000000",
    "values",
    "min",
    "max",
    "step",
    "=",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "#",
    ".",
    "data.train",
    "epochs",
    "max_trials = 9223372036854775807",
    "replicates = 9223372036854775807",
    "count = 9223372036854775807",
];

fn facts() -> Facts {
    let split = SplitFacts {
        examples: 45,
        class_counts: vec![20, 25],
        targets: None,
        token_lengths: [3, 8, 20, 31],
        truncated_share: 0.0,
        unknown_token_share: 0.0,
    };
    Facts {
        content_hashes: BTreeMap::from([("train".into(), "0".repeat(64))]),
        task: converge_core::task::Task::Classes,
        task_reason: String::new(),
        labels: vec!["a".into(), "b".into()],
        train: split.clone(),
        validation: Some(split),
        test: None,
        validation_answers: None,
        max_length: 32,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: u64::MAX,
            hidden_size: u64::MAX,
            layers: u64::MAX,
            heads: 2,
            intermediate_size: u64::MAX,
            vocabulary_size: 100,
            max_positions: 64,
        },
    }
}

/// Reads a file and, where it is accepted, does with the sweep what the scheduler's process does.
fn take(text: &str, overrides: &[String]) {
    let sweep = match read(text, "s.toml", overrides) {
        Ok(sweep) => sweep,
        Err(problems) => return assert!(!problems.is_empty(), "refused without a reason"),
    };
    // What is large is the same again, and a test has a second.
    let points = |parameter: &converge_core::search_space::Parameter| {
        parameter.cases.iter().map(|case| case.domain.points()).max().unwrap_or(1).max(1)
    };
    let all = sweep.parameters.iter().map(points).fold(1, u64::saturating_mul);
    if all.max(sweep.budget.max_trials.unwrap_or(0)) > 5000 {
        return;
    }
    let drawn = sample(&sweep);
    if drawn.configurations.len() as u64 * sweep.replicates > 2000 {
        return;
    }
    let cases = cases(&sweep, &drawn);
    let facts: Vec<Facts> = cases.settings.iter().map(|_| facts()).collect();
    let (planned, _) = trials(&sweep, &drawn, &cases, &facts);
    for trial in planned.iter().take(10) {
        let settings = &trial.settings;
        peak_memory(&facts[0].model, &settings.train, 32, sweep.run.gradient_checkpointing);
        converge_core::steps::is_evaluated(trial.total_steps / 2, 45, &settings.train);
        converge_core::steps::warmup_steps(trial.total_steps, &settings.train);
        sweep.script_of(&trial.configuration);
    }
    let machine = Machine { cores: 2, free_memory: u64::MAX };
    let gpus = Some(Gpus { count: 8, workers_per_gpu: sweep.run.workers_per_gpu });
    plan_workers(sweep.run.workers, machine, gpus, None, planned.len() as u64, 0);
    // What is stored of it can be read again.
    let stored = serde_json::to_string(&sweep).expect("a sweep has a JSON form");
    let read: converge_core::sweep::Sweep =
        serde_json::from_str(&stored).expect("what was written can be read");
    assert_eq!(read, sweep);
}

/// Replaces `length` bytes of `text` at a place by `word`, both at the borders of characters.
fn put(text: &mut String, at: usize, length: usize, word: &str) {
    let border = |mut place: usize, text: &str| {
        place = place.min(text.len());
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        place
    };
    let from = border(at % (text.len() + 1), text);
    let to = border(from + length, text).max(from);
    text.replace_range(from..to, word);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_sweep_file_is_read_or_refused(
        changes in prop::collection::vec((any::<usize>(), 0usize..12, prop::sample::select(WORDS)), 1..6)
    ) {
        let mut text = SOUND.to_string();
        for (at, length, word) in changes {
            put(&mut text, at, length, word);
        }
        take(&text, &[]);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        take(&text, &[]);
    }

    #[test]
    fn any_override_is_read_or_refused(
        key in prop::sample::select(&["epochs", "learning_rate", "run.workers", "budget.max_trials", "sweep.name",
            "sweep.replicates", "data.train", "run.script", "parameters.dropout", "", "x", "failure.retries"][..]),
        value in prop::sample::select(WORDS).prop_map(str::to_string).boxed().prop_union("\\PC{0,40}".boxed()),
        rest in "[\\x00-\\x7f]{0,20}",
    ) {
        take(SOUND, &[format!("{key}={value}{rest}")]);
        take(SOUND, &[rest, format!("{key}={value},{value}")]);
    }
}

#[test]
fn every_kept_input_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let mut replayed = 0;
    for (folder, file) in [("sweep_file", true), ("override", false)] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            if file {
                take(&text, &[]);
            } else {
                text.lines().for_each(|line| take(SOUND, &[line.to_string()]));
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 8, "only {replayed} files are kept");
}

#[test]
fn nesting_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        for depth in [100, 10_000] {
            let text = format!("x = {}1{}", open.repeat(depth), close.repeat(depth));
            take(&text, &[]);
            take(SOUND, &[format!("epochs={}1{}", open.repeat(depth), close.repeat(depth))]);
        }
    }
}

#[test]
fn a_sweep_that_no_machine_could_hold_is_refused() {
    for (old, new) in [
        ("replicates = 2", "replicates = 1000000"),
        ("count = 3", "count = 9223372036854775807"),
        ("step = 0.1", "step = 1e-300"),
        ("max = 16, step = 4", "max = 9223372036854775807, step = 1"),
        ("method = \"grid\"\nseed = 7\nreplicates = 2", "method = \"random\"\nreplicates = 30000"),
    ] {
        let text = SOUND.replace(old, new);
        assert_ne!(text, SOUND);
        let problems = read(&text, "s.toml", &[]).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem.message.contains("more than a million")),
            "{new}: {problems:?}"
        );
    }
}
