//! `converge pause`, and the way back: `converge resume` while a sweep is paused.
//!
//! States of a running scheduler: *running* leases trials; *pausing* waits for workers that save their checkpoints;
//! *paused* has none, and leases nothing; *stopping* ends it. `stop` and Ctrl-C work in each of them.

use converge_scheduler::home::Home;
use converge_scheduler::requests::Request;
use converge_store::{SweepState, SweepSummary};

use crate::arguments::ResumeArguments;
use crate::ask::{Answer, ask};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output};

/// Runs the command.
pub(crate) fn run(home: &Home) -> Result<ExitCode, Report> {
    let Some(scheduler) = home.holder() else {
        output::talk(&format!("nothing runs in `{}`\n", home.root().display()));
        return Ok(ExitCode::Done);
    };
    let answer = ask(home, scheduler, &Request::Pause { scheduler })?;
    match (answer, paused(home)?) {
        (Answer::Done, Some(sweep)) => {
            output::talk(&format!(
                "sweep `{}` is paused: its workers have saved their checkpoints and left\n\
                 go on with `converge resume`, end it with `converge stop`\n",
                sweep.name
            ));
            Ok(ExitCode::Done)
        }
        (Answer::Waiting, _) => {
            output::talk(&format!(
                "pid {scheduler} was asked to pause and is still waiting for its workers' checkpoints\n"
            ));
            Ok(ExitCode::Failure)
        }
        (Answer::Done | Answer::Gone, _) => {
            output::talk("nothing is left to pause: the sweep ended, or went on\n");
            Ok(ExitCode::Done)
        }
    }
}

/// Lets a paused sweep go on; nothing where none is paused, or another one is meant.
pub(crate) fn unpause(
    arguments: &ResumeArguments,
    home: &Home,
) -> Result<Option<ExitCode>, Report> {
    let Some(scheduler) = home.holder() else { return Ok(None) };
    let meant =
        |sweep: &SweepSummary| arguments.sweep.as_ref().is_none_or(|name| *name == sweep.name);
    let Some(sweep) = paused(home)?.filter(meant) else { return Ok(None) };
    if arguments.workers.is_some() {
        return Err(Report::usage(
            format!("sweep `{}` is paused, and keeps its number of workers", sweep.name),
            "go on with `converge resume`, or end it with `converge stop` first",
        ));
    }
    match ask(home, scheduler, &Request::Unpause { scheduler })? {
        Answer::Done => {
            let name = &sweep.name;
            output::talk(&format!(
                "sweep `{name}` goes on, where it was started (pid {scheduler})\n"
            ));
            Ok(Some(ExitCode::Done))
        }
        // It has ended meanwhile: what is left of it can be taken up as usual.
        Answer::Gone => Ok(None),
        Answer::Waiting => {
            output::talk(&format!("pid {scheduler} was asked to go on and does not answer\n"));
            Ok(Some(ExitCode::Failure))
        }
    }
}

/// Returns the sweep that is stored as paused; it is so while the home is held.
fn paused(home: &Home) -> Result<Option<SweepSummary>, Report> {
    let sweeps = homes::open(home)?.sweeps()?;
    Ok(sweeps.into_iter().rfind(|sweep| sweep.state == SweepState::Paused))
}
