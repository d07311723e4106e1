//! Before the first lease: a worker validates model and data, fills the cache, and answers with facts.

use std::path::Path;

use converge_core::facts::Facts;
use converge_core::inspection::Inspection;
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::Settings;
use converge_protocol::message::{Down, Up};
use tokio::sync::mpsc::unbounded_channel;

use crate::launcher::WorkerCommand;
use crate::launcher::local::{Process, Sign, launch};
use crate::mailbox::Mailbox;

/// Bytes of a worker's own words that an error shows.
const LAST_WORDS: usize = 2000;

/// Model and data were not found fit.
#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    /// What is wrong with them.
    #[error("model or data cannot be used")]
    Refused(Vec<Problem>),
    /// The worker did not start.
    #[error("cannot start the worker `{program}`")]
    Launch {
        /// Its program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The worker ended without an answer.
    #[error("the worker ended without an answer ({exit}){last_words}")]
    Ended {
        /// How.
        exit: String,
        /// The end of what it wrote to stderr.
        last_words: String,
    },
    /// The worker's logs cannot be used.
    #[error("cannot use the worker's logs in `{directory}`")]
    Mailbox {
        /// Its folder.
        directory: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Stopped by the user.
    #[error("interrupted")]
    Interrupted,
}

/// Has a worker of its own prepare the cases; its folder is removed afterwards.
///
/// # Errors
/// [`PreparationError`]; [`PreparationError::Refused`] holds all problems of all cases.
pub async fn prepare(
    command: &WorkerCommand,
    directory: &Path,
    cases: Vec<Settings>,
    split_seed: Seed,
    cache: &Path,
    interrupted: impl Future<Output = ()>,
) -> Result<Vec<Facts>, PreparationError> {
    let (wanted, cache_directory) = (cases.len(), cache.display().to_string());
    let question = Down::Prepare { cases, split_seed, cache_directory };
    let answer = |frame| match frame {
        Up::Prepared { facts } if facts.len() == wanted => Some(Ok(facts)),
        Up::Prepared { facts } => {
            let exit = format!("it answered for {} of {wanted} cases", facts.len());
            Some(Err(PreparationError::Ended { exit, last_words: String::new() }))
        }
        _ => None,
    };
    ask(command, directory, &question, answer, interrupted).await
}

/// Has a worker of its own look at a data file that nobody has described yet.
///
/// # Errors
/// [`PreparationError`]; [`PreparationError::Refused`] says why the file cannot be read.
pub async fn inspect(
    command: &WorkerCommand,
    directory: &Path,
    path: &Path,
    interrupted: impl Future<Output = ()>,
) -> Result<Inspection, PreparationError> {
    let question = Down::Inspect { path: path.display().to_string() };
    let answer = |frame| match frame {
        Up::Inspected { inspection } => Some(Ok(inspection)),
        _ => None,
    };
    ask(command, directory, &question, answer, interrupted).await
}

/// Starts a worker, asks it one question and waits for the frame that answers it.
async fn ask<T>(
    command: &WorkerCommand,
    directory: &Path,
    question: &Down,
    answer: impl Fn(Up) -> Option<Result<T, PreparationError>>,
    interrupted: impl Future<Output = ()>,
) -> Result<T, PreparationError> {
    let unusable =
        |source| PreparationError::Mailbox { directory: directory.display().to_string(), source };
    let mut mailbox = Mailbox::create(directory).map_err(unusable)?;
    mailbox.send(question).map_err(unusable)?;
    let (signs, mut heard) = unbounded_channel();
    let program = command.program.path.display().to_string();
    let Some(place) = command.places.first() else {
        let source = std::io::Error::other("it was given no place");
        return Err(PreparationError::Launch { program, source });
    };
    let mut process = launch(command, place, directory, signs, |sign| sign)
        .map_err(|source| PreparationError::Launch { program, source })?;
    process.ring();
    let found = tokio::select! {
        found = listen(&mut mailbox, &mut heard, answer) => found.map_err(unusable)?,
        () = interrupted => Err(PreparationError::Interrupted),
    };
    leave(process, directory);
    found
}

async fn listen<T>(
    mailbox: &mut Mailbox,
    heard: &mut tokio::sync::mpsc::UnboundedReceiver<Sign>,
    answer: impl Fn(Up) -> Option<Result<T, PreparationError>>,
) -> std::io::Result<Result<T, PreparationError>> {
    loop {
        let sign = heard.recv().await;
        for frame in mailbox.read()?.frames {
            if let Up::Refused { problems } = frame.message {
                return Ok(Err(PreparationError::Refused(problems)));
            }
            if let Some(found) = answer(frame.message) {
                return Ok(found);
            }
        }
        let exit = match sign {
            Some(Sign::Ring) => continue,
            Some(Sign::Gone(exit)) => exit.text(),
            None => "unknown".into(),
        };
        let last_words = last_words(mailbox.directory());
        return Ok(Err(PreparationError::Ended { exit, last_words }));
    }
}

/// The answer is all that was wanted; a worker that is still busy (interrupted) has nothing to save.
fn leave(process: Process, directory: &Path) {
    process.kill();
    // Best effort: a folder that stays is swept up with the home.
    let _ = std::fs::remove_dir_all(directory);
}

/// Returns the end of what a worker wrote to stderr, on lines of its own.
pub fn last_words(directory: &Path) -> String {
    let text = std::fs::read(directory.join("stderr.log")).unwrap_or_default();
    let text =
        String::from_utf8_lossy(&text[text.len().saturating_sub(LAST_WORDS)..]).trim().to_string();
    if text.is_empty() { text } else { format!(":\n{text}") }
}
