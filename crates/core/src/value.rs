//! A value that a parameter can take.

use serde::{Deserialize, Serialize};

/// A value of a parameter. Integers and floats stay apart, so that `16` is never written as `16.0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A word, name or path.
    Text(String),
    /// A list of numbers, such as class weights.
    List(Vec<f64>),
}

impl Value {
    /// Returns the number, whole or not.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Boolean(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Returns whether two values mean the same: `1` equals `1.0`.
    pub fn means(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(left), Some(right)) => left == right,
            _ => self == other,
        }
    }
}

impl std::fmt::Display for Value {
    /// As a user would write it in a sweep file, without quotes; shortest form that reads back equal.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(formatter),
            Self::Integer(value) => value.fmt(formatter),
            Self::Float(value) if *value != 0.0 && !(1e-3..1e6).contains(&value.abs()) => {
                write!(formatter, "{value:e}")
            }
            Self::Float(value) => value.fmt(formatter),
            Self::Text(value) => value.fmt(formatter),
            Self::List(values) => write!(formatter, "{values:?}"),
        }
    }
}
