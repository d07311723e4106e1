//! `converge show`: one trial, whole.

use converge_core::early_stop::Verdict;
use converge_core::micro_batches::MicroBatches;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_dashboard::terminal::number::{bytes, duration, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_store::{AttemptRecord, SweepSummary, TrialDetail};
use serde_json::json;

use crate::arguments::{Library, ShowArguments};
use crate::commands::trials;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output, trainer, winner};

/// Runs the command.
pub(crate) fn run(arguments: &ShowArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let detail = winner::one(home, &reader, &summary, &arguments.trial)?;
    if let Some(Library::Trainer) = arguments.as_library {
        let record = reader.sweep(summary.id)?;
        let record = record.ok_or_else(|| Report::usage("there is no sweep yet", "start one"))?;
        output::data(&trainer::script(&record, &detail)?);
        return Ok(ExitCode::Done);
    }
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
    let kind =
        if trial.kind.is_ranked() { String::new() } else { format!(" ({})", trial.kind.word()) };
    let mut text = format!(
        "trial {}{kind} of sweep `{}`: {}\n{}, replicate {}\n",
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
    text += &early(detail);
    if trial.kind == TrialKind::Refit {
        text += "trained on training and validation data together: not ranked, and no score on validation data\n";
    }
    if let Some(ramp) = detail.settings.train.ramp {
        text += &format!(
            "learning rates from {:e} to {:e}, until the loss blew up; `converge probe` shows what they tell\n",
            ramp.from, ramp.to
        );
    }
    if let Some(weights) = &trial.best_weights {
        text += &format!("best weights: {} (step {})\n", weights.directory, weights.step);
    }
    text += "\nattempts\n";
    text += &attempts(&detail.attempts, output::width());
    text += &divisions(detail);
    text += &exits(&detail.attempts);
    text += &rungs(detail, &summary.objective.metric, output::width());
    text += "\nmetrics\n";
    text += &metrics(detail, output::width());
    text += "\nsettings\n";
    text += &settings(detail);
    text += &evidence(&detail.attempts);
    text
}

/// Says where and why a trial waits or was stopped, or that it ended by its own patience.
pub(crate) fn early(detail: &TrialDetail) -> String {
    let trial = &detail.trial;
    let last = trial.last_step.unwrap_or(0);
    match (&trial.state, detail.rungs.last()) {
        (TrialState::Waiting, _) => {
            format!("waits at step {last} for whether it goes on: `converge status`\n")
        }
        (TrialState::Stopped(_), Some(rung)) => {
            let place = rung.decision.map_or(String::new(), |decision| {
                format!(": rank {} of {}", decision.rank, decision.among)
            });
            format!(
                "stopped early at step {} of {}{place} at rung {}; what it would have reached is not known\n",
                rung.step,
                trial.total_steps,
                rung.rung + 1
            )
        }
        (TrialState::Completed, _) if last < trial.total_steps => format!(
            "completed early at step {last} of {}: its objective had not become better (`patience` in [early_stop])\n",
            trial.total_steps
        ),
        _ => String::new(),
    }
}

/// The rungs that a trial has reached.
pub(crate) fn rungs(detail: &TrialDetail, metric: &str, width: Option<usize>) -> String {
    if detail.rungs.is_empty() {
        return String::new();
    }
    let right = |header| (header, Align::Right);
    let mut table = Table::new([
        right("rung"),
        right("step"),
        right(metric),
        ("decided", Align::Left),
        right("rank"),
        right("of"),
    ]);
    for rung in &detail.rungs {
        let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
        table.push([
            (rung.rung + 1).to_string(),
            rung.step.to_string(),
            rung.standing.value.map_or("-".into(), |value| of_metric(metric, value)),
            rung.decision.map_or("not yet", |decision| verdict(decision.verdict)).to_string(),
            number(rung.decision.map(|decision| decision.rank)),
            number(rung.decision.map(|decision| decision.among)),
        ]);
    }
    format!("\nrungs\n{}", table.render(width))
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Promoted => "promoted",
        Verdict::Stopped => "stopped",
    }
}

pub(crate) fn metrics(detail: &TrialDetail, width: Option<usize>) -> String {
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
    table.render(width)
}

pub(crate) fn settings(detail: &TrialDetail) -> String {
    output::settings(&detail.settings, |key| {
        let chosen = detail.trial.configuration.contains_key(key.short_name());
        Some(if chosen { "  (parameter)" } else { "" })
    })
}

pub(crate) fn attempts(attempts: &[AttemptRecord], width: Option<usize>) -> String {
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
    table.render(width)
}

/// Says where attempts divided their steps further than the settings do.
pub(crate) fn divisions(detail: &TrialDetail) -> String {
    let pairs = detail.attempts.iter().zip(detail.attempts.iter().skip(1));
    let changed = pairs.filter(|(old, new)| old.accumulation_factor != new.accumulation_factor);
    let line = |(old, new): (&AttemptRecord, &AttemptRecord)| {
        let division = MicroBatches::of(&detail.settings.train, new.accumulation_factor);
        format!(
            "attempt {} ran out of memory: attempt {} was a retry with {division}\n",
            old.number, new.number
        )
    };
    changed.map(line).collect()
}

/// Says how the workers of attempts ended that went wrong.
pub(crate) fn exits(attempts: &[AttemptRecord]) -> String {
    let wrong = attempts.iter().filter(|attempt| attempt.evidence.is_some());
    let line = |attempt: &AttemptRecord| {
        let exit = attempt.worker_exit.as_ref()?;
        Some(format!("attempt {}: its worker ended with {exit}\n", attempt.number))
    };
    wrong.filter_map(line).collect()
}

/// Shows the ends of the logs of the last attempt that went wrong.
pub(crate) fn evidence(attempts: &[AttemptRecord]) -> String {
    let mut text = String::new();
    let last =
        attempts.iter().rev().find_map(|attempt| Some((attempt, attempt.evidence.as_ref()?)));
    let Some((attempt, left)) = last else { return text };
    let mut part = |title: String, lines: &[&str]| {
        if !lines.is_empty() {
            text += &format!("\n{title}\n");
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
        }
    };
    let log: Vec<&str> = left.log.lines().collect();
    part(format!("last lines of the log of attempt {}", attempt.number), &log);
    // The worker logs to both, each with a time of its own.
    let known = |line: &&str| !log.iter().any(|other| after_time(other) == after_time(line));
    let more: Vec<&str> = left.stderr.lines().filter(known).collect();
    part("what else its worker wrote to stderr".into(), &more);
    text
}

/// Returns a line of a log without the time that it begins with.
fn after_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if time.ends_with('Z') && time.contains('T') => rest,
        _ => line,
    }
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
                "micro_batches": MicroBatches::of(&detail.settings.train, attempt.accumulation_factor).count,
                "accumulation_factor": attempt.accumulation_factor, "worker_exit": attempt.worker_exit,
                "evidence": attempt.evidence.as_ref().map(|left| json!({ "log": left.log, "stderr": left.stderr })),
                "leased_at_ms": attempt.leased_at_ms, "started_at_ms": attempt.started_at_ms, "ended_at_ms": attempt.ended_at_ms,
            })
        })
        .collect();
    value["rungs"] = detail
        .rungs
        .iter()
        .map(|rung| {
            json!({
                "rung": rung.rung + 1, "step": rung.step, "value": rung.standing.value,
                "decision": rung.decision.map(|decision| verdict(decision.verdict)),
                "rank": rung.decision.map(|decision| decision.rank),
                "among": rung.decision.map(|decision| decision.among),
                "reached_at_ms": rung.reached_at_ms, "decided_at_ms": rung.decided_at_ms,
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
