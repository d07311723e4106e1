//! The only place that starts or signals processes.

pub mod browser;
pub mod conversation;
pub mod local;

use std::path::PathBuf;

use converge_core::placement::Place;

/// A worker program and the arguments before `--directory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// `worker` for the one embedded in `converge`, nothing for a `converge-worker`.
    pub arguments: Vec<String>,
}

/// How workers are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program.
    pub program: Program,
    /// Where workers run, at least one place; a new one goes where the fewest are.
    pub places: Vec<Place>,
    /// Threads of each worker.
    pub threads: u64,
}
