use serde::Deserialize;

use super::*;

/// `scripts/reference/make_task_goldens.py words`.
#[derive(Deserialize)]
struct Golden {
    train: Vec<Vec<u32>>,
    train_classes: Vec<usize>,
    held_out: Vec<Vec<u32>>,
    held_out_classes: Vec<usize>,
    classes: usize,
    columns: usize,
    probabilities: Vec<Vec<f64>>,
    accuracy: f64,
    macro_f1: f64,
}

#[test]
fn it_is_the_logistic_regression_of_scikit_learn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/bag_of_words.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let train = Texts { columns: golden.train, classes: golden.train_classes };
    let held_out = Texts { columns: golden.held_out, classes: golden.held_out_classes };
    let fitted = Regression::fit(&train, golden.classes, golden.columns);
    for (columns, expected) in held_out.columns.iter().zip(&golden.probabilities) {
        let powers: Vec<f64> = fitted.scores(columns).into_iter().map(f64::exp).collect();
        let sum: f64 = powers.iter().sum();
        for (power, expected) in powers.iter().zip(expected) {
            assert!((power / sum - expected).abs() < 1e-3, "{} instead of {expected}", power / sum);
        }
    }
    let judged = fitted.judge(&held_out);
    assert_eq!(judged.accuracy, golden.accuracy);
    assert!((judged.macro_f1 - golden.macro_f1).abs() < 1e-12);
}

#[test]
fn one_class_and_no_text_have_an_answer() {
    let texts = Texts { columns: vec![vec![], vec![0]], classes: vec![0, 0] };
    let fitted = Regression::fit(&texts, 1, 1);
    assert_eq!(fitted.judge(&texts).accuracy, 1.0);
    let nothing = Texts { columns: vec![], classes: vec![] };
    assert_eq!(Regression::fit(&nothing, 2, 0).judge(&nothing).accuracy, 0.0);
}
