//! Tasks other than two classes: what is learned, what is recorded, and the same bits after any stop.

use std::collections::BTreeSet;
use std::path::Path;

use converge_core::facts::Facts;
use converge_core::metric::{METRICS, Metric};
use converge_core::objective::{At, Goal};
use converge_core::seed::Seed;
use converge_core::settings::{Sampling, Settings};
use converge_core::task::Task;
use converge_finetune::{Ending, fine_tune, prepare};

use crate::exactness::with_stops;
use crate::support::{Recorder, best_weights, job, objective, request, settings, write_toy};

/// Writes texts of a few words, each with what `label` makes of which signs it has: `sun`, `rain` and `wind`.
fn write_weather(
    directory: &Path,
    name: &str,
    rows: usize,
    label: impl Fn([bool; 3]) -> String,
) -> String {
    let fillers = ["today", "there", "is", "some", "in", "the", "north", "and", "we", "go"];
    let mut text = String::from("text\tlabel\n");
    for row in 0..rows as u64 {
        let below = |draw: u64, bound: u64| Seed(5).stream("weather", row * 100 + draw).0 % bound;
        let mut words: Vec<&str> =
            (0..3 + below(0, 5)).map(|word| fillers[below(10 + word, 10) as usize]).collect();
        let has = [1, 2, 3].map(|sign| below(sign, 5) < 2);
        for (place, (sign, has)) in ["sun", "rain", "wind"].into_iter().zip(has).enumerate() {
            if has {
                words.insert(below(50 + place as u64, words.len() as u64 + 1) as usize, sign);
            }
        }
        text += &format!("{}\t{}\n", words.join(" "), label(has));
    }
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

fn multi_label(directory: &Path, rows: usize) -> Settings {
    let names = |has: [bool; 3]| {
        let named = ["sun", "rain", "wind"].into_iter().zip(has).filter(|(_, has)| *has);
        named.map(|(name, _)| name).collect::<Vec<_>>().join("|")
    };
    let mut settings = settings(&write_weather(directory, "labels.tsv", rows, names));
    settings.data.label_separator = Some("|".to_owned());
    settings
}

fn regression(directory: &Path, rows: usize) -> Settings {
    let degrees = |[sun, rain, wind]: [bool; 3]| {
        let of = |has: bool, degrees: f64| if has { degrees } else { 0.0 };
        format!("{:.2}", of(sun, 1.5) - of(rain, 0.75) - of(wind, 0.5))
    };
    settings(&write_weather(directory, "numbers.tsv", rows, degrees))
}

fn facts_of(settings: &Settings, directory: &Path) -> Facts {
    prepare(&request(std::slice::from_ref(settings), directory)).unwrap().remove(0)
}

/// Trains to the end and returns the last value of a metric.
fn trained(mut settings: Settings, directory: &Path, metric: &str) -> f64 {
    // A rate of 1e-2 forgets a label again on some devices.
    settings.train.learning_rate = 3e-3;
    settings.train.epochs = 4;
    settings.train.evaluations_per_epoch = 1;
    let mut job = job(settings, directory);
    job.objective = objective(metric, Goal::Maximize, At::Last);
    let mut recorder = Recorder::default();
    let ending = fine_tune(&job, &mut recorder).unwrap();
    let Ending::Completed { best: Some(best), .. } = ending else { panic!("{ending:?}") };
    best.value
}

#[test]
fn several_labels_at_once_are_learned() {
    let directory = tempfile::tempdir().unwrap();
    let settings = multi_label(directory.path(), 400);
    let facts = facts_of(&settings, directory.path());
    assert_eq!(facts.task, Task::MultiLabel);
    assert_eq!(facts.task_reason, "`[data] label_separator` is given");
    assert_eq!(facts.labels, ["rain", "sun", "wind"]);
    // Each in two fifths of 320, and the same in validation: they are drawn by the rarest label of an example.
    let validation = facts.validation.as_ref().unwrap();
    for (train, validation) in facts.train.class_counts.iter().zip(&validation.class_counts) {
        assert!((100..160).contains(train), "{facts:?}");
        let share = *train as f64 / 4.0;
        assert!((*validation as f64 - share).abs() < 0.25 * share, "{facts:?}");
    }
    let found = trained(settings, directory.path(), "validation/macro_f1");
    assert!(found > 0.9, "macro F1 {found}");
}

#[test]
fn a_number_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let settings = regression(directory.path(), 400);
    let facts = facts_of(&settings, directory.path());
    assert_eq!(facts.task, Task::Regression);
    assert!(facts.task_reason.contains("numbers with fractions"), "{}", facts.task_reason);
    assert_eq!((facts.labels, facts.train.class_counts), (vec!["label".into()], vec![]));
    let [train, validation] =
        [facts.train.targets.unwrap(), facts.validation.unwrap().targets.unwrap()];
    assert_eq!((train.min, train.max), (-1.25, 1.5));
    assert!((train.mean - validation.mean).abs() < 0.1, "{train:?} {validation:?}");
    let found = trained(settings, directory.path(), "validation/pearson");
    assert!(found > 0.9, "Pearson's correlation {found}");
}

#[test]
fn an_evaluation_records_the_metrics_of_its_task() {
    let directory = tempfile::tempdir().unwrap();
    for (task, mut settings) in [
        (Task::MultiLabel, multi_label(directory.path(), 120)),
        (Task::Regression, regression(directory.path(), 120)),
    ] {
        settings.train.max_steps = Some(2);
        let mut job = job(settings, directory.path());
        job.objective = objective("validation/loss", Goal::Minimize, At::Last);
        let mut recorder = Recorder::default();
        fine_tune(&job, &mut recorder).unwrap();
        for split in ["validation/", "train_subset/"] {
            let found: BTreeSet<&str> = recorder
                .curves
                .keys()
                .filter_map(|(_, name)| name.strip_prefix(split))
                .map(|name| Metric::find(name).unwrap().name)
                .collect();
            let of_task = METRICS.iter().filter(|metric| metric.tasks.contains(&task));
            assert_eq!(found, of_task.map(|metric| metric.name).collect(), "{task:?}");
        }
    }
}

#[test]
fn a_stop_at_any_moment_gives_the_same_bits_whatever_the_task_and_the_sampling() {
    let directory = tempfile::tempdir().unwrap();
    let toy = settings(&write_toy(directory.path(), "toy.tsv", 90));
    let sampled = |sampling| {
        let mut settings = toy.clone();
        settings.train.sampling = sampling;
        settings
    };
    let mut layered = toy.clone();
    layered.train.layerwise_decay = 0.7;
    layered.train.head_learning_rate = Some(1e-2);
    layered.train.reinit_layers = 1;
    layered.train.head_init_std = Some(0.1);
    let mut stratified = regression(directory.path(), 90);
    stratified.train.sampling = Sampling::Stratified;
    for (name, mut settings) in [
        ("stratified", sampled(Sampling::Stratified)),
        ("balanced", sampled(Sampling::Balanced)),
        ("layered", layered),
        ("multi_label", multi_label(directory.path(), 90)),
        ("regression", regression(directory.path(), 90)),
        ("stratified regression", stratified),
    ] {
        // More than one epoch of 72 examples: the stops fall into different ones.
        settings.train.max_steps = Some(14);
        settings.train.evaluations_per_epoch = 2;
        let mut job = job(settings, directory.path());
        job.objective = objective("validation/loss", Goal::Minimize, At::Best);
        job.attempt_directory = directory.path().join(format!("{name} whole"));
        let mut recorder = Recorder::default();
        fine_tune(&job, &mut recorder).unwrap();
        let weights = best_weights(&job.attempt_directory);

        job.attempt_directory = directory.path().join(format!("{name} stopped"));
        let (curves, stops) = with_stops(job.clone(), |attempt| 3 + (attempt * 3) % 7);
        assert_eq!(curves, recorder.curves, "{name}");
        assert!(best_weights(&job.attempt_directory) == weights, "{name}: the weights differ");
        assert!(stops.len() > 2, "{name}: {stops:?}");
    }
}

#[test]
fn settings_that_a_task_does_not_know_are_problems() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = regression(directory.path(), 60);
    settings.train.label_smoothing = 0.1;
    settings.train.sampling = Sampling::Balanced;
    settings.train.class_weights = converge_core::settings::ClassWeights::Balanced;
    settings.train.reinit_layers = 3;
    settings.train.head_learning_rate = Some(1e-3);
    settings.train.head_learning_rate_multiplier = 2.0;
    let found = prepare(&request(&[settings], directory.path())).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let of_classes = |key: &str, what: &str| {
        format!("train.{key}: {what}, and only a task of classes has those; the task is regression")
    };
    assert_eq!(
        found,
        [
            of_classes("class_weights", "weighs classes"),
            of_classes("label_smoothing", "spreads mass over classes"),
            of_classes("sampling", "shows all classes equally often"),
            "train.reinit_layers: is 3: the model has 2 layers".to_owned(),
            "train.head_learning_rate: and `head_learning_rate_multiplier` both say how fast the head learns"
                .to_owned(),
        ]
    );
}
