//! The only place that prints: data to stdout, talk to stderr.

use std::io::{IsTerminal as _, Write as _};

use converge_core::key::{KEYS, Key};
use converge_core::search_space::Configuration;
use converge_core::settings::Settings;
use converge_core::value::Value;
use converge_dashboard::terminal::escaped::escaped;
use converge_dashboard::terminal::style::Style;
use serde::Serialize;

use crate::report::Report;

/// Writes data to stdout, control characters escaped: names, values and messages may be a stranger's.
/// A closed pipe (`| head`) is not an error.
pub(crate) fn data(text: &str) {
    drawing(&escaped(text));
}

/// Writes data whose only control characters are our own: a plot in colours.
pub(crate) fn drawing(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes talk to stderr, control characters escaped.
pub(crate) fn talk(text: &str) {
    let _ = std::io::stderr().write_all(escaped(text).as_bytes());
}

/// Writes a value as indented JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Report> {
    let text = serde_json::to_string_pretty(value)?;
    // JSON has escapes of its own.
    drawing(&text);
    drawing("\n");
    Ok(())
}

/// Returns how text on stdout may look.
pub(crate) fn stdout_style() -> Style {
    style(std::io::stdout().is_terminal())
}

/// Returns how text on stderr may look.
pub(crate) fn stderr_style() -> Style {
    style(std::io::stderr().is_terminal())
}

fn style(terminal: bool) -> Style {
    // See no-color.org: any non-empty value turns colour off.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    Style { colour: terminal && !refused && !dumb, unicode: true }
}

/// Returns the width of stdout, where it is a terminal.
pub(crate) fn width() -> Option<usize> {
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    columns().or_else(|| {
        let (_, width) = console::Term::stdout().size_checked()?;
        Some(usize::from(width))
    })
}

/// Returns a configuration on one line.
pub(crate) fn configuration(configuration: &Configuration) -> String {
    let values: Vec<_> =
        configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if values.is_empty() { "(defaults)".into() } else { values.join(" ") }
}

/// Returns the settings that have a value, one a line, as a sweep file would write them.
pub(crate) fn settings(settings: &Settings, note: impl Fn(&Key) -> Option<&'static str>) -> String {
    let document = serde_json::to_value(settings).unwrap_or_default();
    let mut text = String::new();
    for key in KEYS {
        let (section, field) = key.section();
        let value: Option<Value> = serde_json::from_value(document[section][field].clone()).ok();
        if let (Some(value), Some(note)) = (value, note(key)) {
            text += &format!("  {} = {value}{note}\n", key.name);
        }
    }
    text
}
