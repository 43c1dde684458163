//! What connectors count, in the process's default Prometheus registry.
//!
//! Label values come from fixed sets (connector, tool, outcome), never from arguments.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, register_histogram_vec, register_int_counter_vec};

/// Seconds; from a loopback look-up to a provider that needs its whole deadline.
const LATENCY_BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0];

// Registering fails only when the name is taken; then this process has two copies of the kit
// and counting is the least of its worries, so the calls go uncounted instead of failing.
static CALLS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!(
        "paramedic_connector_calls_total",
        "tool calls answered by a connector",
        &["connector", "tool", "outcome"]
    )
    .ok()
});

static LATENCY: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    register_histogram_vec!(
        "paramedic_connector_call_seconds",
        "time a connector took to answer a tool call",
        &["connector", "tool"],
        LATENCY_BUCKETS.to_vec()
    )
    .ok()
});

static REQUESTS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!(
        "paramedic_provider_requests_total",
        "requests sent to a provider, retries included",
        &["provider", "outcome"]
    )
    .ok()
});

/// One tool call was answered.
pub(crate) fn count_call(connector: &str, tool: &str, outcome: &str, elapsed: Duration) {
    if let Some(calls) = CALLS.as_ref() {
        calls.with_label_values(&[connector, tool, outcome]).inc();
    }
    if let Some(latency) = LATENCY.as_ref() {
        latency.with_label_values(&[connector, tool]).observe(elapsed.as_secs_f64());
    }
}

/// One request left for a provider and ended so.
pub(crate) fn count_request(provider: &str, outcome: &str) {
    if let Some(requests) = REQUESTS.as_ref() {
        requests.with_label_values(&[provider, outcome]).inc();
    }
}
