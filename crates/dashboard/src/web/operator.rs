//! What the page cannot do by itself: it neither starts nor signals processes, and opens no files.

/// The program around the page.
pub trait Operator: Send + Sync + 'static {
    /// Returns the process id of the scheduler that holds the home; none: nobody does.
    fn scheduler(&self) -> Option<u32>;

    /// Reads part of the log of an attempt, whose directory is given as the database has it.
    ///
    /// # Errors
    /// Those of the file system; a directory outside of the home is not found.
    fn log(&self, directory: &str, part: LogPart) -> std::io::Result<LogText>;

    /// Does what was asked for, and returns what came of it, for people.
    ///
    /// # Errors
    /// Why it could not be done, for people.
    fn carry_out(&self, action: Action) -> Result<String, String>;
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart {
    /// The last so many bytes at most.
    Tail(u64),
    /// From a byte on, so many at most.
    From(u64, u64),
}

/// Part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogText {
    /// What it says.
    pub bytes: Vec<u8>,
    /// Where that begins. Unit: bytes.
    pub from: u64,
    /// Length of the whole log. Unit: bytes.
    pub length: u64,
}

/// What can be asked for on the page; what the commands of these names do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The scheduler checkpoints and ends.
    Stop,
    /// Workers checkpoint and leave.
    Pause,
    /// A paused sweep goes on.
    Resume,
    /// Trials are not wanted any more.
    Cancel {
        /// Name of their sweep.
        sweep: String,
        /// Their numbers.
        trials: Vec<u64>,
    },
}
