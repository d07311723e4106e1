//! Every metric against scikit-learn and scipy, on fixed answers: `scripts/reference/make_task_goldens.py metrics`.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::items::{Answers, ItemResults};
use converge_core::metric::METRICS;
use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Case {
    name: String,
    task: Task,
    logits: Vec<Vec<f32>>,
    targets: Vec<Value>,
    metrics: BTreeMap<String, f64>,
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn target(task: Task, value: &Value) -> Target {
    match task {
        Task::Classes => Target::Class(value.as_u64().unwrap() as usize),
        Task::MultiLabel => {
            Target::Labels(value.as_array().unwrap().iter().map(|has| has == 1).collect())
        }
        Task::Regression => Target::Number(value.as_f64().unwrap()),
    }
}

/// Returns the metrics that are plain means over the items.
fn recomputed(items: &ItemResults, right: &Answers) -> Vec<(&'static str, f64)> {
    let examples = right.len();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / examples as f64;
    let losses = items.losses.iter().copied().map(f64::from).collect();
    let second = match (&items.answers, right) {
        (Answers::Classes { classes }, Answers::Classes { classes: right }) => {
            let hit = |(answer, right)| f64::from(u8::from(answer == right));
            ("accuracy", mean(classes.iter().zip(right).map(hit).collect()))
        }
        (Answers::Labels { labels, has }, Answers::Labels { has: right, .. }) => {
            let sets = has.chunks(*labels as usize).zip(right.chunks(*labels as usize));
            ("accuracy", mean(sets.map(|(set, right)| f64::from(u8::from(set == right))).collect()))
        }
        (Answers::Numbers { numbers }, Answers::Numbers { numbers: right }) => {
            let error = |(answer, right): (&f32, &f32)| f64::from((answer - right).abs());
            ("mae", mean(numbers.iter().zip(right).map(error).collect()))
        }
        (answers, right) => panic!("{answers:?} and {right:?}"),
    };
    vec![("loss", mean(losses)), second]
}

#[test]
fn every_metric_is_that_of_the_reference() {
    let mut largest: f64 = 0.0;
    for case in cases() {
        let labels: Vec<String> =
            (0..case.logits[0].len()).map(|label| label.to_string()).collect();
        let evaluation = Evaluation {
            logits: case.logits.concat(),
            targets: case.targets.iter().map(|value| target(case.task, value)).collect(),
        };
        let found = evaluation.metrics("validation", case.task, &labels);
        let names: BTreeSet<&str> =
            found.iter().map(|(name, _)| name.strip_prefix("validation/").unwrap()).collect();
        assert_eq!(names.len(), found.len(), "{}: a metric twice", case.name);
        let items = evaluation.items().unwrap();
        let right = items::of_targets(&evaluation.targets.iter().collect::<Vec<_>>(), labels.len());
        for (name, value) in recomputed(&items, &right.unwrap()) {
            let expected = case.metrics[name];
            assert!(
                (value - expected).abs() < 1e-6 * expected.abs().max(1.0),
                "{}: {name}",
                case.name
            );
        }
        let expected: BTreeSet<&str> = case.metrics.keys().map(String::as_str).collect();
        assert_eq!(names, expected, "{}", case.name);
        for (name, value) in &found {
            let expected = case.metrics[name.strip_prefix("validation/").unwrap()];
            let difference = (value - expected).abs() / expected.abs().max(1.0);
            assert!(difference < 1e-12, "{}: {name} is {value} instead of {expected}", case.name);
            largest = largest.max(difference);
        }
    }
    println!("largest relative difference {largest:.1e}");
}

#[test]
fn every_metric_of_the_table_is_recorded_for_its_tasks_and_no_other_is() {
    for task in Task::ALL {
        let names: BTreeSet<&str> = cases()
            .iter()
            .filter(|case| case.task == task)
            .flat_map(|case| case.metrics.keys().cloned().collect::<Vec<_>>())
            .map(|name| converge_core::metric::Metric::find(&name).unwrap().name)
            .collect();
        let table: BTreeSet<&str> = METRICS
            .iter()
            .filter(|metric| metric.tasks.contains(&task))
            .map(|metric| metric.name)
            .collect();
        assert_eq!(names, table, "{task:?}");
    }
}

#[test]
fn answers_that_are_no_numbers_do_not_get_lost() {
    let evaluation = |targets| Evaluation { logits: vec![f32::NAN; 2], targets };
    let labels = ["a".to_owned(), "b".to_owned()];
    for (task, targets) in [
        (Task::Classes, vec![Target::Class(1)]),
        (Task::MultiLabel, vec![Target::Labels([true, false].into())]),
        (Task::Regression, vec![Target::Number(1.0), Target::Number(2.0)]),
    ] {
        let found = evaluation(targets).metrics("validation", task, &labels);
        assert!(found[0].0 == "validation/loss" && found[0].1.is_nan(), "{task:?}: {found:?}");
    }
}
