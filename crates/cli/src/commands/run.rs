//! `converge run`: start a sweep, or go on where it stands.

use converge_core::fingerprint::{Difference, differences, identity};
use converge_core::sweep::{Sweep, Workers};
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::definition;
use converge_store::{Extension, Store, SweepRecord};

use crate::arguments::RunArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::sweep_source::SweepSource;
use crate::{drive, sweep_source};

/// Runs the command.
pub(crate) fn run(arguments: &RunArguments, home: &Home) -> Result<ExitCode, Report> {
    let mut source =
        sweep_source::read(&arguments.file, &arguments.overrides, arguments.name.as_deref())?;
    if let Some(workers) = arguments.workers {
        source.sweep.run.workers = Workers::Count(workers.max(1));
    }
    // Before anything is made or started.
    crate::device::resolve(&source.sweep.run)?;
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let stored = find(&store, &source.sweep)?;
    if let Some(record) = &stored {
        same_sweep(record, &source)?;
        if record.trials.iter().all(|trial| trial.state.is_final()) {
            return drive::already_finished(home, &mut store, record);
        }
    }
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let prepared = drive::prepare_sweep(&source.sweep, home, &mut interrupts).await?;
        match stored {
            Some(record) => {
                drive::check_content(&record, &prepared.facts)?;
                adopt(&mut store, &record, &source.sweep)?;
            }
            None => drive::create(&mut store, &source, &prepared)?,
        }
        drive::session(home, store, &source.sweep.name, &prepared, &mut interrupts).await
    })
}

/// Returns the stored sweep of this name.
fn find(store: &Store, sweep: &Sweep) -> Result<Option<SweepRecord>, Report> {
    let Some(summary) = store.read().sweep_named(&sweep.name)? else { return Ok(None) };
    Ok(store.read().sweep(summary.id)?)
}

/// Refuses a file whose sweep is another one than the stored sweep of its name, and shows the differences.
fn same_sweep(record: &SweepRecord, source: &SweepSource) -> Result<(), Report> {
    let stored = definition(record)?;
    let found = differences(&identity(&stored), &identity(&source.sweep));
    if found.is_empty() {
        return Ok(());
    }
    let line = |difference: &Difference| {
        format!(
            "\n  {}\n    stored: {}\n    now:    {}",
            difference.key, difference.old, difference.new
        )
    };
    let lines: String = found.iter().map(line).collect();
    let name = &record.name;
    Err(Report::usage(
        format!("there is a sweep `{name}` already, and it is another one:{lines}"),
        format!(
            "start the new one beside it: converge run {} --name {name}-2\n\
             or go on with the stored one: converge resume {name}",
            source.path
        ),
    ))
}

/// Takes over what may change freely: `[run]`, `[budget]`, `[failure]`.
fn adopt(store: &mut Store, record: &SweepRecord, sweep: &Sweep) -> Result<(), Report> {
    let text = serde_json::to_string(sweep)?;
    if text != record.definition {
        let definition = Some((record.identity.clone(), text));
        let extension = Extension { definition, ..Extension::default() };
        store.extend_sweep(record.id, &extension, converge_scheduler::clock::unix_ms())?;
    }
    Ok(())
}
