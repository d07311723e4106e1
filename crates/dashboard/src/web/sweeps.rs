//! The home and its sweeps.

use axum::extract::Path;
use axum::http::HeaderMap;
use converge_store::{Reader, SweepSummary};
use serde_json::{Value, json};

use super::number::Number;
use super::reply::{Refused, Reply};
use super::state::{InPath, Shared, State, sweep_of};
use crate::view::standing::standing;

/// `GET /api/v1/home`
pub(super) async fn home(shared: Shared, headers: HeaderMap) -> Result<Reply, Refused> {
    let answer = move |state: &State, reader: &Reader| {
        let scheduler = state.operator.scheduler();
        let sweeps: Result<Vec<Value>, Refused> =
            reader.sweeps()?.iter().map(|sweep| summary(reader, sweep, scheduler)).collect();
        let home = json!({
            "home": state.home,
            "version": state.version,
            "scheduler_pid": scheduler,
            "actions": state.token.is_some(),
            "sweeps": sweeps?,
        });
        Reply::of(&home, &headers)
    };
    shared.0.read(answer).await
}

/// `GET /api/v1/sweeps/{sweep}`
pub(super) async fn sweep(
    shared: Shared,
    sweep: InPath<i64>,
    headers: HeaderMap,
) -> Result<Reply, Refused> {
    let Path(sweep) = sweep?;
    let answer = move |state: &State, reader: &Reader| {
        let found = sweep_of(reader, sweep)?;
        let mut answer = summary(reader, &found, state.operator.scheduler())?;
        answer["home"] = json!(state.home);
        answer["actions"] = json!(state.token.is_some());
        answer["version"] = json!(state.version);
        answer["metrics"] = json!(reader.sweep_metrics(found.id)?);
        answer["made_by"] = json!(found.version);
        if let Some(source) = reader.sweep_source(found.id)? {
            let overrides: Value = serde_json::from_str(&source.overrides).unwrap_or_default();
            answer["source"] =
                json!({ "path": source.path, "text": source.text, "overrides": overrides });
        }
        answer["facts"] = json!(reader.facts(found.id)?);
        Reply::of(&answer, &headers)
    };
    shared.0.read(answer).await
}

/// Returns where a sweep stands: the part that changes while it runs.
pub(super) fn summary(
    reader: &Reader,
    sweep: &SweepSummary,
    scheduler: Option<u32>,
) -> Result<Value, Refused> {
    let header = reader.sweep_header(sweep.id)?;
    let trials = &sweep.trials;
    let best = header.best.map(|best| {
        json!({
            "configuration": best.configuration,
            "mean": best.mean.map(Number::exact),
            "replicates": best.replicates,
            "trial": best.trial,
        })
    });
    let devices: Vec<Value> = header
        .devices
        .iter()
        .map(|(device, alive)| json!({ "device": device, "workers": alive }))
        .collect();
    Ok(json!({
        "id": sweep.id.0,
        "name": sweep.name,
        "state": standing(sweep, scheduler.is_some()),
        "scheduler_pid": scheduler,
        "objective": sweep.objective,
        "trials": {
            "total": trials.total(), "planned": sweep.planned, "queued": trials.queued, "running": trials.running,
            "completed": trials.completed, "diverged": trials.diverged, "failed": trials.failed,
            "cancelled": trials.cancelled,
            "stopped": trials.stopped,
            "waiting": trials.waiting,
        },
        "steps_done": header.steps_done,
        "steps_total": header.steps_total,
        "best": best,
        "devices": devices,
        "created_at_ms": sweep.created_at_ms,
        "started_at_ms": sweep.started_at_ms,
        "ended_at_ms": sweep.ended_at_ms,
    }))
}
