//! The formulas against scipy and statsmodels: `scripts/reference/make_statistics_goldens.py`.

use std::collections::BTreeMap;

use converge_core::items::{Answers, ItemResults, Measure};
use converge_core::seed::Seed;
use converge_core::statistics::chosen::{Chosen, best_of};
use converge_core::statistics::covariance::Covariance;
use converge_core::statistics::distributions::*;
use converge_core::statistics::paired::{Discordant, bootstrapped, sign_flips, student};
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    normal: Vec<[f64; 2]>,
    normal_quantile: Vec<[f64; 2]>,
    student_quantile: Vec<[f64; 3]>,
    student_two_sided: Vec<[f64; 3]>,
    ratio_above: Vec<[f64; 4]>,
    fair_coins: Vec<[f64; 3]>,
    jeffreys: Vec<[f64; 5]>,
    wilson: Vec<[f64; 5]>,
    wilson_ends: Vec<[f64; 5]>,
    discordant: Vec<(u64, u64, f64, f64)>,
    paired: Vec<Pairs>,
    bootstrap: Models,
    winners: Vec<Winner>,
}

#[derive(Deserialize)]
struct Winner {
    means: Vec<f64>,
    covariance: Vec<f64>,
    quantiles: [f64; 3],
}

#[derive(Deserialize)]
struct Pairs {
    differences: Vec<f64>,
    student: [f64; 4],
    sign_flips: f64,
}

#[derive(Deserialize)]
struct Models {
    right: Vec<u32>,
    first: Vec<u32>,
    second: Vec<u32>,
    differences: BTreeMap<String, [f64; 4]>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("../goldens/statistics.json")).unwrap()
}

fn assert_close(found: f64, expected: f64, what: &str) {
    let difference = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(difference < 1e-9, "{what}: {found} instead of {expected}");
}

#[test]
fn distributions_are_those_of_scipy() {
    let goldens = goldens();
    for [x, expected] in goldens.normal {
        assert_close(normal(x), expected, &format!("normal({x})"));
    }
    for [chance, expected] in goldens.normal_quantile {
        assert_close(normal_quantile(chance), expected, &format!("normal_quantile({chance})"));
    }
    for [chance, degrees, expected] in goldens.student_quantile {
        let what = format!("student_quantile({chance}, {degrees})");
        // statrs inverts the incomplete beta function to six digits.
        let difference = (student_quantile(chance, degrees) - expected).abs();
        assert!(difference < 1e-6 * expected.abs().max(1.0), "{what}: not {expected}");
    }
    for [t, degrees, expected] in goldens.student_two_sided {
        let what = format!("student_two_sided({t}, {degrees})");
        assert_close(student_two_sided(t, degrees), expected, &what);
    }
    for [ratio, above, below, expected] in goldens.ratio_above {
        let what = format!("ratio_above({ratio}, {above}, {below})");
        assert_close(ratio_above(ratio, above, below), expected, &what);
    }
    for [count, of, expected] in goldens.fair_coins {
        let what = format!("fair_coins({count}, {of})");
        assert_close(fair_coins(count as u64, of as u64), expected, &what);
    }
}

#[test]
fn intervals_of_shares_are_those_of_statsmodels() {
    let goldens = goldens();
    for [count, of, confidence, low, high] in goldens.jeffreys {
        let found = jeffreys(count as u64, of as u64, confidence).interval.unwrap();
        assert!((found.low - low).abs() < 1e-7, "{count} of {of}: {found:?}, not {low}");
        assert!((found.high - high).abs() < 1e-7, "{count} of {of}: {found:?}, not {high}");
    }
    for [count, of, confidence, low, high] in goldens.wilson.into_iter().chain(goldens.wilson_ends)
    {
        let found = wilson(count as u64, of as u64, confidence).unwrap();
        assert_close(found.low, low, &format!("low of {count} of {of}"));
        assert_close(found.high, high, &format!("high of {count} of {of}"));
    }
    let none = jeffreys(0, 8, 0.95).interval.unwrap();
    let all = jeffreys(8, 8, 0.95).interval.unwrap();
    assert_eq!((none.low, all.high), (0.0, 1.0));
    assert_close(none.high, 1.0 - all.low, "the ends mirror each other");
    assert!(jeffreys(0, 0, 0.95).interval.is_none() && wilson(0, 0, 0.95).is_none());
}

#[test]
fn mcnemar_is_that_of_statsmodels() {
    for (first, second, exact, mid_p) in goldens().discordant {
        for found in [Discordant { first, second }, Discordant { first: second, second: first }] {
            assert_close(found.exact(), exact, &format!("exact p of {first} and {second}"));
            assert_close(found.mid_p(), mid_p, &format!("mid-p of {first} and {second}"));
        }
    }
}

#[test]
fn paired_differences_are_tested_as_by_scipy() {
    for Pairs { differences, student: [value, low, high, p], sign_flips: flips } in goldens().paired
    {
        let what = format!("{} pairs", differences.len());
        let found = student(&differences, 0.95).unwrap();
        assert_close(found.value, value, &what);
        assert!((found.interval.low - low).abs() < 1e-6, "{what}: {found:?}, not {low}");
        assert!((found.interval.high - high).abs() < 1e-6, "{what}: {found:?}, not {high}");
        assert_close(found.p, p, &what);
        assert_close(sign_flips(&differences, Seed(1)).unwrap(), flips, &what);
    }
}

#[test]
fn what_was_chosen_has_the_interval_of_an_author_of_the_method() {
    for Winner { means, covariance, quantiles: [low, middle, high] } in goldens().winners {
        let chosen = Chosen {
            means: &means,
            covariance: &Covariance::from_values(means.len(), covariance),
            winner: best_of(means.iter().copied()),
            against: None,
            half_step: 0.0,
            degrees: f64::INFINITY,
        };
        let interval = chosen.interval(0.95).unwrap();
        let found = [interval.low, chosen.median(0.95).unwrap(), interval.high];
        for (found, expected) in found.iter().zip([low, middle, high]) {
            assert!((found - expected).abs() < 1e-8, "{found} instead of {expected}");
        }
        // The p-value is where the interval ends.
        let p = chosen.p(low).unwrap();
        assert!((p - 0.05).abs() < 1e-5, "{p}");
    }
}

#[test]
fn a_bootstrapped_difference_is_that_of_scipy_up_to_the_luck_of_the_draw() {
    let Models { right, first, second, differences } = goldens().bootstrap;
    let items = right.len();
    let right = Answers::Classes { classes: right };
    let [first, second] = [first, second].map(|classes| ItemResults {
        answers: Answers::Classes { classes },
        losses: vec![0.0; items],
    });
    for (name, [value, low, high, error]) in differences {
        let [first, second] =
            [&first, &second].map(|results| Measure::new(&name, &[], &right, results).unwrap());
        let found = bootstrapped(&first, &second, items, 0.95, Seed(3)).unwrap();
        assert_close(found.value, value, &name);
        // An end of 4,000 resamples has a deviation of 0.042 standard errors.
        assert!((found.interval.low - low).abs() < 0.17 * error, "{name}: {found:?}, not {low}");
        assert!((found.interval.high - high).abs() < 0.17 * error, "{name}: {found:?}, not {high}");
        assert_eq!(found.p < 0.05, low > 0.0 || high < 0.0, "{name}: {found:?}");
        let same = bootstrapped(&first, &first, items, 0.95, Seed(3)).unwrap();
        assert_eq!(
            (same.value, same.interval.low, same.interval.high, same.p),
            (0.0, 0.0, 0.0, 1.0)
        );
    }
}
