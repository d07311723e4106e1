//! Readers of the home's database, kept open between requests.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use converge_store::{ReadError, Reader};

/// More than this are closed when they come back.
const KEPT: usize = 4;

/// Readers that wait for the next request.
pub(super) struct Readers {
    database: PathBuf,
    idle: Mutex<Vec<(Identity, Reader)>>,
}

/// Device and inode: `rebuild` puts another file into the place of the database.
pub(super) type Identity = (u64, u64);

impl Readers {
    pub(super) fn of(database: PathBuf) -> Self {
        Self { database, idle: Mutex::default() }
    }

    /// Lends a reader to `read`.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Reader) -> T) -> Result<T, ReadError> {
        let now = identity(&self.database);
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(identity, _)| *identity == now);
            idle.pop()
        };
        let (identity, reader) = match waiting {
            Some(waiting) => waiting,
            None => (now, Reader::open(&self.database)?),
        };
        let value = read(&reader);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((identity, reader));
        }
        Ok(value)
    }

    /// Opens a reader for one who looks again and again.
    pub(super) fn open(&self) -> Result<(Identity, Reader), ReadError> {
        let identity = identity(&self.database);
        Ok((identity, Reader::open(&self.database)?))
    }

    /// Returns whether the database is still the file that a reader has open.
    pub(super) fn is_current(&self, of: Identity) -> bool {
        identity(&self.database) == of
    }
}

fn identity(path: &Path) -> Identity {
    std::fs::metadata(path).map_or((0, 0), |file| (file.dev(), file.ino()))
}
