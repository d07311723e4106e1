use super::*;
use crate::cause::Confidence;
use crate::diagnosis::{Cases, Verdict};
use crate::made_up::{self, Shape};
use crate::thresholds::Thresholds;

/// A grid of learning rates and batch sizes; those in `bad` fail without a sign of why.
fn grid(rates: &[f64], batches: &[i64], bad: &[f64]) -> Vec<Record> {
    let mut records = Vec::new();
    for rate in rates {
        for batch in batches {
            let poor = Shape {
                accuracy: 0.6,
                train_accuracy: 0.62,
                evaluated: 0.95,
                train_evaluated: 0.93,
                loss: [1.0, 0.97, 0.94],
                ..Shape::default()
            };
            let mut record =
                made_up::record(&if bad.contains(rate) { poor } else { Shape::default() });
            record.number = records.len() as u64 + 1;
            record.fingerprint = format!("{rate} {batch}");
            record.configuration.insert("learning_rate".into(), Value::Float(*rate));
            record.configuration.insert("batch_size".into(), Value::Integer(*batch));
            record.settings.train.learning_rate = *rate;
            record.settings.train.batch_size = *batch as u64;
            records.push(record);
        }
    }
    records
}

fn headline(records: &[Record], number: u64) -> Option<(Cause, Confidence)> {
    let diagnosis = Cases::new(records, Thresholds::default()).diagnose(number).unwrap();
    match diagnosis.verdict {
        Verdict::Cause(claim) => Some((claim.cause, claim.confidence)),
        _ => None,
    }
}

#[test]
fn a_sibling_that_works_names_the_cause_where_curves_say_nothing() {
    let records = grid(&[2e-5, 3e-4], &[16], &[3e-4]);
    assert_eq!(headline(&records, 2), Some((Cause::LearningRateTooHigh, Confidence::Suspected)));
    // The same in several pairs is more than one chance.
    let records = grid(&[2e-5, 3e-4], &[8, 16, 32], &[3e-4]);
    assert_eq!(headline(&records, 4), Some((Cause::LearningRateTooHigh, Confidence::Likely)));
    assert_eq!(headline(&records, 1), None);
}

#[test]
fn a_sibling_makes_a_single_sign_likely_and_no_more() {
    let records = grid(&[2e-6, 1e-4], &[8, 16], &[2e-6]);
    // Its own learning rate is far below the usual.
    assert_eq!(headline(&records, 1), Some((Cause::LearningRateTooLow, Confidence::Likely)));
}

#[test]
fn differences_in_two_parameters_prove_nothing() {
    let mut records = grid(&[2e-5, 3e-4], &[8, 16], &[3e-4]);
    records.retain(|record| [1, 4].contains(&record.number));
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(4).unwrap();
    assert!(diagnosis.counterfactuals.is_empty());
    assert_eq!(headline(&records, 4), None);
}

#[test]
fn an_optimizer_brings_its_own_learning_rate() {
    let mut records = grid(&[2e-5, 1e-4], &[16], &[2e-5]);
    for (record, optimizer) in records.iter_mut().zip(["sgd", "adamw"]) {
        record.configuration.insert("optimizer".into(), Value::Text(optimizer.into()));
    }
    records[0].settings.train.optimizer = Optimizer::Sgd;
    let cases = Cases::new(&records, Thresholds::default());
    let found = cases.diagnose(1).unwrap().counterfactuals;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].parameter.as_str(), found[0].cause),
        ("optimizer", Some(Cause::OptimizerMismatch))
    );
}

#[test]
fn another_optimizer_that_does_better_is_no_mismatch_where_sgd_has_a_rate_that_suits_it() {
    let mut records = grid(&[1e-1, 1e-4], &[16], &[1e-1]);
    for (record, optimizer) in records.iter_mut().zip(["sgd", "adamw"]) {
        record.configuration.insert("optimizer".into(), Value::Text(optimizer.into()));
    }
    records[0].settings.train.optimizer = Optimizer::Sgd;
    let found = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    assert_eq!((found.counterfactuals[0].helps, found.counterfactuals[0].cause), (true, None));
}

#[test]
fn a_claim_that_a_sibling_contradicts_is_only_suspected() {
    // Large steps, but a tenth of the learning rate is as bad.
    let mut records = grid(&[1e-4, 1e-3], &[16], &[1e-4, 1e-3]);
    records.push(Record {
        number: 3,
        fingerprint: "other".into(),
        ..made_up::record(&Shape::default())
    });
    records[2].configuration.insert("pooling".into(), Value::Text("mean".into()));
    let moved = made_up::record(&Shape {
        travel: 0.2,
        update_ratio: 3e-3,
        accuracy: 0.6,
        ..Shape::default()
    });
    records[1].curves = moved.curves;
    assert_eq!(headline(&records, 2), Some((Cause::LearningRateTooHigh, Confidence::Suspected)));
}

#[test]
fn other_seeds_that_work_make_it_the_seed() {
    let mut records = grid(&[2e-5], &[8, 16, 32], &[]);
    let poor = made_up::record(&Shape { accuracy: 0.6, ..Shape::default() });
    for (place, record) in records.iter_mut().enumerate() {
        record.fingerprint = "same".into();
        record.configuration.insert("batch_size".into(), Value::Integer(16));
        record.replicate = place as u64;
    }
    records[0].curves = poor.curves;
    let (cause, _) = headline(&records, 1).unwrap();
    assert_eq!(cause, Cause::UnluckySeed);
}
