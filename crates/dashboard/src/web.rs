//! The page of `converge serve`: sweeps, trials and curves in a browser, live, from one process on this machine.
//!
//! What the browser gets is in `web/page/`: plain HTML, CSS and JavaScript modules, embedded as they are. What these ask
//! for is in `docs/page.md`. In reading order: [`operator`] (what the page cannot do by itself), `state` and `readers`
//! (what every request shares), `guard` (who may ask), `reply`, `assets`, then one file for each kind of answer:
//! `sweeps`, `trials`, `trial`, `curves`, `live` and `actions`.
//!
//! The database is read by readers that cannot write, on threads that may wait. Nothing is kept between requests but
//! these readers, so the page is right after any kill of the scheduler, and of itself.

mod actions;
mod assets;
mod curves;
mod guard;
mod live;
mod number;
pub mod operator;
mod readers;
mod reply;
mod state;
mod sweeps;
mod trial;
mod trials;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::http::Uri;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use operator::Operator;
use readers::Readers;
use reply::Refused;
use state::State;
use trials::Kept;

/// The longest request that means something: numbers of trials to cancel. Unit: bytes.
const MOST_BODY_BYTES: usize = 1 << 20;

/// What a page is made of.
pub struct Page {
    /// Database of the home.
    pub database: PathBuf,
    /// The home, as people name it.
    pub home: String,
    /// Version of converge.
    pub version: &'static str,
    /// What the page cannot do by itself.
    pub operator: Arc<dyn Operator>,
    /// Who knows this may stop, pause and cancel; none: nobody may.
    pub token: Option<String>,
    /// Where it listens: what a request may call it depends on that.
    pub host: Host,
}

/// Where a page listens.
#[derive(Debug, Clone)]
pub struct Host {
    /// The address.
    pub address: IpAddr,
    /// The name that it was asked for by, if it was not an address.
    pub name: Option<String>,
}

/// Returns the page as an HTTP service.
pub fn router(page: Page) -> Router {
    let actions = page.token.is_some();
    let state = Arc::new(State {
        readers: Readers::of(page.database),
        home: page.home,
        version: page.version,
        operator: page.operator,
        token: page.token,
        host: page.host,
        columns: Kept::default(),
    });
    let mut router = Router::new()
        .route("/", get(assets::home))
        .route("/sweeps/{sweep}", get(assets::sweep))
        .route("/sweeps/{sweep}/trials/{trial}", get(assets::trial))
        .route("/assets/{file}", get(assets::file))
        .route("/favicon.ico", get(assets::icon))
        .route("/api/v1/home", get(sweeps::home))
        .route("/api/v1/events", get(live::events))
        .route("/api/v1/sweeps/{sweep}", get(sweeps::sweep))
        .route("/api/v1/sweeps/{sweep}/trials", get(trials::trials))
        .route("/api/v1/sweeps/{sweep}/values", get(trials::values))
        .route("/api/v1/sweeps/{sweep}/curves", get(curves::of_sweep))
        .route("/api/v1/sweeps/{sweep}/trials/{trial}", get(trial::trial))
        .route("/api/v1/sweeps/{sweep}/trials/{trial}/curves", get(curves::of_trial))
        .route("/api/v1/sweeps/{sweep}/trials/{trial}/log", get(trial::log));
    if actions {
        router = router
            .route("/api/v1/stop", post(actions::stop))
            .route("/api/v1/pause", post(actions::pause))
            .route("/api/v1/resume", post(actions::resume))
            .route("/api/v1/sweeps/{sweep}/cancel", post(actions::cancel));
    }
    router
        .fallback(missing)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard::guard))
        .with_state(state)
}

/// Serves a page until the listener fails, which it does not while the process lives.
///
/// # Errors
/// Those of the network.
pub async fn serve(listener: tokio::net::TcpListener, page: Page) -> std::io::Result<()> {
    axum::serve(listener, router(page)).await
}

async fn missing(uri: Uri) -> Response {
    Refused::missing(format!("there is nothing at `{}`", uri.path())).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    Refused::method(format!("`{}` takes no {method}", uri.path())).into_response()
}
