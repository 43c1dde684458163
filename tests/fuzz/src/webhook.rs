//! Alertmanager's webhook: the body as it comes.
//!
//! What is taken keeps every limit, goes over the bus and comes back the same, is the same message each time it is sent, and opens an
//! incident. What is not taken is the caller's fault and says why.

use std::collections::BTreeSet;

use cluster::prometheus::Prometheus;
use gateway::reading;
use incident::agent::Content;
use incident::alert::{Alert, AlertStatus, Correlation, Notification};
use runtime::wire::{self, Carries};

use crate::course;
use crate::fixture::{ACME, TENANT, TENANTS, now};

/// Bytes of a message that NATS servers take, headers included.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// What the gateway's documentation promises: more is refused.
const ALERTS_MAX: usize = 10_000;
const LABELS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 4 * 1024;
const ANNOTATION_BYTES_MAX: usize = 16 * 1024;
/// Broken rules that one answer names.
const RULES_MAX: usize = 20;

/// Reads a body.
///
/// # Panics
/// If a property is broken.
pub fn run(input: &[u8]) -> bool {
    let Some(read) = reading::webhook(&TENANTS, TENANT, input, now()) else { panic!("the tenant is there") };
    match read {
        Ok(taken) => {
            check(&taken);
            assert_eq!(Some(Ok(taken)), reading::webhook(&TENANTS, TENANT, input, now()), "sent again, it is something else");
            true
        }
        Err(refused) => {
            assert!([400, 422].contains(&refused.status), "not the caller's fault: {refused:?}");
            assert!(!refused.detail.is_empty() && refused.rules <= RULES_MAX, "{refused:?}");
            false
        }
    }
}

fn check(taken: &[(Notification, Vec<u8>)]) {
    let alerts: usize = taken.iter().map(|(notification, _)| notification.alerts.len()).sum();
    assert!(alerts <= ALERTS_MAX, "{alerts} alerts were taken");
    let mut ids = BTreeSet::new();
    for (notification, body) in taken {
        assert!(body.len() < MESSAGE_BYTES_MAX, "{} bytes fit into no message", body.len());
        assert_eq!(notification.received_at, Some(now()));
        assert!(!notification.alerts.is_empty(), "a notification about nothing");
        notification.alerts.iter().for_each(|alert| check_alert(notification, alert));
        ids.insert(notification.message_id());
        let delivered = wire::read_content(Carries::Alerts, &ACME, |_| None, body);
        let Ok(Content::Alerts(delivered)) = delivered else { panic!("the bus's other end cannot read it: {delivered:?}") };
        assert!(delivered == *notification, "it changed on the bus: {notification:?} became {delivered:?}");
        course::heard(&Content::Alerts(delivered));
    }
    let beats = taken.iter().filter(|(notification, _)| notification.heartbeat.is_some()).count();
    assert!(beats <= 1, "one heartbeat is heard once a call");
}

fn check_alert(notification: &Notification, alert: &Alert) {
    assert!((1..=64).contains(&alert.fingerprint.len()) && alert.fingerprint.bytes().all(|b| b.is_ascii_hexdigit()));
    for (texts, bytes_max) in [(&alert.labels, VALUE_BYTES_MAX), (&alert.annotations, ANNOTATION_BYTES_MAX)] {
        assert!(texts.len() <= LABELS_MAX);
        assert!(texts.keys().all(|name| (1..=NAME_BYTES_MAX).contains(&name.len())));
        assert!(texts.values().all(|value| value.len() <= bytes_max));
    }
    assert!(alert.status == AlertStatus::Resolved || alert.ends_at.is_none(), "it fires and has ended");
    if notification.heartbeat.is_none() {
        assert_eq!(Correlation::default().key(&alert.labels), notification.key, "sorted to another's alerts");
    }
    // Diagnostics and remediation take every expression apart.
    if let Some(expression) = &alert.expression {
        let _any = Prometheus::tells_silence(expression, &alert.labels);
    }
}
