//! `/healthz`, `/readyz` and `/metrics` of a role.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use bus::Bus;
use incident::task::Role;
use store::Store;

use crate::metrics;

/// What a role needs to be ready.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Which role.
    pub role: Role,
    /// Its bus.
    pub bus: Bus,
    /// Its store.
    pub store: Store,
}

/// The three pages, for every role in this process.
pub fn router(needs: Vec<Needs>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::text()) }))
        .with_state(needs)
}

/// Longest wait for a database: a prober waits a few seconds, and shall hear of the parts that do answer.
const PING_MAX: Duration = Duration::from_secs(1);

/// 200 if every role reaches what it cannot work without, else 503; either way a line for each part.
async fn ready(State(needs): State<Vec<Needs>>) -> impl IntoResponse {
    let mut text = String::new();
    let mut all = true;
    for need in &needs {
        let pinged = tokio::time::timeout(PING_MAX, need.store.ping()).await;
        let parts = [("nats", need.bus.health().is_good()), ("postgres", matches!(pinged, Ok(Ok(()))))];
        for (part, reached) in parts {
            metrics::READY.with_label_values(&[need.role.as_str(), part]).set(i64::from(reached));
            let counts = must_reach(need.role, part);
            let how = match (reached, counts) {
                (true, _) => "reached",
                (false, true) => "NOT reached",
                (false, false) => "NOT reached; ready without it",
            };
            text.extend([need.role.as_str(), " ", part, ": ", how, "\n"]);
            all &= reached || !counts;
        }
    }
    (if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// The gateway takes alerts with the bus alone. Taken out of service for want of a database, it would turn them away as well as the
/// people whose answers must wait.
fn must_reach(role: Role, part: &str) -> bool {
    role != Role::Gateway || part == "nats"
}
