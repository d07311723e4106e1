//! The only crate that opens SQLite: migrations, appends, queries.

mod apply;
mod change;
mod connection;
mod database_error;
mod migrate;
mod objective;
mod reader;
mod refusal;
mod session;
mod store;
mod sweep;
mod trial_metric;
mod wide;
mod word;

pub use apply::ApplyError;
pub use change::{BestWeights, Change, ResumePoint};
pub use database_error::DatabaseError;
pub use reader::curve::{MetricExtremes, Observation, Point, RunningTrial};
pub use reader::health::sqlite_version;
pub use reader::ranking::RankedTrial;
pub use reader::summary::{SweepSummary, TrialCounts};
pub use reader::sweep::{OpenAttemptRecord, SweepRecord, WorkerRecord};
pub use reader::trial::{
    AttemptRecord, CheckpointRecord, ObjectiveValue, TrialDetail, TrialRecord,
};
pub use reader::{QueryError, ReadError, Reader};
pub use refusal::Refusal;
pub use session::{NewSession, SessionError, SessionId};
pub use store::{OpenError, Store};
pub use sweep::{Configuration, Extension, NewSweep, NewTrial, SweepError};
pub use word::SweepState;
