//! Twenty steps of a small model against PyTorch: loss, clipping, schedule and AdamW together; for every task, and with a
//! rate for each layer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_bert::{BertClassifier, BertConfig, BertInput, ClassifierOptions, weights};
use converge_core::settings::TrainSettings;
use converge_core::task::Task;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Optimizer, Update};
use crate::data::labels::Target;
use crate::gradients::{Gradients, floats};
use crate::loss::Loss;
use crate::schedule::LearningRate;

/// What is used of `golden.json`; scripts/reference/README.md describes all of it.
#[derive(Deserialize)]
struct Golden {
    optimizer: Settings,
    trajectory: Vec<Step>,
}

#[derive(Deserialize)]
struct Settings {
    learning_rate: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight_decay: f64,
    max_grad_norm: f64,
    warmup_steps: u64,
    steps: u64,
}

#[derive(Deserialize)]
struct Step {
    token_ids: Vec<Vec<i64>>,
    token_type_ids: Vec<Vec<i64>>,
    attention_mask: Vec<Vec<i64>>,
    labels: Vec<usize>,
    learning_rate: f64,
    loss: f64,
    gradient_norm: f64,
}

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../bert/tests/goldens/tiny")
}

fn load(name: &str, device: &Device) -> BertClassifier {
    load_with(name, 3, device)
}

fn load_with(name: &str, outputs: usize, device: &Device) -> BertClassifier {
    let config = std::fs::read_to_string(goldens().join("config.json")).unwrap();
    let config = BertConfig::from_json(&config).unwrap();
    let options = ClassifierOptions::new(outputs);
    weights::load_file(&goldens().join(name), &config, &options, 0, device).unwrap().0
}

fn train_settings(settings: &Settings) -> TrainSettings {
    serde_json::from_value(json!({
        "learning_rate": settings.learning_rate, "batch_size": 4, "epochs": 1, "max_steps": null,
        "optimizer": "adamw", "momentum": 0.0, "beta1": settings.beta_1, "beta2": settings.beta_2,
        "epsilon": settings.epsilon, "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm, "schedule": "linear", "warmup_ratio": 0.0,
        "warmup_steps": settings.warmup_steps, "max_length": "auto", "evaluations_per_epoch": 4,
        "dropout": null, "hidden_dropout": null, "attention_dropout": null,
        "classifier_dropout": null, "label_smoothing": 0.0, "gradient_accumulation": 1,
        "freeze": "none", "head_learning_rate_multiplier": 1.0, "class_weights": "none",
        "pooling": "cls",
    }))
    .unwrap()
}

fn input(step: &Step, device: &Device) -> BertInput {
    let tensor = |rows: &[Vec<i64>]| {
        let shape = [rows.len(), rows[0].len()];
        Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), shape), device)
    };
    BertInput {
        token_ids: tensor(&step.token_ids),
        token_type_ids: tensor(&step.token_type_ids),
        attention_mask: tensor(&step.attention_mask),
        dropout_seed: 0,
    }
}

#[test]
fn twenty_steps_are_those_of_pytorch() {
    let text = std::fs::read_to_string(goldens().join("golden.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let train = train_settings(&golden.optimizer);
    let device = converge_bert::device::of_tests();
    let autodiff = device.clone().autodiff();
    let mut model = load("model.safetensors", &autodiff);
    let mut optimizer = Optimizer::new(&train, &model, |_| true, &device);
    let rate = LearningRate::new(&train, golden.optimizer.steps);
    let loss = Loss::new(&train, Task::Classes, &[1, 1, 1]);

    for (update, step) in (0..).zip(&golden.trajectory) {
        let learning_rate = rate.at(update);
        assert!((learning_rate - step.learning_rate).abs() < 1e-11);
        let logits = model.forward(input(step, &autodiff));
        let targets: Vec<Target> = step.labels.iter().copied().map(Target::Class).collect();
        let divisor = loss.divisor(targets.iter());
        let part = loss.part(logits, &targets, divisor, &autodiff);
        let found = f64::from(floats(&part.clone().into_data())[0]);
        assert!((found - step.loss).abs() < 1e-4, "loss {found} at {update}");
        let mut gradients = Gradients::default();
        gradients.add_from(&model, part);
        let norms = gradients.norms(&model);
        let difference = (norms.global - step.gradient_norm).abs();
        assert!(difference < 1e-4 * step.gradient_norm, "norm {} at {update}", norms.global);
        let gradient_factor = norms.clip_factor(train.max_grad_norm);
        let update = Update { number: update + 1, learning_rate, gradient_factor };
        model = optimizer.update(model, &gradients, update);
        model = optimizer.catch_up(model, None);
    }

    let expected = load("trained.safetensors", &device);
    let mut values = Vec::new();
    expected.visit_parameters(|_, tensor| values.push(tensor.into_data()));
    model.visit_parameters(|parameter, tensor| {
        // Its gradient is zero but for rounding, which Adam makes steps of.
        if parameter.name.ends_with("attention.self.key.bias") {
            return;
        }
        let found = tensor.into_data();
        let pairs = floats(&found).iter().zip(floats(&values[parameter.index]));
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest <= 1e-4, "{} differs by {largest}", parameter.name);
    });
}

/// One of `trajectories.json`; its batches are those of `golden.json`.
#[derive(Deserialize)]
struct OfTask {
    name: Task,
    outputs: usize,
    layerwise_decay: f64,
    head_learning_rate: f64,
    steps: Vec<TaskStep>,
    /// |W - W0| of every parameter after the last step.
    travel: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct TaskStep {
    targets: Vec<Value>,
    loss: f64,
    gradient_norm: f64,
}

fn target(value: &Value) -> Target {
    match value {
        Value::Array(labels) => Target::Labels(labels.iter().map(|has| has == 1.0).collect()),
        Value::Number(number) if number.is_u64() => {
            Target::Class(number.as_u64().unwrap() as usize)
        }
        number => Target::Number(number.as_f64().unwrap()),
    }
}

/// The tiny model with the first rows of its head.
fn model_of(case: &OfTask, device: &Device) -> BertClassifier {
    let whole = load("model.safetensors", device);
    let head = |name: &str| floats(&whole.parameter_data(name).unwrap()).to_vec();
    let (weight, bias) = (head("classifier.weight"), head("classifier.bias"));
    load_with("model.safetensors", case.outputs, device).map_parameters(|parameter, values| {
        let rows = match parameter.name.as_str() {
            "classifier.weight" => &weight,
            "classifier.bias" => &bias,
            _ => return values,
        };
        let own = parameter.from_checkpoint_layout(rows[..parameter.elements()].to_vec());
        Tensor::from_floats(own.as_slice(), &values.device())
    })
}

fn weights_of(model: &BertClassifier) -> BTreeMap<String, Vec<f32>> {
    let mut weights = BTreeMap::new();
    model.visit_parameters(|parameter, tensor| {
        weights.insert(parameter.name.clone(), floats(&tensor.into_data()).to_vec());
    });
    weights
}

#[test]
fn twenty_steps_of_every_task_and_of_layer_wise_rates_are_those_of_pytorch() {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let golden: Golden = serde_json::from_str(&read(goldens().join("golden.json"))).unwrap();
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/trajectories.json");
    let cases: Vec<OfTask> = serde_json::from_str(&read(own)).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let mut train = train_settings(&golden.optimizer);
        train.layerwise_decay = case.layerwise_decay;
        train.head_learning_rate = Some(case.head_learning_rate);
        let device = converge_bert::device::of_tests();
        let autodiff = device.clone().autodiff();
        let mut model = model_of(&case, &autodiff);
        let before = weights_of(&model);
        let mut optimizer = Optimizer::new(&train, &model, |_| true, &device);
        let rate = LearningRate::new(&train, golden.optimizer.steps);
        let loss = Loss::new(&train, case.name, &vec![1; case.outputs]);
        let mut worst: f64 = 0.0;
        for (update, (step, own)) in (0..).zip(golden.trajectory.iter().zip(&case.steps)) {
            let targets: Vec<Target> = own.targets.iter().map(target).collect();
            let logits = model.forward(input(step, &autodiff));
            let part = loss.part(logits, &targets, loss.divisor(targets.iter()), &autodiff);
            let found = f64::from(floats(&part.clone().into_data())[0]);
            let difference = (found - own.loss).abs();
            assert!(difference < 1e-4, "{:?}: loss {found} at {update}", case.name);
            worst = worst.max(difference);
            let mut gradients = Gradients::default();
            gradients.add_from(&model, part);
            let norms = gradients.norms(&model);
            let difference = (norms.global - own.gradient_norm).abs() / own.gradient_norm;
            assert!(difference < 1e-4, "{:?}: norm {} at {update}", case.name, norms.global);
            let gradient_factor = norms.clip_factor(train.max_grad_norm);
            let learning_rate = rate.at(update);
            let update = Update { number: update + 1, learning_rate, gradient_factor };
            model = optimizer.update(model, &gradients, update);
            model = optimizer.catch_up(model, None);
        }
        println!("{:?}: losses differ by {worst:.1e} at most", case.name);
        let after = weights_of(&model);
        assert_eq!(after.len(), case.travel.len());
        for (name, expected) in case.travel {
            // Its gradient is zero but for rounding, which Adam makes steps of.
            if name.ends_with("attention.self.key.bias") {
                continue;
            }
            let squares = after[&name]
                .iter()
                .zip(&before[&name])
                .map(|(now, then)| f64::from(now - then).powi(2));
            let found = squares.sum::<f64>().sqrt();
            let difference = (found - expected).abs();
            assert!(difference < 2e-3 * expected, "{name} came {found} far instead of {expected}");
        }
    }
}
