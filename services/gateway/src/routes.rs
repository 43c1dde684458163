//! Which path leads where, and what all answers have in common: they are counted, and every failure is a problem document, whoever
//! noticed it.

use std::sync::Arc;

use a2a::A2aError;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use incident::task::Role;
use tower_http::catch_panic::CatchPanicLayer;

use crate::edge::{Edge, Parts};
use crate::problem::{self, Problem};
use crate::{approvals, count, incidents, interactions, orders, silences, webhook};

/// What the gateway serves.
#[derive(Debug)]
pub struct Routers {
    /// All paths of the edge but those that every role has (`/healthz`, `/readyz`, `/metrics`: `runtime::health`).
    pub edge: Router,
    /// Agents on ports of their own.
    pub agents: Vec<(Role, Router)>,
}

/// Everything that the gateway serves; `alone` are the agents with a port of their own.
///
/// # Errors
/// If a card cannot be signed.
pub fn routers(parts: Parts, alone: &[Role]) -> Result<Routers, A2aError> {
    let edge = Arc::new(Edge::new(parts));
    let a2a = edge.parts.agents.router(&edge)?;
    let agents = alone.iter().filter_map(|role| Some((*role, edge.parts.agents.alone(*role, &edge)?))).collect();
    Ok(Routers { edge: paths(edge).merge(a2a), agents })
}

fn paths(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/v1/alertmanager/{tenant}", post(webhook::receive))
        .route("/v1/slack/{tenant}/interactions", post(interactions::receive))
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{id}", get(approvals::show))
        .route("/v1/approvals/{id}/decisions", post(approvals::decide))
        .route("/v1/incidents", get(incidents::list))
        .route("/v1/incidents/{id}", get(incidents::show))
        .route("/v1/incidents/{id}/timeline", get(incidents::timeline))
        .route("/v1/incidents/{id}/orders", post(orders::give))
        .route("/v1/silences", get(silences::list).post(silences::add))
        .route("/v1/silences/preview", post(silences::preview))
        .route("/v1/silences/import", post(silences::import))
        .route("/v1/silences/{id}", get(silences::show))
        .route("/v1/silences/{id}/expire", post(silences::expire))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(CatchPanicLayer::custom(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()))
        .layer(middleware::from_fn(finish))
        .with_state(edge)
}

async fn finish(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = documented(next.run(request).await);
    // Neither label is the caller's to choose: each value would be a new time series.
    let route = path.as_ref().map_or("unknown", MatchedPath::as_str);
    let method = if ["GET", "POST"].contains(&method.as_str()) { method.as_str() } else { "other" };
    count::REQUESTS.with_label_values(&[route, method, response.status().as_str()]).inc();
    response
}

/// Failures that a library answered with a bare status or text become documents too.
fn documented(response: Response) -> Response {
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    let is_document = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == problem::MEDIA_TYPE);
    if !is_failure || is_document {
        return response;
    }
    let mut document = Problem::of_status(status).into_response();
    if let Some(allow) = response.headers().get(ALLOW) {
        document.headers_mut().insert(ALLOW, allow.clone());
    }
    document
}
