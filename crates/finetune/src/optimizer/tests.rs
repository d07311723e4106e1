use burn::tensor::{Tensor, TensorData};
use converge_core::seed::Seed;

use super::host::apply;
use super::rows::LateRows;
use super::*;

const CURVATURES: [f32; 4] = [1.0, 0.5, 2.0, 0.1];
const TARGETS: [f32; 4] = [0.5, -1.0, 0.25, 3.0];

/// Ten updates on Σ a (w - t)² / 2 from w = (1, 1, -1, 0.5).
fn minimise(rule: Rule, decay: f64) -> Vec<f32> {
    let mut weights = [1.0, 1.0, -1.0, 0.5];
    let mut state: Vec<Vec<f32>> = rule.slots().iter().map(|_| vec![0.0; 4]).collect();
    for number in 1..=10 {
        let gradient: Vec<f32> =
            (0..4).map(|i| CURVATURES[i] * (weights[i] - TARGETS[i])).collect();
        let update = Update { number, learning_rate: 0.1, gradient_factor: 1.0 };
        apply(rule.step(update, decay), &mut weights, &gradient, &mut state);
    }
    assert_near(&minimise_on_device(rule, decay), weights);
    weights.to_vec()
}

/// [`minimise`] by a device's operations.
fn minimise_on_device(rule: Rule, decay: f64) -> Vec<f32> {
    let device = converge_bert::device::of_tests();
    let tensor = |values: [f32; 4]| Tensor::<1>::from_data(TensorData::from(values), &device);
    let mut weights = tensor([1.0, 1.0, -1.0, 0.5]);
    let mut state: Vec<Tensor<1>> = rule.slots().iter().map(|_| tensor([0.0; 4])).collect();
    for number in 1..=10 {
        let gradient = tensor(CURVATURES) * (weights.clone() - tensor(TARGETS));
        let update = Update { number, learning_rate: 0.1, gradient_factor: 1.0 };
        weights = rule.step(update, decay).apply_on_device(weights, gradient, &mut state);
    }
    weights.into_data().try_into_vec().unwrap()
}

fn assert_near(found: &[f32], expected: [f32; 4]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-6, "{found} instead of {expected}");
    }
}

// Expected values: torch 2.9.1 in double precision, ten steps of the optimizer of the same name
// with lr 0.1 and the arguments given here, all others at their defaults.

#[test]
fn adamw_is_that_of_pytorch() {
    let rule = Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    assert_near(&minimise(rule, 0.01), [0.2952167, 0.0193232, -0.0463043, 1.472732]);
}

#[test]
fn adam_is_that_of_pytorch() {
    let rule = Rule::Adam { beta1: 0.8, beta2: 0.99, epsilon: 1e-3 };
    assert_near(&minimise(rule, 0.1), [0.3202292, 0.0484507, -0.08328, 1.3799417]);
}

#[test]
fn sgd_is_that_of_pytorch() {
    assert_near(&minimise(Rule::Sgd, 0.1), [0.6246276, 0.1541277, 0.120869, 0.6829272]);
}

#[test]
fn momentum_is_that_of_pytorch() {
    let rule = Rule::Momentum { momentum: 0.9 };
    assert_near(&minimise(rule, 0.1), [0.1427959, -1.6190877, 0.1400565, 1.1928802]);
}

#[test]
fn rmsprop_is_that_of_pytorch() {
    assert_near(&minimise(Rule::RmsProp, 0.1), [0.4546452, -0.8315994, 0.2380952, 1.5]);
}

#[test]
fn adagrad_is_that_of_pytorch() {
    assert_near(&minimise(Rule::AdaGrad, 0.1), [0.6102827, 0.5265334, -0.5418621, 0.9462688]);
}

#[test]
fn the_gradient_factor_scales_the_gradient() {
    let update = |gradient_factor| Update { number: 1, learning_rate: 0.1, gradient_factor };
    let (mut halved, mut plain) = ([1.0], [1.0]);
    apply(Rule::Sgd.step(update(0.5), 0.0), &mut halved, &[4.0], &mut []);
    apply(Rule::Sgd.step(update(1.0), 0.0), &mut plain, &[2.0], &mut []);
    assert_eq!(halved, plain);
}

/// A table of 40 rows of 5: in each of 30 steps some rows have a gradient, the others none.
#[test]
fn rows_that_make_updates_late_have_the_bits_of_those_that_never_missed_one() {
    const ROWS: usize = 40;
    const COLUMNS: usize = 5;
    let rules = [
        Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 0.0 },
        Rule::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        Rule::Sgd,
        Rule::Momentum { momentum: 0.9 },
        Rule::RmsProp,
        Rule::AdaGrad,
    ];
    let draw = |name: &str, number: usize| Seed(7).stream(name, number as u64).0;
    let number = |name: &str, at: usize| (draw(name, at) % 2001) as f32 / 1000.0 - 1.0;
    for (rule, decay) in rules.into_iter().flat_map(|rule| [(rule, 0.0), (rule, 0.05)]) {
        let mut dense: Vec<f32> = (0..ROWS * COLUMNS).map(|at| number("weight", at)).collect();
        let mut late = dense.clone();
        let fresh = || -> Vec<Vec<f32>> {
            rule.slots().iter().map(|_| vec![0.0; ROWS * COLUMNS]).collect()
        };
        let (mut dense_state, mut late_state) = (fresh(), fresh());
        let mut rows = LateRows::new(COLUMNS, ROWS, &late_state);
        for step in 0..30 {
            let learning_rate = 0.01 * (step + 1) as f64;
            let update = Update { number: step as u64 + 1, learning_rate, gradient_factor: 0.7 };
            // The last rows never have a gradient.
            let some = |row: &usize| draw("row", step * ROWS + row).is_multiple_of(4);
            let numbers: Vec<u32> = (0..ROWS - 5).filter(some).map(|row| row as u32).collect();
            let elements = numbers.len() * COLUMNS;
            let values: Vec<f32> =
                (0..elements).map(|at| number("gradient", step * 1000 + at)).collect();
            let gradient = converge_bert::Rows { numbers, values };

            let matrix = gradient.to_matrix(ROWS, COLUMNS);
            apply(rule.step(update, decay), &mut dense, &matrix, &mut dense_state);

            rows.catch_up(&gradient.numbers, &mut late, &mut late_state);
            let step_ = rule.step(update, decay);
            rows.update(step_, &gradient.numbers, &gradient.values, &mut late, &mut late_state);
            if step == 17 {
                rows.catch_up_all(&mut late, &mut late_state);
                // As a resumed training begins.
                rows = LateRows::new(COLUMNS, ROWS, &late_state);
            }
        }
        rows.catch_up_all(&mut late, &mut late_state);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&dense), bits(&late), "{rule:?}, decay {decay}");
        for (dense, late) in dense_state.iter().zip(&late_state) {
            assert_eq!(bits(dense), bits(late), "state of {rule:?}, decay {decay}");
        }
    }
}

#[test]
#[should_panic(expected = "row 1 was read before it caught up")]
fn a_gradient_from_old_weights_is_refused() {
    let (mut weights, update) =
        ([1.0; 4], Update { number: 1, learning_rate: 0.1, gradient_factor: 1.0 });
    let step = Rule::Sgd.step(update, 0.0);
    let mut rows = LateRows::new(2, 2, &[]);
    rows.update(step, &[0], &[1.0, 1.0], &mut weights, &mut []);
    rows.update(step, &[1], &[1.0, 1.0], &mut weights, &mut []);
}
