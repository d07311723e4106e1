//! `converge completions`: what a shell completes.

use clap::CommandFactory as _;

use crate::arguments::{Arguments, CompletionsArguments};
use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// Runs the command.
pub(crate) fn run(arguments: &CompletionsArguments) -> Result<ExitCode, Report> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "converge", &mut script);
    output::drawing(&String::from_utf8_lossy(&script));
    Ok(ExitCode::Done)
}
