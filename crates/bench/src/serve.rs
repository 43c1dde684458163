//! The yardsticks, each a server process like the gateway: axum that parses the body and answers, and the same with a durable write
//! before the answer. Neither checks tokens, validates, or recognises duplicates: they show what the parts cost without Paramedic.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::TcpListener;

use crate::batch::Batcher;

/// What yardstick (b) publishes to.
pub(crate) const SUBJECT: &str = "floor.all";

/// What a handler must read at the least to know what it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(rename = "groupKey")]
    _group_key: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    #[serde(rename = "status")]
    _status: String,
    #[serde(rename = "fingerprint")]
    _fingerprint: String,
    #[serde(rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    _starts_at: chrono::DateTime<chrono::Utc>,
    #[serde(rename = "endsAt")]
    _ends_at: IgnoredAny,
    #[serde(rename = "generatorURL")]
    _generator_url: String,
}

fn read(body: &Bytes) -> Result<(), StatusCode> {
    let notification: Notification = serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    if notification.alerts.is_empty() { Err(StatusCode::BAD_REQUEST) } else { Ok(()) }
}

/// Yardstick (a): parses and answers.
pub(crate) async fn bare(listen: SocketAddr) -> Result<()> {
    let routes = Router::new().route("/", post(async |body: Bytes| read(&body)));
    serve(listen, routes).await
}

/// Yardstick (b): parses, stores what was sent on a stream, answers then.
pub(crate) async fn floor(listen: SocketAddr, client: &async_nats::Client) -> Result<()> {
    let batcher = Arc::new(Batcher::start(client.clone(), SUBJECT));
    let routes = Router::new().route("/", post(store)).with_state(batcher);
    serve(listen, routes).await
}

async fn store(State(batcher): State<Arc<Batcher>>, body: Bytes) -> Result<(), StatusCode> {
    read(&body)?;
    if batcher.store(body).await { Ok(()) } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
}

async fn serve(listen: SocketAddr, routes: Router) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    axum::serve(listener, routes).await.context("serving")
}
