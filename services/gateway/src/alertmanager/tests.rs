use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// As Alertmanager 0.25 sends it; 0.33 adds `notification_reason`.
fn payload() -> Value {
    json!({
        "receiver": "paramedic", "status": "firing",
        "alerts": [alert("0b1d9ba4c3d4f9a5", "checkout"), alert("1c2e0cb5d4e50ab6", "checkout")],
        "groupLabels": {"service": "checkout"}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093", "version": "4",
        "groupKey": "{}:{alertname=\"HighErrorRatio\", service=\"checkout\"}", "truncatedAlerts": 1,
        "notification_reason": "first notification", "somethingNew": {"deep": [1, {"er": null}]}
    })
}

fn alert(fingerprint: &str, service: &str) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": "HighErrorRatio", "namespace": "shop", "service": service, "severity": "critical"},
        "annotations": {"summary": "errors & <trouble>"},
        "startsAt": "2026-11-23T05:00:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=sum%28rate%28errors%5B1m%5D%29%29+%2F+2+%3E+0.1&g0.tab=1",
        "fingerprint": fingerprint
    })
}

fn sorted(body: &[u8]) -> Result<Vec<Written>, Problem> {
    sorted_by(&Heartbeats::new(), body)
}

fn sorted_by(heartbeats: &Heartbeats, body: &[u8]) -> Result<Vec<Written>, Problem> {
    let (tenant, correlation) = (tenant(), Correlation::default());
    read(Sorting { tenant: &tenant, correlation: &correlation, heartbeats }, body, DateTime::UNIX_EPOCH)
}

fn take(payload: &Value) -> Result<Vec<Notification>, Problem> {
    let written = sorted(payload.to_string().as_bytes())?;
    Ok(written.into_iter().map(|written| written.notification).collect())
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut payload = payload();
    change(&mut payload);
    payload
}

/// The fields that an answer names.
fn fields(payload: &Value) -> Vec<String> {
    fields_of(payload.to_string().as_bytes())
}

fn fields_of(body: &[u8]) -> Vec<String> {
    let problem = sorted(body).expect_err("a refusal");
    problem.errors.into_iter().map(|error| error.field).collect()
}

#[test]
fn a_real_payload_is_taken() {
    let mut taken = take(&payload()).unwrap();
    assert_eq!(taken.len(), 1);
    let notification = taken.remove(0);
    assert_eq!(notification.key.0, "namespace=shop,service=checkout");
    assert_eq!(notification.truncated_alerts, 1);
    assert_eq!(notification.alerts.len(), 2);
    let alert = &notification.alerts[0];
    assert_eq!(alert.expression.as_deref(), Some("sum(rate(errors[1m])) / 2 > 0.1"));
    assert_eq!(alert.ends_at, None);
    assert_eq!(alert.starts_at.timestamp_subsec_nanos(), 123_456_789);
}

#[test]
fn one_notification_for_each_correlation_key() {
    let payload = changed(|p| p["alerts"] = json!([alert("a1", "cart"), alert("a2", "checkout"), alert("a3", "cart")]));
    let taken = take(&payload).unwrap();
    let counts: Vec<(String, usize)> = taken.iter().map(|n| (n.key.0.clone(), n.alerts.len())).collect();
    let expected = [("namespace=shop,service=cart".to_owned(), 2), ("namespace=shop,service=checkout".to_owned(), 1)];
    assert_eq!(counts, expected);
}

#[test]
fn twins_and_retries_have_equal_ids_and_news_has_not() {
    let id = |payload: &Value| take(payload).unwrap()[0].message_id();
    let twin = changed(|p| {
        p["externalURL"] = json!("http://other-twin:9093");
        p["alerts"].as_array_mut().unwrap().reverse();
        p["notification_reason"] = json!("group changed");
    });
    assert_eq!(id(&payload()), id(&twin));
    let resolved = changed(|p| {
        for alert in p["alerts"].as_array_mut().unwrap() {
            alert["status"] = json!("resolved");
            alert["endsAt"] = json!("2026-11-23T05:10:00Z");
        }
    });
    assert_ne!(id(&payload()), id(&resolved));
    assert_eq!(take(&resolved).unwrap()[0].alerts[0].ends_at.unwrap().timestamp(), 1_795_410_600);
}

#[test]
fn an_alert_that_fires_has_no_end() {
    let payload = changed(|p| p["alerts"][0]["endsAt"] = json!("2026-11-23T05:10:00Z"));
    assert_eq!(take(&payload).unwrap()[0].alerts[0].ends_at, None);
}

#[test]
fn what_an_alert_may_lack() {
    let payload = changed(|p| {
        for field in ["annotations", "endsAt", "generatorURL"] {
            p["alerts"][0].as_object_mut().unwrap().remove(field);
        }
        p["alerts"][1]["annotations"] = Value::Null;
        p["alerts"][1]["generatorURL"] = json!("not an address");
        for field in ["truncatedAlerts", "receiver", "externalURL", "groupLabels", "commonLabels", "commonAnnotations"] {
            p.as_object_mut().unwrap().remove(field);
        }
    });
    let taken = take(&payload).unwrap();
    assert!(taken[0].alerts.iter().all(|alert| alert.expression.is_none() && alert.annotations.is_empty()));
}

#[test]
fn every_broken_rule_is_named_with_its_field() {
    let many = |n: usize| (0..n).map(|n| (format!("l{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("other version", changed(|p| p["version"] = json!("5")), vec!["/version"]),
        ("number as version", changed(|p| p["version"] = json!(4)), vec!["/version"]),
        ("no version", changed(|p| drop(p.as_object_mut().unwrap().remove("version"))), vec!["/version"]),
        ("no group key", changed(|p| p["groupKey"] = json!("")), vec!["/groupKey"]),
        ("long group key", changed(|p| p["groupKey"] = json!("g".repeat(GROUP_KEY_BYTES_MAX + 1))), vec!["/groupKey"]),
        ("odd status", changed(|p| p["status"] = json!("suppressed")), vec!["/status"]),
        ("number as status", changed(|p| p["alerts"][1]["status"] = json!(1)), vec!["/alerts/1/status"]),
        ("no status", changed(|p| p["status"] = Value::Null), vec!["/status"]),
        ("no alerts", changed(|p| p["alerts"] = json!([])), vec!["/alerts"]),
        ("alerts missing", changed(|p| p["alerts"] = Value::Null), vec!["/alerts"]),
        ("no list", changed(|p| p["alerts"] = json!({})), vec!["/alerts"]),
        ("too many", changed(|p| p["alerts"] = json!(vec![alert("a", "b"); ALERTS_MAX + 1])), vec!["/alerts"]),
        ("65 labels", changed(|p| p["alerts"][1]["labels"] = Value::Object(many(65))), vec!["/alerts/1/labels"]),
        ("65 annotations", changed(|p| p["alerts"][0]["annotations"] = Value::Object(many(65))), vec!["/alerts/0/annotations"]),
        ("no labels", changed(|p| p["alerts"][0]["labels"] = json!({})), vec!["/alerts/0/labels"]),
        ("label no text", changed(|p| p["alerts"][0]["labels"]["a/b"] = json!(1)), vec!["/alerts/0/labels/a~1b"]),
        (
            "long value",
            changed(|p| p["alerts"][0]["labels"]["x"] = json!("v".repeat(VALUE_BYTES_MAX + 1))),
            vec!["/alerts/0/labels/x"],
        ),
        (
            "long name",
            changed(|p| p["alerts"][0]["labels"]["n".repeat(NAME_BYTES_MAX + 1)] = json!("v")),
            vec!["/alerts/0/labels"],
        ),
        ("empty name", changed(|p| p["alerts"][0]["labels"][""] = json!("v")), vec!["/alerts/0/labels"]),
        ("no start", changed(|p| p["alerts"][0]["startsAt"] = json!("0001-01-01T00:00:00Z")), vec!["/alerts/0/startsAt"]),
        ("odd start", changed(|p| p["alerts"][0]["startsAt"] = json!("yesterday")), vec!["/alerts/0/startsAt"]),
        ("odd fingerprint", changed(|p| p["alerts"][0]["fingerprint"] = json!("no hex")), vec!["/alerts/0/fingerprint"]),
        ("no fingerprint", changed(|p| p["alerts"][0]["fingerprint"] = Value::Null), vec!["/alerts/0/fingerprint"]),
        ("negative", changed(|p| p["truncatedAlerts"] = json!(-1)), vec!["/truncatedAlerts"]),
        (
            "two at once",
            changed(|p| {
                p["version"] = json!("3");
                p["alerts"][1]["status"] = Value::Null;
            }),
            vec!["/version", "/alerts/1/status"],
        ),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(fields(&payload), expected, "{name}");
    }
}

#[test]
fn an_answer_names_a_bounded_number_of_rules() {
    let mut bad = alert("a", "b");
    bad["status"] = Value::Null;
    assert_eq!(fields(&changed(|p| p["alerts"] = json!(vec![bad; 500]))).len(), VIOLATIONS_MAX);
}

#[test]
fn what_is_not_json_is_malformed() {
    let deep = "[".repeat(100_000);
    for body in ["", "{", "nonsense", "{\"version\": \"4\"} more", &format!("{{\"new\": {deep}"), "\u{0}"] {
        let problem = sorted(body.as_bytes()).unwrap_err();
        assert_eq!(problem.names(), ["malformed"], "{}", &body[..body.len().min(40)]);
    }
    // The empty pointer is the whole body.
    for body in [&b"[]"[..], b"3", b"null"] {
        assert_eq!(fields_of(body), [""]);
    }
    assert_eq!(fields_of(b"{}"), ["/version", "/status", "/groupKey", "/alerts"].map(str::to_owned).as_slice());
}

#[test]
fn a_notification_too_large_for_the_bus_becomes_several_with_steady_ids() {
    let description = "d".repeat(ANNOTATION_BYTES_MAX);
    let alerts: Vec<Value> = (0..200)
        .map(|n| {
            let mut alert = alert(&format!("{n:016x}"), "checkout");
            alert["annotations"]["description"] = json!(description);
            alert
        })
        .collect();
    let payload = changed(|p| p["alerts"] = json!(alerts)).to_string();
    let read = || sorted(payload.as_bytes()).unwrap();
    let written = read();
    assert!(written.len() >= 4, "{}", written.len());
    assert!(written.iter().all(|w| w.body.len() <= NOTIFICATION_BYTES_MAX));
    assert_eq!(written.iter().map(|w| w.notification.alerts.len()).sum::<usize>(), 200);
    let ids = |written: &[Written]| written.iter().map(|w| w.notification.message_id()).collect::<Vec<_>>();
    let first = ids(&written);
    assert_eq!(first, ids(&read()));
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), written.len());
}

/// As small as alerts are: only so many fit into one body.
fn small_alerts(count: usize, service: impl Fn(usize) -> String) -> Vec<Value> {
    let alert = |n: usize| {
        json!({
            "status": "firing", "fingerprint": format!("{n:016x}"), "startsAt": "2026-11-23T05:00:00Z",
            "labels": {"alertname": "HighErrorRatio", "namespace": "shop", "service": service(n), "instance": format!("10.0.0.{n}:80")}
        })
    };
    (0..count).map(alert).collect()
}

#[test]
fn the_size_of_the_body_is_the_limit_and_not_the_number_of_alerts() {
    let sizes = |service: fn(usize) -> String| {
        let body = changed(|p| p["alerts"] = json!(small_alerts(ALERTS_MAX, service))).to_string();
        assert!(body.len() <= crate::webhook::BODY_BYTES_MAX, "{}", body.len());
        let written = sorted(body.as_bytes()).unwrap();
        assert!(written.iter().all(|w| w.body.len() <= NOTIFICATION_BYTES_MAX));
        assert_eq!(written.iter().map(|w| w.notification.alerts.len()).sum::<usize>(), ALERTS_MAX);
        written.len()
    };
    assert_eq!(sizes(|n| format!("s{n}")), ALERTS_MAX, "one notification a key");
    let of_one_key = sizes(|_| "checkout".to_owned());
    assert!((2..=8).contains(&of_one_key), "{of_one_key}");
}

#[test]
fn copies_of_a_long_group_key_are_bounded() {
    let of = |keys: usize, bytes: usize| {
        let alerts = small_alerts(ALERTS_MAX, |n| format!("s{}", n % keys));
        changed(|p| (p["alerts"], p["groupKey"]) = (json!(alerts), json!("g".repeat(bytes))))
    };
    for (keys, bytes) in [(1, GROUP_KEY_BYTES_MAX), (1_000, GROUP_KEY_BYTES_MAX), (ALERTS_MAX, 1_500)] {
        assert!(take(&of(keys, bytes)).is_ok(), "{keys} keys, {bytes} bytes");
    }
    assert_eq!(fields(&of(ALERTS_MAX, 2_000)), ["/groupKey"]);
}

#[test]
fn an_alert_too_large_for_the_bus_is_refused() {
    let payload = changed(|p| {
        for n in 0..LABELS_MAX {
            // Control characters take six bytes each in JSON.
            p["alerts"][0]["annotations"][format!("a{n}")] = json!("\u{1}".repeat(ANNOTATION_BYTES_MAX / 4));
        }
        p["alerts"][0]["annotations"].as_object_mut().unwrap().remove("summary");
    });
    assert_eq!(fields(&payload), ["/alerts"]);
}

#[test]
fn a_body_written_is_the_notification() {
    let written = sorted(payload().to_string().as_bytes()).unwrap();
    let back: Notification = serde_json::from_slice(&written[0].body).unwrap();
    assert_eq!(back, written[0].notification);
}

#[test]
fn a_heartbeat_goes_its_own_way() {
    let heartbeats: Heartbeats =
        serde_json::from_value(json!({"prometheus": {"matchers": ["alertname=\"Watchdog\""], "silent_after_s": 300}})).unwrap();
    let payload = changed(|p| {
        let mut watchdog = alert("ff", "none");
        watchdog["labels"] = json!({"alertname": "Watchdog", "severity": "none"});
        p["alerts"].as_array_mut().unwrap().push(watchdog);
    });
    let beats = |written: &[Written]| {
        written.iter().filter_map(|w| w.notification.heartbeat.as_ref().map(|b| b.name.to_string())).collect::<Vec<_>>()
    };
    let written = sorted_by(&heartbeats, payload.to_string().as_bytes()).unwrap();
    assert_eq!((written.len(), beats(&written)), (2, vec!["prometheus".to_owned()]));
    let written = sorted(payload.to_string().as_bytes()).unwrap();
    assert_eq!((written.len(), beats(&written)), (2, vec![]), "where none is configured it is an alert like any other");
}

#[test]
fn expressions_are_read_from_rule_addresses() {
    let cases = [
        ("http://p/graph?g0.expr=up+%3D%3D+0&g0.tab=1", Some("up == 0")),
        ("http://p/graph?g0.tab=1&g0.expr=a%7Bb%3D%22c%22%7D#frag", Some("a{b=\"c\"}")),
        ("http://p/graph?g0.expr=", None),
        ("http://p/graph?g1.expr=x", None),
        ("", None),
    ];
    for (url, expected) in cases {
        assert_eq!(expression(url).as_deref(), expected, "{url}");
    }
    let mut long = String::from("http://p/graph?g0.expr=");
    write!(long, "{}", "x".repeat(URL_BYTES_MAX)).unwrap();
    assert_eq!(fields(&changed(|p| p["alerts"][0]["generatorURL"] = json!(long))), ["/alerts/0/generatorURL"]);
}
