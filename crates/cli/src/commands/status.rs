//! `converge status`: where sweeps stand.

use converge_core::metric::TRAIN_LOSS;
use converge_dashboard::terminal::number::{of_metric, plural};
use converge_dashboard::terminal::table::{Align, Table};
use converge_dashboard::view::watch::SweepStanding;
use converge_scheduler::home::Home;
use converge_store::{Reader, SweepState, SweepSummary};
use serde_json::json;

use crate::arguments::ReadArguments;
use crate::budget::Spent;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &ReadArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let sweeps = match &arguments.sweep {
        Some(name) => vec![homes::sweep(&reader, Some(name))?],
        None => reader.sweeps()?,
    };
    let holder = home.holder();
    if arguments.json {
        let sweeps = sweeps
            .iter()
            .map(|sweep| json_of(home, &reader, sweep, holder))
            .collect::<Result<Vec<_>, _>>()?;
        output::json(&json!({ "home": home.root(), "scheduler_pid": holder, "sweeps": sweeps }))?;
        return Ok(ExitCode::Done);
    }
    let right = |header| (header, Align::Right);
    let mut table = Table::new([
        ("sweep", Align::Left),
        ("state", Align::Left),
        right("trials"),
        right("completed"),
        right("diverged"),
        right("failed"),
        right("cancelled"),
        right("running"),
        right("queued"),
        right("best"),
    ]);
    for sweep in &sweeps {
        let trials = &sweep.trials;
        let counts = [
            trials.completed,
            trials.diverged,
            trials.failed,
            trials.cancelled,
            trials.running,
            trials.queued,
        ];
        let best = sweep.best.map_or("-".into(), |best| of_metric(&sweep.objective.metric, best));
        let mut row = vec![sweep.name.clone(), state(sweep, holder).to_string(), total(sweep)];
        row.extend(counts.iter().map(u64::to_string));
        row.push(best);
        table.push(row);
    }
    output::data(&table.render(output::width()));
    for sweep in &sweeps {
        output::data(&beside(sweep));
        output::data(&stopped(&reader, sweep)?);
        running(&reader, sweep)?;
        if let Some(budget) = spent(home, &reader, sweep, holder)?.text() {
            output::data(&format!("{} budget: {budget}\n", sweep.name));
        }
    }
    Ok(ExitCode::Done)
}

fn state(sweep: &SweepSummary, holder: Option<u32>) -> &'static str {
    standing(sweep, holder).word()
}

/// A sweep that says `running` or `paused` while nobody holds the home was killed.
pub(crate) fn standing(sweep: &SweepSummary, holder: Option<u32>) -> SweepStanding {
    match sweep.state {
        SweepState::Finished => SweepStanding::Finished,
        SweepState::Interrupted => SweepStanding::Interrupted,
        SweepState::Running if holder.is_some() => SweepStanding::Running,
        SweepState::Paused if holder.is_some() && sweep.trials.running > 0 => {
            SweepStanding::Pausing
        }
        SweepState::Paused if holder.is_some() => SweepStanding::Paused,
        SweepState::Running | SweepState::Paused => SweepStanding::Killed,
    }
}

/// What early stopping has done, where it has done anything.
fn stopped(reader: &Reader, sweep: &SweepSummary) -> Result<String, Report> {
    let (stopped, waiting) = (sweep.trials.stopped, sweep.trials.waiting);
    let mut told = Vec::new();
    if waiting > 0 {
        told.push(format!("{waiting} waiting at a rung"));
    }
    if stopped > 0 {
        told.push(format!(
            "{stopped} stopped at a rung, {} saved",
            plural(reader.steps_saved(sweep.id)?, "step")
        ));
    }
    let named = |told: Vec<String>| format!("{} early stopping: {}\n", sweep.name, told.join("; "));
    Ok(if told.is_empty() { String::new() } else { named(told) })
}

/// How many trials there are, and how many there will be where more are added.
pub(crate) fn total(sweep: &SweepSummary) -> String {
    let there = sweep.trials.total();
    match sweep.planned {
        Some(planned) if planned == there => there.to_string(),
        Some(planned) => format!("{there} of {planned}"),
        None => format!("{there}+"),
    }
}

/// What stands beside the search and is not among its counts.
fn beside(sweep: &SweepSummary) -> String {
    let beside = &sweep.beside;
    if beside.total() == 0 {
        return String::new();
    }
    let counts = [
        (beside.completed, "completed"),
        (beside.diverged, "diverged"),
        (beside.failed, "failed"),
        (beside.cancelled, "cancelled"),
        (beside.running, "running"),
        (beside.queued, "queued"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{} beside the search: {}\n", sweep.name, told.join(", "))
}

fn spent(
    home: &Home,
    reader: &Reader,
    sweep: &SweepSummary,
    holder: Option<u32>,
) -> Result<Spent, Report> {
    Spent::read(home, reader, sweep.id, holder.is_some())
}

fn running(reader: &Reader, sweep: &SweepSummary) -> Result<(), Report> {
    for trial in reader.running_trials(sweep.id)? {
        let last = |name: &str| {
            trial.metrics.iter().find(|metric| metric.metric == name).map(|metric| metric.last)
        };
        let shown = |name: &str| {
            last(name).map_or(String::new(), |value| format!("  {name} {}", of_metric(name, value)))
        };
        output::data(&format!(
            "{} trial {}: step {} of {}{}{}\n",
            sweep.name,
            trial.number,
            trial.last_step,
            trial.total_steps,
            shown(TRAIN_LOSS),
            shown(&sweep.objective.metric),
        ));
    }
    Ok(())
}

fn json_of(
    home: &Home,
    reader: &Reader,
    sweep: &SweepSummary,
    holder: Option<u32>,
) -> Result<serde_json::Value, Report> {
    let trials = &sweep.trials;
    let running: Vec<_> = reader
        .running_trials(sweep.id)?
        .iter()
        .map(|trial| {
            let last: serde_json::Map<_, _> = trial
                .metrics
                .iter()
                .map(|metric| (metric.metric.clone(), json!(metric.last)))
                .collect();
            json!({
                "trial": trial.number, "attempt": trial.attempt_number, "device": trial.device,
                "step": trial.last_step, "total_steps": trial.total_steps, "last": last,
            })
        })
        .collect();
    Ok(json!({
        "name": sweep.name,
        "state": state(sweep, holder),
        "objective": sweep.objective,
        "trials": {
            "total": trials.total(), "planned": sweep.planned, "completed": trials.completed, "diverged": trials.diverged,
            "failed": trials.failed, "cancelled": trials.cancelled, "running": trials.running, "queued": trials.queued,
            "waiting": trials.waiting, "stopped": trials.stopped,
        },
        "steps_saved": if trials.stopped > 0 { reader.steps_saved(sweep.id)? } else { 0 },
        "beside": {
            "total": sweep.beside.total(), "completed": sweep.beside.completed, "diverged": sweep.beside.diverged,
            "failed": sweep.beside.failed, "cancelled": sweep.beside.cancelled, "running": sweep.beside.running,
            "queued": sweep.beside.queued,
        },
        "best": sweep.best,
        "running": running,
        "budget": spent(home, reader, sweep, holder)?.json(),
        "created_at_ms": sweep.created_at_ms,
        "started_at_ms": sweep.started_at_ms,
        "ended_at_ms": sweep.ended_at_ms,
    }))
}
