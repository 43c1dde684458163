//! Real Alertmanagers of three versions send, are told to come again while the bus is away, and come again.

use std::net::SocketAddr;

use incident::alert::{AlertStatus, Notification};
use runtime::lifecycle::Lifecycle;
use serde_json::{Value, json};
use testkit::Suite;
use tokio::net::TcpListener;

use crate::bed::{Bed, SOON, TOKEN, bed};

fn config(address: SocketAddr) -> String {
    let webhook = json!({
        "url": format!("http://{address}/v1/alertmanager/acme"), "send_resolved": true, "max_alerts": 2,
        "http_config": {"authorization": {"credentials": TOKEN}}
    });
    let route = json!({"receiver": "paramedic", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"});
    json!({"route": route, "receivers": [{"name": "paramedic", "webhook_configs": [webhook]}]}).to_string()
}

/// Three alerts of one group, firing or over.
fn alerts(has_ended: bool) -> Value {
    // Alertmanager sorts by job and instance, so which two of the three it sends is no chance.
    let alert = |instance: &str| {
        let mut alert = json!({
            "labels": {"alertname": "HighErrorRatio", "namespace": "shop", "service": "checkout", "instance": instance},
            "annotations": {"summary": "errors & <trouble>"},
            "startsAt": "2026-11-23T05:00:00.5Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=ratio+%3E+0.1&g0.tab=1"
        });
        alert["endsAt"] = json!(if has_ended { "2026-11-23T05:10:00Z" } else { "2099-01-01T00:00:00Z" });
        alert
    };
    json!(["a", "b", "c"].map(alert))
}

/// The newest notification on the stream, if it is of this status and about all three.
async fn newest(bed: &Bed, status: AlertStatus) -> Option<Notification> {
    let stream = bed.stream("ALERTS").await;
    let message = stream.get_raw_message(stream.cached_info().state.last_sequence).await.ok()?;
    let notification: Notification = serde_json::from_slice(&message.payload).unwrap();
    let is_whole = notification.alerts.len() == 2 && notification.truncated_alerts == 1;
    (is_whole && notification.alerts.iter().all(|alert| alert.status == status)).then_some(notification)
}

async fn check(suite: Suite) {
    let mut bed = bed().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, life) = (listener.local_addr().unwrap(), Lifecycle::default());
    life.spawn("listener", gateway::serve(bed.router.clone(), listener, life.clone()));
    let alertmanager = testkit::alertmanager(Some(suite), &config(address)).await.unwrap();
    // "Already installed" is the only error, and means what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |alerts: Value| {
        let url = format!("{}/api/v2/alerts", alertmanager.url());
        http.post(url).json(&alerts).send().await.unwrap().error_for_status().unwrap();
    };
    send(alerts(false)).await;
    let look = async || newest(&bed, AlertStatus::Firing).await;
    let firing = testkit::eventually("a notification", SOON, look).await.unwrap();
    assert_eq!(
        (firing.key.0.as_str(), firing.group_key.as_str()),
        ("namespace=shop,service=checkout", "{}:{alertname=\"HighErrorRatio\"}")
    );
    let alert = &firing.alerts[0];
    assert_eq!((alert.ends_at, alert.expression.as_deref()), (None, Some("ratio > 0.1")));
    assert_eq!(alert.starts_at.timestamp_subsec_millis(), 500);

    bed.nats.server().kill().await.unwrap();
    send(alerts(true)).await;
    let refused = "paramedic_gateway_refused_total{rule=\"unavailable\",surface=\"alertmanager\"}";
    let look = async || runtime::metrics::text().contains(refused).then_some(());
    testkit::eventually("a refusal", SOON, look).await.unwrap();
    bed.nats.server().restart().await.unwrap();
    let look = async || newest(&bed, AlertStatus::Resolved).await;
    let resolved = testkit::eventually("the notification again", SOON, look).await.unwrap();
    assert_eq!(resolved.group_key, firing.group_key);
    let fingerprints =
        |notification: &Notification| notification.alerts.iter().map(|a| a.fingerprint.clone()).collect::<Vec<_>>();
    assert_eq!(fingerprints(&resolved), fingerprints(&firing));
    assert!(resolved.alerts.iter().all(|alert| alert.ends_at.is_some()));
    drop(alertmanager);
    life.finish().await.unwrap();
}

#[tokio::test]
async fn alertmanager_0_25_is_understood() {
    check(Suite::Bookworm).await;
}

#[tokio::test]
async fn alertmanager_0_28_is_understood() {
    check(Suite::Trixie).await;
}

#[tokio::test]
async fn alertmanager_0_33_is_understood() {
    check(Suite::Forky).await;
}
