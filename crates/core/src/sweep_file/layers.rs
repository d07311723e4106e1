//! `extends`: a file on top of its base, which may stand on a base of its own.

use super::document::{Node, NodeKind, Root, parse};
use crate::key::Key;
use crate::problem::Problem;
use crate::value::Value;

/// The text of one file, and the name that problems give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// Names the text in places.
    pub file: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// What a file extends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As written: relative to the folder of the file that says it.
    pub path: String,
    /// Where that is said.
    pub place: String,
}

/// Returns what a file extends; a text that cannot be read extends nothing, and is refused when it is read.
///
/// # Errors
/// `extends` is no path.
pub fn base(layer: Layer<'_>) -> Result<Option<Base>, Problem> {
    let (root, problems) = parse(layer.text, layer.file);
    let Some((_, node)) = root.into_iter().find(|(name, _)| name == EXTENDS) else {
        return Ok(None);
    };
    match &node.kind {
        _ if !problems.is_empty() => Ok(None),
        NodeKind::Scalar(Value::Text(path)) if !path.is_empty() => {
            Ok(Some(Base { path: path.clone(), place: node.place }))
        }
        _ => {
            let message = format!("`extends`: expected a path, found {}", node.found());
            Err(Problem::new(node.place, message)
                .hint("write extends = \"base.toml\", one file; that one may extend another"))
        }
    }
}

/// The key that names the base.
pub(super) const EXTENDS: &str = "extends";
/// Lists of tables: those of the base come first, and nothing replaces them.
const GROWING: [&str; 2] = ["enqueue", "constraints"];

/// Lays a document over its base: key by key, what the upper one says counts.
///
/// A parameter is replaced whole. A setting that one of the two fixes and the other searches is what the upper one
/// makes of it.
pub(super) fn lay_over(under: &mut Root, over: Root) {
    for (section, node) in &over {
        let NodeKind::Table(entries) = &node.kind else { continue };
        for (field, _) in entries {
            let key = match section.as_str() {
                "parameters" => Key::find(field),
                "train" | "model" | "data" => Key::find(&format!("{section}.{field}")),
                _ => None,
            };
            if let Some(key) = key {
                make_room(under, key);
            }
        }
    }
    for (name, node) in over {
        if name == EXTENDS {
            continue;
        }
        let Some((_, below)) = under.iter_mut().find(|(other, _)| *other == name) else {
            under.push((name, node));
            continue;
        };
        match (&mut below.kind, node.kind) {
            (NodeKind::Table(old), NodeKind::Table(new)) => {
                for (field, node) in new {
                    match old.iter_mut().find(|(other, _)| *other == field) {
                        Some((_, old)) => *old = node,
                        None => old.push((field, node)),
                    }
                }
            }
            (NodeKind::List(old), NodeKind::List(new)) if GROWING.contains(&name.as_str()) => {
                old.extend(new);
            }
            (_, kind) => *below = Node { place: node.place, kind },
        }
    }
}

/// Takes out whatever a new value of `key` replaces: its fixed value, its parameter, and the other way to name a
/// model. Returns whether there was any.
pub(super) fn make_room(root: &mut Root, key: &Key) -> bool {
    let other = match key.name {
        "model.path" => Some("model.preset"),
        "model.preset" => Some("model.path"),
        _ => None,
    };
    let other = other.and_then(Key::find).is_some_and(|other| forget(root, other));
    forget(root, key) || other
}

/// Takes out a setting: its fixed value, and its parameter in any of the spellings that a file may use. Returns
/// whether there was one.
pub(super) fn forget(root: &mut Root, key: &Key) -> bool {
    let (section, field) = key.section();
    let mut found = false;
    for (name, node) in root {
        let NodeKind::Table(entries) = &mut node.kind else { continue };
        let before = entries.len();
        match name.as_str() {
            "parameters" => entries
                .retain(|(name, _)| Key::find(name).is_none_or(|other| other.name != key.name)),
            name if name == section => entries.retain(|(name, _)| name != field),
            _ => {}
        }
        found |= entries.len() < before;
    }
    found
}
