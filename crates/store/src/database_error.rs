//! What the database can answer instead of doing what it was asked.

use rusqlite::ErrorCode;

/// SQLite's own words, kept as the cause.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of the database itself, by what can be done about it.
///
/// In all cases nothing of the operation was kept, and the store can be used again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The disk is full. The same call succeeds once there is room.
    #[error("the disk is full: no room left for the database")]
    DiskFull(#[source] Cause),
    /// The disk or file system failed. Trying again may help; looking at the disk is better.
    #[error("the disk of the database failed")]
    Io(#[source] Cause),
    /// File or file system cannot be written.
    #[error("the database is read-only")]
    ReadOnly(#[source] Cause),
    /// Another process held the database for longer than we wait. Trying again helps.
    #[error("another process holds the database")]
    Busy(#[source] Cause),
    /// The file is damaged, or a row does not hold what the schema promises.
    #[error("the database is damaged")]
    Corrupt(#[source] Cause),
    /// File or directory is missing, or may not be opened.
    #[error("the database cannot be opened")]
    CannotOpen(#[source] Cause),
    /// A row would break a rule of the schema: a defect of converge, or a second writer.
    #[error("a row would break a rule of the database")]
    Constraint(#[source] Cause),
    /// Anything else: a defect of converge.
    #[error("the database refused a statement")]
    Other(#[source] Cause),
}

impl DatabaseError {
    /// Returns whether the same call succeeds once there is room on the disk.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull(_))
    }

    /// Returns whether trying again, with nothing changed, may help.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Sorts an error of SQLite by what can be done about it.
    pub(crate) fn of(error: rusqlite::Error) -> Self {
        /// `SQLITE_IOERR_SHMSIZE`: the shared-memory file could not grow, which means a full disk.
        const SHARED_MEMORY_CANNOT_GROW: i32 = 4874;
        let (code, extended) = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
            rusqlite::Error::SqlInputError { error, .. } => (error.code, error.extended_code),
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => return Self::Corrupt(error.into()),
            _ => return Self::Other(error.into()),
        };
        let cause = error.into();
        match code {
            ErrorCode::DiskFull => Self::DiskFull(cause),
            _ if extended == SHARED_MEMORY_CANNOT_GROW => Self::DiskFull(cause),
            ErrorCode::SystemIoFailure => Self::Io(cause),
            ErrorCode::ReadOnly => Self::ReadOnly(cause),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy(cause),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(cause),
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::CannotOpen(cause),
            ErrorCode::ConstraintViolation => Self::Constraint(cause),
            _ => Self::Other(cause),
        }
    }
}

/// Makes the error of a column whose content is not what the schema promises.
pub(crate) fn unreadable(
    column: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    let cause = format!("column `{column}`: {}", cause.into());
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_sqlite_is_sorted_by_what_can_be_done() {
        let codes = [
            (13, "DiskFull"),
            (4874, "DiskFull"),
            (10, "Io"),
            (778, "Io"),
            (8, "ReadOnly"),
            (1032, "ReadOnly"),
            (5, "Busy"),
            (6, "Busy"),
            (517, "Busy"),
            (11, "Corrupt"),
            (26, "Corrupt"),
            (14, "CannotOpen"),
            (3, "CannotOpen"),
            (19, "Constraint"),
            (1555, "Constraint"),
            (9, "Other"),
            (21, "Other"),
        ];
        for (code, variant) in codes {
            let failure = rusqlite::ffi::Error::new(code);
            let error = DatabaseError::of(rusqlite::Error::SqliteFailure(failure, None));
            assert!(format!("{error:?}").starts_with(variant), "{code}: {error:?}");
            assert_eq!(error.is_disk_full(), variant == "DiskFull");
            assert_eq!(error.is_busy(), variant == "Busy");
        }
    }
}
