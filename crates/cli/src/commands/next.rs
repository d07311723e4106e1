//! `converge next`: the sweep after a sweep, as a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use converge_core::next::{self, Decision, Fate, NoNext, Past, Tried};
use converge_core::trial::TrialState;
use converge_dashboard::terminal::number::plural;
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::trials::definition;
use converge_store::{Reader, SweepRecord, SweepSummary};

use crate::arguments::NextArguments;
use crate::commands::init;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{budget, home as homes, output, sweep_source};

/// Runs the command.
pub(crate) fn run(arguments: &NextArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::searched(&reader, arguments.sweep.as_deref())?;
    let record = reader.sweep(summary.id)?;
    let record = record.ok_or_else(|| {
        Report::usage("there is no sweep yet", "start one with `converge run FILE`")
    })?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => free_name(&reader, &summary.name)?,
    };
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    let tried = tried(&reader, &summary)?;
    let next = compose(&record, &tried, &name)?;
    let shown = file.display().to_string();
    // What it writes can be run: else the mistake is not the user's.
    sweep_source::unwritten(&next.text, &shown)?;
    if file.exists() {
        return Err(Report::usage(
            format!("`{shown}` is there already, and nothing was changed"),
            "name another file with --output",
        ));
    }
    init::write(&file, &next.text, false)?;
    output::data(&table(&next.decisions));
    let open = summary.trials.total() - summary.trials.ended();
    if open > 0 {
        output::talk(&format!(
            "{} of `{}` not done yet: nothing of them counts here\n",
            plural(open, "trial"),
            summary.name
        ));
    }
    let shown = budget::quoted(&shown);
    output::talk(&format!(
        "wrote {shown}, which says why at each line; see what it would do with `converge plan {shown}`, start it with \
         `converge run {shown}`\n"
    ));
    Ok(ExitCode::Done)
}

fn compose(record: &SweepRecord, tried: &[Tried], name: &str) -> Result<next::Next, Report> {
    let sweep = definition(record)?;
    let directory = homes::working_directory()?;
    // As short as the user would write it.
    let path = |path: &str| match std::path::Path::new(path).strip_prefix(&directory) {
        Ok(relative) => relative.display().to_string(),
        Err(_) => path.to_string(),
    };
    let of_validation = sweep.objective.metric.starts_with("validation/");
    let examples = record.facts.first().and_then(|facts| facts.validation.as_ref());
    let examples = examples.filter(|_| of_validation).map(|split| split.examples);
    let stopped = record.counts.stopped;
    let past = Past { sweep: &sweep, tried, stopped, examples, name, path: &path };
    next::next(&past).map_err(|error| match error {
        NoNext::NothingWorked { tried: 0 } if record.counts.total() == 0 => Report::usage(
            format!("sweep `{}` has no search, only trials beside it", record.name),
            "name another sweep: `converge next SWEEP`; `converge status` lists them",
        ),
        NoNext::NothingWorked { tried: 0 } => Report::usage(
            format!("no trial of sweep `{}` has ended yet", record.name),
            "go on with `converge resume`, and ask again",
        ),
        NoNext::NothingWorked { .. } => Report::usage(
            format!("there is nothing to go on from in sweep `{}`: {error}", record.name),
            "`converge trials` shows how they ended; `converge probe` finds learning rates that work",
        ),
    })
}

/// Returns what came of each configuration of the search.
fn tried(reader: &Reader, summary: &SweepSummary) -> Result<Vec<Tried>, Report> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut tried: Vec<Tried> = Vec::new();
    for trial in reader.trials(summary.id)? {
        let ended = matches!(
            trial.state,
            TrialState::Completed | TrialState::Diverged | TrialState::Failed(_)
        );
        if !trial.kind.is_ranked() || !ended {
            continue;
        }
        let place = *places.entry(trial.fingerprint).or_insert_with(|| {
            tried.push(Tried {
                trial: trial.number,
                configuration: trial.configuration.clone(),
                values: Vec::new(),
                lost: 0,
            });
            tried.len() - 1
        });
        match trial.objective.filter(|_| trial.state == TrialState::Completed) {
            Some(objective) => tried[place].values.push(objective.value),
            None => tried[place].lost += 1,
        }
    }
    Ok(tried)
}

/// Returns `X-2` for `X`, `X-3` for `X-2`, or the first number after that which no sweep has.
fn free_name(reader: &Reader, name: &str) -> Result<String, Report> {
    let taken: Vec<String> = reader.sweeps()?.into_iter().map(|sweep| sweep.name).collect();
    let (stem, number) = match name.rsplit_once('-') {
        Some((stem, number)) if !stem.is_empty() => (stem, number.parse::<u64>().ok()),
        _ => (name, None),
    };
    let (stem, first) = match number {
        Some(number) => (stem, number + 1),
        None => (name, 2),
    };
    let free =
        (first..).map(|number| format!("{stem}-{number}")).find(|name| !taken.contains(name));
    Ok(free.unwrap_or_else(|| format!("{name}-next")))
}

fn table(decisions: &[Decision]) -> String {
    let mut table =
        Table::new([("parameter", Align::Left), ("next", Align::Left), ("why", Align::Left)]);
    for Decision { name, fate, why } in decisions {
        match fate {
            Fate::Fixed(value) => table.push([name.clone(), format!("= {value}"), why.clone()]),
            Fate::Gone => table.push([name.clone(), "-".into(), why.clone()]),
            Fate::Searched(places) => {
                for place in places {
                    table.push([name.clone(), place.to_string(), place.why.clone()]);
                }
            }
        }
    }
    table.render(output::width())
}
