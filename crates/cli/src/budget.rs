//! Budgets for people: what is used of them, and how they are raised.

use converge_core::budget::{Budget, Exhausted, Usage};
use converge_core::ids::SweepId;
use converge_dashboard::terminal::number::{count, duration};
use converge_scheduler::home::Home;
use converge_scheduler::usage::{usage, wall_ms};
use converge_store::{Origin, Reader};
use serde_json::json;

use crate::report::Report;

/// A sweep's budget with what is used of it.
pub(crate) struct Spent {
    budget: Budget,
    /// Wall time always; steps only where they are limited, since they are added up over all attempts.
    used: Usage,
}

impl Spent {
    /// Reads what a sweep has used; the scheduler may be `alive` and working on it.
    pub(crate) fn read(
        home: &Home,
        reader: &Reader,
        sweep: SweepId,
        alive: bool,
    ) -> Result<Self, Report> {
        let definition = reader.definition(sweep)?.unwrap_or_default();
        let budget = serde_json::from_str::<serde_json::Value>(&definition)
            .ok()
            .and_then(|definition| serde_json::from_value(definition["budget"].clone()).ok())
            .unwrap_or_default();
        Self::of(budget, home, reader, sweep, alive)
    }

    /// The same for a budget that is not stored yet.
    pub(crate) fn of(
        budget: Budget,
        home: &Home,
        reader: &Reader,
        sweep: SweepId,
        alive: bool,
    ) -> Result<Self, Report> {
        let used = match budget.max_steps {
            Some(_) => usage(home, reader, sweep, alive)?,
            None => Usage { wall_ms: wall_ms(home, reader, sweep, alive)?, steps: 0 },
        };
        Ok(Self { budget, used })
    }

    /// A budget of which nothing is used.
    pub(crate) fn nothing(budget: Budget) -> Self {
        Self { budget, used: Usage::default() }
    }

    /// Adds steps that are not stored yet.
    pub(crate) fn with_steps(mut self, steps: u64) -> Self {
        self.used.steps += steps;
        self
    }

    /// Returns why nothing more is run, if a total is reached.
    pub(crate) fn exhausted(&self) -> Option<String> {
        let reached = self.budget.exhausted(self.used);
        let reasons: Vec<_> = reached.iter().map(Exhausted::to_string).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Describes the totals and what is used of them; none where nothing is limited.
    pub(crate) fn text(&self) -> Option<String> {
        let wall = self.budget.max_wall.map(|limit| {
            let used = duration(self.used.wall_ms as f64 / 1000.0);
            format!("max_wall {limit}, {used} used")
        });
        let steps = self
            .budget
            .max_steps
            .map(|limit| format!("max_steps {}, {} used", count(limit), count(self.used.steps)));
        let parts: Vec<_> = wall.into_iter().chain(steps).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Returns totals and use as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let limited = self.budget.max_steps.is_some();
        json!({
            "max_trials": self.budget.max_trials,
            "max_wall_seconds": self.budget.max_wall.map(|limit| limit.seconds()),
            "max_steps": self.budget.max_steps,
            "used_wall_seconds": self.used.wall_ms as f64 / 1000.0,
            "used_steps": limited.then_some(self.used.steps),
        })
    }
}

/// Returns the command that raises the totals that a stored sweep has reached; none where it has reached none.
pub(crate) fn raise(
    home: &Home,
    reader: &Reader,
    sweep: SweepId,
) -> Result<Option<String>, Report> {
    let spent = Spent::read(home, reader, sweep, false)?;
    raise_from(&spent, reader, sweep)
}

/// The same for what is known to be used.
pub(crate) fn raise_from(
    spent: &Spent,
    reader: &Reader,
    sweep: SweepId,
) -> Result<Option<String>, Report> {
    let reached = spent.budget.exhausted(spent.used);
    if reached.is_empty() {
        return Ok(None);
    }
    let Some(Origin { path, overrides }) = reader.origin(sweep)? else { return Ok(None) };
    let raised: Vec<String> = reached.iter().map(Exhausted::raised).collect();
    let key = |text: &str| text.split('=').next().unwrap_or_default().trim().to_string();
    let again = overrides.into_iter().filter(|old| !raised.iter().any(|new| key(new) == key(old)));
    let words = ["converge".to_string(), "run".into(), path.unwrap_or_else(|| "FILE".into())];
    let words: Vec<String> = words.into_iter().chain(again).chain(raised.iter().cloned()).collect();
    Ok(Some(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")))
}

/// Quotes a word for the shell, where it has to be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command_are_quoted_where_the_shell_would_take_them_apart() {
        for (word, expected) in [
            ("budget.max_wall=2h", "budget.max_wall=2h"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("class_weights=[1,2]", "'class_weights=[1,2]'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
