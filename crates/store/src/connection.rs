//! Opening the file: pragmas, permissions, and the ways in for writer and readers.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use converge_faults::disk;
use rusqlite::{Connection, OpenFlags};

/// How long a statement waits for another process before it is [`crate::DatabaseError::Busy`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept compiled; the store has fewer.
pub(crate) const STATEMENTS: usize = 96;

/// Pages of the log (4 KiB each) after which a commit moves them into the database file.
const LOG_PAGES: u32 = 4_000;

/// Bytes to which the log is cut back after it was moved. Unit: bytes.
const LOG_BYTES_KEPT: u32 = 32 * 1024 * 1024;

/// Opens for writing; the file must exist.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Sets what a writer needs, and returns the journal mode that SQLite granted.
pub(crate) fn set_writer_pragmas(connection: &Connection) -> rusqlite::Result<String> {
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(mode)
}

/// Opens for reading, beside a writer if there is one.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    set_reader_pragmas(Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?)
}

/// Opens a file that nobody can be writing, without locks and without files beside it.
pub(crate) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    set_reader_pragmas(Connection::open_with_flags(
        immutable_uri(path),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI,
    )?)
}

fn set_reader_pragmas(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Creates an empty file that only its owner may read, or leaves the one that is there as it is.
///
/// SQLite gives the files beside the database the same permissions.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Brings a file, or the names in a directory, to the disk. Not for a database that is open: see the crate's words on
/// locking.
pub(crate) fn sync(path: &Path) -> std::io::Result<()> {
    let file = std::fs::File::open(path)?;
    file.sync_all()?;
    if file.metadata()?.is_dir() {
        disk::directory_synced(path)
    } else {
        disk::synced(path)
    }
    Ok(())
}

/// Returns the path of the write-ahead log beside a database.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Returns `path` as a URI, with every byte that could mean something in one escaped.
fn immutable_uri(path: &Path) -> PathBuf {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(*byte),
            _ => uri.extend(format!("%{byte:02x}").bytes()),
        }
    }
    uri.extend(b"?immutable=1");
    PathBuf::from(OsString::from_vec(uri))
}

/// Returns whether a file begins as every SQLite database does.
pub(crate) fn looks_like_sqlite(path: &Path) -> bool {
    let mut magic = [0; 16];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok_and(|()| &magic == b"SQLite format 3\0")
}
