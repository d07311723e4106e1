//! Curves that are thinned out, against the plain way to do it.

use converge_core::seed::Seed;
use serde_json::Value;

use crate::support::{Home, METRIC, Server};

/// A noisy curve with rare spikes, holes and infinities.
fn curve(length: u64) -> Vec<f64> {
    (1..=length)
        .map(|step| match Seed(3).draw(step, "kind") {
            kind if kind < 0.002 => f64::NAN,
            kind if kind < 0.003 => f64::INFINITY,
            kind if kind < 0.006 => -50.0 - kind,
            kind => (step as f64 * 0.01).sin() + kind,
        })
        .collect()
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap(),
    }
}

fn points(curve: &Value) -> Vec<(u64, f64)> {
    let steps = curve["steps"].as_array().unwrap().iter().map(|step| step.as_u64().unwrap());
    steps.zip(curve["values"].as_array().unwrap().iter().map(number)).collect()
}

#[test]
fn every_bucket_keeps_its_extremes_with_their_steps() {
    const LENGTH: u64 = 5_000;
    const BUCKETS: u64 = 100;
    let values = curve(LENGTH);
    let mut home = Home::new("first", 1);
    let attempt = home.lease(1);
    home.observe(attempt, METRIC, 0, &values);
    let server = Server::over(&home);
    let answer =
        server.json(&format!("sweeps/1/curves?metric={METRIC}&trials=1&points={}", 2 * BUCKETS));
    let thin = points(&answer["curves"][0]);
    assert_eq!(answer["curves"][0]["observations"], LENGTH);
    assert!(thin.len() as u64 <= 3 * BUCKETS + 2, "{} points", thin.len());
    assert!(thin.is_sorted_by(|one, other| one.0 <= other.0));
    // Nothing was made up.
    for (step, value) in &thin {
        let real = values[*step as usize - 1];
        let near = (real - value).abs() <= real.abs() * 1e-6 || real == *value;
        assert!(near || (real.is_nan() && value.is_nan()), "step {step}: {value} for {real}");
    }
    let at = |step: u64| thin.iter().any(|(kept, _)| *kept == step);
    assert!(at(1) && at(LENGTH), "both ends stay");
    for bucket in 0..BUCKETS {
        let own = (1..=LENGTH).filter(|step| (step - 1) * BUCKETS / LENGTH == bucket);
        let own: Vec<(u64, f64)> = own.map(|step| (step, values[step as usize - 1])).collect();
        let finite = || own.iter().filter(|(_, value)| !value.is_nan());
        let smallest = finite().min_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
        let largest = finite().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
        let holds = |wanted: f64| {
            thin.iter()
                .any(|(step, _)| own.iter().any(|(own, value)| own == step && *value == wanted))
        };
        assert!(holds(smallest.1), "bucket {bucket} lost its smallest value");
        assert!(holds(largest.1), "bucket {bucket} lost its largest value");
        if let Some((first, _)) = own.iter().find(|(_, value)| value.is_nan()) {
            assert!(at(*first), "bucket {bucket} lost its NaN");
        }
    }
    let means = answer["curves"][0]["means"].as_array().unwrap();
    assert!(means.len() as u64 <= BUCKETS && means.len() as u64 > BUCKETS / 2);
    let own: Vec<f64> = values[..50].to_vec();
    if own.iter().all(|value| value.is_finite()) {
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        assert!((number(&means[0]) - mean).abs() < 1e-5);
    }
}

#[test]
fn a_curve_that_fits_is_whole_to_the_last_digit() {
    let values = curve(500);
    let mut home = Home::new("first", 1);
    let attempt = home.lease(1);
    home.observe(attempt, METRIC, 0, &values);
    let server = Server::over(&home);
    let answer = server.json(&format!("sweeps/1/curves?metric={METRIC}&trials=1&points=500"));
    let whole = points(&answer["curves"][0]);
    assert_eq!(whole.len(), values.len());
    for ((step, value), (expected, real)) in whole.iter().zip((1..).zip(&values)) {
        assert_eq!(*step, expected);
        assert!(value == real || (value.is_nan() && real.is_nan()));
    }
    assert!(answer["curves"][0].get("means").is_none());
    let all = server.json("sweeps/1/trials/1/curves?points=500");
    assert_eq!(all["curves"][METRIC]["values"], answer["curves"][0]["values"]);
    let rest = server.json(&format!("sweeps/1/curves?metric={METRIC}&trials=1&after=498"));
    assert_eq!(
        points(&rest["curves"][0]).iter().map(|point| point.0).collect::<Vec<_>>(),
        [499, 500]
    );
}
