//! `converge curve`: a metric of one or more trials, as a plot in the terminal.

use std::collections::BTreeSet;

use converge_dashboard::terminal::plot::{Curve, PlotSettings, Scale, plot};
use converge_scheduler::home::Home;
use converge_store::{Point, TrialDetail};
use serde_json::json;

use crate::arguments::CurveArguments;
use crate::commands::best;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::selector::{self, Known};
use crate::{home as homes, output};

/// Size of the plot where stdout is no terminal.
const WIDTH: usize = 80;
/// Lines of the plot without its legend.
const HEIGHT: usize = 18;

/// Runs the command.
pub(crate) fn run(arguments: &CurveArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let ranking = best::ranking(&reader, &summary, &summary.objective, 1)?;
    let known = Known {
        last: summary.last_number,
        refit: reader.newest_refit(summary.id)?,
        ranking: &ranking.ranked,
    };
    let numbers = selector::numbers(&arguments.trials, &known)?;
    let known = reader.sweep_metrics(summary.id)?;
    if !known.contains(&arguments.metric) {
        let near = converge_core::key::nearest(&arguments.metric, known.iter().map(String::as_str));
        let hint = near.map_or(format!("metrics here: {}", known.join(", ")), |near| {
            format!("did you mean `{near}`?")
        });
        return Err(Report::usage(
            format!("no trial of `{}` has a metric `{}`", summary.name, arguments.metric),
            hint,
        ));
    }
    let mut curves: Vec<(String, u64, Vec<Point>)> = Vec::new();
    for number in numbers.into_iter().collect::<BTreeSet<u64>>() {
        let Some(TrialDetail { trial, .. }) = reader.trial(summary.id, number)? else { continue };
        let name =
            format!("trial {}: {}", trial.number, output::configuration(&trial.configuration));
        curves.push((name, trial.number, reader.curve(trial.id, &arguments.metric)?));
    }
    if arguments.json {
        let json: Vec<_> = curves
            .iter()
            .map(|(_, trial, points)| {
                let points: Vec<_> =
                    points.iter().map(|point| json!([point.step, number(point.value)])).collect();
                json!({ "trial": trial, "metric": arguments.metric, "points": points })
            })
            .collect();
        output::json(&json)?;
        return Ok(ExitCode::Done);
    }
    let curves: Vec<Curve> = curves
        .into_iter()
        .map(|(name, _, points)| Curve {
            name,
            points: points.iter().map(|point| (point.step as f64, point.value)).collect(),
        })
        .collect();
    let settings = PlotSettings {
        width: output::width().unwrap_or(WIDTH).min(140),
        height: HEIGHT,
        scale: if arguments.log { Scale::Logarithmic } else { Scale::Linear },
        metric: &arguments.metric,
        unit: "step",
        style: output::stdout_style(),
    };
    output::drawing(&plot(&curves, &settings));
    Ok(ExitCode::Done)
}

/// JSON has no NaN: non-finite values are words, as between worker and scheduler.
pub(crate) fn number(value: f64) -> serde_json::Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("nan")
    } else if value > 0.0 {
        json!("inf")
    } else {
        json!("-inf")
    }
}
