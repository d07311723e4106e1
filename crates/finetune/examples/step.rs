//! Times whole training steps: forward, backward, clipping and AdamW, dropout on.
//!
//! ```text
//! cargo run --release --workspace --example step -- [--checkpointing] MODEL_DIRECTORY [BATCH [LENGTH [STEPS]]]
//! ```
//!
//! Prints the median seconds of a step and the peak memory of the process, and the same as JSON in
//! the last line. What is timed is the loop of the crate itself, by its `train/seconds`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use converge_core::objective::{At, Goal, Objective};
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::Settings;
use converge_finetune::{Control, Job, Observer, fine_tune};
use serde_json::json;

// A fifth of a step is page faults under glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before the first that counts: caches and memory are warm then.
const WARM_UP: u64 = 3;

/// Examples made at most; longer runs see them again.
const MOST_EXAMPLES: u64 = 8192;

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let checkpointing = arguments.next_if(|argument| argument == "--checkpointing").is_some();
    let model = arguments.next().expect("usage: step MODEL_DIRECTORY [BATCH [LENGTH [STEPS]]]");
    let mut number = |default: u64| -> u64 {
        arguments.next().map_or(default, |text| text.parse().expect("expected a number"))
    };
    let (batch, length, steps) = (number(16), number(32), number(20));

    let directory = std::env::temp_dir().join(format!("converge-step-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let data = directory.join("train.tsv");
    // Other words at each step: an update of embeddings that was put off until a word comes is paid for.
    let batches = (steps + WARM_UP).min((MOST_EXAMPLES / batch).max(1));
    std::fs::write(&data, table(Path::new(&model), batch * batches, length)).unwrap();
    let mut job = job(&model, &directory, &data, [batch, length, steps + WARM_UP]);
    job.gradient_checkpointing = checkpointing;
    let mut times = Times::default();
    fine_tune(&job, &mut times).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();

    let mut seconds = times.seconds.split_off(WARM_UP as usize);
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let memory = peak_memory();
    println!("{batch} x {length} tokens: {median:.4} s a step, peak {} MB", memory / 1_000_000);
    let tokens = times.tokens;
    let result = json!({ "seconds": median, "steps": seconds.len(), "tokens": tokens,
        "batch": batch, "length": length, "peak_bytes": memory });
    println!("{result}");
}

/// Returns examples of `length` tokens each, two of them for the special ones.
///
/// The words are drawn from the whole vocabulary, where the model's directory lists it: as many rows
/// of the embedding table are touched as by random tokens.
fn table(model: &Path, rows: u64, length: u64) -> String {
    let vocabulary = std::fs::read_to_string(model.join("vocab.txt")).unwrap_or_default();
    let plain = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut words: Vec<&str> = vocabulary.lines().filter(plain).collect();
    if words.is_empty() {
        words =
            vec!["film", "plot", "good", "the", "music", "never", "one", "story", "bad", "very"];
    }
    let mut text = String::from("text\tlabel\n");
    for row in 0..rows {
        for place in 0..length.saturating_sub(2) {
            let word = words[Seed(row).stream("word", place).0 as usize % words.len()];
            text += word;
            text.push(' ');
        }
        text += &format!("\t{}\n", row % 2);
    }
    text
}

fn job(model: &str, directory: &Path, data: &Path, [batch, length, steps]: [u64; 3]) -> Job {
    let settings: Settings = serde_json::from_value(json!({
        "train": {
            "learning_rate": 2e-5, "batch_size": batch, "epochs": steps, "max_steps": steps,
            "optimizer": "adamw", "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
            "weight_decay": 0.01, "max_grad_norm": 1.0, "schedule": "linear", "warmup_ratio": 0.1,
            "warmup_steps": null, "max_length": length, "evaluations_per_epoch": 0,
            "dropout": 0.1, "hidden_dropout": null, "attention_dropout": null,
            "classifier_dropout": null, "label_smoothing": 0.0, "gradient_accumulation": 1,
            "freeze": "none", "head_learning_rate_multiplier": 1.0, "class_weights": "none",
            "pooling": "cls",
        },
        "model": { "path": model, "preset": null, "layers": null },
        "data": {
            "train": data, "validation": "none", "test": null, "text": "text", "text_pair": null,
            "label": "label", "validation_fraction": 0.0, "test_fraction": 0.0,
            "train_limit": null, "validation_limit": null,
        },
    }))
    .unwrap();
    Job {
        settings,
        seeds: TrialSeeds::new(Seed(42), 0),
        objective: Objective {
            metric: "train/loss".to_owned(),
            goal: Goal::Minimize,
            at: At::Last,
        },
        cache_directory: directory.join("cache"),
        attempt_directory: directory.join("attempt"),
        resume_from: None,
        checkpoint_seconds: 1e9,
        until_step: None,
        patience: None,
        gradient_checkpointing: false,
        accumulation_factor: 1,
        device: "cpu".to_owned(),
        expected_hashes: BTreeMap::new(),
    }
}

/// Listens for the time that each step took.
#[derive(Default)]
struct Times {
    seconds: Vec<f64>,
    tokens: f64,
}

impl Observer for Times {
    fn observe(
        &mut self,
        _step: u64,
        metrics: &[(String, f64)],
        _items: Option<converge_core::items::ItemResults>,
    ) {
        let value = |name: &str| metrics.iter().find(|(metric, _)| metric == name).unwrap().1;
        self.seconds.push(value("train/seconds"));
        self.tokens = value("train/tokens");
    }

    fn checkpointed(&mut self, _step: u64, _directory: &Path) {}

    fn control(&mut self) -> Control {
        Control::Continue
    }
}

/// Returns the most bytes that this process ever had in memory; 0 where Linux does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
