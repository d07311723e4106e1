//! Why an attempt did not end well: data, not an error.

use serde::{Deserialize, Serialize};

/// Class of a failure; each has its own number of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Out of memory, by an error or by the kernel's killer.
    Oom,
    /// The training code panicked.
    Panic,
    /// The worker was killed by a signal from outside, or vanished.
    Killed,
    /// Hung: no progress for `[failure] timeout`.
    Timeout,
    /// Data or model files are unusable.
    Data,
    /// This configuration cannot be run.
    Config,
    /// No room left for checkpoint, log or cache.
    DiskFull,
}

impl FailureClass {
    /// All classes, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Oom,
        Self::Panic,
        Self::Killed,
        Self::Timeout,
        Self::Data,
        Self::Config,
        Self::DiskFull,
    ];

    /// Returns the word used in files, database and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::Panic => "panic",
            Self::Killed => "killed",
            Self::Timeout => "timeout",
            Self::Data => "data",
            Self::Config => "config",
            Self::DiskFull => "disk_full",
        }
    }

    /// Returns the class of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// A failure of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Decides about the retry.
    pub class: FailureClass,
    /// What happened, for people.
    pub message: String,
}
