//! The public agent card at its well-known path, and how it may be cached (spec §8.2 and §8.6).

use std::sync::Arc;
use std::time::Duration;

use a2a::A2aService;
use a2a::card::WELL_KNOWN_PATH;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::json;

/// Cards change when an agent is deployed; a client that is five minutes behind asks again soon enough.
pub const CARD_MAX_AGE: Duration = Duration::from_mins(5);

/// How the card may be cached.
#[derive(Debug, Clone)]
pub struct CardOptions {
    /// See [`CARD_MAX_AGE`].
    pub max_age: Duration,
    /// When the card changed last, if that is known.
    pub modified: Option<DateTime<Utc>>,
}

impl Default for CardOptions {
    fn default() -> Self {
        Self { max_age: CARD_MAX_AGE, modified: None }
    }
}

/// The card, for everybody. To be merged into the router of a host, or of the prefix that the agent has.
pub fn card_route<S: A2aService>(service: Arc<S>, options: CardOptions) -> Router {
    Router::new().route(WELL_KNOWN_PATH, get(move |headers: HeaderMap| async move { card(&*service, &options, &headers) }))
}

fn card<S: A2aService>(service: &S, options: &CardOptions, headers: &HeaderMap) -> Response {
    let body = json::write(&service.card());
    let etag = format!("\"{}\"", hex::encode(Sha256::digest(&body)));
    let mut response = if is_known(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json::respond(StatusCode::OK, "application/json", body)
    };
    let max_age = format!("public, max-age={}", options.max_age.as_secs());
    // The form of RFC 9110, section 5.6.7.
    let modified = options.modified.map(|modified| modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    for (name, value) in [(ETAG, Some(etag)), (CACHE_CONTROL, Some(max_age)), (LAST_MODIFIED, modified)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether the client has this very card. Proxies may have made the tag a weak one.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}
