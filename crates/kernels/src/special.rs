//! Functions of one number, written so that loops over them become vector instructions.
//!
//! `f32::mul_add` is one instruction wherever these run fast (AVX2 with FMA, AVX-512), and NaN stays NaN.

/// e to the power of `x`, within two units in the last place for `x` from -87 to 88; smaller ones count as -87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the low bits.
    const TO_INTEGER: f32 = 12_582_912.0;
    // Ln 2 in two parts, so that subtracting its multiples loses nothing.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Written so that NaN passes.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, TO_INTEGER);
    let integer = shifted - TO_INTEGER;
    let rest = integer.mul_add(-LN_2_LOW, integer.mul_add(-LN_2_HIGH, x));
    // Taylor's series up to the seventh power: |rest| <= ln 2 / 2, so the first term left out is below 6e-9.
    let mut series = 1.0 / 5040.0_f32;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series.mul_add(rest, coefficient);
    }
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// The normal distribution's Φ(x) and density φ(x), sharing their exponential.
///
/// Φ(-|x|) = exp(-x²/2) · R(|x|), where R is Mills' ratio over √2π, a smooth function; a polynomial in 1 / (1 + |x| / 4)
/// was fitted to it for |x| <= 14, with a largest relative error of 1.5e-8 (`scripts/reference/normal_distribution.py`).
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    const INVERSE_ROOT_2_PI: f32 = 0.398_942_3;
    let size = x.abs();
    let t = 1.0 / size.mul_add(0.25, 1.0);
    let mut ratio = MILLS[0];
    for coefficient in &MILLS[1..] {
        ratio = ratio.mul_add(t, *coefficient);
    }
    let exponential = exp(-0.5 * x * x);
    let tail = exponential * ratio;
    (if x < 0.0 { tail } else { 1.0 - tail }, exponential * INVERSE_ROOT_2_PI)
}

/// Coefficients of the ninth power down to the constant.
const MILLS: [f32; 10] = [
    0.033_946_898,
    -0.196_178_2,
    0.395_003_4,
    -0.333_471_7,
    0.304_488_75,
    -0.020_384_991,
    0.121_568_24,
    0.094_820_19,
    0.100_229_01,
    -2.160_041e-5,
];

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Near zero the quotient would cancel; the series' first term left out is below 3e-8 there.
    let square = x * x;
    let series = x * square
        .mul_add(square.mul_add(square.mul_add(-17.0 / 315.0, 2.0 / 15.0), -1.0 / 3.0), 1.0);
    let bounded = if x.abs() > 10.0 { 10.0_f32.copysign(x) } else { x };
    let quotient = 1.0 - 2.0 / (exp(2.0 * bounded) + 1.0);
    if x.abs() < 0.15 { series } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f64, to: f64) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| (from + (to - from) * f64::from(i) / 20_000.0) as f32)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in grid(-86.9, 87.9) {
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 1.8e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan() && normal(f32::NAN).0.is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    /// Simpson's rule over the density from zero: independent of any approximation of Φ.
    fn integral(x: f64) -> f64 {
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 2000;
        let width = x / f64::from(steps);
        let inner: f64 = (1..steps)
            .map(|i| if i % 2 == 1 { 4.0 } else { 2.0 } * density(f64::from(i) * width))
            .sum();
        0.5 + width / 3.0 * (density(0.0) + inner + density(x))
    }

    #[test]
    fn the_normal_distribution_is_that_of_its_integral() {
        for x in (-120..=120).map(|i| i as f32 * 0.05) {
            let (probability, density) = normal(x);
            let expected = integral(f64::from(x));
            assert!(
                (f64::from(probability) - expected).abs() < 3e-7,
                "{x}: {probability} is not {expected}"
            );
            let expected =
                (-0.5 * f64::from(x) * f64::from(x)).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!(
                (f64::from(density) - expected).abs() < 1e-7,
                "{x}: {density} is not {expected}"
            );
        }
    }

    #[test]
    fn tanh_is_the_librarys() {
        for x in grid(-12.0, 12.0) {
            let error = (f64::from(tanh(x)) - f64::from(x).tanh()).abs();
            assert!(error < 2e-7, "tanh({x}) is off by {error:e}");
        }
    }
}
