//! `KEY=VALUE` from the command line, put into the document before it is checked.
//!
//! In Hydra's form: `epochs=5` fixes a setting, `learning_rate=1e-5,2e-5` searches it, `~momentum` takes it out of the
//! file. What is behind `=` is TOML where it is TOML, and a bare word otherwise.

use super::SECTIONS;
use super::document::{Node, NodeKind, Root, parse_bare};
use super::layers::{forget, make_room};
use crate::key::{KEYS, Key, Kind, nearest};
use crate::problem::Problem;
use crate::value::Value;

/// Keys of other sections that hold a text: `sweep.name=7` is the name `7`.
const TEXTS: [&str; 3] = ["sweep.name", "run.device", "run.worker"];
/// Sections that have tables within them: `failure.retries.oom=3`.
const NESTED: [&str; 4] = ["sweep", "run", "budget", "failure"];

/// Applies one override.
pub(super) fn apply(root: &mut Root, text: &str) -> Result<(), Problem> {
    let place = format!("override `{text}`");
    if let Some(name) = text.trim().strip_prefix('~') {
        return take_out(root, name.trim(), &place);
    }
    let Some((name, value)) = text.split_once('=') else {
        return Err(Problem::new(place, "expected KEY=VALUE").hint("such as `epochs=5`"));
    };
    let (name, value) = (name.trim(), value.trim());
    if let Some(plain) = name.strip_prefix('+') {
        let plain = plain.trim_start_matches('+');
        return Err(Problem::new(place, "a key takes no `+` in front")
            .hint(format!("write `{plain}={value}`, whether the file has it or not")));
    }
    if value.is_empty() {
        return Err(Problem::new(place, "there is no value")
            .hint(format!("`~{name}` takes a key out of the file")));
    }
    let parts = split_list(value).map_err(|message| {
        Problem::new(&place, message)
            .hint("a text that holds a comma or a quote stands in quotes: data.text='\"a, b\"'")
    })?;
    if let Some(key) = Key::find(name) {
        return set_key(root, key, &parts, &place);
    }
    match name.split_once('.') {
        Some((section, field)) if SECTIONS.contains(&section) && !field.is_empty() => {
            let path: Vec<&str> = match NESTED.contains(&section) {
                true => field.split('.').collect(),
                false => vec![field],
            };
            let node = match TEXTS.contains(&name) && !is_quoted(value) {
                true => text_node(value, &place),
                false => read_value(value, &place)?,
            };
            set(root, section, &path, node);
            Ok(())
        }
        _ => Err(unknown(name, &place)),
    }
}

/// Fixes a setting, or makes it a parameter: several values, or a table such as `{ min = 1e-5, max = 1e-3 }`.
fn set_key(root: &mut Root, key: &Key, parts: &[&str], place: &str) -> Result<(), Problem> {
    let mut nodes = Vec::new();
    for part in parts {
        if let Some(problem) = function(key, part, place) {
            return Err(problem);
        }
        let textual = matches!(key.kind, Kind::Text | Kind::Path);
        nodes.push(match textual && !is_quoted(part) && !part.starts_with(['{', '[']) {
            true => text_node(part, place),
            false => read_value(part, place)?,
        });
    }
    let (section, field) = key.section();
    let node = match nodes.len() {
        1 => nodes.remove(0),
        _ => {
            let list = Node { place: place.into(), kind: NodeKind::List(nodes) };
            let table = NodeKind::Table(vec![("values".into(), list)]);
            Node { place: place.into(), kind: table }
        }
    };
    let is_parameter = match &node.kind {
        NodeKind::Table(_) => true,
        NodeKind::List(items) => {
            let cases = items.iter().all(|item| matches!(item.kind, NodeKind::Table(_)));
            if !cases && !matches!(key.kind, Kind::ChoiceOrList(_)) {
                let inner = parts[0].trim_matches(['[', ']']);
                let problem = Problem::new(place, "a list in brackets is one value");
                return Err(problem.hint(format!(
                    "to search over its values, write `{}={inner}`",
                    key.short_name()
                )));
            }
            cases && !items.is_empty()
        }
        NodeKind::Scalar(_) | NodeKind::Datetime => false,
    };
    make_room(root, key);
    match is_parameter {
        true => set(root, "parameters", &[key.short_name()], node),
        false => set(root, section, &[field], node),
    }
    Ok(())
}

/// What Hydra writes as a function, and what it is here.
fn function(key: &Key, part: &str, place: &str) -> Option<Problem> {
    let name = key.short_name();
    let hint = match part.split_once('(')?.0 {
        "choice" => format!("write the values side by side: `{name}=A,B`"),
        "range" => format!("write `{name}={{ min = A, max = B, step = C }}`; the end is included"),
        "interval" => format!("write `{name}={{ min = A, max = B }}`"),
        _ => return None,
    };
    Some(Problem::new(place, "functions of Hydra's are not read").hint(hint))
}

/// `~KEY`: the key as if the file did not have it.
fn take_out(root: &mut Root, name: &str, place: &str) -> Result<(), Problem> {
    if let Some((name, _)) = name.split_once('=') {
        return Err(Problem::new(place, "takes a name alone").hint(format!("write `~{name}`")));
    }
    let found = match (Key::find(name), name.split_once('.')) {
        (Some(key), _) => forget(root, key),
        (None, None) if ["enqueue", "constraints"].contains(&name) => {
            let before = root.len();
            root.retain(|(other, _)| other != name);
            root.len() < before
        }
        (None, Some((section, field))) if NESTED.contains(&section) => {
            let path: Vec<&str> = field.split('.').collect();
            remove(root, section, &path)
        }
        (None, _) => return Err(unknown(name, place)),
    };
    if found {
        return Ok(());
    }
    Err(Problem::new(place, format!("`{name}` does not stand in the file"))
        .hint("nothing has to be taken out: its default holds"))
}

fn unknown(name: &str, place: &str) -> Problem {
    let problem = Problem::new(place, format!("unknown key `{name}`"));
    match nearest(name, KEYS.iter().map(Key::short_name)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None if SECTIONS.contains(&name) => problem
            .hint("name one of its keys, such as `run.workers`; the rest belongs in the file"),
        None => problem.hint("keys of other sections are written `run.workers=2`"),
    }
}

fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\''])
}

fn text_node(text: &str, place: &str) -> Node {
    Node { place: place.into(), kind: NodeKind::Scalar(Value::Text(text.into())) }
}

/// Reads a value as it stands on the command line.
fn read_value(text: &str, place: &str) -> Result<Node, Problem> {
    match parse_bare(text, place) {
        Some(node) => Ok(match node.kind {
            // A name or path that looks like a date is one.
            NodeKind::Datetime => text_node(text, place),
            _ => node,
        }),
        None if is_quoted(text) || text.starts_with(['[', '{']) => {
            Err(Problem::new(place, "the value cannot be read as TOML")
                .hint("texts within brackets stand in quotes: [\"a\", \"b\"], { value = \"a\" }"))
        }
        None => Ok(text_node(text, place)),
    }
}

/// Splits at commas outside of brackets and quotes; a fragment of a sentence says what is left open.
fn split_list(text: &str) -> Result<Vec<&str>, &'static str> {
    let (mut parts, mut start, mut open, mut quote) = (Vec::new(), 0, Vec::new(), None);
    let mut escaped = false;
    for (offset, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(mark), _) if mark == character => quote = None,
            (Some(_), _) => {}
            // An apostrophe within a word is none.
            (None, '"' | '\'') if text[start..offset].trim().is_empty() || !open.is_empty() => {
                quote = Some(character);
            }
            (None, '[' | '{' | '(') => open.push(character),
            (None, ']' | '}' | ')') => {
                let fits =
                    |from: char| matches!((from, character), ('[', ']') | ('{', '}') | ('(', ')'));
                if !open.pop().is_some_and(fits) {
                    return Err("a bracket is closed that was not opened");
                }
            }
            (None, ',') if open.is_empty() => {
                parts.push(text[start..offset].trim());
                start = offset + 1;
            }
            (None, _) => {}
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    if !open.is_empty() {
        return Err("a bracket is not closed");
    }
    parts.push(text[start..].trim());
    if parts.iter().any(|part| part.is_empty()) {
        return Err("there is nothing before or after a comma");
    }
    Ok(parts)
}

/// Returns the entries of a section, which is made if it is not there; none where it is no table.
fn section<'a>(root: &'a mut Root, name: &str) -> Option<&'a mut Root> {
    if !root.iter().any(|(key, _)| key == name) {
        let node = Node { place: String::new(), kind: NodeKind::Table(Vec::new()) };
        root.push((name.to_string(), node));
    }
    root.iter_mut().find(|(key, _)| key == name).and_then(|(_, node)| match &mut node.kind {
        NodeKind::Table(entries) => Some(entries),
        _ => None,
    })
}

fn set(root: &mut Root, name: &str, path: &[&str], node: Node) {
    let Some(entries) = section(root, name) else { return };
    match path {
        [] => {}
        [field] => match entries.iter_mut().find(|(key, _)| key == field) {
            Some((_, old)) => *old = node,
            None => entries.push(((*field).to_string(), node)),
        },
        [field, rest @ ..] => set(entries, field, rest, node),
    }
}

fn remove(root: &mut Root, name: &str, path: &[&str]) -> bool {
    let found = root.iter_mut().find(|(key, _)| key == name);
    let Some((_, Node { kind: NodeKind::Table(entries), .. })) = found else { return false };
    match path {
        [] => false,
        [field] => {
            let before = entries.len();
            entries.retain(|(key, _)| key != field);
            entries.len() < before
        }
        [field, rest @ ..] => remove(entries, field, rest),
    }
}
