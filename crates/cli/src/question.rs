//! Asks a worker about a trained model, and tells why it cannot answer.

use converge_core::sweep::{RunSettings, Workers};
use converge_protocol::inference::Question;
use converge_scheduler::launcher::WorkerCommand;
use converge_scheduler::launcher::conversation::{Conversation, ConversationError};
use converge_scheduler::machine;

use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{device, output};

/// Starts a worker on a device and asks it; `feeds`: it reads what is on stdin.
pub(crate) fn ask(device: &str, question: &Question, feeds: bool) -> Result<Conversation, Report> {
    let run = RunSettings {
        workers: Workers::Count(1),
        device: device.into(),
        workers_per_gpu: 1,
        keep_best: 0,
        checkpoint_seconds: 0.0,
        gradient_checkpointing: false,
        worker: None,
        script: Vec::new(),
    };
    let chosen = device::resolve(&run)?;
    let command = WorkerCommand {
        program: chosen.program,
        places: chosen.places,
        threads: machine::look().cores,
    };
    Conversation::ask(&command, question, feeds).map_err(|error| Report::error(&error))
}

/// Says why there is no answer.
pub(crate) fn unanswered(error: &ConversationError) -> Report {
    match error {
        ConversationError::Refused(problems) => Report::problems(problems),
        ConversationError::Ended(_) => Report::error(error)
            .exit(ExitCode::Failure)
            .hint("what it said stands above; `converge doctor` looks at devices"),
        _ => Report::error(error),
    }
}

/// Tells a user something that has to be known, but is no reason to stop.
pub(crate) fn note(text: &str) {
    output::talk(&format!("{text}\n"));
}
