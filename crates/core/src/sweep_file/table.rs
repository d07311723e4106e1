//! A table whose keys are read one after the other; what nobody read is unknown.

use super::document::{Node, NodeKind};
use crate::key::nearest;
use crate::problem::Problem;
use crate::value::Value;

/// A table being read. Reads take their entry out; [`Table::finish`] reports the rest as unknown.
pub(super) struct Table<'a> {
    /// Its name for messages: `[train]`, or `parameter `dropout``.
    name: String,
    place: String,
    entries: Vec<(String, Node)>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Table<'a> {
    /// Starts reading `node`; a value that is no table is a problem and reads as an empty one.
    pub(super) fn new(name: impl Into<String>, node: Node, problems: &'a mut Vec<Problem>) -> Self {
        let name = name.into();
        let found = node.found();
        let entries = match node.kind {
            NodeKind::Table(entries) => entries,
            _ => {
                problems.push(Problem::new(
                    &node.place,
                    format!("{name}: expected a table, found {found}"),
                ));
                Vec::new()
            }
        };
        Self { name, place: node.place, entries, known: Vec::new(), problems }
    }

    /// Takes out an entry of any kind.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(index).1)
    }

    /// Takes out all entries.
    pub(super) fn take_all(&mut self) -> Vec<(String, Node)> {
        std::mem::take(&mut self.entries)
    }

    /// Takes out a text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        match &node.kind {
            NodeKind::Scalar(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => self.expected(key, &node, "a text"),
        }
    }

    /// Takes out a whole number of at least `min`.
    pub(super) fn integer(&mut self, key: &'static str, min: i64) -> Option<u64> {
        let node = self.take(key)?;
        match &node.kind {
            NodeKind::Scalar(Value::Integer(number)) if *number >= min => {
                u64::try_from(*number).ok()
            }
            _ => self.expected(key, &node, &format!("a whole number of {min} or more")),
        }
    }

    /// Takes out a time in whole seconds: a number of them, or a text such as `90s`, `10m`, `2h`.
    pub(super) fn seconds(&mut self, key: &'static str) -> Option<u64> {
        let node = self.take(key)?;
        let found = match &node.kind {
            NodeKind::Scalar(Value::Integer(seconds)) => u64::try_from(*seconds).ok(),
            NodeKind::Scalar(Value::Text(text)) => duration(text),
            _ => None,
        };
        match found.filter(|seconds| *seconds > 0) {
            Some(seconds) => Some(seconds),
            None => self.expected(
                key,
                &node,
                "seconds, or a number with `s`, `m`, `h` or `d` such as \"10m\", more than 0",
            ),
        }
    }

    /// Takes out a whole number of 1 or more, or the word `none`.
    pub(super) fn limit(&mut self, key: &'static str, default: Option<u64>) -> Option<u64> {
        let Some(node) = self.take(key) else { return default };
        match &node.kind {
            NodeKind::Scalar(Value::Text(word)) if word == "none" => None,
            NodeKind::Scalar(Value::Integer(number)) if *number >= 1 => u64::try_from(*number).ok(),
            _ => self.expected(key, &node, "a whole number of 1 or more, or \"none\""),
        }
    }

    /// Takes out a finite number.
    pub(super) fn number(&mut self, key: &'static str) -> Option<f64> {
        let node = self.take(key)?;
        match node.value().and_then(|value| value.number()).filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => self.expected(key, &node, "a number"),
        }
    }

    /// Takes out `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        match &node.kind {
            NodeKind::Scalar(Value::Boolean(value)) => Some(*value),
            _ => self.expected(key, &node, "true or false"),
        }
    }

    /// Takes out one of several words.
    pub(super) fn word(&mut self, key: &'static str, words: &[&str]) -> Option<String> {
        let node = self.take(key)?;
        match &node.kind {
            NodeKind::Scalar(Value::Text(text)) if words.contains(&text.as_str()) => {
                Some(text.clone())
            }
            _ => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                self.expected(key, &node, &format!("one of {}", quoted.join(", ")))
            }
        }
    }

    /// Reports a value that is not what it should be.
    pub(super) fn expected<T>(&mut self, key: &str, node: &Node, expected: &str) -> Option<T> {
        let message = format!("{} `{key}`: expected {expected}, found {}", self.name, node.found());
        self.problems.push(Problem::new(&node.place, message));
        None
    }

    /// Reports a problem of the table as a whole.
    pub(super) fn problem(&mut self, message: impl AsRef<str>) -> &mut Problem {
        let message = format!("{}: {}", self.name, message.as_ref());
        self.problems.push(Problem::new(&self.place, message));
        self.problems.last_mut().expect("just pushed")
    }

    /// Reports every entry that was not read.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            let problem = Problem::new(&node.place, format!("{}: unknown key `{key}`", self.name));
            self.problems.push(match nearest(key, self.known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None if self.known.is_empty() => problem,
                None => problem.hint(format!("known keys: {}", self.known.join(", "))),
            });
        }
    }
}

/// Returns the seconds of a text such as `90s`, `10m`, `2h` or `1d`.
fn duration(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(seconds)
}
