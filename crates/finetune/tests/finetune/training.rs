//! What is learned, recorded and kept.

use std::collections::BTreeSet;

use converge_core::failure::FailureClass;
use converge_core::items::Answers;
use converge_core::objective::{At, Goal};
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::{ClassWeights, Freeze, MaxLength, Optimizer, Pooling};
use converge_finetune::{Ending, fine_tune, prepare};

use crate::support::{Recorder, job, objective, request, settings, write_toy};

#[test]
fn a_separable_text_set_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 400);
    let mut job = job(settings(&train), directory.path());
    // Two of twelve seeds are still on their way after 80 steps; this one is not.
    job.seeds = TrialSeeds::new(Seed(1), 1);
    let mut recorder = Recorder::default();
    let ending = fine_tune(&job, &mut recorder).unwrap();
    let Ending::Completed { steps: 80, best: Some(best) } = ending else { panic!("{ending:?}") };
    assert!(best.value > 0.9, "accuracy {}", best.value);
    assert_eq!(recorder.value(80, "validation/accuracy"), Some(best.value));
    assert!(recorder.checkpoints.is_empty());
}

#[test]
fn every_metric_of_the_contract_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let mut settings = settings(&train);
    settings.train.epochs = 2;
    let mut recorder = Recorder::default();
    fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();

    let names = |step: u64| -> BTreeSet<String> {
        recorder.curves.keys().filter(|(at, _)| *at == step).map(|(_, name)| name.clone()).collect()
    };
    let plain = ["train/loss", "train/learning_rate", "train/tokens", "train/gradient_norm"];
    assert_eq!(names(7), plain.map(str::to_owned).into());
    let groups = ["embeddings", "bottom", "top", "head"];
    let with_norms: BTreeSet<String> = plain
        .map(str::to_owned)
        .into_iter()
        .chain(groups.map(|group| format!("train/gradient_norm/{group}")))
        .collect();
    let of_update: BTreeSet<String> = ["same_batch_drop", "expected_drop", "epsilon_share"]
        .map(str::to_owned)
        .into_iter()
        .chain(["bottom", "top", "head"].map(|group| format!("update_ratio/{group}")))
        .map(|name| format!("train/{name}"))
        .collect();
    // 20 steps are looked at closely eight times at least: each second one.
    for step in [1, 2, 6] {
        assert_eq!(names(step), &with_norms | &of_update, "step {step}");
    }
    let mut evaluated = with_norms;
    evaluated.insert("items".to_owned());
    evaluated.extend(groups.map(|group| format!("travel/{group}")));
    for split in ["validation", "train_subset"] {
        let metrics = [
            "loss",
            "loss_deviation",
            "confidence",
            "confidently_wrong",
            "accuracy",
            "macro_f1",
            "mcc",
            "auroc",
            "f1/neg",
            "f1/pos",
            "recall/neg",
            "recall/pos",
            "predicted/neg",
            "predicted/pos",
        ];
        evaluated.extend(metrics.map(|metric| format!("{split}/{metric}")));
    }
    // 80 examples in batches of 8: ten steps, evaluated four times.
    for step in [3, 5, 13, 15] {
        assert_eq!(names(step), evaluated, "step {step}");
    }
    for step in [8, 10, 18, 20] {
        assert_eq!(names(step), &evaluated | &of_update, "step {step}");
    }
    let squares: f64 = groups
        .map(|group| recorder.value(1, &format!("train/gradient_norm/{group}")).unwrap().powi(2))
        .iter()
        .sum();
    let norm = recorder.value(1, "train/gradient_norm").unwrap();
    assert!((squares.sqrt() - norm).abs() < 1e-9 * norm);
}

#[test]
fn the_signals_of_an_update_tell_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let mut settings = settings(&train);
    settings.train.optimizer = Optimizer::Sgd;
    settings.train.learning_rate = 1e-3;
    settings.train.warmup_ratio = 0.0;
    settings.train.weight_decay = 0.0;
    settings.train.max_grad_norm = 0.0;
    settings.train.dropout = Some(0.3);
    settings.train.gradient_accumulation = 2;
    settings.train.evaluations_per_epoch = 10;
    settings.train.epochs = 1;
    let mut recorder = Recorder::default();
    fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
    let value = |step, name: &str| recorder.value(step, name).unwrap();
    for step in 1..10 {
        // The change is the gradient times the rate.
        let norm = value(step, "train/gradient_norm");
        let expected = value(step, "train/learning_rate") * norm * norm;
        let drop = value(step, "train/expected_drop");
        assert!((drop - expected).abs() < 1e-3 * expected, "step {step}: {drop}, not {expected}");
        // So small a step sees the loss as a plane; with other masks it would not.
        let found = value(step, "train/same_batch_drop");
        assert!((found - drop).abs() < 0.1 * drop, "step {step}: {found}, not {drop}");
        assert_eq!(recorder.value(step, "train/epsilon_share"), None);
    }
    for group in ["bottom", "top", "head"] {
        let ratio = value(1, &format!("train/update_ratio/{group}"));
        assert!((ratio - value(1, &format!("travel/{group}"))).abs() < 1e-4 * ratio, "{group}");
    }
}

#[test]
fn epsilon_takes_the_whole_step_where_it_is_larger_than_the_moments() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let share = |epsilon: f64| {
        let mut settings = settings(&train);
        settings.train.epsilon = epsilon;
        settings.train.max_steps = Some(2);
        let mut recorder = Recorder::default();
        fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
        recorder.value(2, "train/epsilon_share").unwrap()
    };
    let [none, some, all] = [1e-12, 1e-4, 1.0].map(share);
    assert!(none < 0.01 && all > 0.99, "{none} {all}");
    assert!(none < some && some < all, "{some}");
}

#[test]
fn gradient_accumulation_gives_the_curve_of_the_whole_step() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 90);
    let curve = |accumulation: u64| {
        let mut settings = settings(&train);
        settings.train.dropout = Some(0.0);
        settings.train.max_steps = Some(12);
        settings.train.label_smoothing = 0.1;
        settings.train.class_weights = ClassWeights::Given(vec![0.5, 2.0]);
        settings.train.gradient_accumulation = accumulation;
        let mut recorder = Recorder::default();
        fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
        (recorder.curve("train/loss"), recorder.curve("train/tokens"))
    };
    let (whole, tokens) = curve(1);
    for accumulation in [3, 8, 50] {
        let (parts, tokens_of_parts) = curve(accumulation);
        assert_eq!(tokens, tokens_of_parts);
        for (whole, parts) in whole.iter().zip(&parts) {
            assert!((whole - parts).abs() < 1e-3 * whole, "{whole} and {parts}");
        }
    }
}

#[test]
fn a_checkpoint_goes_on_with_smaller_micro_batches_and_the_same_curve() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 90));
    settings.train.dropout = Some(0.0);
    settings.train.max_steps = Some(12);
    settings.train.gradient_accumulation = 2;
    let mut undisturbed = Recorder::default();
    fine_tune(&job(settings.clone(), directory.path()), &mut undisturbed).unwrap();

    let mut first = job(settings.clone(), directory.path());
    first.attempt_directory = directory.path().join("first");
    let mut recorder = Recorder { stop_after_step: Some(6), ..Recorder::default() };
    fine_tune(&first, &mut recorder).unwrap();
    // As after running out of memory: four micro-batches of two where there were two of four.
    let mut second = job(settings, directory.path());
    second.attempt_directory = directory.path().join("second");
    second.resume_from = Some(recorder.checkpoints.last().unwrap().1.clone());
    second.accumulation_factor = 2;
    recorder.stop_after_step = None;
    fine_tune(&second, &mut recorder).unwrap();

    assert_eq!(recorder.curve("train/tokens"), undisturbed.curve("train/tokens"));
    let (whole, parts) = (undisturbed.curve("train/loss"), recorder.curve("train/loss"));
    assert_eq!(whole.len(), 12);
    assert_eq!(whole[..6], parts[..6], "the first attempt is the same to the bit");
    for (whole, parts) in whole.iter().zip(&parts) {
        assert!((whole - parts).abs() < 1e-3 * whole, "{whole} and {parts}");
    }
}

#[test]
fn a_loss_that_explodes_is_a_result() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let mut settings = settings(&train);
    settings.train.optimizer = Optimizer::Sgd;
    settings.train.learning_rate = 1e6;
    settings.train.max_grad_norm = 0.0;
    settings.train.warmup_ratio = 0.0;
    let mut recorder = Recorder::default();
    let ending = fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
    let Ending::Diverged { step, quantity } = ending else { panic!("{ending:?}") };
    assert_eq!(recorder.last_step, step);
    let value = recorder.value(step, &quantity).unwrap();
    assert!(!value.is_finite(), "{quantity} at {step}: {value}");
}

#[test]
fn what_is_frozen_does_not_travel() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 60);
    let still = |freeze: Freeze| -> Vec<String> {
        let mut settings = settings(&train);
        settings.train.freeze = freeze;
        settings.train.max_steps = Some(3);
        let mut recorder = Recorder::default();
        fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
        let travel = recorder.curves.keys().filter(|(step, name)| {
            *step == 3 && name.starts_with("travel/") && recorder.value(3, name) == Some(0.0)
        });
        travel.map(|(_, name)| name.clone()).collect()
    };
    assert_eq!(still(Freeze::None), [""; 0]);
    assert_eq!(still(Freeze::Embeddings), ["travel/embeddings"]);
    assert_eq!(still(Freeze::Layers(1)), ["travel/bottom", "travel/embeddings"]);
    assert_eq!(still(Freeze::Encoder), ["travel/bottom", "travel/embeddings", "travel/top"]);
}

#[test]
fn every_optimizer_pooling_and_schedule_runs() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 60);
    let optimizers =
        [Optimizer::AdamW, Optimizer::Adam, Optimizer::Sgd, Optimizer::RmsProp, Optimizer::AdaGrad];
    for optimizer in optimizers {
        let mut settings = settings(&train);
        settings.train.optimizer = optimizer;
        settings.train.momentum = 0.9;
        settings.train.pooling = Pooling::Mean;
        settings.train.class_weights = ClassWeights::Balanced;
        settings.train.max_steps = Some(3);
        settings.model.layers = Some(1);
        let ending = fine_tune(&job(settings, directory.path()), &mut Recorder::default());
        assert!(matches!(ending, Ok(Ending::Completed { steps: 3, .. })), "{ending:?}");
    }
}

#[test]
fn the_best_weights_are_those_of_the_best_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let mut job = job(settings(&train), directory.path());
    job.objective = objective("validation/loss", Goal::Minimize, At::Best);
    let mut recorder = Recorder::default();
    let Ending::Completed { best: Some(best), .. } = fine_tune(&job, &mut recorder).unwrap() else {
        panic!("no best weights");
    };
    let losses = recorder.curve("validation/loss");
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(best.value, least);
    assert_eq!(recorder.value(best.step, "validation/loss"), Some(least));
    let config = std::fs::read_to_string(best.directory.join("config.json")).unwrap();
    assert!(config.contains("\"id2label\""), "{config}");
    // It is a model directory like any other.
    let mut again = settings(&train);
    again.model.preset = None;
    again.model.path = Some(best.directory.to_string_lossy().into_owned());
    prepare(&request(&[again], directory.path())).unwrap();
}

#[test]
fn without_validation_the_training_loss_is_the_objective() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 60);
    let mut settings = settings(&train);
    settings.data.validation = Some("none".to_owned());
    settings.train.max_length = MaxLength::Tokens(5);
    let mut job = job(settings, directory.path());
    job.objective = objective("train/loss", Goal::Minimize, At::Best);
    let mut recorder = Recorder::default();
    let ending = fine_tune(&job, &mut recorder).unwrap();
    assert!(matches!(ending, Ending::Completed { best: Some(_), .. }), "{ending:?}");
    assert!(recorder.curve("validation/loss").is_empty());
    assert!(!recorder.curve("train_subset/loss").is_empty());
    assert!(recorder.curve("train/tokens").iter().all(|tokens| *tokens <= 40.0));
}

#[test]
fn data_that_changed_since_the_sweep_was_made_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 60);
    let settings = settings(&train);
    let facts = prepare(&request(std::slice::from_ref(&settings), directory.path())).unwrap();
    let mut job = job(settings, directory.path());
    job.expected_hashes = facts[0].content_hashes.clone();
    job.settings.train.max_steps = Some(1);
    fine_tune(&job, &mut Recorder::default()).unwrap();

    write_toy(directory.path(), "train.tsv", 62);
    let error = fine_tune(&job, &mut Recorder::default()).unwrap_err();
    assert_eq!(error.class(), FailureClass::Data);
    assert!(
        error.to_string().contains("train.tsv: has changed since the sweep was made"),
        "{error}"
    );
}

#[test]
fn what_was_said_of_each_validation_example_has_the_accuracy_and_the_loss_of_the_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 100);
    let settings = settings(&train);
    let facts = prepare(&request(std::slice::from_ref(&settings), directory.path())).unwrap();
    let Some(Answers::Classes { classes: right }) = &facts[0].validation_answers else {
        panic!("{:?}", facts[0].validation_answers)
    };
    assert_eq!(right.len() as u64, facts[0].validation.as_ref().unwrap().examples);
    let mut recorder = Recorder::default();
    fine_tune(&job(settings, directory.path()), &mut recorder).unwrap();
    assert_eq!(recorder.items.len(), 8, "four evaluations in each of two epochs");
    for (step, items) in &recorder.items {
        let Answers::Classes { classes } = &items.answers else { panic!("{items:?}") };
        let hits = classes.iter().zip(right).filter(|(answer, right)| answer == right).count();
        let accuracy = hits as f64 / right.len() as f64;
        assert_eq!(Some(accuracy), recorder.value(*step, "validation/accuracy"), "step {step}");
        let losses = items.losses.iter().copied().map(f64::from);
        let loss = losses.sum::<f64>() / right.len() as f64;
        let told = recorder.value(*step, "validation/loss").unwrap();
        assert!((loss - told).abs() < 1e-6 * told.max(1.0), "step {step}: {loss} and {told}");
    }
}
