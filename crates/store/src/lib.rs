//! The only crate that opens SQLite: migrations, appends, queries.
//!
//! One writer, [`Store`], held by the scheduler; any number of [`Reader`]s. All times are given by the caller, and
//! no type of SQLite's shows outside of this crate.
//!
//! # What is stored
//!
//! Sweeps with their trials, the scheduler's sessions, workers, attempts, checkpoints, and every observation.
//! `migrations/schema.sql` says what each column means. What is large (weights, checkpoints, logs) lies in the
//! home's directories; here are their names.
//!
//! Nothing is deleted. An attempt that is resumed from an earlier step keeps its rows, and `until_step` says up to
//! where they count. Extremes of each metric (`trial_metrics`) are kept as observations come, and computed anew
//! when a lease cuts something off, so that ranking reads no curve. The order of configurations (`configurations`) is
//! kept as trials end, and triggers count trials by state (`trial_counts`): what a home with a hundred thousand
//! finished trials is asked most, best few and counts, reads no list of trials either.
//!
//! Three views are for people with pandas or DuckDB, and stay as they are: `curves`, `best_configuration` and
//! `trials_wide`. Thirteen more have the names and columns of Optuna's tables, so that it opens the file; what they
//! need beyond the rows, one distribution a parameter, is derived when a sweep is made (`parameters`).
//!
//! SQLite has no NaN: it is stored as NULL, and comes back as NaN. Infinities are kept. Of all other numbers only
//! -0.0 changes, to 0.0.
//!
//! # Durability
//!
//! [`Store::apply`] takes a batch of [`Change`]s and is all or nothing. How far a worker's log was read is a change
//! like any other, in the same batch as the rows made from it: so each frame counts once, whatever is killed when.
//!
//! The database runs with a write-ahead log and `synchronous = NORMAL`. A process that is killed loses nothing that
//! was acknowledged. A power cut can lose the last batches, whole and from the end, and the workers' logs are then
//! read again. What names directories (sweeps, sessions, workers) is synced at once; an attempt is not, so its
//! number can be given again after a power cut, and its directory may be there already.
//!
//! After an error, of whatever kind, nothing of the batch was kept and the store can go on: a full disk
//! ([`ApplyError::is_disk_full`]) needs only room and the same batch again.
//!
//! # What is refused
//!
//! `apply` holds the rules that no crash and no zombie may break, and refuses a batch that would ([`Refusal`]):
//!
//! - a trial is running exactly while one of its attempts is open, and has at most one open attempt;
//! - an attempt that has ended takes no more rows, and its steps only grow;
//! - an attempt starts from 0 or from a checkpoint that was committed before, and that counts;
//! - logs are never read or written twice: offsets and sequence numbers do not go back;
//! - a completed or diverged trial has an attempt that ended so, and never changes again.
//!
//! # Locking
//!
//! The scheduler holds the home's lock, which is not this crate's matter; SQLite's own locks are enough to keep a
//! second writer from doing damage. Readers never wait for the writer, nor it for them. A reader's methods are short
//! transactions, so that the log can be moved into the file between them. Do not open and close the database file by
//! other means inside a process that has it open: POSIX drops all locks of the process with the first `close`.
//!
//! # Migrations
//!
//! `migrations/README.md` has the rules. A new file is created, and an old one upgraded, in one exclusive
//! transaction; before an upgrade the file is copied. A newer database is refused by writers and readers alike.
//!
//! # Performance
//!
//! `examples/ingest.rs` measures. On two cores shared with other builds: 500,000 to 600,000 observations a second in
//! batches of 400 steps, 100,000 to 550,000 in batches of 20, 2,000 batches a second where each has one step; 25 bytes
//! an observation. Opening for reading takes about a millisecond.
//! Statements are compiled once; names of metrics and open attempts are remembered between batches, and
//! forgotten when one is rolled back. Last steps and extremes are written once per batch. A curve costs a pass over
//! all metrics of its trial.
//!
//! # Filesystems
//!
//! The log needs shared memory and locks, so the home belongs on a local disk. Where nothing can be written, a
//! reader takes the file as it stands; if a killed writer has left a log there that cannot be read, it says so
//! rather than show old rows.

mod apply;
mod change;
mod configuration;
mod connection;
mod database_error;
mod distribution;
mod in_memory;
mod mend;
mod migrate;
mod objective;
mod parameter;
mod reader;
mod record;
mod refusal;
mod restore;
mod session;
mod store;
mod sweep;
mod test_value;
mod trackio;
mod trial_metric;
mod wide;
mod word;

pub use apply::ApplyError;
pub use change::{BestWeights, Change, Evidence, ResumePoint, RungDecision, RungStanding};
pub use database_error::DatabaseError;
pub use reader::contradictions::Contradiction;
pub use reader::curve::{MetricExtremes, Observation, Point, RunningTrial};
pub use reader::export::{
    Exported, ExportedAttempt, ExportedTrial, ExportedValue, ParameterRecord,
};
pub use reader::health::sqlite_version;
pub use reader::holdings::{AttemptHolding, Holdings, TrialHolding, WorkerHolding};
pub use reader::leavings::{KeptWeights, Leavings};
pub use reader::page::curves::ThinCurve;
pub use reader::page::marker::TrialsMarker;
pub use reader::page::{BestConfiguration, MetricValue, SweepHeader, SweepSource};
pub use reader::ranking::{RankedTrial, TrialLength};
pub use reader::rungs::{Ladder, LadderTrial, RungRecord};
pub use reader::summary::{SweepSummary, TrialCounts};
pub use reader::sweep::{BestTrial, OpenAttemptRecord, SweepRecord, WorkerRecord};
pub use reader::trial::{
    AttemptRecord, CheckpointRecord, ObjectiveValue, TrialDetail, TrialRecord,
};
pub use reader::usage::{OpenSession, Origin};
pub use reader::watched::{Standing, SweepSteps, TrialOrder, TrialWindow, WatchedTrial};
pub use reader::{QueryError, ReadError, Reader};
pub use record::RecordError;
pub use refusal::Refusal;
pub use restore::{RestoreError, WorkerNote, records};
pub use session::{NewSession, SessionError, SessionId};
pub use store::{OpenError, Store};
pub use sweep::{Configuration, Extension, NewSweep, NewTrial, Source, SweepError};
pub use test_value::{NewTestLook, TestLook};
pub use trackio::TrackioError;
pub use word::SweepState;

// Tests of private functions use the same home as those of the public ones.
#[cfg(test)]
extern crate self as converge_store;
#[cfg(test)]
#[allow(dead_code, reason = "each set of tests uses its part")]
#[path = "../tests/it/home.rs"]
mod home;
