//! Distribution functions: normal, F, and the non-central chi-square.

/// Terms of a series or fraction at most; all in use here need less than a hundred.
const TERMS: u32 = 400;
const SMALLEST: f64 = 1e-300;

/// Returns the probability that a normal number is below `x`.
pub(crate) fn normal(x: f64) -> f64 {
    let upper = 0.5 * upper_gamma_of_half(x * x / 2.0);
    if x < 0.0 { upper } else { 1.0 - upper }
}

/// Returns the regularised upper incomplete gamma function at 1/2: `erfc(sqrt(x))`.
///
/// # Source
/// Abramowitz and Stegun 6.5.29 (series) and 6.5.31 (continued fraction, by Lentz's method).
fn upper_gamma_of_half(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (-x + 0.5 * x.ln()).exp() / std::f64::consts::PI.sqrt();
    if x < 1.5 {
        let (mut term, mut sum, mut place) = (2.0, 2.0, 0.5);
        for _ in 0..TERMS {
            place += 1.0;
            term *= x / place;
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - sum * scale;
    }
    let mut b = x + 0.5;
    let (mut c, mut d) = (1.0 / SMALLEST, 1.0 / b);
    let mut fraction = d;
    for term in 1..TERMS {
        let a = -f64::from(term) * (f64::from(term) - 0.5);
        b += 2.0;
        d = 1.0 / nonzero(a * d + b);
        c = nonzero(b + a / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    scale * fraction
}

/// Returns the probability that a number of the F distribution is above `f`.
pub(crate) fn f_survival(f: f64, numerator: u64, denominator: u64) -> f64 {
    if f.is_nan() || f <= 0.0 {
        return 1.0;
    }
    let (numerator, denominator) = (numerator as f64, denominator as f64);
    incomplete_beta(denominator / (denominator + numerator * f), denominator / 2.0, numerator / 2.0)
}

/// Returns the regularised incomplete beta function.
///
/// # Source
/// Abramowitz and Stegun 26.5.8, by Lentz's method; 26.5.2 where the fraction would be slow.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front =
        (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let (mut c, mut d) = (1.0, 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for term in 1..TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for coefficient in [even, odd] {
            d = 1.0 / nonzero(1.0 + coefficient * d);
            c = nonzero(1.0 + coefficient / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

fn nonzero(value: f64) -> f64 {
    if value.abs() < SMALLEST { SMALLEST } else { value }
}

/// Returns the logarithm of the gamma function of a positive number.
///
/// # Source
/// Abramowitz and Stegun 6.1.41 (Stirling's series) above 10, and the recurrence 6.1.15 below.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0
            - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square)
            / square)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// Returns, nearly, where a non-central chi-square number stands as a normal one: the normal quantile of its
/// distribution function at `x`.
///
/// # Source
/// Sankaran (1963), Biometrika 50: the power of the number that is nearest to normal.
pub(crate) fn noncentral_score(x: f64, degrees: f64, noncentrality: f64) -> f64 {
    let (once, twice, thrice) =
        (degrees + noncentrality, degrees + 2.0 * noncentrality, degrees + 3.0 * noncentrality);
    let h = 1.0 - 2.0 / 3.0 * once * thrice / (twice * twice);
    let p = twice / (once * once);
    let m = (h - 1.0) * (1.0 - 3.0 * h);
    let mean = 1.0 + h * p * (h - 1.0 - 0.5 * (2.0 - h) * m * p);
    let deviation = h * (2.0 * p).sqrt() * (1.0 + 0.5 * m * p);
    ((x / once).powf(h) - mean) / deviation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, tolerance: f64) {
        let error = (found / expected - 1.0).abs();
        assert!(error < tolerance, "{found:e} is not {expected:e}: {error:e}");
    }

    // scipy 1.17: norm.cdf, f.sf, ncx2.cdf.
    #[test]
    fn the_normal_distribution_is_that_of_scipy() {
        for (x, expected) in [
            (-8.0, 6.220_960_574_271_74e-16),
            (-3.0, 0.001_349_898_031_630_093_3),
            (-1.0, 0.158_655_253_931_457_05),
            (-0.01, 0.496_010_643_685_368_4),
            (0.0, 0.5),
            (1.7, 0.955_434_537_241_457),
            (5.0, 0.999_999_713_348_428_1),
        ] {
            close(normal(x), expected, 1e-13);
        }
    }

    #[test]
    fn the_f_distribution_is_that_of_scipy() {
        for ((f, numerator, denominator), expected) in [
            ((3.5, 2, 9), 0.075_084_686_279_296_9),
            ((0.3, 1, 4), 0.613_011_113_266_179_4),
            ((57.0, 6, 120), 7.812_888_915_672_425e-33),
            ((161.45, 1, 1), 0.049_999_635_875_962_9),
            ((1.0, 40, 3), 0.597_202_781_760_232_4),
        ] {
            close(f_survival(f, numerator, denominator), expected, 1e-9);
        }
        assert_eq!(f_survival(0.0, 2, 3), 1.0);
        assert_eq!(f_survival(f64::INFINITY, 2, 3), 0.0);
        assert_eq!(f_survival(f64::NAN, 2, 3), 1.0);
    }

    #[test]
    fn the_noncentral_chi_square_is_within_a_hundredth() {
        for ((x, degrees, noncentrality), expected) in [
            ((5.0, 2.0, 3.0), 0.594_060_803_078_196_4),
            ((40.0, 3.0, 30.0), 0.750_726_315_925_158_1),
            ((1.0, 1.0, 4.0), 0.157_305_355_899_827),
            ((20.0, 6.0, 0.0), 0.997_230_604_284_464),
        ] {
            let found = normal(noncentral_score(x, degrees, noncentrality));
            assert!((found - expected).abs() < 0.01, "{found} is not {expected}");
        }
    }
}
