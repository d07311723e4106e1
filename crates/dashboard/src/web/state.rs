//! What every request shares.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use converge_core::ids::SweepId;
use converge_store::{Reader, SweepSummary};

use super::Host;
use super::operator::Operator;
use super::readers::Readers;
use super::reply::Refused;
use super::trials::Kept;

/// What every request shares.
pub(super) struct State {
    pub(super) readers: Readers,
    pub(super) home: String,
    pub(super) version: &'static str,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) token: Option<String>,
    pub(super) host: Host,
    pub(super) columns: Kept,
}

/// The state as handlers take it.
pub(super) type Shared = axum::extract::State<Arc<State>>;
/// Numbers in a path, or what is wrong with them.
pub(super) type InPath<T> = Result<Path<T>, PathRejection>;

impl State {
    /// Reads the database on a thread that may wait.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self, &Reader) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let state = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            state.readers.with(|reader| read(&state, reader)).map_err(Refused::from)?
        });
        task.await.map_err(|error| Refused::failure(&error))?
    }
}

/// Returns the sweep of this id.
pub(super) fn sweep_of(reader: &Reader, sweep: i64) -> Result<SweepSummary, Refused> {
    let found = reader.sweep_summary(SweepId(sweep))?;
    found.ok_or_else(|| Refused::missing(format!("there is no sweep with id {sweep}")))
}
