//! Observations as lines: CSV or JSON.

use std::io::Write;
use std::ops::ControlFlow;

use converge_store::{Observation, Reader, SweepSummary};
use serde_json::json;

use super::Failure;
use crate::commands::curve::number;

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    Jsonl,
}

/// Writes every observation that counts, one a line.
pub(super) fn write(
    reader: &Reader,
    sweep: &SweepSummary,
    form: Form,
    mut out: impl Write,
) -> Result<(), Failure> {
    if form == Form::Csv {
        writeln!(out, "sweep,trial,attempt,step,metric,value")?;
    }
    let mut failed = None;
    reader.observations(sweep.id, |observation| {
        match line(&mut out, form, &sweep.name, &observation) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or_else(|| out.flush(), Err).map_err(Failure::Write)
}

fn line(
    out: &mut impl Write,
    form: Form,
    sweep: &str,
    observation: &Observation<'_>,
) -> std::io::Result<()> {
    let Observation { trial, attempt, step, metric, value } = *observation;
    match form {
        Form::Csv => {
            let metric = if metric.contains(['"', ',', '\n', '\r']) {
                format!("\"{}\"", metric.replace('"', "\"\""))
            } else {
                metric.to_string()
            };
            // The shortest form that reads back equal; NaN and infinities as pandas reads them.
            writeln!(out, "{sweep},{trial},{attempt},{step},{metric},{value}")
        }
        Form::Jsonl => {
            let line = json!({
                "sweep": sweep, "trial": trial, "attempt": attempt, "step": step, "metric": metric,
                "value": number(value),
            });
            writeln!(out, "{line}")
        }
    }
}
