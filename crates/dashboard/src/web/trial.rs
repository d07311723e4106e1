//! One trial with everything about it, and its log.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use converge_core::key::KEYS;
use converge_core::micro_batches::MicroBatches;
use converge_core::trial::TrialState;
use converge_store::{AttemptRecord, Reader, TrialDetail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::number::Number;
use super::operator::LogPart;
use super::reply::{Refused, Reply};
use super::state::{InPath, Shared, State, sweep_of};
use super::sweeps::summary;

/// Bytes of a log in one answer.
const LOG_BYTES: u64 = 256 << 10;

#[derive(Deserialize)]
pub(super) struct OfLog {
    attempt: Option<u64>,
    from: Option<u64>,
}

/// `GET /api/v1/sweeps/{sweep}/trials/{trial}`
pub(super) async fn trial(
    shared: Shared,
    at: InPath<(i64, u64)>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let Path((sweep, number)) = at?;
    let answer = move |state: &State, reader: &Reader| {
        let sweep = sweep_of(reader, sweep)?;
        let detail = detail_of(reader, &sweep, number)?;
        let mut answer = whole(&detail);
        answer["sweep"] = summary(reader, &sweep, state.operator.scheduler())?;
        answer["home"] = json!(state.home);
        answer["version"] = json!(state.version);
        answer["actions"] = json!(state.token.is_some());
        // The same configuration with other seeds.
        let objective = &sweep.objective;
        let ranked = reader.ranking(sweep.id, objective)?;
        answer["replicates"] = ranked
            .iter()
            .filter(|other| other.fingerprint == detail.trial.fingerprint)
            .map(|other| {
                json!({
                    "number": other.number, "replicate": other.replicate, "diverged": other.diverged,
                    "objective": other.objective.map(|objective| Number::exact(objective.value)),
                })
            })
            .collect();
        Reply::of(&answer, &headers)
    };
    shared.0.read(answer).await
}

/// `GET /api/v1/sweeps/{sweep}/trials/{trial}/log?attempt=&from=`
pub(super) async fn log(
    shared: Shared,
    at: InPath<(i64, u64)>,
    asked: Result<Query<OfLog>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let (Path((sweep, number)), Query(asked)) = (at?, asked?);
    let answer = move |state: &State, reader: &Reader| {
        let detail = detail_of(reader, &sweep_of(reader, sweep)?, number)?;
        let attempt = match asked.attempt {
            Some(wanted) => detail.attempts.iter().find(|attempt| attempt.number == wanted),
            None => detail.attempts.last(),
        };
        let Some(attempt) = attempt else {
            return Err(Refused::missing("there is no such attempt, so it has no log"));
        };
        let part = match asked.from {
            Some(from) => LogPart::From(from, LOG_BYTES),
            None => LogPart::Tail(LOG_BYTES),
        };
        let log = state.operator.log(&attempt.directory, part).map_err(|error| {
            Refused::missing(format!(
                "the log of attempt {} cannot be read: {error}",
                attempt.number
            ))
        })?;
        let answer = json!({
            "attempt": attempt.number,
            "text": String::from_utf8_lossy(&log.bytes),
            "from": log.from,
            "next": log.from + log.bytes.len() as u64,
            "length": log.length,
            "ended": attempt.ending.is_some(),
        });
        Reply::of(&answer, &headers)
    };
    shared.0.read(answer).await
}

fn detail_of(
    reader: &Reader,
    sweep: &converge_store::SweepSummary,
    number: u64,
) -> Result<TrialDetail, Refused> {
    let found = reader.trial(sweep.id, number)?;
    found.ok_or_else(|| Refused::missing(format!("there is no trial {number} in this sweep")))
}

fn whole(detail: &TrialDetail) -> Value {
    let trial = &detail.trial;
    let failure = match &trial.state {
        TrialState::Failed(failure) => Some(failure),
        _ => None,
    };
    json!({
        "number": trial.number,
        "state": trial.state.word(),
        "kind": trial.kind.word(),
        "failure": failure,
        "configuration": trial.configuration,
        "fingerprint": trial.fingerprint,
        "replicate": trial.replicate,
        "objective": trial.objective.map(|objective| Number::exact(objective.value)),
        "objective_step": trial.objective.map(|objective| objective.step),
        "step": trial.last_step.unwrap_or(0),
        "total_steps": trial.total_steps,
        "seconds": Number::exact(trial.attempts_ms as f64 / 1000.0),
        "best_weights": trial.best_weights.as_ref().map(|weights| json!({
            "step": weights.step, "value": Number::exact(weights.value), "directory": weights.directory,
        })),
        "resume_step": trial.resume.as_ref().map(|resume| resume.step),
        "created_at_ms": trial.created_at_ms,
        "leased_at_ms": trial.leased_at_ms,
        "ended_at_ms": trial.ended_at_ms,
        "settings": settings(detail),
        "attempts": detail.attempts.iter().map(|attempt| attempt_json(detail, attempt)).collect::<Vec<_>>(),
        "checkpoints": detail.checkpoints.iter().map(|checkpoint| json!({
            "attempt": checkpoint.attempt, "step": checkpoint.step,
            "directory": checkpoint.directory, "at_ms": checkpoint.at_ms,
        })).collect::<Vec<_>>(),
        "metrics": detail.metrics.iter().map(|metric| json!({
            "metric": metric.metric,
            "last": Number::exact(metric.last), "last_step": metric.last_step,
            "min": metric.min.map(|(value, _)| Number::exact(value)), "min_step": metric.min.map(|(_, step)| step),
            "max": metric.max.map(|(value, _)| Number::exact(value)), "max_step": metric.max.map(|(_, step)| step),
        })).collect::<Vec<_>>(),
    })
}

/// Every setting that has a value, in the order in which sweep files name them.
fn settings(detail: &TrialDetail) -> Vec<Value> {
    let document = serde_json::to_value(&detail.settings).unwrap_or_default();
    let mut settings = Vec::new();
    for key in KEYS {
        let (section, field) = key.section();
        let value = &document[section][field];
        if !value.is_null() {
            settings.push(json!({
                "section": section,
                "key": field,
                "value": value,
                "parameter": detail.trial.configuration.contains_key(key.short_name()),
            }));
        }
    }
    settings
}

fn attempt_json(detail: &TrialDetail, attempt: &AttemptRecord) -> Value {
    let evidence = attempt.evidence.as_ref();
    json!({
        "attempt": attempt.number,
        "device": attempt.device,
        "pid": attempt.pid,
        "machine": attempt.machine,
        "directory": attempt.directory,
        "from_step": attempt.from_step,
        "until_step": attempt.until_step,
        "last_step": attempt.last_step,
        "ending": attempt.ending.as_ref().map(|ending| ending.word()),
        "ending_detail": attempt.ending,
        "peak_memory_bytes": attempt.peak_memory_bytes,
        "micro_batches": MicroBatches::of(&detail.settings.train, attempt.accumulation_factor).count,
        "worker_exit": attempt.worker_exit,
        "evidence": evidence.map(|left| json!({ "log": left.log, "stderr": left.stderr })),
        "leased_at_ms": attempt.leased_at_ms,
        "started_at_ms": attempt.started_at_ms,
        "ended_at_ms": attempt.ended_at_ms,
    })
}
