//! A receiver of spans that keeps their times: what a figure is made of, hop by hop.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A batch of the exporters' default size stays far below.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Fifty incidents make some batches.
const BATCHES_MAX: usize = 1_000;

/// A span: what was done, and when, in nanoseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) label: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Batches as they came: reading them while it is measured would take time from what is measured.
type Batches = Arc<Mutex<Vec<Bytes>>>;

/// A running receiver; it ends when it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    batches: Batches,
    serving: AbortHandle,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    /// Receives on a free port.
    pub(crate) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening the receiver of spans")?;
        let address = listener.local_addr().context("opening the receiver of spans")?;
        let batches = Batches::default();
        let routes = Router::new()
            .route("/v1/traces", post(receive))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(&batches));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await }).abort_handle();
        Ok(Self { address, batches, serving })
    }

    /// As in OTEL_EXPORTER_OTLP_ENDPOINT.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far, the earliest first.
    ///
    /// # Errors
    /// If what came cannot be read.
    pub(crate) fn spans(&self) -> Result<Vec<Span>> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut spans = Vec::new();
        for batch in batches {
            let batch = ExportTraceServiceRequest::decode(batch).context("reading spans")?;
            let scopes = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            spans.extend(scopes.flat_map(|scope| scope.spans).map(span));
        }
        spans.sort_by_key(|span| span.from);
        Ok(spans)
    }
}

async fn receive(State(batches): State<Batches>, body: Bytes) -> Response {
    let mut kept = batches.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= BATCHES_MAX {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    kept.push(body);
    ([(CONTENT_TYPE, "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec()).into_response()
}

fn span(wire: WireSpan) -> Span {
    let texts: BTreeMap<String, String> = wire
        .attributes
        .into_iter()
        .filter_map(|pair| match pair.value?.value? {
            Value::StringValue(text) => Some((pair.key, text)),
            _ => None,
        })
        .collect();
    let told = ["role", "kind", "effect"].iter().filter_map(|key| texts.get(*key).map(String::as_str));
    let label = std::iter::once(wire.name.as_str()).chain(told).collect::<Vec<_>>().join(" ");
    Span { trace: hex::encode(wire.trace_id), label, from: wire.start_time_unix_nano, to: wire.end_time_unix_nano }
}
