//! Records made up for tests: a course of training, and what to change of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::objective::{At, Goal, Objective};
use converge_core::settings::{Preset, Settings};
use converge_core::task::Task;

use crate::curve::Curve;
use crate::record::{End, Record};

/// Returns facts of a task of classes with so many training examples each, and 400 validation examples in the same
/// proportion.
pub(crate) fn facts(counts: &[u64]) -> Facts {
    let all: u64 = counts.iter().sum();
    let split = |class_counts: Vec<u64>| SplitFacts {
        examples: class_counts.iter().sum(),
        class_counts,
        targets: None,
        token_lengths: [3, 20, 60, 80],
        truncated_share: 0.0,
        unknown_token_share: 0.001,
    };
    Facts {
        content_hashes: BTreeMap::new(),
        task: Task::Classes,
        task_reason: String::new(),
        labels: (0..counts.len()).map(|class| format!("class{class}")).collect(),
        train: split(counts.to_vec()),
        validation: Some(split(counts.iter().map(|count| count * 400 / all).collect())),
        test: None,
        validation_answers: None,
        max_length: 64,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: 22_700_000,
            hidden_size: 384,
            layers: 6,
            heads: 12,
            intermediate_size: 1536,
            vocabulary_size: 30_522,
            max_positions: 512,
        },
    }
}

/// A course of training. Losses are shares of chance.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) counts: Vec<u64>,
    pub(crate) steps: u64,
    /// Training loss at begin, middle and end.
    pub(crate) loss: [f64; 3],
    /// Validation loss at its end; what training examples have at the end.
    pub(crate) evaluated: f64,
    pub(crate) train_evaluated: f64,
    pub(crate) accuracy: f64,
    pub(crate) train_accuracy: f64,
    /// Share of each class among the answers.
    pub(crate) answers: Vec<f64>,
    pub(crate) recalls: Vec<f64>,
    pub(crate) travel: f64,
    pub(crate) update_ratio: f64,
    /// Of the lowest layers: in the first quarter, and in the last.
    pub(crate) bottom_gradient: [f64; 2],
    pub(crate) straightness: f64,
    pub(crate) epsilon_share: f64,
}

impl Default for Shape {
    /// A healthy training.
    fn default() -> Self {
        Self {
            counts: vec![500, 500],
            steps: 200,
            loss: [1.0, 0.6, 0.45],
            evaluated: 0.6,
            train_evaluated: 0.4,
            accuracy: 0.84,
            train_accuracy: 0.92,
            answers: vec![0.52, 0.48],
            recalls: vec![0.85, 0.83],
            travel: 0.008,
            update_ratio: 5e-5,
            bottom_gradient: [0.5, 1.0],
            straightness: 0.9,
            epsilon_share: 0.001,
        }
    }
}

/// Makes the record of a course.
pub(crate) fn record(shape: &Shape) -> Record {
    let facts = facts(&shape.counts);
    let settings = Settings::defaults(Preset::Tiny.into(), "x.tsv");
    let chance = crate::chance::Chance::of(&facts, &settings.train).unwrap();
    let steps = shape.steps;
    let place = |step: u64| step as f64 / steps as f64;
    let along = |step: u64| {
        let [begin, middle, end] = shape.loss;
        match place(step) {
            early if early <= 0.5 => begin + (middle - begin) * early * 2.0,
            late => middle + (end - middle) * (late - 0.5) * 2.0,
        }
    };
    // A small wave in place of noise.
    let wave = |step: u64| 1.0 + 0.02 * ((step * 7 % 11) as f64 / 5.0 - 1.0);
    let rate = |step: u64| {
        let warm = (place(step) / 0.1).min(1.0);
        settings.train.learning_rate * warm * ((1.0 - place(step)) / 0.9).min(1.0)
    };
    let mut curves: BTreeMap<String, Curve> = BTreeMap::new();
    let mut put = |name: &str, stride: u64, value: &dyn Fn(u64) -> f64| {
        let steps = (1..=steps).filter(|step| *step == 1 && stride < 26 || step % stride == 0);
        curves.insert(name.to_owned(), Curve(steps.map(|step| (step, value(step))).collect()));
    };
    put("train/loss", 1, &|step| along(step) * wave(step) * chance.step_loss);
    put("train/learning_rate", 1, &|step| if step == steps / 10 { 2e-5 } else { rate(step) });
    put("train/gradient_norm", 1, &|step| 1.2 * wave(step));
    for (group, factor) in [("bottom", 1.0), ("middle", 1.2), ("top", 1.5)] {
        put(&format!("train/gradient_norm/{group}"), 25, &|step| {
            let [early, late] = shape.bottom_gradient;
            factor * if place(step) <= 0.5 { early } else { late }
        });
        put(&format!("train/update_ratio/{group}"), 25, &|step| {
            shape.update_ratio * (1.0 - place(step)).max(0.1)
        });
        put(&format!("travel/{group}"), 50, &|step| shape.travel * place(step).sqrt());
    }
    put("train/expected_drop", 25, &|_| 0.01);
    put("train/same_batch_drop", 25, &|_| 0.01 * shape.straightness);
    put("train/epsilon_share", 25, &|_| shape.epsilon_share);
    let towards = |step: u64, end: f64| 1.0 + (end - 1.0) * (place(step) * 1.3).min(1.0);
    put("validation/loss", 50, &|step| towards(step, shape.evaluated) * chance.validation_loss);
    put("train_subset/loss", 50, &|step| towards(step, shape.train_evaluated) * chance.train_loss);
    put("train_subset/loss_deviation", 50, &|_| 0.4);
    put("train_subset/confidently_wrong", 50, &|_| 0.0);
    put("validation/accuracy", 50, &|_| shape.accuracy);
    put("train_subset/accuracy", 50, &|_| shape.train_accuracy);
    for (class, (answers, recall)) in shape.answers.iter().zip(&shape.recalls).enumerate() {
        put(&format!("validation/predicted/class{class}"), 50, &|_| *answers);
        put(&format!("validation/recall/class{class}"), 50, &|_| *recall);
    }
    Record {
        number: 1,
        configuration: BTreeMap::new(),
        fingerprint: "a".into(),
        replicate: 0,
        settings,
        facts: Arc::new(facts),
        objective: Objective {
            metric: "validation/accuracy".into(),
            goal: Goal::Maximize,
            at: At::Best,
        },
        end: End::Completed,
        total_steps: steps,
        curves,
    }
}
