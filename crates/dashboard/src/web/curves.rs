//! Curves: one metric of several trials, or all metrics of one, thinned out where they are longer than a screen is wide.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use converge_store::{Reader, ThinCurve};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::number::Number;
use super::reply::{Refused, Reply};
use super::state::{InPath, Shared, State, sweep_of};

/// Curves in one answer.
const MOST_CURVES: usize = 200;
/// Points of a curve in an answer, unless fewer or more are asked for.
const POINTS: u64 = 800;
const MOST_POINTS: u64 = 20_000;

#[derive(Deserialize)]
pub(super) struct OfSweep {
    metric: String,
    trials: String,
    after: Option<String>,
    points: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct OfTrial {
    after: Option<u64>,
    points: Option<u64>,
}

/// `GET /api/v1/sweeps/{sweep}/curves?metric=&trials=1,2&after=0,40&points=`
pub(super) async fn of_sweep(
    shared: Shared,
    sweep: InPath<i64>,
    asked: Result<Query<OfSweep>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let (Path(sweep), Query(asked)) = (sweep?, asked?);
    let numbers = list(&asked.trials, "trials")?;
    let after = asked.after.as_deref().map_or(Ok(Vec::new()), |after| list(after, "after"))?;
    if !after.is_empty() && after.len() != numbers.len() {
        return Err(Refused::bad("`after` names a step for each of `trials`, or is left out"));
    }
    if numbers.len() > MOST_CURVES {
        return Err(Refused::bad(format!("at most {MOST_CURVES} trials at once")));
    }
    let points = points(asked.points)?;
    let answer = move |_: &State, reader: &Reader| {
        let sweep = sweep_of(reader, sweep)?.id;
        let mut curves = Vec::new();
        for (index, trial) in reader.trial_ids(sweep, &numbers)?.into_iter().enumerate() {
            let Some(trial) = trial else { continue };
            let after = after.get(index).copied().unwrap_or(0);
            let mut curve = json_of(&reader.thin_curve(trial, &asked.metric, after, points)?);
            curve["trial"] = json!(numbers[index]);
            curves.push(curve);
        }
        Reply::of(&json!({ "metric": asked.metric, "curves": curves }), &headers)
    };
    shared.0.read(answer).await
}

/// `GET /api/v1/sweeps/{sweep}/trials/{trial}/curves?after=&points=`
pub(super) async fn of_trial(
    shared: Shared,
    at: InPath<(i64, u64)>,
    asked: Result<Query<OfTrial>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let (Path((sweep, number)), Query(asked)) = (at?, asked?);
    let points = points(asked.points)?;
    let answer = move |_: &State, reader: &Reader| {
        let sweep = sweep_of(reader, sweep)?.id;
        let trial = reader.trial_ids(sweep, &[number])?.pop().flatten();
        let trial = trial
            .ok_or_else(|| Refused::missing(format!("there is no trial {number} in this sweep")))?;
        let curves = reader.thin_curves(trial, asked.after.unwrap_or(0), points)?;
        let curves: Map<String, Value> =
            curves.iter().map(|(metric, curve)| (metric.clone(), json_of(curve))).collect();
        Reply::of(&json!({ "trial": number, "curves": curves }), &headers)
    };
    shared.0.read(answer).await
}

fn points(asked: Option<u64>) -> Result<u64, Refused> {
    match asked.unwrap_or(POINTS) {
        points @ 2..=MOST_POINTS => Ok(points),
        _ => Err(Refused::bad(format!("`points` is a number from 2 to {MOST_POINTS}"))),
    }
}

/// Reads numbers with commas between them.
fn list(text: &str, name: &str) -> Result<Vec<u64>, Refused> {
    let numbers: Result<Vec<u64>, _> =
        text.split(',').filter(|part| !part.is_empty()).map(str::parse).collect();
    numbers.map_err(|_| Refused::bad(format!("`{name}` is a list of numbers such as 1,2,5")))
}

/// Steps and values in two lists, which pack better than pairs.
fn json_of(curve: &ThinCurve) -> Value {
    // A curve that is whole keeps its digits.
    let number = if curve.means.is_empty() { Number::exact } else { Number::short };
    let mut value = json!({
        "observations": curve.observations,
        "steps": curve.points.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        "values": curve.points.iter().map(|(_, value)| number(*value)).collect::<Vec<_>>(),
    });
    if !curve.means.is_empty() {
        value["mean_steps"] =
            curve.means.iter().map(|(step, _)| json!(Number::short(*step))).collect();
        value["means"] = curve.means.iter().map(|(_, mean)| json!(Number::short(*mean))).collect();
    }
    value
}
