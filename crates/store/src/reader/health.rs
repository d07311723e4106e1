//! Whether the file is sound.

use super::{QueryError, Reader};

/// Returns the version of the SQLite in this binary.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl Reader {
    /// Checks pages, indexes, foreign keys and constraints; returns what is wrong. Reads the whole file.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn integrity(&self) -> Result<Vec<String>, QueryError> {
        self.query("the database's integrity", |connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let lines = statement.query_map([], |row| row.get(0))?;
            let mut problems: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
            problems.retain(|line| line != "ok");
            let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
            let rows = statement.query_map([], |row| {
                let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
                Ok(format!("a row of {table} refers to a missing row of {parent}"))
            })?;
            problems.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
            Ok(problems)
        })
    }
}
