//! How fast observations go in, durably, and how many bytes one takes.
//!
//! `cargo run --release -p converge-store --example ingest [DIRECTORY]`: writes a database there (default: the
//! system's directory for temporary files), prints one line per shape of batch, and removes it.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use converge_core::ids::{AttemptId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_store::{Change, NewSession, NewSweep, NewTrial, Reader, Store};

/// Observations written for each shape.
const OBSERVATIONS: u64 = 600_000;

/// Trials that train side by side.
const TRIALS: u64 = 4;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = parent.join(format!("converge-ingest-{}", std::process::id()));
    let mut out = std::io::stdout();
    writeln!(
        out,
        "metrics/step  steps/batch  observations/s  batches/s  bytes/row  open ms  best ms"
    )?;
    for (metrics, steps) in [(5, 1), (5, 20), (5, 400), (12, 1), (12, 20), (12, 400)] {
        std::fs::create_dir_all(&directory)?;
        let line = measure(&directory, metrics, steps);
        std::fs::remove_dir_all(&directory)?;
        writeln!(out, "{}", line?)?;
    }
    Ok(())
}

/// Ingests with so many metrics a step and so many steps of each trial a batch.
fn measure(directory: &Path, metrics: u64, steps: u64) -> Result<String, Failure> {
    let path = directory.join("sweeps.db");
    let (mut store, worker) = prepare(&path)?;
    let names: Vec<String> = (0..metrics).map(|metric| format!("train/metric_{metric}")).collect();
    let batches = OBSERVATIONS / (TRIALS * metrics * steps);
    let mut seconds = 0.0;
    for batch in 0..batches {
        let mut changes = Vec::new();
        for trial in 1..=TRIALS {
            for step in batch * steps + 1..=(batch + 1) * steps {
                let values = names.iter().zip(1..);
                changes.push(Change::Observed {
                    attempt: AttemptId(trial as i64),
                    step,
                    seq: step + 1,
                    metrics: values
                        .map(|(name, metric)| {
                            (name.clone(), (step as f64 / f64::from(metric)).ln())
                        })
                        .collect(),
                    items: None,
                });
            }
        }
        changes.push(Change::LogRead {
            worker,
            offset: batch * 1_000,
            next_seq: batch + 2,
            torn_lines: 0,
        });
        let start = Instant::now();
        store.apply(&changes, batch as i64)?;
        seconds += start.elapsed().as_secs_f64();
    }
    let ends: Vec<Change> = (1..=TRIALS as i64)
        .flat_map(|trial| {
            let end = Change::AttemptEnded {
                attempt: AttemptId(trial),
                ending: AttemptEnding::Completed,
                last_step: 0,
                closed_seq: 1,
                best: None,
                peak_memory_bytes: None,
            };
            let state = TrialState::Completed;
            [end, Change::TrialState { trial: TrialId(trial), state }]
        })
        .collect();
    store.apply(&ends, 1)?;
    drop(store);

    let start = Instant::now();
    let reader = Reader::open(&path)?;
    let open = start.elapsed();
    let start = Instant::now();
    let sweep = reader.latest_sweep()?.ok_or("no sweep")?;
    reader.ranking(sweep.id, &sweep.objective)?;
    let best = start.elapsed();
    let rows = batches * TRIALS * metrics * steps;
    Ok(format!(
        "{metrics:12}  {steps:11}  {:14.0}  {:9.0}  {:9.1}  {:7.2}  {:7.2}",
        rows as f64 / seconds,
        batches as f64 / seconds,
        std::fs::metadata(&path)?.len() as f64 / rows as f64,
        open.as_secs_f64() * 1e3,
        best.as_secs_f64() * 1e3,
    ))
}

/// Makes a sweep whose trials all have an open attempt.
fn prepare(path: &Path) -> Result<(Store, WorkerId), Failure> {
    let settings: converge_core::settings::Settings = serde_json::from_str(SETTINGS)?;
    let facts: converge_core::facts::Facts = serde_json::from_str(FACTS)?;
    let trials = (1..=TRIALS).map(|trial| NewTrial {
        kind: TrialKind::Grid,
        configuration: [("learning_rate".to_owned(), converge_core::value::Value::Float(1e-5))]
            .into(),
        settings: settings.clone(),
        fingerprint: trial.to_string(),
        replicate: 0,
        facts_index: 0,
        total_steps: OBSERVATIONS,
    });
    let sweep = NewSweep {
        name: "ingest".into(),
        identity: "0".repeat(64),
        definition: "{}".into(),
        source_path: None,
        source_text: String::new(),
        overrides: Vec::new(),
        facts: vec![facts],
        objective: Objective {
            metric: "train/metric_0".into(),
            goal: Goal::Maximize,
            at: At::Best,
        },
        version: env!("CARGO_PKG_VERSION").into(),
        trials: trials.collect(),
    };
    let mut store = Store::create_or_open(path)?;
    let sweep = store.create_sweep(&sweep, 0)?;
    let session = NewSession {
        sweep,
        pid: std::process::id(),
        boot_id: String::new(),
        host: String::new(),
        version: String::new(),
        machine: Default::default(),
    };
    let session = store.open_session(&session, 0)?;
    let worker = store.new_worker(session, "cpu", |id| format!("workers/{id}"), 0)?;
    let leases: Vec<Change> = (1..=TRIALS)
        .map(|trial| Change::Leased {
            attempt: AttemptId(trial as i64),
            trial: TrialId(trial as i64),
            number: 1,
            worker,
            from_step: 0,
            directory: format!("attempts/{trial}"),
            down_seq: trial,
            accumulation_factor: 1,
        })
        .collect();
    store.apply(&leases, 0)?;
    Ok((store, worker))
}

const SETTINGS: &str = r#"{
    "train": {
        "learning_rate": 2e-5, "batch_size": 16, "epochs": 3, "max_steps": null, "optimizer": "adamw",
        "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01,
        "max_grad_norm": 1.0, "schedule": "linear", "warmup_ratio": 0.1, "warmup_steps": null,
        "max_length": "auto", "evaluations_per_epoch": 4, "dropout": null, "hidden_dropout": null,
        "attention_dropout": null, "classifier_dropout": null, "label_smoothing": 0.0,
        "gradient_accumulation": 1, "freeze": "none", "head_learning_rate_multiplier": 1.0,
        "class_weights": "none", "pooling": "cls"
    },
    "model": {"path": null, "preset": "tiny", "layers": null},
    "data": {
        "train": "/data/train.tsv", "validation": null, "test": null, "text": "text",
        "text_pair": null, "label": "label", "validation_fraction": 0.2, "test_fraction": 0.0,
        "train_limit": null, "validation_limit": null
    }
}"#;

const FACTS: &str = r#"{
    "content_hashes": {}, "labels": ["negative", "positive"],
    "train": {
        "examples": 2, "class_counts": [1, 1], "token_lengths": [1, 1, 1, 1],
        "truncated_share": 0.0, "unknown_token_share": 0.0
    },
    "validation": null, "test": null, "max_length": 8, "duplicates_between_splits": 0,
    "model": {
        "parameters": 1, "hidden_size": 1, "layers": 1, "heads": 1, "intermediate_size": 1,
        "vocabulary_size": 1, "max_positions": 8
    }
}"#;
