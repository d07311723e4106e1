//! How the process ends.

/// Exit codes; `--help` and the README list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// All done.
    Done = 0,
    /// A failure of converge or of the system.
    Failure = 1,
    /// Wrong usage, sweep file, model or data: nothing was started.
    Usage = 2,
    /// Finished, with failed trials.
    FailedTrials = 3,
    /// Interrupted, resumable.
    Interrupted = 4,
    /// Interrupted twice: workers were killed; resumable.
    Killed = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
