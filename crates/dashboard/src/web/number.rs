//! Numbers in JSON, which has none that are not finite.

use serde::{Serialize, Serializer};

/// A number as JSON: "nan", "inf" and "-inf" as they stand in logs and exports.
///
/// Seven digits where that many are enough for a screen ([`Number::short`]), all of them otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    value: f64,
    short: bool,
}

impl Number {
    pub(super) fn exact(value: f64) -> Self {
        Self { value, short: false }
    }

    pub(super) fn short(value: f64) -> Self {
        Self { value, short: true }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.value;
        if value.is_nan() {
            return serializer.serialize_str("nan");
        }
        if value.is_infinite() {
            return serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" });
        }
        let single = value as f32;
        // What leaves the range of single precision keeps its digits.
        if self.short && single.is_finite() && (single.is_normal() || value == 0.0) {
            // Its decimal digits, and not those of the double that it would become on the way.
            serializer.serialize_f64(single.to_string().parse().unwrap_or(value))
        } else {
            serializer.serialize_f64(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_numbers_and_what_is_not_finite_is_a_word() {
        let text = |number| serde_json::to_string(&number).unwrap();
        assert_eq!(text(Number::exact(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(text(Number::short(0.1 + 0.2)), "0.3");
        assert_eq!(serde_json::to_value(Number::short(0.1)).unwrap().to_string(), "0.1");
        let read = |number| text(number).parse::<f64>().unwrap();
        assert_eq!(read(Number::short(1e300)), 1e300, "beyond single precision");
        assert_eq!(read(Number::short(1e-42)), 1e-42, "below it");
        assert_eq!(text(Number::short(0.0)), "0.0");
        assert_eq!(text(Number::exact(f64::NAN)), "\"nan\"");
        assert_eq!(text(Number::short(f64::INFINITY)), "\"inf\"");
        assert_eq!(text(Number::short(f64::NEG_INFINITY)), "\"-inf\"");
    }
}
