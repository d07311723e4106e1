//! Brings a database to the newest schema: whole, in one exclusive transaction, or not at all.

use std::path::{Path, PathBuf};

use converge_faults::{Mutant, disk, is_on, point};
use rusqlite::backup::Progress;
use rusqlite::{Connection, MAIN_DB, TransactionBehavior};

use crate::{configuration, connection, parameter, wide};

/// The files of `migrations/`, in order. A database's version is how many of them it has.
pub(crate) const MIGRATIONS: [&str; 9] = [
    include_str!("../../../migrations/0001_sweeps_and_trials.sql"),
    include_str!("../../../migrations/0002_observations.sql"),
    include_str!("../../../migrations/0003_failures_and_cancellation.sql"),
    include_str!("../../../migrations/0004_configurations.sql"),
    include_str!("../../../migrations/0005_kinds.sql"),
    include_str!("../../../migrations/0006_optuna.sql"),
    include_str!("../../../migrations/0007_beside_the_search.sql"),
    include_str!("../../../migrations/0008_early_stopping.sql"),
    include_str!("../../../migrations/0009_items.sql"),
];

/// The version this program reads and writes.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version from which on the schema is one in which this program can fill what it derives.
const DERIVABLE: i64 = 6;

/// Marks a file as converge's: "Cnvg".
pub(crate) const APPLICATION_ID: i64 = 0x436e_7667;

/// What a file is, by its header and before anything is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing in it: a new file, or one whose creation was cut short.
    Empty,
    /// A database of ours, of this version.
    Ours(i64),
    /// A database of another program.
    Foreign,
}

/// Looks at the header.
pub(crate) fn found(connection: &Connection) -> rusqlite::Result<Found> {
    let application_id: i64 = pragma(connection, "application_id")?;
    let version: i64 = pragma(connection, "user_version")?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application_id, version, objects) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION_ID, 1.., _) => Found::Ours(version),
        _ => Found::Foreign,
    })
}

/// Applies what is missing. The caller has refused foreign and newer files.
///
/// # Errors
/// Those of SQLite; the database is then as it was.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> rusqlite::Result<()> {
    migrate_with(connection, path, &MIGRATIONS)
}

/// [`migrate`] with given files, so that a test can upgrade to a version that does not exist yet.
fn migrate_with(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    let target = migrations.len() as i64;
    let before = pragma(connection, "user_version")?;
    if before == target {
        return Ok(());
    }
    if before > 0 {
        copy_aside(connection, &copy_path(path, before))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Asked again under the lock: another process may have been first.
    let version = pragma(&transaction, "user_version")?;
    for (number, sql) in (1i64..).zip(migrations).filter(|(number, _)| *number > version) {
        tracing::info!(number, "applying a migration");
        if is_on(Mutant::NoUniqueGrid) {
            transaction
                .execute_batch(&sql.replace("UNIQUE (sweep, fingerprint, replicate),", ""))?;
        } else {
            transaction.execute_batch(sql)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", target)?;
    if target >= DERIVABLE {
        configuration::fill(&transaction)?;
        parameter::fill_all(&transaction)?;
        wide::recreate(&transaction)?;
    }
    point("store.migrate.before");
    transaction.commit()?;
    point("store.migrate.after");
    Ok(())
}

/// Returns where the copy of a database of `version` goes: `sweeps.db.v1`.
fn copy_path(path: &Path, version: i64) -> PathBuf {
    with_suffix(path, &format!(".v{version}"))
}

/// Writes a copy that is whole or not there, also after a power cut: aside first, then renamed.
fn copy_aside(connection: &Connection, copy: &Path) -> rusqlite::Result<()> {
    let aside = with_suffix(copy, ".part");
    let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    point("store.copy.before");
    connection::create_private(&aside).map_err(failed)?;
    disk::created(&aside);
    connection.backup(MAIN_DB, &aside, None::<fn(Progress)>)?;
    // The upgrade that follows is synced; the copy of what was before must not come after it.
    connection::sync(&aside).map_err(failed)?;
    point("store.copy.written");
    std::fs::rename(&aside, copy).map_err(failed)?;
    disk::renamed(copy);
    copy.parent().map_or(Ok(()), connection::sync).map_err(failed)?;
    point("store.copy.renamed");
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use converge_core::objective::Goal;

    use super::*;
    use crate::home::{Home, dump, query, sweep, trial};
    use crate::store::Store;

    /// The next version, as a test imagines it.
    const ADDITION: &str = "CREATE TABLE findings (trial INTEGER) STRICT; \
                            ALTER TABLE workers ADD COLUMN note TEXT;";

    fn upgrade(path: &Path, addition: &str) -> rusqlite::Result<()> {
        let mut connection = connection::open_writer(path)?;
        migrate_with(&mut connection, path, &[&MIGRATIONS[..], &[addition]].concat())
    }

    /// The version as the database says it.
    fn version(newer: i64) -> [String; 1] {
        [(VERSION + newer).to_string()]
    }

    #[test]
    fn an_upgrade_keeps_all_rows_and_leaves_a_copy_of_the_old_file() {
        let mut home = Home::new(2);
        home.complete(1, &[0.5, 0.75]);
        let path = home.path();
        let old = dump(&path);
        upgrade(&path, ADDITION).unwrap();
        assert_eq!(query(&path, "PRAGMA user_version"), version(1));
        assert_eq!(query(&path, "SELECT count(*) FROM findings"), ["0"]);
        assert_eq!(query(&path, "SELECT value FROM curves"), ["0.5", "0.75"]);
        assert_eq!(query(&path, "SELECT name FROM trials_wide"), ["f1", "f2"]);

        let copy = home.directory.path().join(format!("sweeps.db.v{VERSION}"));
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dump(&copy), old);
        assert_eq!(query(&copy, "PRAGMA user_version"), version(0));
        drop(Store::create_or_open(&copy).unwrap());
        assert!(!home.directory.path().join(format!("sweeps.db.v{VERSION}.part")).exists());
    }

    #[test]
    fn configurations_and_counts_of_an_older_database_are_those_that_a_writer_would_have_kept() {
        for seed in 0..8 {
            let goal = if seed % 2 == 0 { Goal::Maximize } else { Goal::Minimize };
            let names = (0..9).map(|name| trial(&format!("f{}", name % 5), name / 5));
            let mut home = Home::of(&sweep("first", goal, names.collect()));
            home.end_at_random(9, seed, |_| {});
            let path = home.directory.path().join("older.db");
            {
                connection::create_private(&path).unwrap();
                let mut connection = connection::open_writer(&path).unwrap();
                migrate_with(&mut connection, &path, &MIGRATIONS[..3]).unwrap();
                let attach = format!("ATTACH '{}' AS newer", home.path().display());
                connection.execute_batch(&attach).unwrap();
                for copy in [
                    "INSERT INTO sweeps SELECT * FROM newer.sweeps",
                    "INSERT INTO trials SELECT * FROM newer.sweep_trials",
                ] {
                    connection.execute_batch(copy).unwrap();
                }
            }
            drop(Store::create_or_open(&path).unwrap());
            for question in [
                "SELECT * FROM configurations ORDER BY trial",
                "SELECT * FROM trial_counts WHERE trials > 0 ORDER BY sweep, state",
            ] {
                let kept = query(&home.path(), question);
                assert!(!kept.is_empty(), "seed {seed}: {question}");
                assert_eq!(query(&path, question), kept, "seed {seed}: {question}");
            }
        }
    }

    #[test]
    fn an_upgrade_that_fails_leaves_the_old_database_and_can_be_tried_again() {
        let mut home = Home::new(1);
        home.complete(1, &[0.5]);
        let path = home.path();
        let old = dump(&path);
        for broken in [
            "CREATE TABLE sweep_trials (id)",
            "DROP TABLE sessions; SELECT",
            "DELETE FROM sweep_trials",
        ] {
            let addition = format!("{ADDITION} {broken};");
            upgrade(&path, &addition).unwrap_err();
            assert_eq!(dump(&path), old, "{broken}");
            assert_eq!(query(&path, "PRAGMA user_version"), version(0));
        }
        upgrade(&path, ADDITION).unwrap();
        assert_eq!(query(&path, "PRAGMA user_version"), version(1));
    }

    #[test]
    fn a_creation_is_whole_or_not_there_wherever_it_is_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let mut interrupted = 0;
        let mut created = false;
        for instructions in (1..50_000).step_by(37) {
            let path = directory.path().join(format!("{instructions}.db"));
            let mut done = 0;
            let whole = {
                connection::create_private(&path).unwrap();
                let mut connection = connection::open_writer(&path).unwrap();
                connection::set_writer_pragmas(&connection).unwrap();
                connection
                    .progress_handler(
                        1,
                        Some(move || {
                            done += 1;
                            done == instructions
                        }),
                    )
                    .unwrap();
                migrate(&mut connection, &path).is_ok()
            };
            let connection = connection::open_writer(&path).unwrap();
            if whole {
                assert_eq!(found(&connection), Ok(Found::Ours(VERSION)));
                created = true;
                break;
            }
            interrupted += 1;
            // The last instruction of a commit can be interrupted after all was done.
            let found = found(&connection);
            let whole = found == Ok(Found::Ours(VERSION));
            assert!(whole || found == Ok(Found::Empty), "after {instructions}: {found:?}");
            drop(connection);
            drop(Store::create_or_open(&path).unwrap());
        }
        assert!(created && interrupted > 20, "{interrupted} interruptions");
    }
}
