use super::*;

/// Ten updates on Σ a (w - t)² / 2 from w = (1, 1, -1, 0.5).
fn minimise(rule: Rule, decay: f64) -> Vec<f32> {
    const CURVATURES: [f32; 4] = [1.0, 0.5, 2.0, 0.1];
    const TARGETS: [f32; 4] = [0.5, -1.0, 0.25, 3.0];
    let mut weights = [1.0, 1.0, -1.0, 0.5];
    let mut state: Vec<Vec<f32>> = rule.slots().iter().map(|_| vec![0.0; 4]).collect();
    for number in 1..=10 {
        let gradient: Vec<f32> =
            (0..4).map(|i| CURVATURES[i] * (weights[i] - TARGETS[i])).collect();
        let update = Update { number, learning_rate: 0.1, gradient_factor: 1.0 };
        rule.apply(update, decay, &mut weights, &gradient, &mut state);
    }
    weights.to_vec()
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
    Rule::Sgd.apply(update(0.5), 0.0, &mut halved, &[4.0], &mut []);
    Rule::Sgd.apply(update(1.0), 0.0, &mut plain, &[2.0], &mut []);
    assert_eq!(halved, plain);
}
