//! A worker that answers one question about a trained model, in the foreground: it shares the terminal's signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use converge_core::problem::Problem;
use converge_protocol::inference::{Answer, Question};

use super::WorkerCommand;
use super::local::THREADS;

/// A worker at its question.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    answers: BufReader<ChildStdout>,
    over: bool,
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The worker did not start.
    #[error("cannot start the worker `{program}`")]
    Launch {
        /// Its program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is asked for cannot be done.
    #[error("the model or the data cannot be used")]
    Refused(Vec<Problem>),
    /// The worker ended in the middle.
    #[error("the worker ended without an answer ({0})")]
    Ended(String),
    /// It said something else.
    #[error("the worker's answer cannot be read")]
    Unreadable(#[source] std::io::Error),
}

impl Conversation {
    /// Starts a worker and asks; what this process has on its stdin is handed on as it is, where the question `feeds` on
    /// it.
    ///
    /// # Errors
    /// [`ConversationError::Launch`].
    pub fn ask(
        command: &WorkerCommand,
        question: &Question,
        feeds: bool,
    ) -> Result<Self, ConversationError> {
        let program = command.program.path.display().to_string();
        let failed = |source| ConversationError::Launch { program: program.clone(), source };
        let place = command.places.first();
        let place = place.ok_or_else(|| failed(std::io::Error::other("it was given no place")))?;
        let threads = command.threads.to_string();
        let mut child = Command::new(&command.program.path)
            .args(&command.program.arguments)
            .envs(THREADS.map(|name| (name, &threads)))
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .args(["--infer", "--device", &place.argument, "--threads", &threads])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::Error::other("the worker has no pipes")));
        };
        let mut line =
            serde_json::to_vec(question).map_err(|error| failed(std::io::Error::other(error)))?;
        line.push(b'\n');
        stdin.write_all(&line).map_err(failed)?;
        if feeds {
            std::thread::spawn(move || hand_on(stdin));
        }
        Ok(Self { child, answers: BufReader::new(stdout), over: false })
    }

    /// Returns the next answer; none after the last.
    ///
    /// # Errors
    /// [`ConversationError`].
    pub fn answer(&mut self) -> Result<Option<Answer>, ConversationError> {
        if self.over {
            return Ok(None);
        }
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(ConversationError::Unreadable)?;
        if read == 0 {
            self.over = true;
            let exit =
                self.child.wait().map_or_else(|error| error.to_string(), |exit| exit.to_string());
            return Err(ConversationError::Ended(exit));
        }
        let answer = serde_json::from_str(&line)
            .map_err(|error| ConversationError::Unreadable(error.into()))?;
        match answer {
            Answer::Done => {
                self.over = true;
                Ok(None)
            }
            Answer::Refused { problems } => {
                self.over = true;
                Err(ConversationError::Refused(problems))
            }
            answer => Ok(Some(answer)),
        }
    }
}

impl Drop for Conversation {
    /// Nobody wants further answers: there is nothing to save.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies this process's stdin to a worker, until either ends.
fn hand_on(mut to: ChildStdin) {
    let mut from = std::io::stdin().lock();
    loop {
        // Without waiting for a full buffer: a line that was typed is answered at once.
        let Ok(bytes) = from.fill_buf() else { return };
        let count = bytes.len();
        if count == 0 || to.write_all(bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
        from.consume(count);
    }
}
