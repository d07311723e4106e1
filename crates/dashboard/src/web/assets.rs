//! The files that make the page, embedded as they stand in `page/`, packed once.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;

use super::reply::{Refused, packed, takes_gzip};
use super::state::InPath;

const INDEX: &str = include_str!("page/index.html");
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(($name, SCRIPT, include_str!(concat!("page/", $name)))),*]
    };
}

/// Name, type and text of each script.
const SCRIPTS: &[(&str, &str, &str)] = &scripts![
    "main.js",
    "api.js",
    "dom.js",
    "number.js",
    "scale.js",
    "colour.js",
    "axes.js",
    "line_plot.js",
    "smooth.js",
    "export.js",
    "trial_set.js",
    "filter.js",
    "trial_table.js",
    "curve_panel.js",
    "parameter_panel.js",
    "parallel.js",
    "scatter.js",
    "heat_map.js",
    "sweeps_page.js",
    "sweep_page.js",
    "trial_page.js",
    "trial_curves.js",
    "log_view.js",
];
const STYLES: &[(&str, &str, &str)] =
    &[("style.css", "text/css; charset=utf-8", include_str!("page/style.css"))];
const ICON: &str = include_str!("page/icon.svg");

/// A file as it is sent.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static str,
    packed: Vec<u8>,
    tag: String,
}

/// Returns all files; the first request packs them.
fn assets() -> &'static [Asset] {
    static ASSETS: OnceLock<Vec<Asset>> = OnceLock::new();
    ASSETS.get_or_init(|| {
        let index = [("index.html", "text/html; charset=utf-8", INDEX)];
        let icon = [("icon.svg", "image/svg+xml", ICON)];
        let files = SCRIPTS.iter().chain(STYLES).chain(&index).chain(&icon);
        files
            .map(|&(name, kind, plain)| Asset {
                name,
                kind,
                plain,
                // Writing to memory does not fail; an empty one is never sent.
                packed: packed(plain.as_bytes(), Compression::best()).unwrap_or_default(),
                tag: format!("\"{:016x}\"", fnv(plain.as_bytes())),
            })
            .collect()
    })
}

/// Tells versions of a file apart; nothing depends on its strength.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn send(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = assets().iter().find(|asset| asset.name == name) else {
        return Refused::missing(format!("there is no file `{name}`")).into_response();
    };
    let unchanged =
        headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.tag.as_bytes());
    let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = match (unchanged, takes_gzip(headers) && !asset.packed.is_empty()) {
        (true, _) => ().into_response(),
        (false, true) => {
            ([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))], asset.packed.as_slice())
                .into_response()
        }
        (false, false) => asset.plain.into_response(),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&asset.tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// The page, with what it will ask for first: the browser then need not read the scripts to know.
fn page(headers: &HeaderMap, first: &[String]) -> Response {
    let mut response = send("index.html", headers);
    for path in first {
        let link = format!("<{path}>; rel=preload; as=fetch; crossorigin=anonymous");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().append(LINK, link);
        }
    }
    response
}

/// `/`
pub(super) async fn home(headers: HeaderMap) -> Response {
    page(&headers, &["/api/v1/home".into()])
}

/// `/sweeps/N`
pub(super) async fn sweep(sweep: InPath<i64>, headers: HeaderMap) -> Response {
    match sweep {
        Ok(Path(sweep)) => {
            let paths = ["".to_owned(), "/trials".to_owned()];
            page(&headers, &paths.map(|rest| format!("/api/v1/sweeps/{sweep}{rest}")))
        }
        Err(rejection) => Refused::from(rejection).into_response(),
    }
}

/// `/sweeps/N/trials/N`
pub(super) async fn trial(trial: InPath<(i64, u64)>, headers: HeaderMap) -> Response {
    match trial {
        Ok(Path((sweep, trial))) => {
            page(&headers, &[format!("/api/v1/sweeps/{sweep}/trials/{trial}")])
        }
        Err(rejection) => Refused::from(rejection).into_response(),
    }
}

/// `/assets/NAME`
pub(super) async fn file(name: InPath<String>, headers: HeaderMap) -> Response {
    match name {
        Ok(Path(name)) => send(&name, &headers),
        Err(rejection) => Refused::from(rejection).into_response(),
    }
}

/// `/favicon.ico`
pub(super) async fn icon(headers: HeaderMap) -> Response {
    send("icon.svg", &headers)
}
