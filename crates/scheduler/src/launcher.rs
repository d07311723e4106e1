//! The only place that starts or signals processes.

pub mod local;

use std::path::PathBuf;

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
    /// Device name.
    pub device: String,
    /// Threads of each worker.
    pub threads: u64,
}
