//! The table of parameters: their names and, in Optuna's form, what values they take.
//!
//! It follows from a sweep's definition and the configurations of its trials, and is written with them.

use std::collections::BTreeMap;

use converge_core::ids::SweepId;
use converge_core::search_space::{Case, Configuration, Parameter};
use rusqlite::Connection;
use serde::Deserialize;

use crate::database_error::unreadable;
use crate::distribution::{Distribution, Seen};
use crate::word::BESIDE;

/// A row of the table, without its sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    position: i64,
    distribution: String,
}

/// What is read of a sweep's definition here: a home may hold one that this version cannot read otherwise.
#[derive(Debug, Default, Deserialize)]
struct Definition {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

/// Writes the parameters of a sweep from its definition and trials.
pub(crate) fn fill(connection: &Connection, sweep: SweepId) -> rusqlite::Result<()> {
    let rows = expected(connection, sweep)?;
    connection.execute("DELETE FROM parameters WHERE sweep = ?1", [sweep.0])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO parameters (sweep, name, position, distribution) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for row in rows {
        statement.execute((sweep.0, row.name, row.position, row.distribution))?;
    }
    Ok(())
}

/// Writes the parameters of all sweeps.
pub(crate) fn fill_all(connection: &Connection) -> rusqlite::Result<()> {
    sweeps(connection)?.into_iter().try_for_each(|sweep| fill(connection, sweep))
}

/// Returns whether the table is what it would be if it were written now.
pub(crate) fn is_true(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT name, position, distribution FROM parameters WHERE sweep = ?1 ORDER BY position",
    )?;
    for sweep in sweeps(connection)? {
        let present: Vec<Row> = statement
            .query_map([sweep.0], |row| {
                Ok(Row { name: row.get(0)?, position: row.get(1)?, distribution: row.get(2)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        if present != expected(connection, sweep)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sweeps(connection: &Connection) -> rusqlite::Result<Vec<SweepId>> {
    let mut statement = connection.prepare("SELECT id FROM sweeps ORDER BY id")?;
    statement.query_map([], |row| Ok(SweepId(row.get(0)?)))?.collect()
}

/// Returns the rows of a sweep: parameters that some trial has, in the order of the definition.
fn expected(connection: &Connection, sweep: SweepId) -> rusqlite::Result<Vec<Row>> {
    let definition: String =
        connection.query_row("SELECT definition FROM sweeps WHERE id = ?1", [sweep.0], |row| {
            row.get(0)
        })?;
    let definition: Definition = serde_json::from_str(&definition).unwrap_or_default();
    let cases = |name: &str| -> &[Case] {
        let named = |parameter: &&Parameter| parameter.name == name;
        definition.parameters.iter().find(named).map_or(&[], |parameter| &parameter.cases)
    };
    let mut found: BTreeMap<String, Distribution> = BTreeMap::new();
    let mut seen: BTreeMap<String, Seen<'_>> = BTreeMap::new();
    each_configuration(connection, sweep, |configuration| {
        for (name, value) in configuration {
            match seen.get_mut(name) {
                Some(seen) => seen.see(value),
                None => {
                    let mut new = Seen::new(cases(name));
                    new.see(value);
                    seen.insert(name.clone(), new);
                }
            }
        }
    })?;
    // Ranges with a value that is no number: seen once more, as choices.
    let mut again: BTreeMap<String, Seen<'_>> = BTreeMap::new();
    for (name, seen) in seen {
        match seen.distribution() {
            Some(distribution) => {
                found.insert(name, distribution);
            }
            None => {
                let choices = Seen::as_choices(cases(&name));
                again.insert(name, choices);
            }
        }
    }
    if !again.is_empty() {
        each_configuration(connection, sweep, |configuration| {
            for (name, value) in configuration {
                if let Some(seen) = again.get_mut(name) {
                    seen.see(value);
                }
            }
        })?;
        let choices = again.into_iter();
        found.extend(choices.filter_map(|(name, seen)| Some((name, seen.distribution()?))));
    }
    let place = |name: &str| {
        let places = &definition.parameters;
        places.iter().position(|parameter| parameter.name == name).unwrap_or(places.len())
    };
    let mut rows: Vec<(String, Distribution)> = found.into_iter().collect();
    // By name where the definition does not have them.
    rows.sort_by_key(|(name, _)| place(name));
    Ok((0..)
        .zip(rows)
        .map(|(position, (name, distribution))| Row {
            name,
            position,
            distribution: distribution.json(),
        })
        .collect())
}

fn each_configuration(
    connection: &Connection,
    sweep: SweepId,
    mut see: impl FnMut(&Configuration),
) -> rusqlite::Result<()> {
    // What stands beside the search may lie outside of it.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT configuration FROM sweep_trials WHERE sweep = ?1 AND NOT {BESIDE} ORDER BY number",
    ))?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str()?;
        see(&serde_json::from_str(text).map_err(|error| unreadable("configuration", error))?);
    }
    Ok(())
}
