//! Answers: JSON, packed where the browser takes that, and refusals with a status and a sentence.

use std::io::Write as _;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use converge_store::{QueryError, ReadError};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::json;

/// Shorter answers are not worth packing. Unit: bytes.
const WORTH_PACKING: usize = 1400;

/// A JSON answer.
#[derive(Clone)]
pub(super) struct Reply {
    body: Bytes,
    packed: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

impl Reply {
    /// Makes the answer to a request with these headers; packs it, so this belongs on a thread that may wait.
    pub(super) fn of(value: &impl Serialize, headers: &HeaderMap) -> Result<Self, Refused> {
        let body = serde_json::to_vec(value).map_err(|error| Refused::failure(&error))?;
        if body.len() < WORTH_PACKING || !takes_gzip(headers) {
            return Ok(Self { body: body.into(), packed: false });
        }
        let body = packed(&body, Compression::fast()).map_err(|error| Refused::failure(&error))?;
        Ok(Self { body: body.into(), packed: true })
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (VARY, HeaderValue::from_static("Accept-Encoding")),
        ];
        let encoding: Option<[(HeaderName, HeaderValue); 1]> =
            self.packed.then_some([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        match encoding {
            Some(encoding) => (json, encoding, self.body).into_response(),
            None => (json, self.body).into_response(),
        }
    }
}

/// Returns whether a browser takes packed answers.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get("accept-encoding").and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| {
        accepted.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|weight| weight == "q=0")
        })
    })
}

/// Packs bytes.
pub(super) fn packed(bytes: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

impl Refused {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.into() }
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    pub(super) fn method(message: impl Into<String>) -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, message: message.into() }
    }

    /// What was asked for does not fit the state of things.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into() }
    }

    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }

    pub(super) fn failure(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message += &format!(": {cause}");
            source = cause.source();
        }
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "status": self.status.as_u16(), "message": self.message } });
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (self.status, headers, body.to_string()).into_response()
    }
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        Self::failure(&error)
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        let status = match error {
            // Moved away, or being rebuilt: it may come back.
            ReadError::Missing { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, ..Self::failure(&error) }
    }
}

impl From<PathRejection> for Refused {
    fn from(rejection: PathRejection) -> Self {
        Self::missing(rejection.body_text())
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad(rejection.body_text())
    }
}
