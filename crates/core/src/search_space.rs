//! The set of configurations that a sweep may try.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// One full assignment: parameter name (as users write it) to value. Inactive parameters are absent.
pub type Configuration = BTreeMap<String, Value>;

/// One axis of the search space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Name as users write it: `learning_rate`, `data.train_limit`.
    pub name: String,
    /// One domain per case; at most one case fits any assignment of the other parameters.
    pub cases: Vec<Case>,
}

/// A domain and when it applies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Allowed values of other keys, by name; all must fit. Empty: always.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<Value>>,
    /// The values.
    pub domain: Domain,
}

/// The values that a parameter can take in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// These, in this order.
    Values(Vec<Value>),
    /// Whole numbers `min`, `min + step`, … up to `max`.
    Integers {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// Distance.
        step: i64,
    },
    /// Numbers `min`, `min + step`, … up to `max`, rounded to 12 significant digits.
    Steps {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// Distance.
        step: f64,
    },
    /// Evenly between `min` and `max`.
    Uniform {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// Points of it in a grid.
        count: Option<u64>,
    },
    /// Evenly in the logarithm between `min` and `max`.
    LogUniform {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// Points of it in a grid.
        count: Option<u64>,
    },
}

impl Parameter {
    /// Returns the index of the case that fits, given the value of any other key.
    pub fn active_case(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> Option<usize> {
        self.cases.iter().position(|case| case.fits(value_of))
    }

    /// Returns when a case applies, as `optimizer=adamw`; nothing where it always does.
    pub fn when(&self, case: usize) -> String {
        let text = self.cases.get(case).map(ToString::to_string).unwrap_or_default();
        text.strip_prefix(" when ").unwrap_or(&text).to_owned()
    }

    /// Returns the names of the keys that its cases depend on.
    pub fn depends_on(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().flat_map(|case| case.when.keys().map(String::as_str))
    }
}

impl Case {
    /// Returns whether every condition fits.
    pub fn fits(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.when.iter().all(|(name, allowed)| {
            value_of(name).is_some_and(|value| allowed.iter().any(|one| one.means(&value)))
        })
    }
}

impl Domain {
    /// Returns the points of a grid over this domain, in order; none where a grid needs `count`.
    pub fn grid(&self) -> Option<Vec<Value>> {
        match self {
            Self::Values(values) => Some(values.clone()),
            Self::Integers { .. } | Self::Steps { .. } => {
                Some((0..self.stepped_len()).map(|index| self.stepped(index)).collect())
            }
            Self::Uniform { min, max, count } => {
                count.map(|count| spread(count, |share| min + (max - min) * share))
            }
            Self::LogUniform { min, max, count } => {
                count.map(|count| spread(count, |share| log_between(*min, *max, share)))
            }
        }
    }

    /// Returns the value at `unit`, a draw from [0, 1).
    pub fn at(&self, unit: f64) -> Value {
        let index = |len: usize| ((unit * len as f64) as usize).min(len.saturating_sub(1));
        match self {
            Self::Values(values) => values[index(values.len())].clone(),
            Self::Integers { .. } | Self::Steps { .. } => self.stepped(index(self.stepped_len())),
            Self::Uniform { min, max, .. } => Value::Float(min + (max - min) * unit),
            Self::LogUniform { min, max, .. } => Value::Float(log_between(*min, *max, unit)),
        }
    }

    /// Returns the number of points of a stepped domain.
    pub fn stepped_len(&self) -> usize {
        match self {
            Self::Integers { min, max, step } => {
                max.checked_sub(*min).map_or(usize::MAX, |span| (span / step) as usize + 1)
            }
            // A hair's breadth more, since (0.3 - 0.0) / 0.1 is 2.9999999999999996.
            Self::Steps { min, max, step } => {
                (((max - min) / step + 1e-9) as usize).saturating_add(1)
            }
            Self::Values(_) | Self::Uniform { .. } | Self::LogUniform { .. } => 0,
        }
    }

    /// Returns the number of points of a grid over this domain; 0 where a grid needs `count`.
    pub fn points(&self) -> u64 {
        match self {
            Self::Values(values) => values.len() as u64,
            Self::Integers { .. } | Self::Steps { .. } => self.stepped_len() as u64,
            Self::Uniform { count, .. } | Self::LogUniform { count, .. } => count.unwrap_or(0),
        }
    }

    fn stepped(&self, index: usize) -> Value {
        match self {
            Self::Integers { min, step, .. } => Value::Integer(min + step * index as i64),
            Self::Steps { min, step, .. } => Value::Float(round(min + step * index as f64)),
            Self::Values(_) | Self::Uniform { .. } | Self::LogUniform { .. } => {
                Value::Float(f64::NAN)
            }
        }
    }
}

impl std::fmt::Display for Parameter {
    /// On one line, for people: `1e-5, 1e-4`, `8 when optimizer=sgd | 16 when optimizer=adamw`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, case) in self.cases.iter().enumerate() {
            if place > 0 {
                formatter.write_str(" | ")?;
            }
            case.domain.fmt(formatter)?;
            case.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Case {
    /// When it applies: ` when optimizer=adamw`, or nothing.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (name, allowed)) in self.when.iter().enumerate() {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            let joint = if place == 0 { " when" } else { "," };
            write!(formatter, "{joint} {name}={}", allowed.join("|"))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Domain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |number: &f64| Value::Float(*number);
        let points = |count: &Option<u64>| count.map(|count| format!(", {count} points"));
        match self {
            Self::Values(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                formatter.write_str(&values.join(", "))
            }
            Self::Integers { min, max, step } => {
                write!(formatter, "{min} to {max} in steps of {step}")
            }
            Self::Steps { min, max, step } => {
                let (min, max, step) = (shown(min), shown(max), shown(step));
                write!(formatter, "{min} to {max} in steps of {step}")
            }
            Self::Uniform { min, max, count } => {
                let (min, max) = (shown(min), shown(max));
                write!(formatter, "{min} to {max}{}", points(count).unwrap_or_default())
            }
            Self::LogUniform { min, max, count } => {
                let (min, max) = (shown(min), shown(max));
                write!(
                    formatter,
                    "{min} to {max} in the logarithm{}",
                    points(count).unwrap_or_default()
                )
            }
        }
    }
}

fn spread(count: u64, at: impl Fn(f64) -> f64) -> Vec<Value> {
    (0..count)
        .map(|index| Value::Float(round(at(index as f64 / (count.max(2) - 1) as f64))))
        .collect()
}

fn log_between(min: f64, max: f64, share: f64) -> f64 {
    // The clamp keeps rounding in exp from leaving the range.
    (min.ln() + (max.ln() - min.ln()) * share).exp().clamp(min, max)
}

/// Rounds to 12 significant digits, so that `0.1 + 0.2` and `0.3` are one value and one fingerprint.
pub fn round(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f64]) -> Vec<Value> {
        values.iter().copied().map(Value::Float).collect()
    }

    #[test]
    fn stepped_points_are_round() {
        let domain = Domain::Steps { min: 0.0, max: 0.3, step: 0.1 };
        assert_eq!(domain.grid(), Some(floats(&[0.0, 0.1, 0.2, 0.3])));
        let domain = Domain::Integers { min: 8, max: 21, step: 4 };
        assert_eq!(domain.grid().unwrap().len(), 4);
        assert_eq!(domain.at(0.9999), Value::Integer(20));
    }

    #[test]
    fn a_logarithmic_grid_hits_its_ends() {
        let domain = Domain::LogUniform { min: 1e-4, max: 1e-1, count: Some(4) };
        assert_eq!(domain.grid(), Some(floats(&[1e-4, 1e-3, 1e-2, 1e-1])));
        assert_eq!(Domain::Uniform { min: 0.0, max: 1.0, count: None }.grid(), None);
    }

    proptest::proptest! {
        #[test]
        fn a_draw_stays_within_its_range(unit in 0.0..1.0f64, low in 1e-8..1.0f64, ratio in 1.0..1e6f64) {
            for domain in [
                Domain::Uniform { min: low, max: low * ratio, count: None },
                Domain::LogUniform { min: low, max: low * ratio, count: None },
            ] {
                let value = domain.at(unit).number().unwrap();
                proptest::prop_assert!((low..=low * ratio).contains(&value), "{value}");
            }
        }
    }
}
