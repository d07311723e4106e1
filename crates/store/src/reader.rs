//! Reading a home's database: beside its writer, or where nothing may be written at all.

pub(crate) mod contradictions;
pub(crate) mod curve;
#[cfg(test)]
mod effort;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod holdings;
pub(crate) mod items;
pub(crate) mod leavings;
pub(crate) mod page;
pub(crate) mod ranking;
pub(crate) mod rungs;
pub(crate) mod summary;
pub(crate) mod sweep;
pub(crate) mod trial;
pub(crate) mod usage;
pub(crate) mod watched;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::connection;
use crate::database_error::DatabaseError;
use crate::migrate::{self, Found};

/// A view of a home's database that cannot write. Each method sees one state of it, as of its call.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// The database cannot be opened for reading.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no database: nothing was run here yet.
    #[error("there is no database at `{path}`")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file belongs to another program, or is not a database.
    #[error("`{path}` is not a database of converge")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A newer converge has upgraded the file.
    #[error(
        "`{path}` was written by a newer converge (schema version {found}; this one knows {known})"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// An older converge has written the file; the next writer will upgrade it.
    #[error(
        "`{path}` was written by an older converge (schema version {found}; this one reads {known}): any command that writes to it upgrades it"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// The newest rows are in a log that cannot be read where nothing can be written.
    #[error(
        "`{path}` cannot be read here: its last writer was killed and left a log, `{log}`, which can be read only where files can be made beside it; copy both to a writable directory"
    )]
    LogUnreadable {
        /// The database.
        path: PathBuf,
        /// Its write-ahead log.
        log: PathBuf,
        /// SQLite's answer.
        #[source]
        source: DatabaseError,
    },
    /// SQLite's answer.
    #[error("cannot open `{path}` for reading")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: DatabaseError,
    },
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from the database")]
pub struct QueryError {
    /// What was asked for.
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: DatabaseError,
}

impl Reader {
    /// Opens the database at `path` for reading. Takes about a millisecond.
    ///
    /// On a file system where nothing can be written, the file is read as it stands, without locks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        if matches!(std::fs::metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
        {
            return Err(ReadError::Missing { path: path.to_owned() });
        }
        let (connection, found) = match connection::open_reader(path).and_then(look) {
            Ok(opened) => opened,
            Err(error) => match DatabaseError::of(error) {
                refused @ (DatabaseError::CannotOpen(_) | DatabaseError::ReadOnly(_)) => {
                    open_as_it_stands(path, refused)?
                }
                source => return Err(cannot_open(path, source)),
            },
        };
        match found {
            Found::Ours(migrate::VERSION) => Ok(Self::over(connection)),
            Found::Ours(found) if found > migrate::VERSION => {
                Err(ReadError::Newer { path: path.to_owned(), found, known: migrate::VERSION })
            }
            Found::Ours(found) => {
                Err(ReadError::Older { path: path.to_owned(), found, known: migrate::VERSION })
            }
            // Being created just now, or creation was cut short.
            Found::Empty => Err(ReadError::Missing { path: path.to_owned() }),
            Found::Foreign => Err(ReadError::Foreign { path: path.to_owned() }),
        }
    }

    /// Returns a number that changes when another process has committed something: cheap enough to poll.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn data_version(&self) -> Result<i64, QueryError> {
        self.query("the database's version", |connection| {
            connection.pragma_query_value(None, "data_version", |row| row.get(0))
        })
    }

    pub(crate) fn over(connection: Connection) -> Self {
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// [`Reader::query`] for other modules of this crate.
    pub(crate) fn note<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueryError> {
        self.query(what, read)
    }

    /// Runs queries that see one state of the database.
    fn query<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueryError> {
        self.connection
            .unchecked_transaction()
            .and_then(|transaction| {
                let value = read(&transaction)?;
                transaction.commit()?;
                Ok(value)
            })
            .map_err(|error| {
                // An interrupt can also end the ROLLBACK that follows it. The transaction would stay open, and this
                // reader would see the database of that moment for ever. No interrupt outlives a second one; where it
                // fails all the same, the error below is the one to tell.
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                QueryError { what, source: DatabaseError::of(error) }
            })
    }
}

fn look(connection: Connection) -> rusqlite::Result<(Connection, Found)> {
    let found = migrate::found(&connection)?;
    Ok((connection, found))
}

/// Opens a file whose shared memory cannot be made: read-only, so that nobody writes to it.
fn open_as_it_stands(
    path: &Path,
    refused: DatabaseError,
) -> Result<(Connection, Found), ReadError> {
    let log = connection::log_path(path);
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(ReadError::LogUnreadable { path: path.to_owned(), log, source: refused });
    }
    connection::open_immutable(path)
        .and_then(look)
        .map_err(|error| cannot_open(path, DatabaseError::of(error)))
}

fn cannot_open(path: &Path, source: DatabaseError) -> ReadError {
    let path = path.to_owned();
    match source {
        DatabaseError::Corrupt(_) if !connection::looks_like_sqlite(&path) => {
            ReadError::Foreign { path }
        }
        source => ReadError::Database { path, source },
    }
}

/// Collects the rows of a query.
pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

/// Returns the row of a query, if there is one.
fn row<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(parameters, read).optional()
}

/// Reads a column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| crate::database_error::unreadable(column, error))
}
