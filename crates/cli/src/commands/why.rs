//! `converge why`: why trials did not converge.

use converge_core::metric::TRAIN_LOSS;
use converge_dashboard::terminal::diagnosis::{diagnosis, overview};
use converge_diagnose::diagnosis::Cases;
use converge_diagnose::overview::overview as overview_of;
use converge_diagnose::thresholds::Thresholds;
use converge_scheduler::home::Home;
use converge_store::{Reader, SweepSummary};
use serde_json::json;

use crate::arguments::WhyArguments;
use crate::commands::best;
use crate::exit_code::ExitCode;
use crate::records::records;
use crate::report::Report;
use crate::selector::{self, Known};
use crate::{home as homes, output};

/// Width where stdout is no terminal.
const WIDTH: usize = 100;

/// Runs the command.
pub(crate) fn run(arguments: &WhyArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let what = arguments.what.as_deref();
    let named = what.map(|name| reader.sweep_named(name)).transpose()?.flatten();
    match (named, what) {
        (Some(summary), _) if arguments.sweep.is_none() => sweep(arguments, &reader, &summary),
        (_, None) => {
            let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
            sweep(arguments, &reader, &summary)
        }
        (_, Some(trial)) => {
            let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
            trials(arguments, &reader, &summary, trial)
        }
    }
}

/// Trials up to which a sweep that ends is diagnosed unasked.
const SOON_READ: u64 = 2000;

/// Returns how many trials of a sweep did not converge, and why, in a line; nothing where all did.
pub(crate) fn line(reader: &Reader, summary: &SweepSummary) -> Result<String, Report> {
    if summary.trials.total() > SOON_READ {
        return Ok(String::new());
    }
    let records = records(reader, summary)?;
    let found = overview_of(&Cases::new(&records, Thresholds::default()));
    let causes = found
        .causes
        .iter()
        .map(|group| format!("{} because {}", group.trials.len(), group.cause.entry().headline));
    let unknown = Some(found.inconclusive.len()).filter(|count| *count > 0);
    let causes: Vec<String> =
        causes.chain(unknown.map(|count| format!("{count} for no known reason"))).collect();
    Ok(match found.failed.len() {
        0 => String::new(),
        failed => format!(
            "{failed} of {} trials did not converge: {}; `converge why`\n",
            failed + found.converged.len(),
            causes.join(", ")
        ),
    })
}

fn sweep(
    arguments: &WhyArguments,
    reader: &Reader,
    summary: &SweepSummary,
) -> Result<ExitCode, Report> {
    let records = records(reader, summary)?;
    let found = overview_of(&Cases::new(&records, Thresholds::default()));
    if arguments.json {
        let mut document = json!({ "sweep": summary.name });
        if let (Some(document), serde_json::Value::Object(found)) =
            (document.as_object_mut(), serde_json::to_value(&found)?)
        {
            document.extend(found);
        }
        output::json(&document)?;
        return Ok(ExitCode::Done);
    }
    let width = output::width().unwrap_or(WIDTH);
    output::drawing(&overview(&summary.name, &found, output::stdout_style(), width));
    Ok(ExitCode::Done)
}

fn trials(
    arguments: &WhyArguments,
    reader: &Reader,
    summary: &SweepSummary,
    named: &str,
) -> Result<ExitCode, Report> {
    let ranking = best::ranking(reader, summary, &summary.objective, 1)?;
    let known = Known {
        last: summary.last_number,
        refit: reader.newest_refit(summary.id)?,
        ranking: &ranking.ranked,
    };
    let numbers = selector::numbers(named, &known)?;
    let records = records(reader, summary)?;
    let cases = Cases::new(&records, Thresholds::default());
    let mut found = Vec::new();
    for number in numbers {
        found.push(cases.diagnose(number).ok_or_else(|| {
            Report::usage(
                format!("trial {number} is no trial of the search"),
                "probes, refits and the baseline are not diagnosed",
            )
        })?);
    }
    if arguments.json {
        output::json(&json!({ "sweep": summary.name, "trials": found }))?;
        return Ok(ExitCode::Done);
    }
    let width = output::width().unwrap_or(WIDTH);
    for (place, found) in found.iter().enumerate() {
        let record = records.iter().find(|record| record.number == found.trial);
        let loss = record.map(|record| record.curve(TRAIN_LOSS).0).unwrap_or_default();
        let style = output::stdout_style();
        let text = diagnosis(&summary.name, found, &summary.objective, &loss, style, width);
        output::drawing(&(if place > 0 { "\n".to_owned() } else { String::new() } + &text));
    }
    Ok(ExitCode::Done)
}
