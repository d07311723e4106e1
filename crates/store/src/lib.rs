//! The only crate that opens SQLite: migrations, appends, queries.
