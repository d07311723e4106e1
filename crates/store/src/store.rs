//! The one writer of a home's database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, MAIN_DB, TransactionBehavior};

use converge_faults::{disk, point};

use crate::apply::{ApplyError, Cache};
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
        point("store.file.after");
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
        let found = migrate::found(&connection).map_err(failed)?;
        match found {
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
        let store = Self { reader: Reader::over(connection), cache: Cache::default() };
        if matches!(found, Found::Ours(version) if version < migrate::VERSION) {
            store.add_records();
        }
        Ok(store)
    }

    /// Writes the records of sweeps that an older version made; `repair` does it where this fails.
    fn add_records(&self) {
        for (sweep, name) in self.reader.sweeps_without_record().unwrap_or_default() {
            if let Err(error) = self.write_record(sweep) {
                tracing::warn!(name, %error, "cannot write the record of a sweep");
            }
        }
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
        if done.is_ok() {
            self.with_log(disk::synced);
        }
        // It was committed or it was not; that the next ones are synced too would only be slow.
        if let Err(error) = self.connection().pragma_update(None, "synchronous", "NORMAL") {
            tracing::warn!(%error, "cannot go back to unsynced transactions");
        }
        done
    }

    /// Makes all that was committed so far survive a power cut: before something is deleted that an older state of
    /// the database still names.
    ///
    /// # Errors
    /// [`ApplyError`]; what was committed stays committed.
    pub fn sync(&mut self) -> Result<(), ApplyError> {
        // SQLite syncs with a commit that has something to write; the version is written as it is.
        self.synced_transaction(|connection| {
            Ok(connection.pragma_update(None, "user_version", migrate::VERSION)?)
        })
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
        } else {
            self.with_log(disk::written);
            point("store.commit.after");
        }
        done
    }

    /// Tells the tests' model of the disk about the write-ahead log.
    fn with_log(&self, tell: impl FnOnce(&Path)) {
        if let Some(path) = self.connection().path() {
            tell(&connection::log_path(Path::new(path)));
        }
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
        point("store.commit.before");
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
