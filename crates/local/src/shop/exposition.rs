//! The HTTP side: `/metrics`, for Prometheus.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::traffic::{Traffic, lock};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until cancelled.
pub(super) async fn serve(listener: TcpListener, traffic: Arc<Mutex<Traffic>>, cancel: CancellationToken) {
    let routes = Router::new().route("/metrics", get(metrics)).with_state(traffic);
    // Not the graceful kind: Prometheus keeps its connection open between scrapes, so that would never end.
    if let Some(Err(error)) = cancel.run_until_cancelled(async { axum::serve(listener, routes).await }).await {
        tracing::error!(%error, "the shop's metrics are not served any more");
    }
}

async fn metrics(State(traffic): State<Arc<Mutex<Traffic>>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_FORMAT)], lock(&traffic).exposition())
}
