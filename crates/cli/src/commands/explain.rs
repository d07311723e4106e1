//! `converge explain`: which parameters mattered, how sure that is, and what to try next.

use std::collections::BTreeMap;

use converge_core::effects::candidate::{Outcome, Seen};
use converge_core::effects::constant::Constant;
use converge_core::effects::explanation::{Explanation, explain};
use converge_core::objective::Objective;
use converge_core::trial::TrialState;
use converge_dashboard::terminal::explanation::{explanation, sentences};
use converge_scheduler::home::Home;
use converge_scheduler::trials::definition;
use converge_store::{Reader, SweepSummary};
use serde_json::json;

use crate::arguments::ExplainArguments;
use crate::commands::best;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output};

/// Width where stdout is no terminal.
const WIDTH: usize = 100;

/// Runs the command.
pub(crate) fn run(arguments: &ExplainArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::searched(&reader, arguments.sweep.as_deref())?;
    let objective = best::objective(&reader, &summary, arguments.metric.as_deref())?;
    let found = explained(&reader, &summary, &objective)?;
    if arguments.json {
        let mut document = json!({ "sweep": summary.name, "summary": sentences(&found) });
        if let (Some(document), serde_json::Value::Object(found)) =
            (document.as_object_mut(), serde_json::to_value(&found)?)
        {
            document.extend(found);
        }
        output::json(&document)?;
        return Ok(ExitCode::Done);
    }
    let width = output::width().unwrap_or(WIDTH);
    output::drawing(&explanation(&summary.name, &found, output::stdout_style(), width));
    Ok(ExitCode::Done)
}

/// Returns the explanation of a sweep by an objective, which may be another than its own.
fn explained(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
) -> Result<Explanation, Report> {
    let record = reader
        .sweep(summary.id)?
        .ok_or_else(|| Report::usage("the sweep is gone", "look with `converge status`"))?;
    let sweep = definition(&record)?;
    let constant = record.facts.first().and_then(|facts| Constant::of(facts, &objective.metric));
    let other: Option<BTreeMap<u64, f64>> = (*objective != summary.objective)
        .then(|| {
            let ranking = reader.ranking(summary.id, objective)?;
            Ok::<_, Report>(
                ranking
                    .into_iter()
                    .filter_map(|trial| Some((trial.number, trial.objective?.value)))
                    .collect(),
            )
        })
        .transpose()?;
    let trials: Vec<Seen> = reader
        .trials(summary.id)?
        .into_iter()
        .filter(|trial| trial.kind.is_ranked())
        .map(|trial| {
            let own = trial.objective.as_ref().map(|objective| objective.value);
            let value = match &other {
                Some(values) => values.get(&trial.number).copied(),
                None => own,
            };
            Seen {
                outcome: outcome(&trial.state, value),
                fingerprint: trial.fingerprint,
                configuration: trial.configuration,
                replicate: trial.replicate,
                kind: trial.kind,
            }
        })
        .collect();
    Ok(explain(&sweep, &trials, objective, constant))
}

fn outcome(state: &TrialState, value: Option<f64>) -> Outcome {
    match state {
        TrialState::Completed => {
            value.filter(|value| value.is_finite()).map_or(Outcome::Diverged, Outcome::Value)
        }
        TrialState::Diverged => Outcome::Diverged,
        TrialState::Failed(_) => Outcome::Failed,
        TrialState::Stopped(_) => Outcome::Stopped,
        TrialState::Queued
        | TrialState::Running(_)
        | TrialState::Waiting
        | TrialState::Cancelled => Outcome::Open,
    }
}
