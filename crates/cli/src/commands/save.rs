//! `converge save`: a trained model as a folder that Hugging Face's libraries open.

use converge_dashboard::terminal::number::bytes;
use converge_protocol::inference::{Answer, Question};
use converge_scheduler::home::Home;

use crate::arguments::SaveArguments;
use crate::exit_code::ExitCode;
use crate::question::{ask, note, unanswered};
use crate::report::Report;
use crate::winner::Trained;
use crate::{card, home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &SaveArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let (trained, winner) = Trained::of_trial(home, &reader, &summary, &arguments.trial)?;
    let directory = homes::working_directory()?.join(&arguments.directory);
    let card = card::Card::new(&reader, &winner)?;
    let question = Question::Save {
        model: trained.model.clone(),
        directory: directory.display().to_string(),
        replace: arguments.force,
        card: card.text(),
        description: card.description()?,
    };
    let mut worker = ask("auto", &question, false)?;
    let mut size = 0;
    while let Some(answer) = worker.answer().map_err(|error| unanswered(&error))? {
        if let Answer::Saved { bytes, .. } = answer {
            size = bytes;
        }
    }
    let trial = &winner.detail.trial;
    let kind =
        if trial.kind.is_ranked() { String::new() } else { format!(" ({})", trial.kind.word()) };
    output::data(&format!(
        "trial {}{kind} of sweep `{}` saved in `{}` ({})\n",
        trial.number,
        summary.name,
        arguments.directory.display(),
        bytes(size)
    ));
    if !trained.fits_transformers() {
        note(card::NOT_THAT_CLASS);
        note(
            "its README.md shows the few lines that do; `converge predict` and `evaluate` use it as it is",
        );
    }
    Ok(ExitCode::Done)
}
