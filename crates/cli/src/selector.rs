//! Which trials a user means: `3`, `1-5`, `1,4`, `best`, `refit`, `last`, and conditions such as `state=failed`.

use std::collections::BTreeMap;

use converge_core::ranking::Ranked;
use converge_core::search_space::Configuration;
use converge_core::trial::TrialKind;
use converge_core::value::Value;
use converge_store::TrialRecord;

use crate::report::Report;

/// What selectors can name.
pub(crate) struct Known<'a> {
    /// Number of the newest trial.
    pub(crate) last: u64,
    /// The newest refit that completed.
    pub(crate) refit: Option<u64>,
    /// The best configuration, at least.
    pub(crate) ranking: &'a [Ranked],
}

/// Returns the trial numbers that a selector names.
pub(crate) fn numbers(selector: &str, known: &Known<'_>) -> Result<Vec<u64>, Report> {
    let Known { last: total, refit, ranking } = *known;
    let mut chosen = Vec::new();
    for part in selector.split(',').map(str::trim) {
        match part {
            "last" => chosen.push(total),
            "refit" => chosen.push(refit.ok_or_else(|| {
                Report::usage(
                    "no trial has been refitted yet",
                    "`converge refit best` trains the winner on training and validation data together",
                )
            })?),
            "best" => {
                let best = ranking.first().filter(|best| best.mean.is_some());
                let best = best.ok_or_else(|| {
                    Report::usage(
                        "no trial has completed yet",
                        "`converge status` shows where the sweep stands",
                    )
                })?;
                chosen.extend(&best.trials);
            }
            _ => {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
                    (Ok(first), Ok(last)) if 1 <= first && first <= last && last <= total => {
                        chosen.extend(first..=last);
                    }
                    _ => {
                        return Err(Report::usage(
                            format!("`{part}` names no trial of this sweep"),
                            format!(
                                "give numbers from 1 to {total} such as `3`, `1-5`, `1,4`, or `best`, `refit`, `last`"
                            ),
                        ));
                    }
                }
            }
        }
    }
    Ok(chosen)
}

/// Returns sorted numbers as short as users may write them: `1-3,7`.
pub(crate) fn ranges(numbers: &[u64]) -> String {
    let runs = numbers.chunk_by(|left, right| left + 1 == *right);
    let shown = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(u64::to_string).collect(),
    });
    shown.collect::<Vec<_>>().join(",")
}

/// `KEY OP VALUE` over a trial's state, objective and parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    key: String,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What conditions look at.
pub(crate) struct Subject<'a> {
    /// Number within the sweep.
    pub(crate) number: u64,
    /// Word of its kind.
    pub(crate) kind: &'a str,
    /// State word.
    pub(crate) state: &'a str,
    /// Objective, where there is one.
    pub(crate) objective: Option<f64>,
    /// Attempts so far.
    pub(crate) attempts: u64,
    /// Replicate, from 0.
    pub(crate) replicate: u64,
    /// Parameters.
    pub(crate) configuration: &'a Configuration,
}

/// Returns the names of the parameters that trials have, and whether all values of each are numbers.
pub(crate) fn parameters(trials: &[TrialRecord]) -> BTreeMap<&str, bool> {
    let mut found = BTreeMap::new();
    for (name, value) in trials.iter().flat_map(|trial| &trial.configuration) {
        *found.entry(name.as_str()).or_insert(true) &= value.number().is_some();
    }
    found
}

/// Words that a trial's state can be.
const STATES: [&str; 8] =
    ["queued", "running", "waiting", "completed", "stopped", "diverged", "failed", "cancelled"];

impl Condition {
    /// Reads a condition; `parameters` are the names that it may use beside the fixed ones, and whether they are numbers.
    pub(crate) fn parse(text: &str, parameters: &BTreeMap<&str, bool>) -> Result<Self, Report> {
        // Longer operators first, so that `<=` is not read as `<`.
        let operators = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("!=", Operator::NotEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = operators.iter().find_map(|(sign, operator)| {
            text.split_once(sign).map(|(key, value)| (key.trim(), *operator, value.trim()))
        });
        let Some((key, operator, value)) = found else {
            return Err(Report::usage(
                format!("`{text}` is not a condition"),
                "write `state=failed`, `learning_rate<1e-4` or `optimizer!=sgd`",
            ));
        };
        let fixed = ["trial", "kind", "state", "objective", "attempts", "replicate"];
        if !fixed.contains(&key) && !parameters.contains_key(key) {
            let names: Vec<&str> = fixed.into_iter().chain(parameters.keys().copied()).collect();
            return Err(Report::usage(
                format!("`{key}` is nothing that trials of this sweep have"),
                format!("one of {}", names.join(", ")),
            ));
        }
        // A word that no trial can have fits nothing, and says no more than that.
        let words: Vec<&str> = match key {
            "state" => STATES.to_vec(),
            "kind" => [TrialKind::Grid, TrialKind::Random, TrialKind::Enqueued]
                .iter()
                .chain(&TrialKind::BESIDE)
                .map(|kind| kind.word())
                .collect(),
            _ => Vec::new(),
        };
        if !words.is_empty() && !words.contains(&value) {
            return Err(Report::usage(
                format!("`{value}` is no {key} of a trial"),
                format!("one of {}", words.join(", ")),
            ));
        }
        let is_order = !matches!(operator, Operator::Equal | Operator::NotEqual);
        let is_fixed_number = fixed.contains(&key) && words.is_empty();
        let is_number = is_fixed_number || parameters.get(key) == Some(&true);
        if value.parse::<f64>().is_err() && (is_fixed_number || (is_number && is_order)) {
            return Err(Report::usage(
                format!("`{key}` is a number, and `{value}` is none"),
                format!("write `{key}<0.5`, or another number"),
            ));
        }
        let value = value.parse().map_or_else(|_| Value::Text(value.to_string()), Value::Float);
        Ok(Self { key: key.to_string(), operator, value })
    }

    /// Returns whether a trial fits; what it does not have never does.
    pub(crate) fn fits(&self, subject: &Subject<'_>) -> bool {
        let found = match self.key.as_str() {
            "trial" => Some(Value::Integer(subject.number.cast_signed())),
            "kind" => Some(Value::Text(subject.kind.to_string())),
            "state" => Some(Value::Text(subject.state.to_string())),
            "objective" => subject.objective.map(Value::Float),
            "attempts" => Some(Value::Integer(subject.attempts.cast_signed())),
            "replicate" => Some(Value::Integer(subject.replicate.cast_signed())),
            parameter => subject.configuration.get(parameter).cloned(),
        };
        let Some(found) = found else { return false };
        let compared = match (found.number(), self.value.number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(found.to_string().cmp(&self.value.to_string())),
        };
        let Some(compared) = compared else { return false };
        match self.operator {
            Operator::Equal => compared.is_eq(),
            Operator::NotEqual => compared.is_ne(),
            Operator::Less => compared.is_lt(),
            Operator::LessOrEqual => compared.is_le(),
            Operator::Greater => compared.is_gt(),
            Operator::GreaterOrEqual => compared.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(selector: &str) -> Option<Vec<u64>> {
        numbers(selector, &Known { last: 5, refit: Some(4), ranking: &[] }).ok()
    }

    #[test]
    fn selectors_name_trials() {
        assert_eq!(chosen("3"), Some(vec![3]));
        assert_eq!(chosen("1-3,5"), Some(vec![1, 2, 3, 5]));
        assert_eq!(chosen("last"), Some(vec![5]));
        assert_eq!(chosen("refit,1"), Some(vec![4, 1]));
        assert!(numbers("refit", &Known { last: 5, refit: None, ranking: &[] }).is_err());
        for wrong in ["0", "6", "3-2", "x", "best", ""] {
            assert_eq!(chosen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for text in ["", "3", "1-3", "1-2,4,6-9"] {
            let known = Known { last: 9, refit: None, ranking: &[] };
            let numbers = numbers(text, &known).unwrap_or_default();
            assert_eq!(ranges(&numbers), text);
        }
    }

    #[test]
    fn conditions_compare_numbers_as_numbers() {
        let configuration = Configuration::from([
            ("learning_rate".to_string(), Value::Float(5e-5)),
            ("optimizer".to_string(), Value::Text("sgd".into())),
        ]);
        let subject = Subject {
            number: 10,
            kind: "grid",
            state: "completed",
            objective: Some(0.8),
            attempts: 1,
            replicate: 0,
            configuration: &configuration,
        };
        let fits = |text: &str| {
            let numbers = [("learning_rate", true), ("optimizer", false), ("momentum", true)];
            Condition::parse(text, &BTreeMap::from(numbers)).map(|c| c.fits(&subject)).ok()
        };
        for (text, expected) in [
            ("learning_rate=0.00005", true),
            ("learning_rate<=1e-4", true),
            ("learning_rate>1e-4", false),
            ("optimizer=sgd", true),
            ("optimizer!=sgd", false),
            ("state=failed", false),
            ("kind=grid", true),
            ("trial>9", true),
            ("momentum=0.9", false),
        ] {
            assert_eq!(fits(text), Some(expected), "{text}");
        }
        assert_eq!(fits("colour=red"), None);
        assert_eq!(fits("state"), None);
        for wrong in [
            "state=waitng",
            "state!=complete",
            "kind=grd",
            "learning_rate<small",
            "trial=best",
            "objective>=high",
        ] {
            assert_eq!(fits(wrong), None, "{wrong}");
        }
        assert_eq!(fits("kind=probe"), Some(false));
        assert_eq!(fits("optimizer<tgd"), Some(true));
    }
}
