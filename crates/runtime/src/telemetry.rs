//! Logs as JSON lines, traces by OTLP. One call at the start of a process; dropping the guard sends what is still to be sent.

mod afresh;

use std::time::Duration;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{self, BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData};
use serde::Deserialize;
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use afresh::Afresh;

/// Spans that wait to be sent, one or two KiB each; in a storm that has more, they are dropped.
const SPANS_WAITING_MAX: usize = 1024;
/// Spans that are sent together: some incidents have as many.
const SPANS_SENT_MAX: usize = 256;

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Which log lines are written, as `RUST_LOG` directives.
    pub log: String,
    /// Base URL of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318`; without it no traces are sent.
    pub otlp_endpoint: Option<String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info,rmcp=warn".to_owned(), otlp_endpoint: None }
    }
}

/// Keeps telemetry going.
#[must_use = "dropping it ends telemetry"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces {
            // At the end of the process there is nobody left to tell.
            let _ = traces.shutdown();
        }
    }
}

/// Starts logs and traces for this process.
///
/// # Errors
/// If the directives or the endpoint are not usable.
pub fn start(config: &TelemetryConfig, service: &'static str) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| anyhow::anyhow!("telemetry.log {:?}: {error}", config.log))?;
    let log =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_filter(Afresh(filter));
    let traces = config.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, service)).transpose()?;
    let spans = traces.as_ref().map(|provider| {
        let ours = EnvFilter::new("off,runtime=info,gateway=debug,remediation=info,communication=info,diagnostics=info");
        tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).with_filter(Afresh(ours))
    });
    tracing_subscriber::registry().with(log).with(spans).try_init()?;
    Ok(Telemetry { traces })
}

fn provider(endpoint: &str, service: &'static str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let resource = Resource::builder().with_service_name(service).build();
    let exporter = OnRuntime { exporter, runtime: Handle::try_current()? };
    let batches = BatchConfigBuilder::default().with_max_queue_size(SPANS_WAITING_MAX).with_max_export_batch_size(SPANS_SENT_MAX);
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
    Ok(SdkTracerProvider::builder().with_span_processor(batches).with_resource(resource).build())
}

/// The SDK exports from a thread of its own. There the spans are written down, which takes milliseconds that nobody else shall wait for; an
/// asynchronous HTTP client works there only with our runtime, which does the sending.
#[derive(Debug)]
struct OnRuntime {
    exporter: SpanExporter,
    runtime: Handle,
}

impl trace::SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.runtime.block_on(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

const TRACEPARENT: &str = "traceparent";

struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// Makes `span` a child of the span that a W3C `traceparent` names.
pub fn continue_trace(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent {
        // Fails only if the span was already entered with another parent, which a fresh span was not.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&One(traceparent)));
    }
}

struct Taken(Option<String>);

impl Injector for Taken {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

/// The W3C `traceparent` of `span`, if traces are on.
pub fn traceparent(span: &Span) -> Option<String> {
    let mut taken = Taken(None);
    TraceContextPropagator::new().inject_context(&span.context(), &mut taken);
    taken.0
}
