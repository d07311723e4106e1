use converge_core::settings::{Freeze, Optimizer};

use super::*;
use crate::diagnosis::{Cases, Verdict};
use crate::made_up::{self, Shape};
use crate::record::End;

/// Diagnoses a course of training by itself.
fn alone(shape: &Shape, change: impl Fn(&mut Record)) -> Option<(Cause, Confidence)> {
    let mut record = made_up::record(shape);
    change(&mut record);
    let records = [record];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    match diagnosis.verdict {
        Verdict::Cause(claim) => {
            assert!(!claim.evidence.is_empty() && !claim.fixes.is_empty(), "{claim:?}");
            Some((claim.cause, claim.confidence))
        }
        _ => None,
    }
}

/// A training that ends at chance with these numbers.
fn flat() -> Shape {
    Shape {
        loss: [1.0, 1.0, 1.0],
        evaluated: 1.0,
        train_evaluated: 1.0,
        accuracy: 0.5,
        train_accuracy: 0.5,
        answers: vec![0.7, 0.3],
        recalls: vec![0.7, 0.3],
        ..Shape::default()
    }
}

fn collapsed() -> Shape {
    Shape {
        loss: [1.9, 1.0, 1.0],
        travel: 0.09,
        update_ratio: 2.6e-3,
        bottom_gradient: [0.9, 0.05],
        answers: vec![1.0, 0.0],
        recalls: vec![1.0, 0.0],
        ..flat()
    }
}

fn stalled() -> Shape {
    Shape { travel: 8e-6, update_ratio: 2.6e-7, straightness: 1.0, ..flat() }
}

#[test]
fn a_healthy_training_has_no_cause() {
    assert_eq!(alone(&Shape::default(), |_| {}), None);
}

#[test]
fn at_the_same_loss_movement_tells_too_high_from_too_low_from_frozen() {
    let rate = |rate: f64| move |record: &mut Record| record.settings.train.learning_rate = rate;
    assert_eq!(
        alone(&collapsed(), rate(1e-3)),
        Some((Cause::LearningRateTooHigh, Confidence::Likely))
    );
    assert_eq!(
        alone(&stalled(), rate(1e-7)),
        Some((Cause::LearningRateTooLow, Confidence::Likely))
    );
    let frozen = Shape { travel: 0.0, update_ratio: 0.0, ..flat() };
    let freeze = |record: &mut Record| record.settings.train.freeze = Freeze::Encoder;
    assert_eq!(alone(&frozen, freeze), Some((Cause::Frozen, Confidence::Likely)));
}

#[test]
fn sgd_is_no_cause_where_it_moves() {
    let sgd = |rate: f64, momentum: f64| {
        move |record: &mut Record| {
            record.settings.train.optimizer = Optimizer::Sgd;
            record.settings.train.learning_rate = rate;
            record.settings.train.momentum = momentum;
        }
    };
    let slow = Shape { travel: 3.2e-7, update_ratio: 4.2e-8, ..stalled() };
    assert_eq!(alone(&slow, sgd(2e-5, 0.0)), Some((Cause::OptimizerMismatch, Confidence::Proven)));
    let fine = Shape { travel: 1.1e-3, update_ratio: 6.5e-5, ..Shape::default() };
    assert_eq!(alone(&fine, sgd(1e-2, 0.9)), None);
    // At chance for another reason: momentum 0.9 at 1e-2 is what it should be.
    let some = Shape { travel: 9e-4, update_ratio: 1e-6, ..flat() };
    assert_eq!(alone(&some, sgd(1e-3, 0.0)), Some((Cause::OptimizerMismatch, Confidence::Likely)));
    let other = alone(&Shape { travel: 1.1e-3, ..flat() }, sgd(1e-2, 0.9));
    assert_ne!(other.map(|(cause, _)| cause), Some(Cause::OptimizerMismatch));
}

#[test]
fn a_spike_that_was_survived_is_no_cause() {
    let survived = Shape { loss: [1.4, 0.7, 0.45], ..Shape::default() };
    assert_eq!(alone(&survived, |_| {}), None);
}

#[test]
fn a_number_that_is_none_is_the_learning_rate_where_steps_were_large() {
    let diverged = |record: &mut Record| {
        record.end = End::Diverged { step: 60, quantity: "train/loss".into() };
    };
    let large = Shape { loss: [1.0, 2.5, 4.0], ..collapsed() };
    assert_eq!(alone(&large, diverged).unwrap().0, Cause::LearningRateTooHigh);
    assert_eq!(alone(&Shape::default(), diverged).unwrap().0, Cause::NotFinite);
}

#[test]
fn rare_classes_that_are_never_answered_are_an_imbalance_unless_the_model_is_broken() {
    let rare = Shape {
        counts: vec![950, 50],
        accuracy: 0.95,
        answers: vec![1.0, 0.0],
        recalls: vec![1.0, 0.0],
        evaluated: 0.98,
        train_evaluated: 0.98,
        loss: [1.0, 1.0, 0.98],
        ..Shape::default()
    };
    assert_eq!(alone(&rare, |_| {}), Some((Cause::ClassImbalance, Confidence::Likely)));
    let broken = Shape { counts: vec![950, 50], accuracy: 0.95, ..collapsed() };
    assert_eq!(alone(&broken, |_| {}).unwrap().0, Cause::LearningRateTooHigh);
    // In balanced data a class that is never answered is no imbalance.
    let balanced = Shape { answers: vec![1.0, 0.0], recalls: vec![1.0, 0.0], ..flat() };
    assert_ne!(alone(&balanced, |_| {}).map(|(cause, _)| cause), Some(Cause::ClassImbalance));
}

#[test]
fn two_examples_learnt_by_heart_are_too_little_data() {
    let two = Shape {
        counts: vec![1, 1],
        loss: [1.0, 0.2, 0.005],
        evaluated: 1.8,
        train_evaluated: 0.005,
        accuracy: 0.51,
        train_accuracy: 1.0,
        ..Shape::default()
    };
    assert_eq!(alone(&two, |_| {}), Some((Cause::TooLittleData, Confidence::Proven)));
}

#[test]
fn a_gap_between_training_and_validation_is_no_cause_by_itself() {
    // Mosbach et al. 2021: fine-tunes reach a training loss of zero and are none the worse for it.
    let fit = Shape {
        loss: [1.0, 0.2, 0.01],
        train_evaluated: 0.001,
        train_accuracy: 1.0,
        evaluated: 0.9,
        ..Shape::default()
    };
    assert_eq!(alone(&fit, |_| {}), None);
}

#[test]
fn epsilon_warmup_and_dropout_are_told_apart_from_a_low_learning_rate() {
    let epsilon = |record: &mut Record| record.settings.train.epsilon = 1e-2;
    let shape = Shape { epsilon_share: 0.97, ..flat() };
    assert_eq!(alone(&shape, epsilon).unwrap().0, Cause::EpsilonTooLarge);
    let warmup = |record: &mut Record| record.settings.train.warmup_ratio = 0.95;
    assert_eq!(alone(&flat(), warmup).unwrap().0, Cause::WarmupTooLong);
    let dropout = |record: &mut Record| record.settings.train.dropout = Some(0.7);
    assert_eq!(alone(&flat(), dropout), Some((Cause::RegularisationTooStrong, Confidence::Likely)));
}

#[test]
fn labels_without_a_connection_to_texts_are_told_by_words_and_movement() {
    let shuffled =
        Shape { train_accuracy: 0.97, train_evaluated: 0.2, loss: [1.0, 0.9, 0.4], ..flat() };
    let words = |accuracy: f64| {
        move |record: &mut Record| {
            let facts = std::sync::Arc::make_mut(&mut record.facts);
            facts.bag_of_words = Some(converge_core::facts::BagOfWords {
                accuracy,
                macro_f1: accuracy,
                accuracy_untruncated: None,
            });
        }
    };
    assert_eq!(alone(&shuffled, words(0.51)), Some((Cause::NoSignal, Confidence::Likely)));
    // Where words tell the classes apart, the labels are right and something else is wrong.
    assert_ne!(alone(&shuffled, words(0.8)).map(|(cause, _)| cause), Some(Cause::NoSignal));
}

#[test]
fn a_fresh_head_that_begins_above_chance_is_no_sign_of_large_steps() {
    // 95 to 5: a fresh head costs ln 2, 3.5 times what a constant answer does, and falls from there.
    let falling = Shape {
        counts: vec![950, 50],
        loss: [3.5, 1.0, 0.98],
        evaluated: 0.98,
        train_evaluated: 0.98,
        accuracy: 0.95,
        answers: vec![1.0, 0.0],
        recalls: vec![1.0, 0.0],
        ..Shape::default()
    };
    assert_eq!(alone(&falling, |_| {}), Some((Cause::ClassImbalance, Confidence::Likely)));
}

#[test]
fn a_fix_that_changes_nothing_is_not_proposed() {
    let rare = Shape {
        counts: vec![950, 50],
        accuracy: 0.95,
        evaluated: 0.98,
        train_evaluated: 0.98,
        loss: [1.0, 1.0, 0.98],
        answers: vec![1.0, 0.0],
        recalls: vec![1.0, 0.0],
        ..Shape::default()
    };
    let mut record = made_up::record(&rare);
    record.settings.train.class_weights = converge_core::settings::ClassWeights::Balanced;
    let records = [record];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    let Verdict::Cause(claim) = diagnosis.verdict else { panic!("{:?}", diagnosis.verdict) };
    assert!(claim.fixes.iter().all(|fix| !fix.change.contains_key("class_weights")), "{claim:?}");
    assert!(claim.fixes.iter().any(|fix| fix.change.contains_key("sampling")), "{claim:?}");
}

#[test]
fn what_ended_early_is_not_told_of_steps_that_never_were() {
    // Out of patience at half of its steps.
    let mut record = made_up::record(&flat());
    record.total_steps = 400;
    let records = [record];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    let claims = diagnosis.alternates.into_iter().chain(match diagnosis.verdict {
        Verdict::Cause(claim) => Some(claim),
        _ => None,
    });
    for claim in claims {
        assert_ne!(claim.cause, Cause::TooFewSteps);
        let steps = claim.evidence.iter().filter_map(|sign| sign.steps);
        assert!(steps.into_iter().all(|(_, to)| to <= 200), "{claim:?}");
    }
}

#[test]
fn without_validation_the_training_loss_is_judged() {
    let judged = |shape: &Shape| {
        let mut record = made_up::record(shape);
        std::sync::Arc::make_mut(&mut record.facts).validation = None;
        record.curves.retain(|name, _| !name.starts_with("validation/"));
        record.objective.metric = "train/loss".into();
        record.objective.goal = converge_core::objective::Goal::Minimize;
        record.objective.at = converge_core::objective::At::Last;
        let records = [record];
        Cases::new(&records, Thresholds::default()).diagnose(1).unwrap().judged.standing
    };
    assert_eq!(judged(&collapsed()), Standing::AtChance);
    assert_eq!(judged(&Shape::default()), Standing::Converged);
}

#[test]
fn percentages_are_short() {
    assert_eq!(percent(0.4712), "47 %");
    assert_eq!(percent(0.0096), "1.0 %");
    assert_eq!(percent(0.000_008_2), "0.00082 %");
    assert_eq!(percent(0.0), "0 %");
}
