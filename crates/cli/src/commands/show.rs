//! `converge show`: one trial, whole.

use converge_core::trial::{AttemptEnding, TrialState};
use converge_dashboard::terminal::number::{bytes, duration, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_store::{AttemptRecord, SweepSummary, TrialDetail};
use serde_json::json;

use crate::arguments::ShowArguments;
use crate::commands::{best, trials};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output, selector};

/// Runs the command.
pub(crate) fn run(arguments: &ShowArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let ranking = best::ranking(&reader, &summary, &summary.objective, 1)?;
    let numbers = selector::numbers(&arguments.trial, summary.trials.total(), &ranking.ranked)?;
    let number = numbers.first().copied().unwrap_or(1);
    let Some(detail) = reader.trial(summary.id, number)? else {
        return Err(Report::usage(
            format!("there is no trial {number}"),
            "`converge trials` lists them",
        ));
    };
    if arguments.log {
        return log(home, &detail);
    }
    if arguments.json {
        output::json(&json_of(&detail))?;
    } else {
        output::data(&text(&summary, &detail));
    }
    Ok(ExitCode::Done)
}

/// Prints the log of the trial's last attempt.
fn log(home: &Home, detail: &TrialDetail) -> Result<ExitCode, Report> {
    let Some(attempt) = detail.attempts.last() else {
        return Err(Report::usage(
            format!("trial {} has not run yet", detail.trial.number),
            "it has no log",
        ));
    };
    let path = home.root().join(&attempt.directory).join("log.txt");
    let text = std::fs::read(&path).map_err(|error| {
        Report::error(&error).hint(format!("the log should be at `{}`", path.display()))
    })?;
    output::data(&String::from_utf8_lossy(&text));
    Ok(ExitCode::Done)
}

fn text(summary: &SweepSummary, detail: &TrialDetail) -> String {
    let trial = &detail.trial;
    let mut text = format!(
        "trial {} of sweep `{}`: {}\n{}, replicate {}\n",
        trial.number,
        summary.name,
        trial.state.word(),
        output::configuration(&trial.configuration),
        trial.replicate
    );
    if let TrialState::Failed(failure) = &trial.state {
        text += &format!("failure: {}: {}\n", failure.class.word(), failure.message);
    }
    if let Some(objective) = &trial.objective {
        let value = of_metric(&summary.objective.metric, objective.value);
        text += &format!(
            "{}: {value} at step {} of {}\n",
            summary.objective.metric, objective.step, trial.total_steps
        );
    }
    if let Some(weights) = &trial.best_weights {
        text += &format!("best weights: {} (step {})\n", weights.directory, weights.step);
    }
    text += "\nattempts\n";
    text += &attempts(&detail.attempts);
    text += "\nmetrics\n";
    let right = |header| (header, Align::Right);
    let mut table =
        Table::new([("metric", Align::Left), right("last"), right("smallest"), right("largest")]);
    for metric in &detail.metrics {
        let value = |value: f64| of_metric(&metric.metric, value);
        let extreme = |extreme: Option<(f64, u64)>| {
            extreme.map_or("-".into(), |(number, step)| format!("{} @{step}", value(number)))
        };
        table.push([
            metric.metric.clone(),
            value(metric.last),
            extreme(metric.min),
            extreme(metric.max),
        ]);
    }
    text += &table.render(output::width());
    text += "\nsettings\n";
    text += &output::settings(&detail.settings, |key| {
        let chosen = trial.configuration.contains_key(key.short_name());
        Some(if chosen { "  (parameter)" } else { "" })
    });
    text
}

fn attempts(attempts: &[AttemptRecord]) -> String {
    let right = |header| (header, Align::Right);
    let mut table = Table::new([
        right("attempt"),
        right("from step"),
        right("to step"),
        ("ended", Align::Left),
        right("time"),
        right("peak memory"),
        ("device", Align::Left),
    ]);
    for attempt in attempts {
        let ended = match &attempt.ending {
            None => "running".into(),
            Some(AttemptEnding::Failed(failure)) => {
                format!("{}: {}", failure.class.word(), failure.message)
            }
            Some(AttemptEnding::Diverged { step, quantity }) => {
                format!("diverged: {quantity} at step {step}")
            }
            Some(ending) => ending.word().to_string(),
        };
        let seconds =
            attempt.ended_at_ms.map(|ended| (ended - attempt.leased_at_ms) as f64 / 1000.0);
        table.push([
            attempt.number.to_string(),
            attempt.from_step.to_string(),
            attempt.last_step.to_string(),
            ended,
            seconds.map_or("-".into(), duration),
            attempt.peak_memory_bytes.map_or("-".into(), bytes),
            attempt.device.clone(),
        ]);
    }
    table.render(output::width())
}

fn json_of(detail: &TrialDetail) -> serde_json::Value {
    let mut value = trials::json_of(&detail.trial);
    value["settings"] = json!(detail.settings);
    value["attempt_list"] = detail
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "attempt": attempt.number, "device": attempt.device, "directory": attempt.directory,
                "from_step": attempt.from_step, "until_step": attempt.until_step, "last_step": attempt.last_step,
                "ending": attempt.ending, "machine": attempt.machine, "peak_memory_bytes": attempt.peak_memory_bytes,
                "leased_at_ms": attempt.leased_at_ms, "started_at_ms": attempt.started_at_ms, "ended_at_ms": attempt.ended_at_ms,
            })
        })
        .collect();
    value["metrics"] = detail
        .metrics
        .iter()
        .map(|metric| {
            json!({
                "metric": metric.metric, "last": metric.last, "last_step": metric.last_step,
                "min": metric.min.map(|(value, _)| value), "min_step": metric.min.map(|(_, step)| step),
                "max": metric.max.map(|(value, _)| value), "max_step": metric.max.map(|(_, step)| step),
            })
        })
        .collect();
    value
}
