use converge_core::value::Value;

use super::*;
use crate::made_up::{self, Shape};
use crate::record::Record;
use crate::thresholds::Thresholds;

fn sweep() -> Vec<Record> {
    let rates = [1e-5, 1e-4, 1e-3, 1e-2];
    let record = |(place, rate): (usize, &f64)| {
        let shape = match rate {
            rate if *rate >= 1e-3 => Shape {
                loss: [1.9, 1.0, 1.0],
                travel: 0.2,
                update_ratio: 4e-3,
                evaluated: 1.0,
                train_evaluated: 1.0,
                accuracy: 0.5,
                train_accuracy: 0.5,
                ..Shape::default()
            },
            _ => Shape { accuracy: 0.8 + 0.02 * place as f64, ..Shape::default() },
        };
        let mut record = made_up::record(&shape);
        record.number = place as u64 + 1;
        record.fingerprint = rate.to_string();
        record.settings.train.learning_rate = *rate;
        record.configuration.insert("learning_rate".into(), Value::Float(*rate));
        record.configuration.insert("batch_size".into(), Value::Integer(16));
        record
    };
    rates.iter().enumerate().map(record).collect()
}

#[test]
fn causes_are_counted_with_the_region_where_they_lie() {
    let records = sweep();
    let found = overview(&Cases::new(&records, Thresholds::default()));
    assert_eq!((found.converged, found.failed), (vec![1, 2], vec![3, 4]));
    let [group] = found.causes.as_slice() else { panic!("{:?}", found.causes) };
    assert_eq!(
        (group.cause, group.trials.as_slice()),
        (Cause::LearningRateTooHigh, [3, 4].as_slice())
    );
    assert_eq!(group.region.len(), 1);
    assert_eq!(group.region[0].text, "learning_rate at least 0.001");
    assert_eq!(found.works[0].text, "learning_rate at most 1e-4");
    assert_eq!(group.proven, 2);
}

#[test]
fn what_limits_the_best_is_said() {
    let fit = Shape { train_accuracy: 1.0, train_evaluated: 0.01, ..Shape::default() };
    let records = [made_up::record(&fit)];
    let found = overview(&Cases::new(&records, Thresholds::default()));
    assert!(
        found.limits[0].starts_with("data: the best trial, 1, has 100 %"),
        "{:?}",
        found.limits
    );
}
