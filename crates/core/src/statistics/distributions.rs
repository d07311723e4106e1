//! The few distributions that tests and intervals are made of.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::{beta_reg, inv_beta_reg};
use statrs::function::erf::{erfc, erfc_inv};

use super::{Interval, Share};

/// Returns the chance that a standard normal number is below `x`.
pub fn normal(x: f64) -> f64 {
    erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// Returns the number that a standard normal one is below with a chance.
pub fn normal_quantile(chance: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * chance)
}

/// Returns the number that one of Student's distribution is below with a chance; of the normal one where the degrees
/// of freedom are many.
pub fn student_quantile(chance: f64, degrees: f64) -> f64 {
    if degrees > 1e6 {
        return normal_quantile(chance);
    }
    let student = StudentsT::new(0.0, 1.0, degrees.max(1.0)).expect("degrees are positive");
    student.inverse_cdf(chance)
}

/// Returns the chance that a number of Student's distribution is farther from 0 than `t`.
pub fn student_two_sided(t: f64, degrees: f64) -> f64 {
    beta_reg(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// Returns the chance of at most `count` heads among `of` fair coins.
pub fn fair_coins(count: u64, of: u64) -> f64 {
    if count >= of {
        return 1.0;
    }
    beta_reg((of - count) as f64, count as f64 + 1.0, 0.5)
}

/// Returns the chance of Student's distribution below a value.
pub fn student(t: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return normal(t);
    }
    let beyond = student_two_sided(t, degrees) / 2.0;
    if t < 0.0 { beyond } else { 1.0 - beyond }
}

/// Returns the standard error of a share of so many examples, one of each kind added: a share of 100 % is not certain.
pub fn share_error(share: f64, of: u64) -> f64 {
    let of = of.max(1) as f64;
    let share = (share * of + 1.0) / (of + 2.0);
    (share * (1.0 - share) / of).sqrt()
}

/// Returns the interval of a share by Jeffreys: equal tails of the Beta distribution that a count leaves of
/// Beta(1/2, 1/2), and the end itself where none or all were counted. None of none.
///
/// # Source
/// Brown, Cai and DasGupta 2001, *Interval estimation for a binomial proportion*, §3.1.2 and §4.1.2.
pub fn jeffreys(count: u64, of: u64, confidence: f64) -> Share {
    let tail = (1.0 - confidence) / 2.0;
    let (a, b) = (count as f64 + 0.5, (of.saturating_sub(count)) as f64 + 0.5);
    let interval = (of > 0).then(|| Interval {
        low: if count == 0 { 0.0 } else { inv_beta_reg(a, b, tail) },
        high: if count >= of { 1.0 } else { inv_beta_reg(a, b, 1.0 - tail) },
    });
    Share { count, of, interval }
}

/// Returns the interval of a share by Wilson: the shares that the count does not contradict. None of none.
///
/// # Source
/// Wilson 1927, *Probable inference, the law of succession, and statistical inference*.
pub fn wilson(count: u64, of: u64, confidence: f64) -> Option<Interval> {
    if of == 0 {
        return None;
    }
    let z = normal_quantile((1.0 + confidence) / 2.0);
    let (of, share) = (of as f64, count as f64 / of as f64);
    let scale = 1.0 + z * z / of;
    let middle = (share + z * z / (2.0 * of)) / scale;
    let half = z / scale * (share * (1.0 - share) / of + z * z / (4.0 * of * of)).sqrt();
    Some(Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// Returns the chance that the ratio of two variances of the same noise is above a value (Fisher's F). Of two that are
/// zero: 1.
pub fn ratio_above(ratio: f64, above: f64, below: f64) -> f64 {
    if ratio.is_nan() || below <= 0.0 {
        return 1.0;
    }
    beta_reg(below / 2.0, above / 2.0, below / (below + above * ratio))
}
