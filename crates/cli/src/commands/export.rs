//! `converge export`: every observation of a sweep, one a line.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;

use converge_scheduler::home::Home;
use converge_store::Observation;
use serde_json::json;

use crate::arguments::{ExportArguments, Format};
use crate::commands::curve::number;
use crate::exit_code::ExitCode;
use crate::home as homes;
use crate::report::Report;

/// Runs the command.
pub(crate) fn run(arguments: &ExportArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut failed = None;
    if arguments.format == Format::Csv {
        failed = writeln!(out, "sweep,trial,attempt,step,metric,value").err();
    }
    reader.observations(summary.id, |observation| {
        if failed.is_none() {
            failed = write(&mut out, arguments.format, &summary.name, &observation).err();
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match failed.or_else(|| out.flush().err()) {
        // `| head` has seen enough.
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Report::error(&error)),
        _ => Ok(ExitCode::Done),
    }
}

fn write(
    out: &mut impl Write,
    format: Format,
    sweep: &str,
    observation: &Observation<'_>,
) -> std::io::Result<()> {
    let Observation { trial, attempt, step, metric, value } = *observation;
    match format {
        Format::Csv => {
            let metric = if metric.contains(['"', ',', '\n', '\r']) {
                format!("\"{}\"", metric.replace('"', "\"\""))
            } else {
                metric.to_string()
            };
            // The shortest form that reads back equal; NaN and infinities as pandas reads them.
            writeln!(out, "{sweep},{trial},{attempt},{step},{metric},{value}")
        }
        Format::Jsonl => {
            let line = json!({
                "sweep": sweep, "trial": trial, "attempt": attempt, "step": step, "metric": metric,
                "value": number(value),
            });
            writeln!(out, "{line}")
        }
    }
}
