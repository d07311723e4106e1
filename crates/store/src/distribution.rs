//! How Optuna sees a parameter: one distribution for all trials of a sweep, whatever its cases.
//!
//! A list of values is categorical. A range is a range, and cases with ranges are the smallest one that covers them.
//! A range that some trial leaves (a configuration that the user named) is widened; one in which some trial has a word
//! becomes categorical.

use std::collections::HashSet;

use converge_core::search_space::{Case, Domain};
use converge_core::value::Value;
use serde_json::json;

/// What Optuna calls the distribution of a parameter. Its bounds belong to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Distribution {
    /// One of these, in this order.
    Categorical(Vec<Value>),
    /// A number; `step` where it keeps to a grid.
    Float { low: f64, high: f64, step: Option<f64>, log: bool },
    /// A whole number.
    Int { low: i64, high: i64, step: i64 },
}

impl Distribution {
    /// Returns the distribution in the form in which Optuna stores it.
    pub(crate) fn json(&self) -> String {
        let (name, attributes) = match self {
            Self::Categorical(values) => {
                let choices: Vec<serde_json::Value> = values.iter().map(choice).collect();
                ("CategoricalDistribution", json!({ "choices": choices }))
            }
            Self::Float { low, high, step, log } => {
                ("FloatDistribution", json!({ "low": low, "high": high, "step": step, "log": log }))
            }
            Self::Int { low, high, step } => {
                ("IntDistribution", json!({ "low": low, "high": high, "step": step, "log": false }))
            }
        };
        json!({ "name": name, "attributes": attributes }).to_string()
    }
}

/// Returns a value as a choice: Optuna has no lists, so their JSON stands for them.
fn choice(value: &Value) -> serde_json::Value {
    let json = serde_json::to_value(value).unwrap_or_default();
    if json.is_array() { json.to_string().into() } else { json }
}

/// What is seen of a parameter over the trials of a sweep.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    cases: &'a [Case],
    /// Numbers are remembered by their bounds only.
    is_range: bool,
    low: f64,
    high: f64,
    whole: bool,
    on_grid: bool,
    grid: Option<(f64, f64)>,
    values: Vec<Value>,
    known: HashSet<String>,
}

impl<'a> Seen<'a> {
    /// Starts with the cases of the sweep's definition; without any, all values are choices.
    pub(crate) fn new(cases: &'a [Case]) -> Self {
        let number = |value: &Value| value.number().is_some();
        let is_listed = |case: &Case| matches!(case.domain, Domain::Values(_));
        let numeric = |case: &Case| match &case.domain {
            Domain::Values(values) => values.iter().all(number),
            Domain::Integers { .. }
            | Domain::Steps { .. }
            | Domain::Uniform { .. }
            | Domain::LogUniform { .. } => true,
        };
        let is_range = !cases.iter().all(is_listed) && cases.iter().all(numeric);
        let grid = match cases {
            [Case { domain: Domain::Steps { min, step, .. }, .. }] => Some((*min, *step)),
            [Case { domain: Domain::Integers { min, step, .. }, .. }] => {
                Some((*min as f64, *step as f64))
            }
            _ => None,
        };
        let mut seen = Self {
            cases,
            is_range,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            whole: true,
            on_grid: grid.is_some(),
            grid,
            values: Vec::new(),
            known: HashSet::new(),
        };
        for case in cases {
            match &case.domain {
                Domain::Values(values) => values.iter().for_each(|value| seen.see(value)),
                _ if !is_range => {}
                domain @ (Domain::Integers { .. } | Domain::Steps { .. }) => {
                    seen.see(&domain.at(0.0));
                    seen.see(&domain.at(1.0));
                }
                Domain::Uniform { min, max, .. } | Domain::LogUniform { min, max, .. } => {
                    seen.see(&Value::Float(*min));
                    seen.see(&Value::Float(*max));
                }
            }
        }
        seen
    }

    /// The same, but with every value as a choice: where a range turned out not to be one.
    pub(crate) fn as_choices(cases: &'a [Case]) -> Self {
        let listed = |case: &&Case| matches!(case.domain, Domain::Values(_));
        let mut seen = Self::new(&[]);
        for case in cases.iter().filter(listed) {
            if let Domain::Values(values) = &case.domain {
                values.iter().for_each(|value| seen.see(value));
            }
        }
        seen
    }

    /// Takes in a value of a trial.
    pub(crate) fn see(&mut self, value: &Value) {
        if let (true, Some(number)) = (self.is_range, value.number()) {
            self.low = self.low.min(number);
            self.high = self.high.max(number);
            self.whole &= matches!(value, Value::Integer(_));
            self.on_grid &= self.grid.is_some_and(|(low, step)| {
                let steps = (number - low) / step;
                number >= low && (steps - steps.round()).abs() < 1e-8
            });
            return;
        }
        let Ok(text) = serde_json::to_string(value) else { return };
        if self.known.insert(text) {
            self.values.push(value.clone());
        }
    }

    /// Returns the distribution; none where a range has a value that is no number, and [`Seen::as_choices`] is the
    /// way to see it.
    pub(crate) fn distribution(self) -> Option<Distribution> {
        if !self.is_range {
            return Some(Distribution::Categorical(self.values));
        }
        if !self.values.is_empty() {
            return None;
        }
        let step = self.grid.filter(|_| self.on_grid).map(|(_, step)| step);
        let logarithmic = |case: &Case| matches!(case.domain, Domain::LogUniform { .. });
        Some(if self.whole {
            let step = step.map_or(1, |step| step as i64);
            Distribution::Int { low: self.low as i64, high: self.high as i64, step }
        } else {
            let log = self.low > 0.0 && self.cases.iter().any(logarithmic);
            Distribution::Float { low: self.low, high: self.high, step, log }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(domain: Domain) -> Case {
        Case { when: std::collections::BTreeMap::new(), domain }
    }

    fn of(cases: &[Case], values: &[Value]) -> Distribution {
        let look = |mut seen: Seen<'_>| {
            values.iter().for_each(|value| seen.see(value));
            seen.distribution()
        };
        let found = look(Seen::new(cases)).or_else(|| look(Seen::as_choices(cases)));
        found.expect("choices are always one")
    }

    #[test]
    fn a_parameter_has_one_distribution_over_all_its_cases_and_trials() {
        use Distribution::{Categorical, Float, Int};
        let integers = case(Domain::Integers { min: 8, max: 21, step: 4 });
        let steps = case(Domain::Steps { min: 0.0, max: 0.35, step: 0.1 });
        let log = case(Domain::LogUniform { min: 1e-6, max: 1e-4, count: None });
        let even = case(Domain::Uniform { min: 0.5, max: 1.0, count: Some(3) });
        let words = case(Domain::Values(vec![Value::Text("a".into()), Value::Boolean(true)]));
        let numbers = case(Domain::Values(vec![Value::Float(1e-3), Value::Float(1e-2)]));
        let (number, word) = (Value::Integer(9), Value::Text("auto".into()));
        let float = |low, high, step, log| Float { low, high, step, log };
        for (cases, values, expected) in [
            (vec![&integers], vec![Value::Integer(12)], Int { low: 8, high: 20, step: 4 }),
            (vec![&integers], vec![number.clone()], Int { low: 8, high: 20, step: 1 }),
            (vec![&integers], vec![word.clone(), number.clone()], Categorical(vec![word, number])),
            (vec![&steps], vec![Value::Float(0.2)], float(0.0, 0.3, Some(0.1), false)),
            (vec![&steps], vec![Value::Float(0.25)], float(0.0, 0.3, None, false)),
            (vec![&steps], vec![Value::Integer(2)], float(0.0, 2.0, Some(0.1), false)),
            (vec![&log, &even], vec![], float(1e-6, 1.0, None, true)),
            (vec![&log, &numbers], vec![], float(1e-6, 1e-2, None, true)),
            (
                vec![&numbers, &words],
                vec![Value::Float(1e-3)],
                Categorical(vec![
                    Value::Float(1e-3),
                    Value::Float(1e-2),
                    Value::Text("a".into()),
                    Value::Boolean(true),
                ]),
            ),
            (
                vec![&words, &integers],
                vec![Value::Integer(8), Value::Integer(8)],
                Categorical(vec![Value::Text("a".into()), Value::Boolean(true), Value::Integer(8)]),
            ),
        ] {
            let cases: Vec<Case> = cases.into_iter().cloned().collect();
            assert_eq!(of(&cases, &values), expected, "{cases:?} {values:?}");
        }
    }

    #[test]
    fn a_list_is_a_choice_by_its_text() {
        let list = Value::List(vec![1.0, 2.0]);
        let json: serde_json::Value =
            serde_json::from_str(&of(&[], &[list.clone(), list, Value::Integer(1)]).json())
                .unwrap();
        assert_eq!(
            json,
            json!({
                "name": "CategoricalDistribution", "attributes": { "choices": ["[1.0,2.0]", 1] }
            })
        );
    }
}
