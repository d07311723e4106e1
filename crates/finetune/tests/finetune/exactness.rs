//! Stopped, killed, resumed: the same bits as when left alone, at any thread count.

use std::path::{Path, PathBuf};
use std::process::Command;

use converge_bert::device::of_tests;
use converge_bert::{Architecture, BertClassifier, BertConfig, ClassifierOptions, weights};
use converge_core::failure::FailureClass;
use converge_core::items::ItemResults;
use converge_core::objective::{At, Goal};
use converge_core::seed::Seed;
use converge_core::settings::{Optimizer, Settings};
use converge_finetune::{Ending, FineTuneError, Job, Observer, fine_tune};
use serde::{Deserialize, Serialize};

use crate::support::{
    Curves, Recorder, best_weights, job, objective, settings, write_model, write_toy,
};

/// Tells a test binary that it is the child of [`run_in_child`].
const CHILD: &str = "CONVERGE_FINETUNE_TEST_CHILD";

/// What a child process is to do.
#[derive(Serialize, Deserialize)]
struct Piece {
    settings: Settings,
    directory: PathBuf,
    attempt: PathBuf,
    resume_from: Option<PathBuf>,
    checkpoint_seconds: f64,
    /// Pause there.
    until_step: Option<u64>,
    /// Stop as asked after this step.
    stop_after_step: Option<u64>,
    /// Die without warning after this step was observed.
    die_after_step: Option<u64>,
}

/// The child's side: does nothing unless a parent says so.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let piece: Piece = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut job = job(piece.settings, &piece.directory);
    job.attempt_directory = piece.attempt;
    job.resume_from = piece.resume_from;
    job.checkpoint_seconds = piece.checkpoint_seconds;
    job.until_step = piece.until_step;
    let recorder = Recorder { stop_after_step: piece.stop_after_step, ..Recorder::default() };
    let mut observer = Mortal { recorder, die_after_step: piece.die_after_step, path };
    let ending = fine_tune(&job, &mut observer).unwrap();
    let stopped = matches!(ending, Ending::Stopped { .. });
    assert_eq!(stopped, piece.stop_after_step.is_some(), "{ending:?}");
    if let Some(step) = piece.until_step {
        assert_eq!(ending, Ending::Paused { step });
    }
    observer.save();
}

/// Writes down what it hears, for the parent to read even after a death.
struct Mortal {
    recorder: Recorder,
    die_after_step: Option<u64>,
    path: String,
}

impl Mortal {
    fn save(&self) {
        let curves: Vec<(u64, &str, u64)> = self
            .recorder
            .curves
            .iter()
            .map(|((step, name), bits)| (*step, name.as_str(), *bits))
            .collect();
        let told = (curves, &self.recorder.checkpoints);
        std::fs::write(format!("{}.told", self.path), serde_json::to_vec(&told).unwrap()).unwrap();
    }
}

impl Observer for Mortal {
    fn observe(&mut self, step: u64, metrics: &[(String, f64)], items: Option<ItemResults>) {
        self.recorder.observe(step, metrics, items);
        if self.die_after_step == Some(step) {
            self.save();
            std::process::abort();
        }
    }

    fn checkpointed(&mut self, step: u64, directory: &Path) {
        self.recorder.checkpointed(step, directory);
    }

    fn control(&mut self) -> converge_finetune::Control {
        self.recorder.control()
    }
}

/// What a child told: its curves and its checkpoints.
type Told = (Vec<(u64, String, u64)>, Vec<(u64, PathBuf)>);

fn run_in_child(piece: &Piece, name: &str, threads: usize) -> Told {
    let path = piece.directory.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_vec(piece).unwrap()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "exactness::child", "--nocapture"])
        .env(CHILD, &path)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), piece.die_after_step.is_none(), "{name}: {said}");
    let told = std::fs::read(format!("{}.told", path.display())).unwrap();
    serde_json::from_slice(&told).unwrap()
}

/// Runs 30 steps at once on one thread, and again as three processes (stopped, killed, finished) on
/// two and five; demands the same curves and the same weights.
fn assert_same_bits(directory: &Path, settings: &Settings, checkpoint_seconds: f64) {
    let piece = |attempt: &str| Piece {
        settings: settings.clone(),
        directory: directory.to_owned(),
        attempt: directory.join(attempt),
        resume_from: None,
        checkpoint_seconds: 1e9,
        until_step: None,
        stop_after_step: None,
        die_after_step: None,
    };
    let curves = |told: &[(u64, String, u64)]| -> Curves {
        told.iter().map(|(step, name, bits)| ((*step, name.clone()), *bits)).collect()
    };
    let (whole, _) = run_in_child(&piece("whole"), "whole", 1);
    let whole = curves(&whole);

    let first = Piece { stop_after_step: Some(11), ..piece("first") };
    let (mut told, checkpoints) = run_in_child(&first, "first", 2);
    let second = Piece {
        resume_from: Some(checkpoints[0].1.clone()),
        die_after_step: Some(19),
        checkpoint_seconds,
        ..piece("second")
    };
    let (more, mut others) = run_in_child(&second, "second", 2);
    told.extend(more);
    let last = others.pop().unwrap_or(checkpoints[0].clone());
    assert!(last.0 <= 19);
    // What the dead process did after its last checkpoint is not part of the curve.
    told.retain(|(step, ..)| *step <= last.0);
    let third = Piece { resume_from: Some(last.1), ..piece("third") };
    let (more, _) = run_in_child(&third, "third", 5);
    told.extend(more);

    let pieces = curves(&told);
    for (key, bits) in &whole {
        let found = pieces.get(key).map(|bits| f64::from_bits(*bits));
        assert_eq!(found, Some(f64::from_bits(*bits)), "{key:?}");
    }
    assert_eq!(whole.len(), pieces.len());
    assert_eq!(whole.keys().map(|(step, _)| *step).max(), Some(30));
    let [whole, third] = ["whole", "third"].map(|name| best_weights(&directory.join(name)));
    assert!(whole == third, "the weights differ");
}

#[test]
fn paused_at_rungs_a_training_ends_with_the_bits_of_one_that_never_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 100));
    settings.train.epochs = 3;
    // 10 steps an epoch, evaluated after 3, 5, 8 and 10.
    let piece = |attempt: &str| Piece {
        settings: settings.clone(),
        directory: directory.path().to_owned(),
        attempt: directory.path().join(attempt),
        resume_from: None,
        checkpoint_seconds: 1e9,
        until_step: None,
        stop_after_step: None,
        die_after_step: None,
    };
    let (whole, _) = run_in_child(&piece("whole"), "whole", 1);
    let mut told = Vec::new();
    let mut from = None;
    // The second process finds itself where it was to pause, and does nothing.
    for (name, until_step) in
        [("first", Some(10)), ("idle", Some(10)), ("second", Some(23)), ("last", None)]
    {
        let (more, checkpoints) =
            run_in_child(&Piece { resume_from: from, until_step, ..piece(name) }, name, 2);
        assert_eq!(more.is_empty(), name == "idle");
        assert_eq!(checkpoints.last().map(|last| last.0), until_step);
        from = checkpoints.last().map(|last| last.1.clone());
        told.extend(more);
    }
    assert_eq!(told.len(), whole.len());
    for (found, expected) in told.iter().zip(&whole) {
        assert_eq!(found, expected);
    }
    let [whole, last] = ["whole", "last"].map(|name| best_weights(&directory.path().join(name)));
    assert!(whole == last, "the weights differ");
}

#[test]
fn patience_ends_a_training_at_the_same_step_however_often_it_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 100));
    settings.train.epochs = 6;
    let mut job = job(settings, directory.path());
    job.objective = objective("validation/accuracy", Goal::Maximize, At::Best);
    let accuracy = |recorder: &Recorder| recorder.curve("validation/accuracy");
    let mut all = Recorder::default();
    let ending = fine_tune(&job, &mut all).unwrap();
    assert!(matches!(ending, Ending::Completed { steps: 60, .. }), "{ending:?}");
    let values = accuracy(&all);
    // The evaluation that is the third in a row without a better one.
    let since = |place: usize| {
        let best =
            (0..=place).fold(0, |best, next| if values[next] > values[best] { next } else { best });
        place - best
    };
    let last = (0..values.len()).find(|place| since(*place) >= 3).unwrap();
    assert!(last + 1 < values.len(), "the toy is learnt before the end: {values:?}");

    job.patience = Some(3);
    job.attempt_directory = directory.path().join("patient");
    let mut patient = Recorder::default();
    let Ending::Completed { steps, best } = fine_tune(&job, &mut patient).unwrap() else {
        panic!("it completes")
    };
    assert_eq!(accuracy(&patient), values[..=last]);
    assert!(steps < 60 && best.is_some());

    let mut from = None;
    for piece in 0.. {
        job.attempt_directory = directory.path().join(format!("piece-{piece}"));
        job.resume_from = from.take();
        let mut recorder = Recorder { stop_after_step: Some(piece * 7 + 7), ..Recorder::default() };
        match fine_tune(&job, &mut recorder).unwrap() {
            Ending::Completed { steps: found, best: weights } => {
                assert_eq!(found, steps);
                let step =
                    |best: Option<converge_finetune::BestWeights>| best.map(|best| best.step);
                assert_eq!(step(weights), step(best));
                break;
            }
            _ => from = recorder.checkpoints.last().map(|last| last.1.clone()),
        }
    }
}

#[test]
fn three_processes_end_with_the_bits_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 100));
    settings.train.epochs = 3;
    settings.train.gradient_accumulation = 2;
    assert_same_bits(directory.path(), &settings, 0.0);
}

#[test]
fn other_architectures_are_as_exact() {
    for architecture in [Architecture::DistilBert, Architecture::Roberta] {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(&write_toy(directory.path(), "train.tsv", 100));
        settings.model.preset = None;
        settings.model.path = Some(write_model(directory.path(), architecture));
        settings.train.epochs = 3;
        assert_same_bits(directory.path(), &settings, 0.0);
    }
}

#[test]
fn momentum_survives_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 100));
    settings.train.epochs = 3;
    settings.train.optimizer = Optimizer::Sgd;
    settings.train.momentum = 0.9;
    settings.train.learning_rate = 0.01;
    assert_same_bits(directory.path(), &settings, 0.0);
}

/// The gradient of a table this large is beyond what burn adds up in one order at any thread count.
#[test]
fn a_large_vocabulary_does_not_depend_on_threads() {
    let directory = tempfile::tempdir().unwrap();
    // Words from everywhere: where most of a gradient is zero, no order of addition shows.
    let mut rows = String::from("text\tlabel\n");
    for row in 0..100 {
        for place in 0..40 {
            rows += &format!("word{} ", Seed(row).stream("word", place).0 % 33_000);
        }
        rows += &format!("\t{}\n", row % 2);
    }
    let train = directory.path().join("train.tsv");
    std::fs::write(&train, rows).unwrap();
    let mut settings = settings(&train.to_string_lossy());
    settings.model.preset = None;
    settings.model.path = Some(write_large_model(directory.path()));
    settings.train.epochs = 3;
    settings.train.evaluations_per_epoch = 1;
    settings.train.learning_rate = 1e-3;
    assert_same_bits(directory.path(), &settings, 1e9);
}

/// Writes a model of one layer with 33,000 × 128 embeddings, and its tokenizer.
fn write_large_model(directory: &Path) -> String {
    let directory = directory.join("large");
    std::fs::create_dir(&directory).unwrap();
    let config = BertConfig {
        hidden_size: 128,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        intermediate_size: 256,
        initializer_range: 0.05,
        ..BertConfig::tiny(33_000)
    };
    std::fs::write(directory.join("config.json"), config.to_json()).unwrap();
    let model = BertClassifier::new(&config, &ClassifierOptions::new(2), 7, &of_tests()).unwrap();
    let mut file = std::fs::File::create(directory.join("model.safetensors")).unwrap();
    weights::save(&model, &mut file).unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let word = |number: usize| special.get(number).map_or(format!("word{number}"), |s| (*s).into());
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (0..33_000).map(|number| (word(number), number.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": { "type": "Whitespace" }, "decoder": null,
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    std::fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    directory.to_string_lossy().into_owned()
}

/// Goes on after every stop until the training is complete; returns the curves and the stops.
pub(crate) fn with_stops(
    mut job: Job,
    mut next_stop: impl FnMut(u64) -> u64,
) -> (Curves, Vec<u64>) {
    let (mut curves, mut stops) = (Curves::new(), Vec::new());
    for attempt in 0.. {
        let mut recorder =
            Recorder { stop_at_call: Some(next_stop(attempt)), ..Recorder::default() };
        let ending = fine_tune(&job, &mut recorder).unwrap();
        for (key, bits) in recorder.curves {
            // The scheduler takes nothing up to the checkpoint's step: it has that already.
            assert!(
                Some(&key.0) > stops.last(),
                "{key:?} comes after a stop at {:?}",
                stops.last()
            );
            assert_eq!(curves.insert(key.clone(), bits), None, "{key:?} was observed twice");
        }
        match ending {
            Ending::Stopped { step } => {
                stops.push(step);
                let (at, directory) = recorder.checkpoints.pop().unwrap();
                assert_eq!(at, step);
                job.resume_from = Some(directory);
            }
            Ending::Completed { .. } => break,
            Ending::Paused { .. } | Ending::Diverged { .. } => panic!("{ending:?}"),
        }
    }
    (curves, stops)
}

#[test]
fn a_stop_at_any_moment_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 200));
    settings.train.max_steps = Some(9);
    settings.train.gradient_accumulation = 3;
    settings.train.evaluations_per_epoch = 10;
    let mut job = job(settings, directory.path());
    job.objective = objective("validation/loss", Goal::Minimize, At::Best);
    job.attempt_directory = directory.path().join("whole");
    let mut recorder = Recorder::default();
    fine_tune(&job, &mut recorder).unwrap();
    let weights = best_weights(&job.attempt_directory);
    let moments = recorder.calls;

    // In the middle of steps and of evaluations, at every call in turn, with the attempt's
    // directory kept: a later checkpoint replaces an earlier one.
    job.attempt_directory = directory.path().join("stopped");
    let (curves, stops) = with_stops(job.clone(), |attempt| 2 + (attempt * 3) % 7);
    assert_eq!(curves, recorder.curves);
    assert!(best_weights(&job.attempt_directory) == weights, "the weights differ");
    assert!(stops.len() > 5, "{stops:?} of {moments} moments");
    let left: Vec<String> = std::fs::read_dir(&job.attempt_directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left.len(), 2, "one checkpoint and the best weights: {left:?}");
}

#[test]
fn a_checkpoint_that_is_not_whole_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 60));
    settings.train.max_steps = Some(4);
    let mut job = job(settings, directory.path());
    job.objective = objective("validation/loss", Goal::Minimize, At::Best);
    let mut recorder = Recorder { stop_after_step: Some(2), ..Recorder::default() };
    fine_tune(&job, &mut recorder).unwrap();
    let checkpoint = recorder.checkpoints[0].1.clone();
    job.resume_from = Some(checkpoint.clone());
    job.attempt_directory = directory.path().join("next");
    let resumed =
        |job: &Job| -> Result<Ending, FineTuneError> { fine_tune(job, &mut Recorder::default()) };
    let refused = |job: &Job, what: &str| {
        let error = resumed(job).expect_err(what);
        assert_eq!(error.class(), FailureClass::Data, "{what}: {error}");
        assert!(error.to_string().contains("is not usable"), "{what}: {error}");
    };

    let files =
        ["weights.safetensors", "optimizer.safetensors", "best.safetensors", "manifest.json"];
    for name in files {
        let path = checkpoint.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for content in [&whole[..whole.len() / 2], &flipped, b""] {
            // Best weights are linked: the other name must not change.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, content).unwrap();
            refused(&job, name);
        }
        std::fs::remove_file(&path).unwrap();
        refused(&job, name);
        std::fs::write(&path, whole).unwrap();
    }

    let mut other = job.clone();
    other.settings.train.learning_rate *= 2.0;
    refused(&other, "other settings");
    other.resume_from = Some(directory.path().join("nowhere"));
    refused(&other, "no checkpoint");
    assert!(matches!(resumed(&job), Ok(Ending::Completed { steps: 4, .. })));
}
