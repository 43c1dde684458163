//! How each binding tells an error.

use a2a::{A2aError, ErrorKind};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method};
use axum::response::Response;

use super::{http_json, json_rpc};
use crate::grpc::status;

/// How a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

impl Binding {
    /// gRPC has a media type of its own, JSON-RPC has the prefix to itself, and HTTP+JSON has all paths below.
    pub(super) fn of(request: &Request) -> Self {
        let media_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        // Not application/grpc-web, which is another protocol.
        if let Some([] | [b'+' | b';', ..]) = media_type.strip_prefix(b"application/grpc") {
            return Self::Grpc;
        }
        let is_prefix = ["", "/"].contains(&request.uri().path());
        if is_prefix && request.method() == Method::POST { Self::JsonRpc } else { Self::HttpJson }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }

    /// An error of a request of which nothing is known but its binding.
    pub(super) fn refuse(self, error: &A2aError) -> Response {
        match self {
            Self::JsonRpc => json_rpc::refuse(serde_json::value::RawValue::NULL, error),
            Self::HttpJson => http_json::refuse(error),
            Self::Grpc => with_headers(status::write(error).into_http::<Body>(), error),
        }
    }
}

/// What HTTP says of some errors beside the body.
pub(super) fn with_headers(mut response: Response, error: &A2aError) -> Response {
    if error.kind == ErrorKind::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let ErrorKind::ResourceExhausted { retry_after: Some(after) } = error.kind {
        // In whole seconds, and never zero, which would be at once.
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}
