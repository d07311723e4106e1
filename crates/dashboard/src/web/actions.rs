//! What changes something; only for who has the token (see `guard`), and not there at all in a page that is read-only.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::operator::Action;
use super::reply::{Refused, Reply};
use super::state::{InPath, Shared, sweep_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trials {
    trials: Vec<u64>,
}

/// `POST /api/v1/stop`
pub(super) async fn stop(shared: Shared, headers: HeaderMap) -> Result<Reply, Refused> {
    carry_out(shared, Action::Stop, headers).await
}

/// `POST /api/v1/pause`
pub(super) async fn pause(shared: Shared, headers: HeaderMap) -> Result<Reply, Refused> {
    carry_out(shared, Action::Pause, headers).await
}

/// `POST /api/v1/resume`
pub(super) async fn resume(shared: Shared, headers: HeaderMap) -> Result<Reply, Refused> {
    carry_out(shared, Action::Resume, headers).await
}

/// `POST /api/v1/sweeps/{sweep}/cancel` with `{"trials": [1, 2]}`
pub(super) async fn cancel(
    shared: Shared,
    sweep: InPath<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Refused> {
    let Path(sweep) = sweep?;
    let asked: Trials = serde_json::from_slice(&body)
        .map_err(|error| Refused::bad(format!("expected {{\"trials\": [numbers]}}: {error}")))?;
    let name = shared.0.read(move |_, reader| Ok(sweep_of(reader, sweep)?.name)).await?;
    carry_out(shared, Action::Cancel { sweep: name, trials: asked.trials }, headers).await
}

async fn carry_out(shared: Shared, action: Action, headers: HeaderMap) -> Result<Reply, Refused> {
    let state = shared.0;
    let done = tokio::task::spawn_blocking(move || state.operator.carry_out(action)).await;
    let message = done.map_err(|error| Refused::failure(&error))?.map_err(Refused::conflict)?;
    Reply::of(&json!({ "message": message }), &headers)
}
