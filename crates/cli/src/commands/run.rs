//! `converge run`: start a sweep, or go on where it stands.

use converge_core::fingerprint::{Difference, differences, identity};
use converge_core::sweep::{Sweep, Workers};
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::definition;
use converge_store::{Extension, Source, Store, SweepRecord};

use crate::arguments::RunArguments;
use crate::budget::{Spent, quoted};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::sweep_source::SweepSource;
use crate::{drive, output, stored, sweep_source};

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
        source.sweep.follow_objective(&definition(record)?.objective);
        same_sweep(record, &source)?;
        if drive::is_over(&store, record)? {
            return drive::already_finished(home, &mut store, record);
        }
        let spent = Spent::of(source.sweep.budget, home, store.read(), record.id, false)?;
        let of_search = record.open_trials.is_empty()
            || record.open_trials.iter().any(|trial| trial.kind.is_ranked());
        if let Some(reason) = spent.exhausted().filter(|_| of_search) {
            adopt(&mut store, record, &source)?;
            let ending = Ending::Interrupted { at_once: false, reason: Some(reason) };
            return drive::conclude(home, &store, &record.name, &ending);
        }
    }
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let prepared = match stored {
            Some(record) => {
                let sweep = &source.sweep;
                let reader = store.read();
                let prepared =
                    stored::prepare(&record, reader, sweep, home, &mut interrupts).await?;
                adopt(&mut store, &record, &source)?;
                prepared
            }
            None => {
                let sweep = &mut source.sweep;
                let prepared = drive::prepare_sweep(sweep, home, &mut interrupts).await?;
                drive::create(&mut store, &source, &prepared)?;
                prepared
            }
        };
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
            "start the new one beside it: converge run {} --name {}\n\
             or let the stored one grow by what is new, if its trials stay comparable: converge extend {}\n\
             or go on with the stored one: converge resume {}",
            source.words_without_name(),
            quoted(&format!("{name}-2")),
            source.words(),
            quoted(name)
        ),
    ))
}

/// Takes over what may change freely: `[run]`, `[budget]`, `[failure]`.
fn adopt(store: &mut Store, record: &SweepRecord, source: &SweepSource) -> Result<(), Report> {
    let text = serde_json::to_string(&source.sweep)?;
    if text == record.definition {
        return Ok(());
    }
    let old = definition(record)?;
    if old.budget.max_trials != source.sweep.budget.max_trials {
        output::talk(&format!(
            "note: `run` adds no trials to a grid that is stored; `converge extend {}` adds those of another \
             `max_trials`\n",
            source.words()
        ));
    }
    if source.sweep.baseline && !old.baseline {
        output::talk(&format!(
            "note: `run` adds no trials to a sweep that is stored; `converge extend {}` adds the baseline\n",
            source.words()
        ));
    }
    let extension = Extension {
        definition: Some((record.identity.clone(), text)),
        source: Some(Source {
            path: source.path.clone(),
            text: source.text.clone(),
            overrides: source.overrides.clone(),
        }),
        ..Extension::default()
    };
    store.extend_sweep(record.id, &extension, converge_scheduler::clock::unix_ms())?;
    Ok(())
}
