//! Which signals of a trial speak for which cause. Each rule is a pure function of one trial; what siblings add is in
//! [`siblings`](crate::siblings).

use std::collections::BTreeMap;

use converge_core::value::Value;
use serde::Serialize;

use crate::cause::{Cause, Confidence};
use crate::chance::Chance;
use crate::record::Record;
use crate::signals::Signals;
use crate::standing::{Judged, Standing};
use crate::thresholds::Thresholds;

mod data;
mod fit;
mod learning_rate;
pub mod usual;

/// A trial with what has been read off it.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// What is known of it.
    pub record: &'a Record,
    /// What a constant answer gets; none where the facts do not tell.
    pub chance: Option<Chance>,
    /// Its numbers.
    pub signals: Signals,
    /// How it stands.
    pub judged: Judged,
    /// The median travel of the sweep's trials that work, to compare with.
    pub usual_travel: Option<f64>,
}

/// A cause that something speaks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// What speaks for it, each with a number and what that is compared with.
    pub evidence: Vec<Evidence>,
    /// What mends it, the best first.
    pub fixes: Vec<Fix>,
}

/// A sentence with numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// The sentence, without a full stop.
    pub text: String,
    /// The steps that show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<(u64, u64)>,
}

/// A way to mend it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fix {
    /// What to do, in words.
    pub text: String,
    /// The settings to change, by name; empty where no setting does it.
    pub change: BTreeMap<String, Value>,
    /// A trial of the sweep that has just that and works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_by: Option<u64>,
}

impl Evidence {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), steps: None }
    }

    pub(crate) fn at(mut self, from: u64, to: u64) -> Self {
        self.steps = Some((from, to));
        self
    }
}

impl Fix {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), change: BTreeMap::new(), shown_by: None }
    }

    pub(crate) fn set(text: impl Into<String>, change: &[(&str, Value)]) -> Self {
        let change = change.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self { text: text.into(), change: change.collect(), shown_by: None }
    }
}

impl Case<'_> {
    /// Returns whether its training loss settled at what a constant answer costs.
    pub(crate) fn is_flat(&self, thresholds: &Thresholds) -> bool {
        let settled = self.signals.loss_settled;
        settled.is_some_and(|settled| (settled - 1.0).abs() < thresholds.at_chance)
            || self.judged.standing == Standing::AtChance
                && settled.is_none_or(|settled| settled > 1.0 - 2.0 * thresholds.at_chance)
    }
}

/// A rule.
pub type Rule = fn(&Case<'_>, &Thresholds) -> Option<Claim>;

/// All rules.
pub const RULES: &[Rule] = &[
    learning_rate::not_finite,
    data::unknown_words,
    learning_rate::frozen,
    learning_rate::too_high,
    learning_rate::optimizer_mismatch,
    learning_rate::warmup_too_long,
    learning_rate::epsilon_too_large,
    learning_rate::too_low,
    data::no_signal,
    data::class_imbalance,
    data::too_little_data,
    data::label_noise,
    data::truncation,
    fit::too_few_steps,
    fit::overfitting,
    fit::regularisation_too_strong,
];

/// Returns what speaks for a cause in the trial itself.
pub fn claims(case: &Case<'_>, thresholds: &Thresholds) -> Vec<Claim> {
    RULES.iter().filter_map(|rule| rule(case, thresholds)).collect()
}

/// Writes a share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        large if large >= 10.0 || large == 0.0 => format!("{percent:.0} %"),
        middle if middle >= 0.1 => format!("{percent:.1} %"),
        small => {
            let digits = (-small.log10()).ceil().clamp(1.0, 20.0) as usize + 1;
            format!("{percent:.digits$} %")
        }
    }
}

/// Writes a number with two significant digits.
pub(crate) fn rounded(number: f64) -> String {
    let text = format!("{number:.1e}");
    let value: f64 = text.parse().unwrap_or(number);
    Value::Float(value).to_string()
}

#[cfg(test)]
mod tests;
