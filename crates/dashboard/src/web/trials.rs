//! All trials of a sweep, a column at a time: ten thousand of them are a few hundred kilobytes, and a third of that packed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use converge_core::ids::SweepId;
use converge_core::trial::TrialState;
use converge_core::value::Value;
use converge_store::{Reader, TrialRecord, TrialsMarker};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::number::Number;
use super::reply::{Refused, Reply, takes_gzip};
use super::state::{InPath, Shared, State, sweep_of};

/// Trials as columns: each list has an entry per trial.
#[derive(Serialize, Default)]
struct Columns<'a> {
    /// Equal to that of an event: nothing was missed in between.
    marker: String,
    number: Vec<u64>,
    state: Vec<&'static str>,
    kind: Vec<&'static str>,
    /// Trials of one configuration have the same small number.
    configuration: Vec<usize>,
    replicate: Vec<u64>,
    objective: Vec<Option<Number>>,
    objective_step: Vec<Option<u64>>,
    step: Vec<u64>,
    total_steps: Vec<u64>,
    attempts: Vec<u64>,
    seconds: Vec<Number>,
    /// Since when an open attempt holds its worker. Unit: Unix milliseconds.
    running_since_ms: Vec<Option<i64>>,
    failure: Vec<Option<&'static str>>,
    parameters: BTreeMap<&'a str, Vec<Option<Short<'a>>>>,
}

/// A parameter's value, with as many digits as a screen shows.
#[derive(Serialize)]
#[serde(untagged)]
enum Short<'a> {
    Number(Number),
    Other(&'a Value),
}

/// One trial, as it comes in an event.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    number: u64,
    state: &'static str,
    kind: &'static str,
    replicate: u64,
    objective: Option<Number>,
    objective_step: Option<u64>,
    step: u64,
    total_steps: u64,
    attempts: u64,
    seconds: Number,
    running_since_ms: Option<i64>,
    failure: Option<&'static str>,
    parameters: BTreeMap<&'a str, Short<'a>>,
}

#[derive(Deserialize)]
pub(super) struct OfMetric {
    metric: String,
}

/// `GET /api/v1/sweeps/{sweep}/trials`
pub(super) async fn trials(
    shared: Shared,
    sweep: InPath<i64>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let Path(sweep) = sweep?;
    let answer = move |state: &State, reader: &Reader| {
        let sweep = sweep_of(reader, sweep)?.id;
        // Read before the trials: what moves in between is told again by an event.
        let marker = reader.trials_marker(sweep)?;
        let numbers: Vec<u64> = marker.running.iter().map(|(number, _)| *number).collect();
        let running = reader.trials_numbered(sweep, &numbers)?;
        let packed = takes_gzip(&headers);
        let kept = state.columns.find(sweep, packed, &marker, &running);
        let reply = match kept {
            Some(reply) => reply,
            None => {
                let trials = reader.trials(sweep)?;
                let reply = Reply::of(&columns(&trials, &marker), &headers)?;
                state.columns.keep(Columned {
                    sweep,
                    packed,
                    marker,
                    running,
                    reply: reply.clone(),
                });
                reply
            }
        };
        Ok(reply)
    };
    shared.0.read(answer).await
}

/// Columns as they were sent last, for as long as no trial has moved: a page that is opened again, or a second one, costs
/// no reading of all trials.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<Columned>>);

/// An answer, and the state of things that it tells.
struct Columned {
    sweep: SweepId,
    packed: bool,
    marker: TrialsMarker,
    running: Vec<TrialRecord>,
    reply: Reply,
}

/// Answers that are kept: a few sweeps at once are looked at, not more.
const MOST_KEPT: usize = 4;

impl Kept {
    fn find(
        &self,
        sweep: SweepId,
        packed: bool,
        marker: &TrialsMarker,
        running: &[TrialRecord],
    ) -> Option<Reply> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |one: &&Columned| {
            (one.sweep, one.packed) == (sweep, packed)
                && one.marker == *marker
                && one.running == running
        };
        kept.iter().find(fits).map(|one| one.reply.clone())
    }

    fn keep(&self, columned: Columned) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| (one.sweep, one.packed) != (columned.sweep, columned.packed));
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push(columned);
    }
}

/// `GET /api/v1/sweeps/{sweep}/values?metric=`
pub(super) async fn values(
    shared: Shared,
    sweep: InPath<i64>,
    asked: Result<Query<OfMetric>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let (Path(sweep), Query(asked)) = (sweep?, asked?);
    let answer = move |_: &State, reader: &Reader| {
        let values = reader.metric_values(sweep_of(reader, sweep)?.id, &asked.metric)?;
        let column = |of: fn(&converge_store::MetricValue) -> Option<f64>| -> Vec<Option<Number>> {
            values.iter().map(|value| of(value).map(Number::short)).collect()
        };
        let columns = json!({
            "metric": asked.metric,
            "number": values.iter().map(|value| value.trial).collect::<Vec<_>>(),
            "min": column(|value| value.min),
            "max": column(|value| value.max),
            "last": column(|value| value.last),
        });
        Reply::of(&columns, &headers)
    };
    shared.0.read(answer).await
}

/// Names a marker in few letters.
pub(super) fn marker_word(marker: &TrialsMarker) -> String {
    let mut hasher = DefaultHasher::new();
    let counts = &marker.counts;
    [
        counts.queued,
        counts.running,
        counts.completed,
        counts.diverged,
        counts.failed,
        counts.cancelled,
        counts.stopped,
        counts.waiting,
    ]
    .hash(&mut hasher);
    for (number, attempt) in &marker.running {
        (number, attempt.0).hash(&mut hasher);
    }
    marker.newest_attempt.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn columns<'a>(trials: &'a [TrialRecord], marker: &TrialsMarker) -> Columns<'a> {
    let names: BTreeSet<&str> =
        trials.iter().flat_map(|trial| trial.configuration.keys().map(String::as_str)).collect();
    let mut columns = Columns {
        marker: marker_word(marker),
        parameters: names
            .into_iter()
            .map(|name| (name, Vec::with_capacity(trials.len())))
            .collect(),
        ..Columns::default()
    };
    let mut configurations: HashMap<&str, usize> = HashMap::new();
    for trial in trials {
        let next = configurations.len();
        let configuration = *configurations.entry(&trial.fingerprint).or_insert(next);
        columns.number.push(trial.number);
        columns.state.push(trial.state.word());
        columns.kind.push(trial.kind.word());
        columns.configuration.push(configuration);
        columns.replicate.push(trial.replicate);
        columns.objective.push(trial.objective.map(|objective| Number::short(objective.value)));
        columns.objective_step.push(trial.objective.map(|objective| objective.step));
        columns.step.push(trial.last_step.unwrap_or(0));
        columns.total_steps.push(trial.total_steps);
        columns.attempts.push(trial.attempts);
        columns.seconds.push(seconds(trial));
        columns.running_since_ms.push(running_since(trial));
        columns.failure.push(failure(trial));
        for (name, values) in &mut columns.parameters {
            values.push(trial.configuration.get(*name).map(short));
        }
    }
    columns
}

/// Returns a trial as it comes in an event.
pub(super) fn row(trial: &TrialRecord) -> Row<'_> {
    Row {
        number: trial.number,
        state: trial.state.word(),
        kind: trial.kind.word(),
        replicate: trial.replicate,
        objective: trial.objective.map(|objective| Number::short(objective.value)),
        objective_step: trial.objective.map(|objective| objective.step),
        step: trial.last_step.unwrap_or(0),
        total_steps: trial.total_steps,
        attempts: trial.attempts,
        seconds: seconds(trial),
        running_since_ms: running_since(trial),
        failure: failure(trial),
        parameters: trial
            .configuration
            .iter()
            .map(|(name, value)| (name.as_str(), short(value)))
            .collect(),
    }
}

fn short(value: &Value) -> Short<'_> {
    match value {
        Value::Float(number) => Short::Number(Number::short(*number)),
        other => Short::Other(other),
    }
}

fn seconds(trial: &TrialRecord) -> Number {
    Number::short(trial.attempts_ms as f64 / 1000.0)
}

/// The lease of the open attempt: that of the first, since what the others took is in `seconds`.
fn running_since(trial: &TrialRecord) -> Option<i64> {
    match trial.state {
        TrialState::Running(_) if trial.attempts == 1 => trial.leased_at_ms,
        _ => None,
    }
}

fn failure(trial: &TrialRecord) -> Option<&'static str> {
    match &trial.state {
        TrialState::Failed(failure) => Some(failure.class.word()),
        _ => None,
    }
}
