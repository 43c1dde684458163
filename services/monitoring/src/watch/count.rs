//! What the watch counts beside what every role counts.

use std::sync::LazyLock;

use prometheus::IntCounterVec;
use runtime::metrics::counter;

/// Looks at one rule, by how they went.
pub(super) static LOOKS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_watch_looks_total", "Looks at watch rules.", &["tenant", "rule", "result"]));

/// Looks at all rules whose result was kept, or was not.
pub(super) static KEPT: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_watch_kept_total", "Looks whose result was kept.", &["tenant", "result"]));

/// Alerts that the watch began and ended.
pub(super) static ALERTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_watch_alerts_total", "Alerts of the watch.", &["tenant", "status"]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_shown_once_used() {
        LOOKS.with_label_values(&["acme", "A", "done"]).inc();
        KEPT.with_label_values(&["acme", "done"]).inc();
        ALERTS.with_label_values(&["acme", "firing"]).inc();
        let text = runtime::metrics::text();
        for name in ["looks_total", "kept_total", "alerts_total"] {
            assert!(text.contains(&format!("paramedic_watch_{name}")), "{name} in {text}");
        }
    }
}
