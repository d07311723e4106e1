//! The pages about keys in `docs/sweep-file.md`: made of the tables, so that they say what the program does.

use std::fmt::Write as _;

use super::section_key::{SECTION_KEYS, Shape};
use crate::equivalent::equivalent;
use crate::key::{KEYS, Key, Kind};
use crate::settings::{ModelSettings, Settings};
use crate::sweep::left_out;
use crate::value::Value;

/// The page around the tables.
const PAGE: &str = include_str!("reference.md");

/// Returns the whole page.
pub fn reference() -> String {
    let mut page = PAGE.to_string();
    for section in ["sweep", "early_stop", "run", "budget", "failure"] {
        page = page.replace(&format!("{{{{{section}}}}}"), &section_table(section));
    }
    for section in ["train", "model", "data"] {
        page = page.replace(&format!("{{{{{section}}}}}"), &settings_table(section));
    }
    page
}

fn settings_table(section: &str) -> String {
    let nothing = ModelSettings { path: None, preset: None, layers: None };
    let mut defaults = serde_json::to_value(Settings::defaults(nothing, "")).unwrap_or_default();
    defaults["data"]["train"] = serde_json::Value::Null;
    let mut table = String::from(
        "| key | values | default | meaning | in Hugging Face's libraries |\n|---|---|---|---|---|\n",
    );
    for key in KEYS.iter().filter(|key| key.section().0 == section) {
        let stored = &defaults[section][key.section().1];
        let stored = if stored.is_null() { left_out(key.name) } else { Some(stored.clone()) };
        let default: Option<Value> = stored.and_then(|value| serde_json::from_value(value).ok());
        let default = default
            .map_or_else(|| unset(key).to_string(), |value| format!("`{}`", written(&value)));
        let equivalent = equivalent(key.name).unwrap_or_default();
        let _ = writeln!(
            table,
            "| `{}` | {} | {default} | {} | {equivalent} |",
            key.section().1,
            values(key.kind),
            key.meaning
        );
    }
    table.trim_end().to_string()
}

/// What holds where nothing is given.
fn unset(key: &Key) -> &'static str {
    match key.name {
        "train.dropout"
        | "train.hidden_dropout"
        | "train.attention_dropout"
        | "train.classifier_dropout" => "the model's",
        "train.head_init_std" => "the model's `initializer_range`",
        "train.head_learning_rate" => "`learning_rate` times the multiplier",
        "model.path" | "model.preset" => "one of the two is needed",
        "model.layers" => "all",
        "data.train" => "needed",
        _ => "–",
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Float(number) if number.fract() == 0.0 => format!("{number:.1}"),
        other => other.to_string(),
    }
}

fn values(kind: Kind) -> String {
    let quoted = |words: &[&str]| {
        words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
    };
    match kind {
        Kind::Choice(words) => quoted(words),
        Kind::ChoiceOrInteger(words, min) => {
            format!("{}, or a whole number of {min} or more", quoted(words))
        }
        Kind::ChoiceOrList(words) => format!("{}, or a list of positive numbers", quoted(words)),
        Kind::Boolean => "`true`, `false`".into(),
        Kind::Text => "text".into(),
        Kind::Path => "path".into(),
        Kind::Float(_) | Kind::Integer(_) => kind.expected().trim_start_matches("a ").to_string(),
    }
}

fn section_table(section: &str) -> String {
    let mut table =
        String::from("| key | values | default | meaning | elsewhere |\n|---|---|---|---|---|\n");
    for key in SECTION_KEYS {
        let Some(field) = key.name.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let default = match key.default {
            "(needed)" => "needed".into(),
            "(none)" => "–".into(),
            "(1/eta)" => "1 / `eta`".into(),
            words if key.shape == Shape::Objective => words.to_string(),
            value => format!("`{value}`"),
        };
        let _ = writeln!(
            table,
            "| `{field}` | {} | {default} | {} | {} |",
            shape(key.shape),
            key.meaning,
            key.equivalent
        );
    }
    table.trim_end().to_string()
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Name => "letters, digits, `-`, `_`, `.`".into(),
        Shape::Text => "text".into(),
        Shape::Choice(words) => values(Kind::Choice(words)),
        Shape::Integer(min) => format!("whole number of {min} or more"),
        Shape::WordOrInteger(words) => values(Kind::ChoiceOrInteger(words, 1)),
        Shape::Number => "number of 0 or more".into(),
        Shape::Positive => "number of more than 0".into(),
        Shape::Boolean => "`true`, `false`".into(),
        Shape::Objective => "`{ metric, goal, at }`".into(),
        Shape::WallTime => "`\"8h\"`, `\"1h30m\"`".into(),
        Shape::Seconds => "seconds, or `\"90s\"`, `\"10m\"`, `\"2h\"`".into(),
        Shape::Retries => "a whole number for each class".into(),
        Shape::Script => "list of tables".into(),
        Shape::CommandLine => "path".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_that_the_tables_make() {
        let found = include_str!("../../../../docs/sweep-file.md");
        assert!(
            found == reference(),
            "make it anew: cargo run --release -p converge-core --example sweep_file_reference > docs/sweep-file.md"
        );
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        assert!(!reference().contains("{{"));
    }
}
