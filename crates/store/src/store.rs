//! The one writer of a home's database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, MAIN_DB, TransactionBehavior};

use crate::apply::Cache;
use crate::connection;
use crate::database_error::DatabaseError;
use crate::migrate::{self, Found};
use crate::reader::Reader;

/// The one writer of a home's database. Nothing here reads a clock: times are given by the caller.
#[derive(Debug)]
pub struct Store {
    /// The same connection reads, so that reading sees what was just written.
    pub(crate) reader: Reader,
    pub(crate) cache: Cache,
}

/// The database cannot be opened for writing. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be made.
    #[error("cannot create `{path}`")]
    Create {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
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
    /// File or file system is read-only.
    #[error("`{path}` cannot be written: file or file system is read-only")]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// The file system has no shared memory or no locks, which a write-ahead log needs.
    #[error(
        "`{path}` cannot have a write-ahead log: its file system offers journal mode `{granted}` only"
    )]
    NoLog {
        /// The database.
        path: PathBuf,
        /// What SQLite granted.
        granted: String,
    },
    /// SQLite's answer.
    #[error("cannot open `{path}` for writing")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: DatabaseError,
    },
}

impl Store {
    /// Opens the database at `path` for writing; creates it (readable by its owner only) or upgrades it first.
    ///
    /// The directory must exist. Before an upgrade the file is copied to `<path>.v<old version>`.
    ///
    /// # Durability
    /// Creation and upgrade are whole or did not happen.
    ///
    /// # Errors
    /// [`OpenError`]; only a full disk and a busy database are worth another try.
    pub fn create_or_open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        connection::create_private(path)
            .map_err(|source| OpenError::Create { path: path.to_owned(), source })?;
        let failed = |error| match DatabaseError::of(error) {
            DatabaseError::Corrupt(_) if !connection::looks_like_sqlite(path) => {
                OpenError::Foreign { path: path.to_owned() }
            }
            source => OpenError::Database { path: path.to_owned(), source },
        };
        let mut connection = connection::open_writer(path).map_err(failed)?;
        if connection.is_readonly(MAIN_DB).map_err(failed)? {
            return Err(OpenError::ReadOnly { path: path.to_owned() });
        }
        match migrate::found(&connection).map_err(failed)? {
            Found::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
            Found::Ours(found) if found > migrate::VERSION => {
                return Err(OpenError::Newer {
                    path: path.to_owned(),
                    found,
                    known: migrate::VERSION,
                });
            }
            Found::Ours(_) | Found::Empty => {}
        }
        let granted = connection::set_writer_pragmas(&connection).map_err(failed)?;
        if granted != "wal" {
            return Err(OpenError::NoLog { path: path.to_owned(), granted });
        }
        migrate::migrate(&mut connection, path).map_err(failed)?;
        Ok(Self { reader: Reader::over(connection), cache: Cache::default() })
    }

    /// Reads what has been written so far, through the writer's own connection.
    pub fn read(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.reader.connection()
    }

    /// [`Store::transaction`] that a power cut cannot take back either: for what names files on disk.
    pub(crate) fn synced_transaction<T, E: From<rusqlite::Error>>(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.leave_transaction()?;
        self.connection().pragma_update(None, "synchronous", "FULL")?;
        let done = self.transaction(|connection, _| write(connection));
        // It was committed or it was not; that the next ones are synced too would only be slow.
        if let Err(error) = self.connection().pragma_update(None, "synchronous", "NORMAL") {
            tracing::warn!(%error, "cannot go back to unsynced transactions");
        }
        done
    }

    /// Runs `write` as one transaction.
    pub(crate) fn transaction<T, E: From<rusqlite::Error>>(
        &mut self,
        write: impl FnOnce(&Connection, &mut Cache) -> Result<T, E>,
    ) -> Result<T, E> {
        let done = self.begin_and_commit(write);
        if done.is_err() {
            // What was learnt from rows that were rolled back is not true.
            self.cache = Cache::default();
            // After an error in `BEGIN` or `ROLLBACK` the transaction is open, and the file locked for others.
            if let Err(error) = self.leave_transaction() {
                tracing::warn!(%error, "cannot take back a transaction that failed");
            }
        }
        done
    }

    fn begin_and_commit<T, E: From<rusqlite::Error>>(
        &mut self,
        write: impl FnOnce(&Connection, &mut Cache) -> Result<T, E>,
    ) -> Result<T, E> {
        self.leave_transaction()?;
        let transaction = self
            .reader
            .connection_mut()
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = write(&transaction, &mut self.cache)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Takes back what an error in a `BEGIN` or `ROLLBACK` has left open: it must not go in with what follows.
    pub(crate) fn leave_transaction(&self) -> rusqlite::Result<()> {
        if self.connection().is_autocommit() {
            return Ok(());
        }
        self.connection().execute_batch("ROLLBACK")
    }
}
