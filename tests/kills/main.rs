//! Deaths at chosen moments: the real binary is killed at every fail point, loses what a power cut takes, gets every
//! signal, and ends with the same database and the same weights as a run that was left alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// A second process in a worker's folder.
mod born;
/// What a run has to leave behind, whatever happened to it.
mod contents;
/// A sweep that gets trials while it runs.
mod growth;
/// The page cache is lost as well.
mod power_cut;
/// Signals to scheduler and workers.
mod signals;
/// The sweep that is disturbed, and how.
mod sweep;
/// `kill -9` at every fail point.
mod walk;
