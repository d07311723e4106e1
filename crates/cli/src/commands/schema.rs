//! `converge schema`: what a sweep file can hold, for editors.

use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode, Report> {
    output::json(&converge_core::sweep_file::schema::schema())?;
    Ok(ExitCode::Done)
}
