//! `KEY=VALUE` from the command line, put into the document before it is checked.

use super::document::{Node, NodeKind, parse_bare};
use crate::key::Key;
use crate::problem::Problem;

const SECTIONS: [&str; 8] =
    ["sweep", "parameters", "train", "model", "data", "run", "budget", "failure"];

/// Applies one override: `epochs=5` fixes a setting, `learning_rate=1e-5,2e-5` makes it a parameter with
/// these values, `run.workers=2` sets a key of any other section.
pub(super) fn apply(root: &mut Vec<(String, Node)>, text: &str) -> Result<(), Problem> {
    let place = format!("override `{text}`");
    let Some((name, value)) = text.split_once('=') else {
        return Err(Problem::new(place, "expected KEY=VALUE").hint("such as `epochs=5`"));
    };
    let (name, value) = (name.trim(), value.trim());
    let parts = split_list(value);
    if let Some(key) = Key::find(name) {
        remove(root, "parameters", key.short_name());
        let (section, field) = key.section();
        if let [single] = parts.as_slice() {
            set(root, section, field, parse_bare(single, &place));
        } else {
            let values = parts.iter().map(|part| parse_bare(part, &place)).collect();
            let list = Node { place: place.clone(), kind: NodeKind::List(values) };
            let table = NodeKind::Table(vec![("values".into(), list)]);
            set(root, "parameters", key.short_name(), Node { place, kind: table });
        }
        return Ok(());
    }
    match name.split_once('.') {
        Some((section, field)) if SECTIONS.contains(&section) && !field.is_empty() => {
            set(root, section, field, parse_bare(value, &place));
            Ok(())
        }
        _ => {
            let names = crate::key::KEYS.iter().map(Key::short_name);
            let problem = Problem::new(place, format!("unknown key `{name}`"));
            Err(match crate::key::nearest(name, names) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("keys of other sections are written `run.workers=2`"),
            })
        }
    }
}

/// Splits at commas outside of brackets and quotes.
fn split_list(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0i64, false);
    for (offset, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..offset].trim());
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn section<'a>(
    root: &'a mut Vec<(String, Node)>,
    name: &str,
) -> Option<&'a mut Vec<(String, Node)>> {
    if !root.iter().any(|(key, _)| key == name) {
        let node = Node { place: String::new(), kind: NodeKind::Table(Vec::new()) };
        root.push((name.to_string(), node));
    }
    root.iter_mut().find(|(key, _)| key == name).and_then(|(_, node)| match &mut node.kind {
        NodeKind::Table(entries) => Some(entries),
        _ => None,
    })
}

fn set(root: &mut Vec<(String, Node)>, section_name: &str, field: &str, node: Node) {
    let Some(entries) = section(root, section_name) else { return };
    match entries.iter_mut().find(|(key, _)| key == field) {
        Some((_, old)) => *old = node,
        None => entries.push((field.to_string(), node)),
    }
}

/// Removes a parameter in any of the spellings that the file may use.
fn remove(root: &mut Vec<(String, Node)>, section_name: &str, short_name: &str) {
    if let Some(entries) = section(root, section_name) {
        entries.retain(|(key, _)| Key::find(key).is_none_or(|key| key.short_name() != short_name));
    }
}
