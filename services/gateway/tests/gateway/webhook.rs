//! Alertmanager's webhook: accepted means stored, refused means not.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use futures::stream;
use incident::alert::Notification;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::bed::{TOKEN, assert_problem, bed, call};

const PATH: &str = "/v1/alertmanager/acme";
const JSON: (&str, &str) = ("content-type", "application/json");
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn payload(services: &[&str]) -> Value {
    let alert = |(n, service): (usize, &&str)| {
        json!({
            "status": "firing",
            "labels": {"alertname": "HighErrorRatio", "namespace": "shop", "service": service},
            "annotations": {"summary": "too many errors"},
            "startsAt": "2026-11-23T05:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=errors+%3E+0.1&g0.tab=1",
            "fingerprint": format!("{n:016x}")
        })
    };
    json!({
        "receiver": "paramedic", "status": "firing", "version": "4", "externalURL": "http://127.0.0.1:9093",
        "groupKey": "{}:{alertname=\"HighErrorRatio\"}", "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "notification_reason": "first notification",
        "alerts": services.iter().enumerate().map(alert).collect::<Vec<_>>()
    })
}

fn post(path: &str, token: Option<&str>, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    call(Method::POST, path, token, headers, body)
}

#[tokio::test]
async fn what_is_accepted_is_on_the_stream() {
    let bed = bed().await;
    let body = payload(&["cart", "checkout", "cart"]).to_string();
    let headers = [JSON, ("traceparent", TRACE)];
    let answered = bed.send(post(PATH, Some(TOKEN), &headers, body)).await;
    assert_eq!((answered.status.as_u16(), &answered.json), (200, &json!({"accepted": 3, "messages": 2})));
    let stream = bed.stream("ALERTS").await;
    assert_eq!(stream.cached_info().state.messages, 2);
    let mut keys = BTreeSet::new();
    for sequence in 1..=2 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let notification: Notification = serde_json::from_slice(&message.payload).unwrap();
        assert!(message.subject.starts_with("alerts.acme."), "{}", message.subject);
        assert_eq!(message.headers.get("Paramedic-Message-Id").unwrap().as_str(), notification.message_id());
        // With no tracer of our own the caller's trace goes on.
        assert_eq!(message.headers.get("traceparent").unwrap().as_str(), TRACE);
        assert_eq!(notification.alerts[0].expression.as_deref(), Some("errors > 0.1"));
        keys.insert(notification.key.0);
    }
    assert_eq!(keys, ["namespace=shop,service=cart", "namespace=shop,service=checkout"].map(str::to_owned).into());
}

#[tokio::test]
async fn what_is_refused_is_nowhere() {
    let bed = bed().await;
    let good = payload(&["cart"]);
    let body = good.to_string();
    let changed = |change: fn(&mut Value)| {
        let mut payload = good.clone();
        change(&mut payload);
        payload.to_string()
    };
    let send = |token, body: String| post(PATH, token, &[JSON], body);
    let large = format!("{body}{}", " ".repeat(4 * 1024 * 1024));
    let many = changed(|p| p["alerts"][0]["labels"] = (0..65).map(|n| (format!("l{n}"), json!("v"))).collect());
    let cases = [
        ("no token", send(None, body.clone()), 401, "unauthorized", &[][..]),
        ("wrong token", send(Some("wrong"), body.clone()), 401, "unauthorized", &[]),
        ("another's token", send(Some("blues-webhook-token"), body.clone()), 401, "unauthorized", &[]),
        ("no tenant", post("/v1/alertmanager/nobody", Some(TOKEN), &[JSON], body.clone()), 401, "unauthorized", &[]),
        ("bad tenant", post("/v1/alertmanager/a.b%2A", Some(TOKEN), &[JSON], body.clone()), 401, "unauthorized", &[]),
        ("no UTF-8", post("/v1/alertmanager/%FF", Some(TOKEN), &[JSON], body.clone()), 400, "malformed", &[]),
        ("no type", post(PATH, Some(TOKEN), &[], body.clone()), 415, "media-type", &[]),
        ("other type", post(PATH, Some(TOKEN), &[("content-type", "text/plain")], body.clone()), 415, "media-type", &[]),
        ("no JSON", send(Some(TOKEN), "{".to_owned()), 400, "malformed", &[]),
        ("empty", send(Some(TOKEN), String::new()), 400, "malformed", &[]),
        ("version", send(Some(TOKEN), changed(|p| p["version"] = json!("5"))), 422, "invalid", &["/version"]),
        ("labels", send(Some(TOKEN), many), 422, "invalid", &["/alerts/0/labels"]),
        ("too large", send(Some(TOKEN), large), 413, "too-large", &[]),
        ("path", post("/v1/alertmanager", Some(TOKEN), &[JSON], body.clone()), 404, "not-found", &[]),
        ("other path", call(Method::GET, "/nowhere", None, &[], ""), 404, "not-found", &[]),
    ];
    for (case, request, status, name, fields) in cases {
        assert_problem(&bed.send(request).await, status, name, fields, case);
    }
    let answered = bed.send(call(Method::GET, PATH, Some(TOKEN), &[], "")).await;
    assert_problem(&answered, 405, "method-not-allowed", &[], "method");
    assert_eq!(answered.headers["allow"], "POST");
    assert_eq!(bed.stored().await, 0);
    assert!(runtime::metrics::text().contains("paramedic_gateway_refused_total{rule=\"version\",surface=\"alertmanager\"}"));
}

#[tokio::test]
async fn nobody_learns_whether_tenant_or_token_was_wrong() {
    let bed = bed().await;
    let body = payload(&["cart"]).to_string();
    let wrong_token = bed.send(post(PATH, Some("wrong"), &[JSON], body.clone())).await;
    let no_tenant = bed.send(post("/v1/alertmanager/nobody", Some("wrong"), &[JSON], body)).await;
    assert_eq!(wrong_token.json, no_tenant.json);
    assert_eq!(wrong_token.headers, no_tenant.headers);
}

#[tokio::test]
async fn twins_and_retries_are_one_message_to_the_inbox() {
    let bed = bed().await;
    let one = payload(&["cart", "cart"]);
    let mut twin = one.clone();
    twin["externalURL"] = json!("http://twin:9093");
    twin["alerts"].as_array_mut().unwrap().reverse();
    let sends = [&one, &twin, &one, &twin].map(|payload| bed.send(post(PATH, Some(TOKEN), &[JSON], payload.to_string())));
    for answered in futures::future::join_all(sends).await {
        assert_eq!(answered.status.as_u16(), 200);
    }
    let stream = bed.stream("ALERTS").await;
    let mut ids = BTreeSet::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        ids.insert(stream.get_raw_message(sequence).await.unwrap().headers.get("Paramedic-Message-Id").unwrap().to_string());
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn many_at_once_are_all_stored() {
    let bed = bed().await;
    let bodies = (0..200).map(|n| {
        let mut payload = payload(&["cart", "checkout"]);
        payload["groupKey"] = json!(format!("group {n}"));
        payload.to_string()
    });
    let sends = bodies.map(|body| bed.send(post(PATH, Some(TOKEN), &[JSON], body)));
    for answered in futures::future::join_all(sends).await {
        assert_eq!(answered.status.as_u16(), 200, "{answered:?}");
    }
    assert_eq!(bed.stored().await, 400);
}

#[tokio::test]
async fn without_a_bus_the_caller_is_told_to_come_again() {
    let mut bed = bed().await;
    let body = payload(&["cart"]).to_string();
    bed.nats.server().kill().await.unwrap();
    let answered = bed.send(post(PATH, Some(TOKEN), &[JSON], body.clone())).await;
    assert_problem(&answered, 503, "unavailable", &[], "no bus");
    bed.nats.server().restart().await.unwrap();
    let accepted = testkit::eventually("accepting again", crate::bed::SOON, async || {
        let answered = bed.send(post(PATH, Some(TOKEN), &[JSON], body.clone())).await;
        (answered.status.as_u16() == 200).then_some(())
    });
    accepted.await.unwrap();
    assert!(bed.stored().await >= 1);
}

#[tokio::test]
async fn beyond_what_fits_in_memory_the_caller_waits() {
    let bed = bed().await;
    // Bodies that are announced and do not come.
    let length = (4 * 1024 * 1024).to_string();
    let headers = [JSON, ("content-length", length.as_str())];
    let mut under_way = vec![];
    let refused = loop {
        let body = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let mut sending = Box::pin(bed.router.clone().oneshot(post(PATH, Some(TOKEN), &headers, body)));
        match futures::poll!(&mut sending) {
            std::task::Poll::Pending => under_way.push(sending),
            std::task::Poll::Ready(response) => break response.unwrap(),
        }
        assert!(under_way.len() < 100, "bodies under way are not bounded");
    };
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    drop(under_way);
    let answered = bed.send(post(PATH, Some(TOKEN), &[JSON], payload(&["cart"]).to_string())).await;
    assert_eq!(answered.status.as_u16(), 200);
}
