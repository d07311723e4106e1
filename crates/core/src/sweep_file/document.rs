//! A TOML document as a tree in which every key and value knows its place.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Problem;
use crate::value::Value;

/// A document: its tables and values in the order of the file.
pub(crate) type Root = Vec<(String, Node)>;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// `file:line`, or the override on the command line.
    pub place: String,
    /// What stands there.
    pub kind: NodeKind,
}

/// What stands at a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeKind {
    /// A boolean, number or text.
    Scalar(Value),
    /// An array.
    List(Vec<Node>),
    /// A table, in the order of the file.
    Table(Root),
    /// A date or time: nothing here takes one.
    Datetime,
}

impl Node {
    /// Describes the kind of value, for "found …".
    pub(crate) fn found(&self) -> String {
        match &self.kind {
            NodeKind::Scalar(value) => crate::key::shown(value),
            NodeKind::List(_) => "a list".into(),
            NodeKind::Table(_) => "a table".into(),
            NodeKind::Datetime => "a date".into(),
        }
    }

    /// Returns a scalar, or a list of numbers, as a value.
    pub(crate) fn value(&self) -> Option<Value> {
        match &self.kind {
            NodeKind::Scalar(value) => Some(value.clone()),
            NodeKind::List(items) => {
                let number = |item: &Self| match &item.kind {
                    NodeKind::Scalar(value) => value.number(),
                    _ => None,
                };
                items.iter().map(number).collect::<Option<Vec<f64>>>().map(Value::List)
            }
            NodeKind::Table(_) | NodeKind::Datetime => None,
        }
    }

    /// Returns the node as plain JSON, for the few parts that serde reads.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.kind {
            NodeKind::Scalar(value) => serde_json::to_value(value).unwrap_or_default(),
            NodeKind::List(items) => items.iter().map(Self::json).collect(),
            NodeKind::Table(entries) => {
                entries.iter().map(|(key, node)| (key.clone(), node.json())).collect()
            }
            NodeKind::Datetime => serde_json::Value::Null,
        }
    }
}

/// Reads a TOML text; every syntax error is a problem, and what could be read is returned all the same.
pub(crate) fn parse(text: &str, file: &str) -> (Root, Vec<Problem>) {
    let lines = Lines::new(text, file);
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors
        .iter()
        .map(|error| {
            let place = error.span().map_or(file.to_string(), |span| lines.place(span.start));
            Problem::new(place, error.message().trim().replace('\n', ", "))
        })
        .collect();
    let NodeKind::Table(entries) = convert_table(table.get_ref(), &lines) else {
        return (Vec::new(), problems);
    };
    (entries, problems)
}

/// Reads a value as TOML writes it, if it does.
pub(crate) fn parse_bare(text: &str, place: &str) -> Option<Node> {
    let document = format!("x = {text}");
    let table = DeTable::parse(&document).ok()?;
    let NodeKind::Table(mut entries) = convert_table(table.get_ref(), &Lines::new(&document, ""))
    else {
        return None;
    };
    // A line break must not smuggle in a key.
    let mut node = if entries.len() == 1 { entries.remove(0).1 } else { return None };
    set_place(&mut node, place);
    Some(node)
}

fn set_place(node: &mut Node, place: &str) {
    node.place = place.to_string();
    match &mut node.kind {
        NodeKind::List(items) => items.iter_mut().for_each(|item| set_place(item, place)),
        NodeKind::Table(entries) => entries.iter_mut().for_each(|(_, item)| set_place(item, place)),
        NodeKind::Scalar(_) | NodeKind::Datetime => {}
    }
}

/// Turns byte offsets into `file:line`.
struct Lines<'a> {
    file: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &str, file: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self { file, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn place(&self, offset: usize) -> String {
        let line = self.starts.partition_point(|start| *start <= offset);
        format!("{}:{line}", self.file)
    }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines<'_>) -> NodeKind {
    let mut entries: Vec<(usize, String, Node)> = table
        .iter()
        .map(|(key, value)| {
            let mut node = convert(value, lines);
            // The key's own place: a table that spans many lines is named by its first.
            node.place = lines.place(key.span().start);
            (key.span().start, key.get_ref().to_string(), node)
        })
        .collect();
    entries.sort_by_key(|(start, _, _)| *start);
    NodeKind::Table(entries.into_iter().map(|(_, key, node)| (key, node)).collect())
}

fn convert(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let place = lines.place(value.span().start);
    let kind = match value.get_ref() {
        DeValue::String(text) => NodeKind::Scalar(Value::Text(Cow::to_string(text))),
        DeValue::Boolean(boolean) => NodeKind::Scalar(Value::Boolean(*boolean)),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => NodeKind::Scalar(Value::Integer(number)),
            Err(_) => NodeKind::Scalar(Value::Text(integer.as_str().to_string())),
        },
        DeValue::Float(float) => {
            NodeKind::Scalar(Value::Float(float.as_str().parse().unwrap_or(f64::NAN)))
        }
        DeValue::Datetime(_) => NodeKind::Datetime,
        DeValue::Array(items) => {
            NodeKind::List(items.iter().map(|item| convert(item, lines)).collect())
        }
        DeValue::Table(table) => convert_table(table, lines),
    };
    Node { place, kind }
}
