//! Who may ask: a browser on this machine is asked by every page that it has open, also by strangers'.
//!
//! - `Host` must be an address, `localhost` or the name that `--host` gave. A stranger's page that has its own name point
//!   at this machine (DNS rebinding) sends that name.
//! - The API answers no request that a browser says comes from another site, and sends no CORS header, so that no
//!   other page can read an answer.
//! - What changes something needs the token that stood in the address at the start, in a header: no form and no image can
//!   send that, so neither can a stranger's page. There are no cookies.
//! - Answers say that they are no scripts, may not be framed, and may load nothing from elsewhere; scripts and styles come
//!   from files alone, and no text becomes one.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Host;
use super::reply::Refused;
use super::state::{Shared, State};

/// The header that carries the token.
pub(super) const TOKEN: &str = "x-converge-token";

/// Everything from this server, and nothing from anywhere else; pictures also from the page itself, for its export.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses what must not be answered, and adds to each answer what a browser should know.
pub(super) async fn guard(shared: Shared, request: Request, next: Next) -> Response {
    let state: Arc<State> = shared.0;
    let allowed = check(&state, request.method(), request.uri(), request.headers());
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(state: &State, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    if !is_ours(host, &state.host) {
        return Err(Refused::forbidden(format!(
            "this page does not answer to the name `{host}`: use localhost or an address, or name it with --host"
        )));
    }
    let from = text(headers, "sec-fetch-site").unwrap_or("none");
    if uri.path().starts_with("/api/") && !["none", "same-origin"].contains(&from) {
        return Err(Refused::forbidden("another site's page asks for this"));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    if text(headers, ORIGIN.as_str()).is_some_and(|origin| origin != format!("http://{host}")) {
        return Err(Refused::forbidden("another site's page asks for this"));
    }
    let Some(token) = &state.token else {
        return Err(Refused::forbidden("this page is read-only: it was started with --read-only"));
    };
    if !is_same(token.as_bytes(), text(headers, TOKEN).unwrap_or_default().as_bytes()) {
        return Err(Refused::forbidden(
            "the token is missing or wrong: open the page by the address that `converge serve` printed",
        ));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether a request may call this server so. The port does not matter: it may be forwarded.
fn is_ours(host: &str, ours: &Host) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    let named = ours.name.as_deref().is_some_and(|ours| ours.eq_ignore_ascii_case(name));
    match name.parse::<IpAddr>() {
        // Who listens on loopback alone has no other address.
        Ok(address) => !ours.address.is_loopback() || address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") || named,
    }
}

/// Compares in a time that does not tell where two differ.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |differences, (left, right)| differences | (left ^ right))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_localhost_or_the_name_that_was_given() {
        let here = Host { address: "127.0.0.1".parse().unwrap(), name: None };
        for host in ["localhost:7331", "LOCALHOST", "127.0.0.1:80", "[::1]:7331", "localhost.:1"] {
            assert!(is_ours(host, &here), "{host}");
        }
        for host in
            ["", "evil.example:7331", "localhost.evil.example", "10.0.0.1:7331", "127.0.0.1.nip.io"]
        {
            assert!(!is_ours(host, &here), "{host}");
        }
        let open = Host { address: "0.0.0.0".parse().unwrap(), name: Some("node7".into()) };
        for host in ["10.0.0.1:7331", "node7:7331", "NODE7", "localhost"] {
            assert!(is_ours(host, &open), "{host}");
        }
        assert!(!is_ours("evil.example", &open));
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_same(b"abc", b"abc"));
        assert!(!is_same(b"abc", b"abd") && !is_same(b"abc", b"ab") && !is_same(b"abc", b""));
    }
}
