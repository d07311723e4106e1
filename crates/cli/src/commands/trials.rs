//! `converge trials`: the trials of a sweep, with conditions.

use converge_core::trial::TrialState;
use converge_dashboard::terminal::number::{duration, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_store::TrialRecord;
use serde_json::json;

use crate::arguments::TrialsArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::selector::{self, Condition, Subject};
use crate::{home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &TrialsArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let trials = reader.trials(summary.id)?;
    let parameters = selector::parameters(&trials);
    let conditions = arguments
        .conditions
        .iter()
        .map(|text| Condition::parse(text, &parameters))
        .collect::<Result<Vec<_>, _>>()?;
    let chosen: Vec<&TrialRecord> = trials
        .iter()
        .filter(|trial| conditions.iter().all(|condition| condition.fits(&subject(trial))))
        .collect();
    if arguments.json {
        output::json(&chosen.iter().map(|trial| json_of(trial)).collect::<Vec<_>>())?;
        return Ok(ExitCode::Done);
    }
    // Only where there is something to tell apart.
    let kinds = trials.iter().any(|trial| !trial.kind.is_ranked());
    let mut columns = vec![("trial", Align::Right)];
    columns.extend(kinds.then_some(("kind", Align::Left)));
    columns.extend([
        ("state", Align::Left),
        (summary.objective.metric.as_str(), Align::Right),
        ("at step", Align::Right),
        ("steps", Align::Right),
        ("attempts", Align::Right),
        ("time", Align::Right),
    ]);
    columns.extend(parameters.keys().map(|name| (*name, Align::Right)));
    columns.push(("replicate", Align::Right));
    let mut table = Table::new(columns);
    for trial in chosen {
        let objective = trial.objective.as_ref();
        let mut row = vec![trial.number.to_string()];
        row.extend(kinds.then(|| trial.kind.word().to_string()));
        row.extend([
            state(trial),
            objective.map_or("-".into(), |objective| {
                of_metric(&summary.objective.metric, objective.value)
            }),
            objective.map_or("-".into(), |objective| objective.step.to_string()),
            format!("{}/{}", trial.last_step.unwrap_or(0), trial.total_steps),
            trial.attempts.to_string(),
            duration(trial.attempts_ms as f64 / 1000.0),
        ]);
        let cell =
            |name: &&str| trial.configuration.get(*name).map_or("-".into(), ToString::to_string);
        row.extend(parameters.keys().map(cell));
        row.push(trial.replicate.to_string());
        table.push(row);
    }
    output::data(&table.render(output::width()));
    Ok(ExitCode::Done)
}

fn state(trial: &TrialRecord) -> String {
    match &trial.state {
        TrialState::Failed(failure) => format!("failed ({})", failure.class.word()),
        other => other.word().to_string(),
    }
}

/// Returns what conditions look at.
pub(crate) fn subject(trial: &TrialRecord) -> Subject<'_> {
    Subject {
        number: trial.number,
        kind: trial.kind.word(),
        state: trial.state.word(),
        objective: trial.objective.as_ref().map(|objective| objective.value),
        attempts: trial.attempts,
        replicate: trial.replicate,
        configuration: &trial.configuration,
    }
}

/// Returns a trial as JSON.
pub(crate) fn json_of(trial: &TrialRecord) -> serde_json::Value {
    let failure = match &trial.state {
        TrialState::Failed(failure) => Some(failure),
        _ => None,
    };
    json!({
        "trial": trial.number,
        "kind": trial.kind.word(),
        "state": trial.state.word(),
        "failure": failure,
        "configuration": trial.configuration,
        "fingerprint": trial.fingerprint,
        "replicate": trial.replicate,
        "objective": trial.objective.as_ref().map(|objective| objective.value),
        "objective_step": trial.objective.as_ref().map(|objective| objective.step),
        "attempts": trial.attempts,
        "last_step": trial.last_step,
        "total_steps": trial.total_steps,
        "attempts_seconds": trial.attempts_ms as f64 / 1000.0,
        "best_weights": trial.best_weights.as_ref().map(|weights| &weights.directory),
    })
}
