//! Points of the search space that are not to be run, told by an expression over keys.
//!
//! `optimizer == 'sgd' && learning_rate < 2e-5`: comparisons of keys with numbers and words, `in [..]`, `&&`, `||`, `!`
//! and parentheses. A comparison with a key that has no value is false.

mod expression;

use serde::{Deserialize, Serialize};

use crate::key::{Key, Kind};
use crate::value::Value;
use expression::Expression;
pub use expression::SyntaxError;

/// A condition under which a configuration is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    expression: Expression,
}

impl Constraint {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong at which character.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        expression::parse(text).map(|expression| Self { expression })
    }

    /// Returns whether a configuration is left out, given the value of any key.
    pub fn fits(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.expression.holds(value_of)
    }

    /// Returns the names of the keys that it reads, as users write them.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.expression.names(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Rewrites the paths that paths are compared with.
    pub fn map_paths(&mut self, map: &dyn Fn(&str) -> String) {
        self.expression.map_texts(&|key: &Key, text| match key.kind {
            Kind::Path => map(text),
            _ => text.to_string(),
        });
    }
}

impl std::fmt::Display for Constraint {
    /// In one spelling, whatever spaces and quotes it was written with.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.expression.fmt(formatter)
    }
}

impl TryFrom<String> for Constraint {
    type Error = SyntaxError;

    fn try_from(text: String) -> Result<Self, SyntaxError> {
        Self::parse(&text)
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.to_string()
    }
}

#[cfg(test)]
mod tests;
