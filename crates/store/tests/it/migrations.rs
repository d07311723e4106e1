//! The files of `migrations/`: what they make, that they are never edited, and which databases are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use converge_store::{OpenError, ReadError, Reader, Store};
use sha2::{Digest, Sha256};

use crate::home::{Home, dump, query, raw};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}

/// Returns every object of the schema: without comments, one space between words.
fn objects(connection: &rusqlite::Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema")
        .expect("a query");
    let mut objects: Vec<String> = statement
        .query_map([], |row| row.get::<_, String>(0))
        .expect("rows")
        .map(|object| {
            let object = object.expect("a row");
            let lines = object.lines().map(|line| line.split("--").next().unwrap_or(""));
            lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
        })
        .collect();
    objects.sort();
    objects
}

#[test]
fn applied_from_zero_they_make_what_schema_sql_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweeps.db");
    drop(Store::create_or_open(&path).unwrap());
    let described = rusqlite::Connection::open_in_memory().unwrap();
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    described.execute_batch(&schema).unwrap();
    assert_eq!(objects(&raw(&path)), objects(&described));
}

#[test]
fn every_table_and_column_of_schema_sql_has_a_comment() {
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    let mut before = "";
    let mut commented = 0;
    for line in schema.lines() {
        let words = line.trim_start();
        let is_column = line.starts_with("    ")
            && line.len() - words.len() == 4
            && [" INTEGER", " TEXT", " REAL"].iter().any(|kind| words.contains(kind))
            && words.starts_with(|first: char| first.is_ascii_lowercase());
        if is_column || words.starts_with("CREATE") {
            assert!(before.starts_with("--"), "no comment before `{words}`");
            commented += 1;
        }
        before = words;
    }
    assert!(commented > 100, "{commented} commented lines");
}

#[test]
fn no_file_that_was_merged_is_edited() {
    let pinned = [
        (
            "0001_sweeps_and_trials.sql",
            "da451f42a8b6fae7f5ecf701c775ae9c0252f4af344d1fac4fb0379e8536a6db",
        ),
        (
            "0002_observations.sql",
            "fbc0c3f5c8baf3098c78f48c6e7d3a1f88a587ff34065ba268b216c0bb3ad33e",
        ),
        (
            "0003_failures_and_cancellation.sql",
            "fe0e61499148b7dc55e56761e47f8995c23eaf9ee4ededd5db6d65b7616b7867",
        ),
        (
            "0004_configurations.sql",
            "8b7efbf858475587ce3167fc473f8c5a882fdffc0f9fd6f977f015bd2be5bd03",
        ),
        ("0005_kinds.sql", "7f6d32c50e703145ff4b4031f8c54e0ff6a98a90fadd7520bc308894849098ac"),
        ("0006_optuna.sql", "77458d4019b36f0163c006361549d23e83811164a03da334023b4d70e4b54ed0"),
        (
            "0007_beside_the_search.sql",
            "c834a6bd4908cec1ee1e7b40da175fcc709b7a1d8a77f02290dc6f44f5b38886",
        ),
        (
            "0008_early_stopping.sql",
            "f7b9f3094817fbe66e8969dd5ae9ef6e1d8f611c6ee1f966953565a751d3f772",
        ),
        ("0009_items.sql", "65771d7cc976986bafb53570f41a25b33147a87d9f635b6713889d20a4da05b1"),
    ];
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql") && name != "schema.sql")
        .collect();
    files.sort();
    let hashes: Vec<(String, String)> = files
        .into_iter()
        .map(|name| {
            let digest = Sha256::digest(std::fs::read(folder().join(&name)).unwrap());
            (name, digest.iter().map(|byte| format!("{byte:02x}")).collect())
        })
        .collect();
    let pinned = pinned.map(|(name, hash)| (name.to_owned(), hash.to_owned()));
    assert_eq!(hashes, pinned, "a merged migration is never edited: add another");
}

#[test]
fn opening_again_changes_nothing() {
    let home = Home::new(2);
    let path = home.path();
    let before = dump(&path);
    drop(home.store);
    drop(Store::create_or_open(&path).unwrap());
    assert_eq!(dump(&path), before);
    let version = query(&path, "PRAGMA user_version");
    assert_eq!((version.len(), version[0].as_str()), (1, "9"));
    assert_eq!(query(&path, "PRAGMA application_id"), [0x436e_7667.to_string()]);
    assert_eq!(query(&path, "PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn the_file_and_those_beside_it_are_its_owners_alone() {
    let home = Home::new(1);
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(home.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        seen.push((entry.file_name().into_string().unwrap(), mode));
    }
    seen.sort();
    let mut expected = ["sweeps.db", "sweeps.db-shm", "sweeps.db-wal"]
        .map(|name| (name.to_owned(), 0o600))
        .to_vec();
    // The sweep's record is in there.
    expected.insert(0, ("sweeps".to_owned(), 0o700));
    assert_eq!(seen, expected);
    let record = home.directory.path().join("sweeps/1.jsonl");
    assert_eq!(std::fs::metadata(record).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let home = Home::new(1);
    let path = home.path();
    drop(home.store);
    raw(&path).pragma_update(None, "user_version", 99).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let error = Store::create_or_open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 9, .. }));
    let sentence = format!(
        "`{}` was written by a newer converge (schema version 99; this one knows 9)",
        path.display()
    );
    assert_eq!(error.to_string(), sentence);
    let error = Reader::open(&path).unwrap_err();
    assert!(matches!(error, ReadError::Newer { found: 99, known: 9, .. }));
    assert_eq!(error.to_string(), sentence);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_older_database_asks_readers_to_wait_for_a_writer() {
    let home = Home::new(1);
    let path = home.path();
    drop(home.store);
    raw(&path).pragma_update(None, "user_version", 1).unwrap();
    assert!(matches!(Reader::open(&path), Err(ReadError::Older { found: 1, known: 9, .. })));
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.db");
    raw(&other).execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    let text = directory.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to have a header of one".repeat(20))
        .unwrap();
    for path in [other, text] {
        let bytes = std::fs::read(&path).unwrap();
        let error = Store::create_or_open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        let error = Reader::open(&path).unwrap_err();
        assert!(matches!(error, ReadError::Foreign { .. }), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_creation_that_was_cut_short_is_done_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweeps.db");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Reader::open(&path), Err(ReadError::Missing { .. })));
    drop(Store::create_or_open(&path).unwrap());
    assert!(Reader::open(&path).unwrap().sweeps().unwrap().is_empty());
}
