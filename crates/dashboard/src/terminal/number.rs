//! Numbers for people.

use converge_core::metric;
use converge_core::value::Value;

/// Returns a share as `81.2 %`.
pub fn share(value: f64) -> String {
    if value.is_finite() { format!("{:.1} %", value * 100.0) } else { general(value) }
}

/// Returns a number with four significant digits at most: `0.4321`, `2e-5`, `1234`, `nan`.
pub fn general(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding first: 0.00099999 is 0.001 and not 1e-3.
    let scientific = format!("{value:.3e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..6).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or(0);
        let text = format!("{value:.decimals$}");
        if decimals == 0 { text } else { without_trailing_zeros(&text).to_owned() }
    } else {
        format!("{}e{exponent}", without_trailing_zeros(mantissa))
    }
}

/// Returns a value of a parameter; a float with four significant digits at most.
pub fn of_parameter(value: &Value) -> String {
    match value {
        Value::Float(value) => general(*value),
        other => other.to_string(),
    }
}

/// Returns a value of a metric in the form that fits its name: a share, seconds or a plain number.
pub fn of_metric(name: &str, value: f64) -> String {
    match kind_of(name) {
        Kind::Share => share(value),
        Kind::Seconds => duration(value),
        // A loss keeps its zeros, so that a column of them lines up.
        Kind::Loss if (1e-3..10.0).contains(&value.abs()) => format!("{value:.4}"),
        Kind::Loss | Kind::Plain => general(value),
    }
}

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Between 0 and 1.
    Share,
    /// A time.
    Seconds,
    /// A loss.
    Loss,
    /// Anything else.
    Plain,
}

/// Tells by its name what a metric's values are.
pub fn kind_of(metric_name: &str) -> Kind {
    let name = metric::name_of(metric_name);
    if metric::is_share(metric_name) {
        Kind::Share
    } else if name == "seconds" {
        Kind::Seconds
    } else if name == "loss" {
        Kind::Loss
    } else {
        Kind::Plain
    }
}

/// Returns seconds as `0.42 s`, `12 s`, `3 min 05 s`, `2 h 03 min` or `3 d 04 h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return not_finite(seconds).to_owned();
    }
    let seconds = seconds.max(0.0);
    if seconds < 0.9995 {
        return format!("{} s", general((seconds * 1000.0).round() / 1000.0));
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{minutes} min {:02} s", whole % 60),
        3600..86_400 => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

/// Returns seconds as `0:03:05`, for the first column of a log.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// Returns bytes as `273 MB`, in powers of a thousand.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "";
    for name in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        // What would round to a thousand belongs to the next unit.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = name;
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Returns a count as `10,568`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns `1 trial`, `24 trials`.
pub fn plural(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// The words under which such values travel and are stored.
fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_numbers_are_short() {
        let numbers = [
            0.0,
            1.0,
            -1.0,
            16.0,
            0.1,
            0.3,
            2e-5,
            1.5e-5,
            1e-3,
            0.000_999_99,
            0.012_345_6,
            0.5,
            4.141_59,
            1234.5,
            99_999.6,
            123_456.0,
            1e6,
            1.234_56e9,
            1e-300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let texts: Vec<String> = numbers.into_iter().map(general).collect();
        insta::assert_snapshot!(texts.join("  "), @"0  1  -1  16  0.1  0.3  2e-5  1.5e-5  0.001  0.001  0.01235  0.5  4.142  1234  100000  123456  1e6  1.235e9  1e-300  nan  inf  -inf");
    }

    #[test]
    fn a_drawn_value_is_short_and_a_chosen_one_is_as_it_was_chosen() {
        let of = |value| of_parameter(&value);
        assert_eq!(of(Value::Float(2.360_499_537_822e-5)), "2.36e-5");
        assert_eq!(of(Value::Float(2e-5)), "2e-5");
        assert_eq!(of(Value::Integer(123_456)), "123456");
        assert_eq!(of(Value::Text("adamw".into())), "adamw");
    }

    #[test]
    fn a_metric_is_written_as_its_name_asks() {
        let texts: Vec<String> = [
            ("validation/accuracy", 0.8123),
            ("validation/recall/positive", 1.0),
            ("train_subset/predicted/negative", 0.0),
            ("validation/macro_f1", f64::NAN),
            ("train/loss", 0.69),
            ("train/loss", 1e-7),
            ("train/loss", f64::INFINITY),
            ("train/learning_rate", 2e-5),
            ("train/seconds", 0.8123),
            ("travel/head", 0.05),
            ("loss", 0.5),
        ]
        .into_iter()
        .map(|(name, value)| of_metric(name, value))
        .collect();
        insta::assert_snapshot!(texts.join("  "), @"81.2 %  100.0 %  0.0 %  nan  0.6900  1e-7  inf  2e-5  0.812 s  0.05  0.5000");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let seconds = [
            0.0,
            0.0421,
            0.42,
            0.9996,
            1.0,
            9.94,
            9.96,
            12.4,
            59.4,
            59.6,
            185.0,
            3599.6,
            7380.0,
            86_399.0,
            273_600.0,
            -1.0,
            f64::NAN,
        ];
        let texts: Vec<String> = seconds.into_iter().map(duration).collect();
        insta::assert_snapshot!(texts.join(" | "), @"0 s | 0.042 s | 0.42 s | 1.0 s | 1.0 s | 9.9 s | 10 s | 12 s | 59 s | 1 min 00 s | 3 min 05 s | 1 h 00 min | 2 h 03 min | 23 h 59 min | 3 d 04 h | 0 s | nan");
        assert_eq!(clock(185.9), "0:03:05");
        assert_eq!(clock(360_000.0), "100:00:00");
    }

    #[test]
    fn bytes_and_counts_are_short() {
        let sizes =
            [0, 999, 1000, 1234, 9_950, 9_949, 273_000_000, 999_600, 1_300_000_000, u64::MAX];
        let texts: Vec<String> = sizes.into_iter().map(bytes).collect();
        insta::assert_snapshot!(texts.join(" | "), @"0 B | 999 B | 1.0 kB | 1.2 kB | 10 kB | 9.9 kB | 273 MB | 1.0 MB | 1.3 GB | 18 EB");
        let texts: Vec<String> =
            [0, 12, 999, 1000, 10_568, 1_234_567].into_iter().map(count).collect();
        insta::assert_snapshot!(texts.join(" "), @"0 12 999 1,000 10,568 1,234,567");
        assert_eq!(plural(1, "trial"), "1 trial");
        assert_eq!(plural(0, "trial"), "0 trials");
    }
}
