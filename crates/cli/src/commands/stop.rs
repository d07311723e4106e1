//! `converge stop`: what the first Ctrl-C does, from another terminal.

use std::time::{Duration, Instant};

use converge_scheduler::home::Home;
use converge_scheduler::launcher::local::terminate;

use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// How long the scheduler may take before this command says that it is still busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub(crate) fn run(home: &Home) -> Result<ExitCode, Report> {
    let Some(pid) = home.holder() else {
        output::talk(&format!("nothing runs in `{}`\n", home.root().display()));
        return Ok(ExitCode::Done);
    };
    terminate(pid)?;
    let asked = Instant::now();
    while home.holder() == Some(pid) {
        if asked.elapsed() > PATIENCE {
            output::talk(&format!(
                "pid {pid} was asked to stop and is still saving its checkpoints\n"
            ));
            return Ok(ExitCode::Failure);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    output::talk("stopped; go on with `converge resume`\n");
    Ok(ExitCode::Done)
}
