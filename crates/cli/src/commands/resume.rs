//! `converge resume`: go on with a sweep as it is stored.

use converge_core::sweep::Workers;
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::definition;
use converge_store::{Store, SweepSummary};

use crate::arguments::ResumeArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{drive, home as homes};

/// Runs the command.
pub(crate) fn run(arguments: &ResumeArguments, home: &Home) -> Result<ExitCode, Report> {
    // A home that is not there is an error, not something to make.
    drop(homes::open(home)?);
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let summary = choose(&store, arguments.sweep.as_deref())?;
    let Some(record) = store.read().sweep(summary.id)? else {
        return Err(Report::usage("there is no sweep yet", "start one with `converge run FILE`"));
    };
    if summary.trials.ended() == summary.trials.total() {
        return drive::already_finished(home, &mut store, &record);
    }
    let mut sweep = definition(&record)?;
    if let Some(workers) = arguments.workers {
        sweep.run.workers = Workers::Count(workers.max(1));
    }
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let prepared = drive::prepare_sweep(&sweep, home, &mut interrupts).await?;
        drive::check_content(&record, &prepared.facts)?;
        drive::session(home, store, &summary.name, &prepared, &mut interrupts).await
    })
}

/// Returns the sweep of this name, or the latest that is not finished, or else the latest.
fn choose(store: &Store, name: Option<&str>) -> Result<SweepSummary, Report> {
    if name.is_none() {
        let unfinished = |sweep: &SweepSummary| sweep.trials.ended() < sweep.trials.total();
        let latest = homes::sweep(store.read(), None)?;
        if !unfinished(&latest)
            && let Some(other) = store.read().sweeps()?.into_iter().rfind(unfinished)
        {
            return Ok(other);
        }
    }
    homes::sweep(store.read(), name)
}
