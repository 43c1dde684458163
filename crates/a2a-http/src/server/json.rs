//! JSON in and out.

use a2a::A2aError;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

/// Set aside for an answer before it is written: most answers.
const ANSWER_BYTES: usize = 1024;

/// Writes a value. Ours always have a JSON form: their keys are texts.
pub(super) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    let mut json = Vec::with_capacity(ANSWER_BYTES);
    let _ = serde_json::to_writer(&mut json, value);
    json
}

/// An answer with a JSON body.
pub(super) fn respond(status: StatusCode, media_type: &'static str, json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Whether a body is of one of these types, whatever the parameters.
pub(super) fn check_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), A2aError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if allowed.iter().any(|allowed| essence.eq_ignore_ascii_case(allowed)) {
        return Ok(());
    }
    let message = format!("Content-Type must be {}", allowed.join(" or "));
    Err(A2aError::new(a2a::ErrorKind::ContentTypeNotSupported, message))
}
