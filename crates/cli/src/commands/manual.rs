//! `converge manual`: a man page for each command, for packages.

use std::fs;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::arguments::{Arguments, ManualArguments};
use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// Runs the command.
pub(crate) fn run(arguments: &ManualArguments) -> Result<ExitCode, Report> {
    fs::create_dir_all(&arguments.directory)?;
    let mut whole = Arguments::command().disable_help_subcommand(true);
    whole.build();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let pages: Vec<Command> = std::iter::once(whole.clone()).chain(shown.cloned()).collect();
    for command in pages {
        // `converge run` has its page under `converge-run`, as git's commands have.
        let name = command.get_bin_name().unwrap_or("converge").replace(' ', "-");
        let mut page = Vec::new();
        Man::new(command).title(name.to_uppercase()).render(&mut page)?;
        fs::write(arguments.directory.join(format!("{name}.1")), page)?;
        output::data(&format!("{name}.1\n"));
    }
    Ok(ExitCode::Done)
}
