//! Real databases of every earlier schema, kept as text: upgraded, they hold what they held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_store::{Reader, Store};

use crate::home::{dump, query, raw};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/databases")
}

/// Returns the schema's version and the text of each database that is kept.
fn kept() -> Vec<(i64, String)> {
    let mut kept: Vec<(i64, String)> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let version = path.file_stem()?.to_str()?.strip_prefix('v')?.parse().ok()?;
            Some((version, std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    kept.sort();
    kept
}

/// Makes the file of a kept database.
fn load(path: &Path, text: &str) {
    raw(path).execute_batch(text).unwrap();
}

/// Returns the rows of every table, each column by name; `columns` are those of an older schema.
fn rows(path: &Path, columns: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    columns
        .iter()
        .map(|(table, columns)| {
            let list = columns.join(", ");
            let now = if table == "trials" { trials(path) } else { table };
            (table.clone(), query(path, &format!("SELECT {list} FROM {now} ORDER BY {list}")))
        })
        .collect()
}

/// Returns what the table of trials is called: 0006 renamed it.
fn trials(path: &Path) -> &'static str {
    let renamed = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sweep_trials'";
    if query(path, renamed).is_empty() { "trials" } else { "sweep_trials" }
}

fn columns(path: &Path) -> BTreeMap<String, Vec<String>> {
    query(path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .into_iter()
        .map(|table| {
            let columns = query(path, &format!("SELECT name FROM pragma_table_info('{table}')"));
            (table, columns)
        })
        .collect()
}

#[test]
fn every_schema_but_the_newest_has_a_database_that_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweeps.db");
    drop(Store::create_or_open(&path).unwrap());
    let newest: i64 = query(&path, "PRAGMA user_version")[0].parse().unwrap();
    let versions: Vec<i64> = kept().into_iter().map(|(version, _)| version).collect();
    // A migration that is not released yet has none to be made with.
    assert!(versions.starts_with(&[1, 2]), "{versions:?}");
    assert!(versions.iter().all(|version| *version <= newest), "{versions:?}");
    for (version, text) in kept() {
        let path = directory.path().join(format!("v{version}.db"));
        load(&path, &text);
        assert_eq!(query(&path, "PRAGMA user_version"), [version.to_string()]);
        assert_eq!(query(&path, "PRAGMA integrity_check"), ["ok"]);
    }
}

#[test]
fn an_upgrade_from_any_schema_keeps_every_row() {
    for (version, text) in kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sweeps.db");
        load(&path, &text);
        let (old_columns, old) = (columns(&path), dump(&path));
        let before = rows(&path, &old_columns);
        let states = || {
            let table = trials(&path);
            query(&path, &format!("SELECT id, state, objective_value FROM {table} ORDER BY id"))
        };
        let ranked = states();
        assert!(before["trials"].len() >= 10 && before["attempts"].len() >= 10, "{before:?}");

        let store = Store::create_or_open(&path).unwrap();
        assert_eq!(rows(&path, &old_columns), before, "from version {version}");
        assert_eq!(store.read().integrity().unwrap(), Vec::<String>::new());
        assert_eq!(states(), ranked);
        let newest = query(&path, "PRAGMA user_version")[0].parse::<i64>().unwrap();
        let copy = directory.path().join(format!("sweeps.db.v{version}"));
        assert_eq!(copy.is_file(), version < newest, "an upgrade copies the file first");
        if version < newest {
            assert_eq!(dump(&copy), old, "the copy is the old database");
        }
        drop(store);

        // All that is asked of a home works, and says the same whatever the schema was.
        let reader = Reader::open(&path).unwrap();
        let summary = reader.latest_sweep().unwrap().unwrap();
        assert_eq!(summary.name, "fixture");
        assert_eq!(summary.trials.total(), 10);
        let trials = reader.trials(summary.id).unwrap();
        assert_eq!(trials.len(), 10);
        assert!(trials.iter().any(|trial| trial.resume.is_some()), "one can go on");
        let ranking = reader.ranking(summary.id, &summary.objective).unwrap();
        assert_eq!(ranking.iter().filter(|trial| trial.diverged).count(), 2);
        assert_eq!(query(&path, "SELECT sweep FROM best_configuration"), ["fixture"]);
        assert_eq!(query(&path, "SELECT count(learning_rate) FROM trials_wide"), ["10"]);
        for trial in &trials {
            reader.trial(summary.id, trial.number).unwrap().unwrap();
        }
    }
}

#[test]
fn schemas_with_observations_rank_as_before() {
    let mut best = Vec::new();
    for (_, text) in kept().into_iter().filter(|(version, _)| *version >= 2) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sweeps.db");
        load(&path, &text);
        let view = "SELECT sweep, configuration, mean, trials FROM best_configuration";
        let before = query(&path, view);
        drop(Store::create_or_open(&path).unwrap());
        assert_eq!(query(&path, view), before);
        assert_eq!(query(&path, "SELECT count(*) > 500 FROM curves"), ["1"]);
        best.extend(before);
    }
    assert!(!best.is_empty());
}
