//! A real OTLP/HTTP receiver for traces (protobuf, `POST /v1/traces`), which keeps what it gets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::eventually;

/// A batch of the exporters' default size (512 spans) stays far below.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A test that makes more has other worries; what comes then is refused, and exporters log that.
const SPANS_MAX: usize = 100_000;
const PROTOBUF: &str = "application/x-protobuf";

/// A span as it was exported; ids are lower-case hex, as in `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The resource's `service.name`.
    pub service: String,
    /// What the span is called.
    pub name: String,
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// 16 digits; empty for a root.
    pub parent_span_id: String,
    /// Trace and span ids this span links to.
    pub links: Vec<(String, String)>,
    /// Attributes, every value as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is an error.
    pub failed: bool,
}

/// A running receiver; it ends when it is dropped.
pub struct OtlpSink {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    serving: AbortHandle,
}

/// Starts a receiver on a free port.
pub async fn otlp_sink() -> Result<OtlpSink> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("binding the OTLP sink")?;
    let address = listener.local_addr().context("binding the OTLP sink")?;
    let spans = Arc::new(Mutex::new(Vec::new()));
    let routes = Router::new()
        .route("/v1/traces", post(receive))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::clone(&spans));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await }).abort_handle();
    Ok(OtlpSink { address, spans, serving })
}

impl OtlpSink {
    /// The base endpoint, as in OTEL_EXPORTER_OTLP_ENDPOINT: exporters append `/v1/traces`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans received so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a trace whose spans satisfy `complete`, and gives back all its spans.
    pub async fn await_trace(&self, within: Duration, complete: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        eventually("a complete trace", within, async || {
            let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
            for span in self.spans() {
                traces.entry(span.trace_id.clone()).or_default().push(span);
            }
            traces.into_values().find(|spans| complete(spans))
        })
        .await
    }
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) -> Response {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return (StatusCode::BAD_REQUEST, "not an ExportTraceServiceRequest").into_response();
    };
    let received: Vec<Span> = request
        .resource_spans
        .into_iter()
        .flat_map(|of_resource| {
            let attributes = of_resource.resource.map(|resource| texts(&resource.attributes));
            let service = attributes.and_then(|mut all| all.remove("service.name")).unwrap_or_default();
            let wires = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
            wires.map(move |wire| span(&service, wire))
        })
        .collect();
    let mut kept = spans.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() + received.len() > SPANS_MAX {
        return (StatusCode::TOO_MANY_REQUESTS, "the sink is full").into_response();
    }
    kept.extend(received);
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    ([(CONTENT_TYPE, PROTOBUF)], answer).into_response()
}

fn span(service: &str, wire: WireSpan) -> Span {
    /// STATUS_CODE_ERROR of OTLP's trace.proto.
    const ERROR: i32 = 2;
    Span {
        service: service.to_owned(),
        name: wire.name,
        trace_id: hex::encode(wire.trace_id),
        span_id: hex::encode(wire.span_id),
        parent_span_id: hex::encode(wire.parent_span_id),
        links: wire.links.iter().map(|link| (hex::encode(&link.trace_id), hex::encode(&link.span_id))).collect(),
        attributes: texts(&wire.attributes),
        failed: wire.status.is_some_and(|status| status.code == ERROR),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}
