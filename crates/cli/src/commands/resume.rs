//! `converge resume`: go on with a sweep as it is stored.

use std::collections::BTreeMap;

use converge_core::resumption::Retry;
use converge_core::sweep::Workers;
use converge_core::trial::{Retries, TrialEvent};
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::definition;
use converge_store::{Change, Reader, SweepRecord, SweepSummary};

use crate::arguments::ResumeArguments;
use crate::budget::Spent;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{commands, drive, forecast, home as homes, output, stored};

/// Runs the command.
pub(crate) fn run(arguments: &ResumeArguments, home: &Home) -> Result<ExitCode, Report> {
    let retry = Retry::parse(arguments.retry.iter().map(String::as_str))
        .map_err(|problems| Report::problems(&problems))?;
    // A home that is not there is an error, not something to make.
    homes::expect(home)?;
    if arguments.dry_run {
        let reader = homes::open(home)?;
        let summary = choose(&reader, arguments.sweep.as_deref())?;
        let words = arguments.retry.join(",");
        return forecast::show(home, &reader, &summary, &retry, &words, arguments.json);
    }
    if let Some(code) = commands::pause::unpause(arguments, home)? {
        return Ok(code);
    }
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let summary = choose(store.read(), arguments.sweep.as_deref())?;
    let Some(mut record) = store.read().sweep(summary.id)? else {
        return Err(Report::usage("there is no sweep yet", "start one with `converge run FILE`"));
    };
    let name = summary.name.as_str();
    let requeued = requeue(&mut record, store.read(), &retry)?;
    if !retry.is_empty() {
        let words = arguments.retry.join(",");
        let noun = if requeued.len() == 1 { "trial" } else { "trials" };
        output::talk(&format!("{} {noun} queued again (`{words}`)\n", requeued.len()));
    }
    if drive::is_over(&store, &record)? {
        return drive::already_finished(home, &mut store, &record);
    }
    let mut sweep = definition(&record)?;
    if let Some(workers) = arguments.workers {
        sweep.run.workers = Workers::Count(workers.max(1));
    }
    let spent = Spent::of(sweep.budget, home, store.read(), record.id, false)?;
    // What stands beside the search takes nothing of its budget.
    let of_search = record.open_trials.is_empty()
        || record.open_trials.iter().any(|trial| trial.kind.is_ranked());
    if let Some(reason) = spent.exhausted().filter(|_| of_search) {
        store_changes(&mut store, &requeued)?;
        let ending = Ending::Interrupted { at_once: false, reason: Some(reason) };
        return drive::conclude(home, &store, name, &ending);
    }
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let prepared =
            stored::prepare(&record, store.read(), &sweep, home, &mut interrupts).await?;
        // Model and data are fit: now the failures are forgiven.
        store_changes(&mut store, &requeued)?;
        drive::session(home, store, name, &prepared, &mut interrupts).await
    })
}

/// Queues the failed trials that `retry` covers, in the record, and returns the changes that say so to the store.
fn requeue(
    record: &mut SweepRecord,
    reader: &Reader,
    retry: &Retry,
) -> Result<Vec<Change>, Report> {
    let mut changes = Vec::new();
    if retry.is_empty() {
        return Ok(changes);
    }
    for mut trial in reader.trials(record.id)?.into_iter().filter(|one| retry.covers(&one.state)) {
        let (failures, retries) = (BTreeMap::new(), Retries::default());
        trial.state = trial.state.next(&TrialEvent::Requeued, &failures, &retries)?;
        trial.failures = failures;
        changes.push(Change::TrialState { trial: trial.id, state: trial.state.clone() });
        record.open_trials.push(trial);
    }
    record.open_trials.sort_by_key(|trial| trial.number);
    Ok(changes)
}

fn store_changes(store: &mut converge_store::Store, changes: &[Change]) -> Result<(), Report> {
    if changes.is_empty() {
        return Ok(());
    }
    Ok(store.apply(changes, converge_scheduler::clock::unix_ms())?)
}

/// Returns the sweep of this name, or the latest that is not finished, or else the latest.
fn choose(reader: &Reader, name: Option<&str>) -> Result<SweepSummary, Report> {
    if name.is_none() {
        let unfinished = |sweep: &SweepSummary| !sweep.is_over();
        let latest = homes::sweep(reader, None)?;
        if !unfinished(&latest)
            && let Some(other) = reader.sweeps()?.into_iter().rfind(unfinished)
        {
            return Ok(other);
        }
    }
    homes::sweep(reader, name)
}
