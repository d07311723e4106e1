//! The view `trials_wide`: one row per trial, one column per parameter of the sweeps in this home.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

/// Columns that every sweep has: source and name.
const COLUMNS: [(&str, &str); 15] = [
    ("sweeps.name", "sweep"),
    ("sweep_trials.number", "trial"),
    ("sweep_trials.kind", "kind"),
    ("sweep_trials.state", "state"),
    ("sweep_trials.fingerprint", "fingerprint"),
    ("sweep_trials.replicate", "replicate"),
    ("sweeps.objective_metric", "objective"),
    ("sweep_trials.objective_value", "objective_value"),
    ("sweep_trials.objective_step", "objective_step"),
    ("sweep_trials.total_steps", "total_steps"),
    ("sweep_trials.failure_class", "failure_class"),
    ("sweep_trials.failure_message", "failure_message"),
    ("sweep_trials.best_weights_directory", "best_weights_directory"),
    ("sweep_trials.created_at_ms", "created_at_ms"),
    ("sweep_trials.ended_at_ms", "ended_at_ms"),
];

/// SQLite allows 2,000 columns; a home with more parameters than this shows the first by name.
const MOST_PARAMETERS: usize = 1_500;

/// Makes the view anew if a parameter has come since it was made.
pub(crate) fn recreate(connection: &Connection) -> rusqlite::Result<()> {
    let Some(sql) = missing(connection)? else { return Ok(()) };
    connection.execute_batch(&format!("DROP VIEW IF EXISTS trials_wide;\n{sql};"))
}

/// Returns the view as it should be, where it is not so.
pub(crate) fn missing(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = definition(&parameters(connection)?);
    let present: Option<String> = connection
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'trials_wide'", [], |row| row.get(0))
        .optional()?;
    Ok((present.as_deref() != Some(sql.as_str())).then_some(sql))
}

/// Returns the names of all parameters of this home, sorted.
fn parameters(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT DISTINCT name FROM parameters")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Returns the SQL of the view, without a semicolon: as SQLite keeps it.
fn definition(parameters: &BTreeSet<String>) -> String {
    let mut columns: Vec<String> =
        COLUMNS.iter().map(|(source, name)| format!("{source} AS {}", identifier(name))).collect();
    let mut taken: BTreeSet<String> = COLUMNS.iter().map(|(_, name)| (*name).to_owned()).collect();
    for parameter in parameters.iter().take(MOST_PARAMETERS) {
        // Column names do not tell upper from lower case; parameters do.
        let mut name = parameter.clone();
        while !taken.insert(name.to_lowercase()) {
            name.insert_str(0, "parameter.");
        }
        columns.push(format!(
            "json_extract(sweep_trials.configuration, {}) AS {}",
            text(&path(parameter)),
            identifier(&name)
        ));
    }
    format!(
        "CREATE VIEW trials_wide AS\nSELECT\n    {}\nFROM sweep_trials\nJOIN sweeps ON sweeps.id = sweep_trials.sweep",
        columns.join(",\n    ")
    )
}

/// Returns the JSON path of a key; in quotes, since `data.train_limit` is one key.
fn path(key: &str) -> String {
    format!("$.{}", serde_json::Value::from(key))
}

/// Quotes a name. A NUL would end the statement, so it is shown as a replacement character.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "\u{fffd}").replace('"', "\"\""))
}

/// Quotes a text that holds no NUL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
