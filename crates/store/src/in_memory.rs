//! Databases in memory, for simulations: thousands of short ones, and a disk that fails when it is told to.

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::apply::Cache;
use crate::database_error::DatabaseError;
use crate::reader::Reader;
use crate::store::Store;
use crate::{connection, migrate};

/// Small, so that a short sweep meets the end of the disk in many places. Unit: bytes.
const PAGE_BYTES: u32 = 512;

impl Store {
    /// Makes an empty database in memory. It is gone with its last connection.
    ///
    /// Other connections of this process open it as `file:/NAME?vfs=memdb`, with SQLite's own locks between them; who
    /// finds it locked does not wait. It has no write-ahead log, and nothing of it is ever synced: a process that dies
    /// in the middle of a batch is a batch that was rolled back, and a power cut has no likeness here.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn in_memory(name: &str) -> Result<Self, DatabaseError> {
        let mut connection = open(name).map_err(DatabaseError::of)?;
        let name = std::path::Path::new(name);
        migrate::migrate(&mut connection, name).map_err(DatabaseError::of)?;
        Ok(Self { reader: Reader::over(connection), cache: Cache::default() })
    }

    /// Makes a database in memory, as [`Store::in_memory`], with all that this one holds: no migration runs.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn copy_in_memory(&self, name: &str) -> Result<Self, DatabaseError> {
        let copy = || {
            let mut connection = open(name)?;
            Backup::new(self.connection(), &mut connection)?.step(-1)?;
            Ok(connection)
        };
        let connection = copy().map_err(DatabaseError::of)?;
        Ok(Self { reader: Reader::over(connection), cache: Cache::default() })
    }

    /// Begins anew, as another process that opens the database does: without what was remembered between batches, and
    /// without a transaction that an error has left open.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn forget(&mut self) -> Result<(), DatabaseError> {
        self.cache = Cache::default();
        self.leave_transaction().map_err(DatabaseError::of)
    }

    /// Interrupts SQLite once, after so many of its instructions; none: no more. What it does then fails, and is rolled
    /// back, as with an I/O error or a death at that place.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn interrupt_after(&mut self, instructions: Option<u64>) -> Result<(), DatabaseError> {
        let mut done = 0;
        let countdown = instructions.map(|instructions| {
            move || {
                // Once: the rollback that follows is left alone.
                done += 1;
                done == instructions
            }
        });
        self.reader.connection_mut().progress_handler(1, countdown).map_err(DatabaseError::of)
    }

    /// Leaves room on the disk for so many pages more; none: for all that come.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn limit_room(&mut self, pages: Option<u64>) -> Result<(), DatabaseError> {
        let limit = || {
            let connection = self.connection();
            let now: u64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = pages.map_or(u64::from(u32::MAX - 1), |pages| now + pages);
            connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
        };
        limit().map_err(DatabaseError::of)
    }
}

fn open(name: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        format!("file:/{name}?vfs=memdb"),
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(connection::STATEMENTS);
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // The journal is in memory whatever is asked for; all else is as on a disk.
    connection::set_writer_pragmas(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{METRIC, observed, sweep, trial};

    #[test]
    fn a_copy_in_memory_holds_the_same_and_goes_its_own_way() {
        let goal = converge_core::objective::Goal::Maximize;
        let new = sweep("first", goal, vec![trial("f1", 0)]);
        let mut template = Store::in_memory("template").unwrap();
        let id = template.create_sweep(&new, 1).unwrap();
        let mut copy = template.copy_in_memory("copy").unwrap();
        assert_eq!(copy.read().trials(id).unwrap(), template.read().trials(id).unwrap());
        let other = sweep("second", goal, vec![trial("f1", 0)]);
        copy.create_sweep(&other, 2).unwrap();
        assert_eq!(copy.read().sweeps().unwrap().len(), 2);
        assert_eq!(template.read().sweeps().unwrap().len(), 1);
        assert!(copy.read().integrity().unwrap().is_empty());
    }

    #[test]
    fn a_database_in_memory_can_be_full_interrupted_or_held_by_another() {
        let goal = converge_core::objective::Goal::Maximize;
        let trials = (1..30).map(|number| trial(&format!("f{number}"), 0)).collect();
        let new = sweep("first", goal, trials);
        let mut store = Store::in_memory("failing").unwrap();
        store.limit_room(Some(2)).unwrap();
        let full = store.create_sweep(&new, 1).unwrap_err();
        assert!(format!("{full:?}").contains("DiskFull"), "{full:?}");
        store.limit_room(None).unwrap();
        store.interrupt_after(Some(100)).unwrap();
        store.create_sweep(&new, 1).unwrap_err();
        store.interrupt_after(None).unwrap();
        {
            let other = open("failing").unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let busy = store.create_sweep(&new, 1).unwrap_err();
            assert!(format!("{busy:?}").contains("Busy"), "{busy:?}");
        }
        store.create_sweep(&new, 1).unwrap();
        let refused = store.apply(&[observed(1, 1, &[(METRIC, 0.5)])], 2).unwrap_err();
        assert!(format!("{refused:?}").contains("AttemptNotOpen"), "{refused:?}");
    }
}
