//! What the edge counts beside what every role counts.

use std::sync::LazyLock;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec};
use runtime::metrics::counter;

/// Seconds; from one fsync to what a caller waits for at most.
const SECONDS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Requests answered.
pub(crate) static REQUESTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_gateway_requests_total", "Requests answered.", &["route", "method", "status"]));

/// Requests refused, by the rule that they break.
pub(crate) static REFUSED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_gateway_refused_total", "Rules that requests broke.", &["surface", "rule"]));

/// Alerts accepted durably.
pub(crate) static ALERTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_gateway_alerts_total", "Alerts accepted durably.", &["tenant"]));

/// From handing notifications to the bus to its acknowledgement.
pub(crate) static INTAKE_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("paramedic_gateway_intake_seconds", "Until the bus has stored a call, in seconds.");
    #[expect(clippy::expect_used, reason = "the names in this file are valid metric names: a test makes each of them")]
    let made = HistogramVec::new(options.buckets(SECONDS.to_vec()), &["result"]).expect("a valid name");
    let _ = prometheus::default_registry().register(Box::new(made.clone()));
    made
});

/// Looks at the silences of an Alertmanager.
pub(crate) static SILENCES_FOLLOWED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "paramedic_gateway_silences_followed_total",
        "Looks at the silences of an Alertmanager, by whether they were taken over.",
        &["tenant", "result"],
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_shown_once_used() {
        REQUESTS.with_label_values(&["/x", "GET", "200"]).inc();
        REFUSED.with_label_values(&["alertmanager", "version"]).inc();
        ALERTS.with_label_values(&["acme"]).inc();
        SILENCES_FOLLOWED.with_label_values(&["acme", "failed"]).inc();
        INTAKE_SECONDS.with_label_values(&["done"]).observe(0.1);
        let text = runtime::metrics::text();
        for name in ["requests_total", "refused_total", "alerts_total", "silences_followed_total", "intake_seconds"] {
            assert!(text.contains(&format!("paramedic_gateway_{name}")), "{name} in {text}");
        }
    }
}
