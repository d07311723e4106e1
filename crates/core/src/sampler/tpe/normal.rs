//! The normal distribution, and what of it lies within an interval.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Below it a series converges fast, above it a continued fraction.
const SERIES_ENDS: f64 = 1.5;

/// Returns the probability of more than `x` deviations above the mean; exact to 14 digits also where it is tiny.
pub(super) fn above(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - above(-x);
    }
    let x = x * FRAC_1_SQRT_2;
    if x < SERIES_ENDS {
        return 0.5 - error_series(x) / 2.0;
    }
    // erfc(x) = exp(-x²) / (√π (x + 1/2 / (x + 2/2 / (x + 3/2 / ...)))), from the inside out.
    let fraction = (1..=60).rev().fold(x, |fraction, term| x + f64::from(term) / 2.0 / fraction);
    (-x * x).exp() / (2.0 * PI.sqrt() * fraction)
}

/// Returns erf(x) = 2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1)): all terms are positive.
fn error_series(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > sum * 1e-17 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// Returns the probability of lying between `low` and `high`; on one side of the mean without loss of digits.
pub(super) fn between(low: f64, high: f64) -> f64 {
    match (low > 0.0, high < 0.0) {
        (true, _) => above(low) - above(high),
        (_, true) => above(-high) - above(-low),
        _ => 1.0 - above(-low) - above(high),
    }
}

/// Returns the point within `low..high` below which the share `unit` of what lies there lies; the mean must lie there
/// too.
pub(super) fn quantile_between(low: f64, high: f64, unit: f64) -> f64 {
    let mass = between(low, high);
    let (below, beyond) = (above(-low) + unit * mass, above(high) + (1.0 - unit) * mass);
    // From the smaller side, which has more digits.
    let point = if below < beyond { -tail(below) } else { tail(beyond) };
    point.clamp(low, high)
}

/// Returns the point above which `beyond` of at most a half lies.
///
/// # Source
/// Peter Acklam's rational approximation, and one step of Halley's method.
fn tail(beyond: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        1.38357751867269e+02,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 4] = [
        7.784695709041462e-03,
        3.224671290700398e-01,
        2.445134137142996e+00,
        3.754408661907416e+00,
    ];
    let polynomial = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, one| sum * x + one);
    let first = if beyond < 0.02425 {
        let root = (-2.0 * beyond.max(f64::MIN_POSITIVE).ln()).sqrt();
        -polynomial(&C, root) / (polynomial(&D, root) * root + 1.0)
    } else {
        let centred = 0.5 - beyond;
        let square = centred * centred;
        polynomial(&A, square) * centred / (polynomial(&B, square) * square + 1.0)
    };
    let error = (beyond - above(first)) * (2.0 * PI).sqrt() * (first * first / 2.0).exp();
    if error.is_finite() { first - error / (1.0 + first * error / 2.0) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_scipys() {
        // scipy.stats.norm.sf
        for (x, expected) in [
            (0.0, 0.5),
            (1.0, 0.15865525393145707),
            (2.5, 0.006209665325776132),
            (4.2, 1.334574901590631e-05),
            (4.3, 8.539905470991794e-06),
            (10.0, 7.61985302416047e-24),
            (30.0, 4.906713927147908e-198),
            (0.3, 0.3820885778110474),
            (-1.5, 0.9331927987311419),
        ] {
            let found = above(x);
            assert!((found / expected - 1.0).abs() < 1e-12, "{x}: {found:e} {expected:e}");
        }
    }

    #[test]
    fn a_quantile_has_its_share_below_it() {
        for (low, high) in [(-1.0, 0.5), (-101.0, 0.0), (0.0, 1.0), (-0.2, 60.0), (-3.0, 3.0)] {
            for unit in [0.0, 1e-9, 0.01, 0.3, 0.5, 0.77, 0.999, 1.0 - 1e-12] {
                let point = quantile_between(low, high, unit);
                let share = between(low, point) / between(low, high);
                assert!((share - unit).abs() < 1e-12, "{low}..{high} {unit}: {point} {share}");
            }
        }
    }
}
