//! Initial values as a pure function of a seed.
//!
//! Burn's generators are process-wide, differ between devices, and depend on who drew before.
//! Here, the value of an element depends on the seed, the parameter's name and the element's
//! place in the checkpoint's layout, and on nothing else: the same bits on every platform, device
//! and thread count, whatever else the model contains. Only IEEE additions, multiplications,
//! divisions and square roots are used, because the logarithms of C libraries differ in their
//! last bits.

use burn::tensor::Tensor;

use crate::classifier::BertClassifier;
use crate::config::BertConfig;
use crate::mapping::Initial;
use crate::parameters::Parameter;

impl BertClassifier {
    /// Draws parameters anew: those for which `deviation` returns the standard deviation of their weights.
    ///
    /// They get the values that [`BertClassifier::new`] gives them for the same seed, scaled.
    #[must_use]
    pub fn with_fresh_weights(
        self,
        seed: u64,
        deviation: impl Fn(&Parameter) -> Option<f64>,
    ) -> Self {
        let config = self.config().clone();
        self.map_parameters(|parameter, values| {
            let Some(deviation) = deviation(parameter) else { return values };
            let config = BertConfig { initializer_range: deviation, ..config.clone() };
            let fresh = initial_values(parameter, &config, seed);
            Tensor::from_floats(fresh.as_slice(), &values.device())
        })
    }
}

/// Returns the initial values of a parameter, in the layout we compute with.
///
/// Normal with mean 0 and standard deviation `initializer_range` for weights, 1 for the weights of
/// a `LayerNorm`, 0 for every bias and for the padding token's embedding.
///
/// # Source
/// `BertPreTrainedModel._init_weights` in [`modeling_bert.py`](crate#source).
pub(crate) fn initial_values(parameter: &Parameter, config: &BertConfig, seed: u64) -> Vec<f32> {
    let elements = parameter.elements();
    match parameter.initial {
        Initial::Zeros => vec![0.0; elements],
        Initial::Ones => vec![1.0; elements],
        Initial::Normal => {
            let stream = Stream::new(seed, &parameter.name);
            parameter.from_checkpoint_layout(stream.normals(elements, config.initializer_range))
        }
        Initial::NormalExceptPadding => {
            let stream = Stream::new(seed, &parameter.name);
            let mut values = stream.normals(elements, config.initializer_range);
            let row = config.pad_token_id * config.hidden_size;
            values[row..row + config.hidden_size].fill(0.0);
            values
        }
    }
}

/// The random numbers of one parameter: a keyed function of a counter, without state.
struct Stream {
    key: u64,
}

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        // FNV-1a spreads names; the mixer removes its structure.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { key: mix(mix(seed) ^ hash) }
    }

    fn normals(&self, count: usize, deviation: f64) -> Vec<f32> {
        (0..count as u64).map(|counter| (deviation * self.normal(counter)) as f32).collect()
    }

    fn normal(&self, counter: u64) -> f64 {
        let bits = mix(self.key.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // Halves of steps of 2^-53: never 0 and never 1.
        let uniform = ((bits >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
        normal_quantile(uniform)
    }
}

/// Scrambles 64 bits so that neighbours share nothing: the output function of `SplitMix64`.
///
/// # Source
/// Steele, Lea and Flood 2014, *Fast splittable pseudorandom number generators*, figure 17, with
/// the constants of Vigna's <https://prng.di.unimi.it/splitmix64.c>.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Returns the number below which a standard normal variable falls with this probability.
///
/// # Source
/// Wichura 1988, *Algorithm AS 241*, routine `PPND16`: about 16 decimal digits.
#[allow(clippy::excessive_precision)] // The constants as published.
fn normal_quantile(probability: f64) -> f64 {
    let distance = probability - 0.5;
    if distance.abs() <= 0.425 {
        let r = 0.180_625 - distance * distance;
        return distance * ratio(r, &CENTRE);
    }
    let tail = if distance < 0.0 { probability } else { 1.0 - probability };
    let r = (-natural_logarithm(tail)).sqrt();
    let value = if r <= 5.0 { ratio(r - 1.6, &NEAR_TAIL) } else { ratio(r - 5.0, &FAR_TAIL) };
    if distance < 0.0 { -value } else { value }
}

/// Coefficients of numerator and denominator, lowest power first.
type Rational = ([f64; 8], [f64; 8]);

fn ratio(x: f64, (numerator, denominator): &Rational) -> f64 {
    let polynomial =
        |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(numerator) / polynomial(denominator)
}

#[allow(clippy::excessive_precision)]
const CENTRE: Rational = (
    [
        3.3871328727963666080,
        133.14166789178437745,
        1971.5909503065514427,
        13731.693765509461125,
        45921.953931549871457,
        67265.770927008700853,
        33430.575583588128105,
        2509.0809287301226727,
    ],
    [
        1.0,
        42.313330701600911252,
        687.18700749205790830,
        5394.1960214247511077,
        21213.794301586595867,
        39307.895800092710610,
        28729.085735721942674,
        5226.4952788528545610,
    ],
);

#[allow(clippy::excessive_precision)]
const NEAR_TAIL: Rational = (
    [
        1.42343711074968357734,
        4.63033784615654529590,
        5.76949722146069140550,
        3.64784832476320460504,
        1.27045825245236838258,
        0.241780725177450611770,
        0.0227238449892691845833,
        7.74545014278341407640e-4,
    ],
    [
        1.0,
        2.05319162663775882187,
        1.67638483018380384940,
        0.689767334985100004550,
        0.148103976427480074590,
        0.0151986665636164571966,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ],
);

#[allow(clippy::excessive_precision)]
const FAR_TAIL: Rational = (
    [
        6.65790464350110377720,
        5.46378491116411436990,
        1.78482653991729133580,
        0.296560571828504891230,
        0.0265321895265761230930,
        0.00124266094738807843860,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ],
    [
        1.0,
        0.599832206555887937690,
        0.136929880922735805310,
        0.0148753612908506148525,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ],
);

/// Returns the logarithm of a positive, normal number, from operations that all machines round
/// alike.
fn natural_logarithm(x: f64) -> f64 {
    const EXPONENT_BITS: u64 = 0x7ff0_0000_0000_0000;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    let bits = x.to_bits();
    let mut exponent = ((bits & EXPONENT_BITS) >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & !EXPONENT_BITS) | ONE);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln(m) = 2 artanh((m - 1) / (m + 1)); its argument stays below 0.172, so 12 terms reach 1e-18.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * ratio * series + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_published_algorithm() {
        // The check values given with AS 241.
        assert!((normal_quantile(0.25) - -0.674_489_750_196_081_7).abs() < 1e-15);
        assert!((normal_quantile(0.001) - -3.090_232_306_167_813_5).abs() < 1e-14);
        assert!((normal_quantile(1e-20) - -9.262_340_089_798_408).abs() < 1e-13);
        assert_eq!(normal_quantile(0.75), -normal_quantile(0.25));
    }

    #[test]
    fn logarithms_agree_with_the_standard_library() {
        for x in [1e-17, 1e-9, 0.001, 0.0749, 0.5, 0.999, 1.0, 1.5, 2.0, 1e10] {
            let difference = (natural_logarithm(x) - f64::ln(x)).abs();
            assert!(difference <= 1e-15 * f64::ln(x).abs().max(1.0), "{x}: {difference}");
        }
    }

    #[test]
    fn a_stream_has_the_moments_of_a_normal_variable() {
        let values = Stream::new(7, "bert.pooler.dense.weight").normals(100_000, 1.0);
        let moment = |power: i32| {
            values.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / 100_000.0
        };
        // Within five standard errors.
        assert!(moment(1).abs() < 0.016, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.023, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.062, "skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.16, "kurtosis {}", moment(4));
    }

    #[test]
    fn streams_of_different_seeds_and_names_are_unrelated() {
        let correlation = |left: &Stream, right: &Stream| {
            let product = |i| left.normal(i) * right.normal(i);
            ((0..10_000).map(product).sum::<f64>() / 10_000.0).abs()
        };
        let base = Stream::new(1, "classifier.weight");
        assert!(correlation(&base, &Stream::new(2, "classifier.weight")) < 0.05);
        assert!(correlation(&base, &Stream::new(1, "classifier.bias")) < 0.05);
        let shifted = Stream { key: base.key.wrapping_add(1) };
        assert!(correlation(&base, &shifted) < 0.05);
    }

    #[test]
    fn the_first_values_never_change() {
        // Computed by Python's `statistics.NormalDist`. A change here changes every trial's start.
        let expected =
            [3_165_733_910, 3_172_182_401, 3_121_006_540, 1_018_226_587].map(f32::from_bits);
        assert_eq!(Stream::new(42, "classifier.weight").normals(4, 0.02), expected);
    }
}
