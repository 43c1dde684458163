//! What every role counts, in the Prometheus format. One registry per process; the role is a label.

use std::sync::LazyLock;

use prometheus::{Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder};

/// Seconds; from one fsync to the slowest call outside.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// A counter that is shown with the others. For statics, whose names and labels are written down in the program.
///
/// # Panics
/// If the name or a label is none that Prometheus takes. A test makes each counter, so none gets that far.
pub fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    #[expect(clippy::expect_used, reason = "names stand in the program, and a test makes each counter")]
    let made = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
    // Registering fails only for a second metric of the same name, which a static cannot be.
    let _ = prometheus::default_registry().register(Box::new(made.clone()));
    made
}

fn histogram(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    #[expect(clippy::expect_used, reason = "the names in this file are valid metric names: a test makes each of them")]
    let made = HistogramVec::new(options, labels).expect("a valid name");
    let _ = prometheus::default_registry().register(Box::new(made.clone()));
    made
}

/// Inputs handled, by kind of input and answer.
pub static HANDLED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_handled_total", "Inputs handled.", &["role", "kind", "answer"]));

/// From taking a group of inputs to its durable commit.
pub static HANDLE_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| histogram("paramedic_handle_seconds", "Load, decide and commit, in seconds.", &["role"]));

/// Commits run again because somebody else was faster.
pub static RACES: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_commit_races_total", "Commits lost to another and run again.", &["role"]));

/// Effects tried, by name and result.
pub static EFFECTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_effects_total", "Effects tried.", &["role", "effect", "result"]));

/// How long a try of an effect took.
pub static EFFECT_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| histogram("paramedic_effect_seconds", "One try of an effect, in seconds.", &["role", "effect"]));

/// Messages published from the outbox.
pub static PUBLISHED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("paramedic_published_total", "Messages published.", &["role", "result"]));

/// Outbox rows claimed by the sweep: tries again, and rows of processes that went away.
pub static SWEPT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "paramedic_outbox_swept_total",
        "Outbox rows claimed by the sweep: tries again, and rows of processes that went away.",
        &["role"],
    )
});

/// Entities that were open and waited for nothing. There should be none: the auditor has set each going again.
pub static SET_GOING: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("paramedic_audit_set_going_total", "Entities that waited for nothing, set going again by the auditor.", &["role"])
});

fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    #[expect(clippy::expect_used, reason = "the names in this file are valid metric names: a test makes each of them")]
    let made = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name");
    // As for counters.
    let _ = prometheus::default_registry().register(Box::new(made.clone()));
    made
}

/// Whether the role can reach what it needs.
pub static READY: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("paramedic_ready", "1 if the part can be reached.", &["role", "part"]));

/// Outbox rows and timers that are there.
pub static BACKLOG: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge("paramedic_backlog_rows", "Rows of the outbox and timers that are there.", &["role", "part"]));

/// Everything counted so far, in the text format.
pub fn text() -> String {
    let mut buffer = Vec::new();
    // Writing to memory does not fail; a metric that cannot be written is left out.
    let _ = TextEncoder::new().encode(&prometheus::default_registry().gather(), &mut buffer);
    String::from_utf8(buffer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_shown_once_used() {
        HANDLED.with_label_values(&["gateway", "alerts", "done"]).inc();
        HANDLE_SECONDS.with_label_values(&["gateway"]).observe(0.1);
        RACES.with_label_values(&["gateway"]).inc();
        EFFECTS.with_label_values(&["gateway", "apply", "done"]).inc();
        EFFECT_SECONDS.with_label_values(&["gateway", "apply"]).observe(0.1);
        PUBLISHED.with_label_values(&["gateway", "done"]).inc();
        SWEPT.with_label_values(&["gateway"]).inc();
        SET_GOING.with_label_values(&["gateway"]).inc();
        BACKLOG.with_label_values(&["gateway", "outbox"]).set(1);
        READY.with_label_values(&["gateway", "nats"]).set(1);
        let text = text();
        for name in [
            "handled_total",
            "handle_seconds",
            "commit_races_total",
            "effects_total",
            "effect_seconds",
            "ready",
            "backlog_rows",
            "audit_set_going_total",
        ] {
            assert!(text.contains(&format!("paramedic_{name}")), "{name} in {text}");
        }
    }
}
