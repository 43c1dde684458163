//! What people want of incidents: read, published, and answered by the record.

use axum::http::Method;
use incident::fact::What;
use incident::id::OrderId;
use incident::order::{Order, Want};
use serde_json::{Value, json};

use crate::api::{opened, record};
use crate::bed::{ANN, Answered, Bed, DEE, assert_problem, bed, call};

const PATH: &str = "/v1/incidents/inc_1/orders";

async fn order(bed: &Bed, key: &str, body: &Value) -> Answered {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    bed.send(call(Method::POST, PATH, Some(ANN), &headers, body.to_string())).await
}

/// The newest order on the bus.
async fn published(bed: &Bed) -> Order {
    let message = bed.stream("ALERTS").await.get_last_raw_message_by_subject("alerts.acme.orders").await.unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

#[tokio::test]
async fn an_order_is_on_the_bus_and_answered_by_the_record() {
    let bed = bed().await;
    let name = |key: &str| OrderId::derive(&["acme", "ann", "inc_1", key]);
    let (by, minutes) = (|| "ann".parse().unwrap(), 30);
    let refused = What::OrderRefused {
        order: name("second"),
        by: by(),
        what: Want::Unacknowledge,
        why: "nobody has acknowledged it".to_owned(),
    };
    let facts = vec![
        ("inc_1", opened("checkout fails")),
        ("inc_1", What::Ordered { order: name("first"), by: by(), what: Want::Acknowledge { minutes } }),
        ("inc_1", refused),
    ];
    record(&bed, facts).await;

    let ack = json!({"want": "acknowledge", "minutes": minutes});
    for time in ["once", "once more"] {
        let given = order(&bed, "first", &ack).await;
        assert_eq!((given.status.as_u16(), &given.json["state"]), (200, &json!("done")), "{time}: {given:?}");
    }
    let on_the_bus = published(&bed).await;
    assert_eq!((on_the_bus.id, on_the_bus.want), (name("first"), Want::Acknowledge { minutes }));
    assert_eq!((on_the_bus.by.as_str(), on_the_bus.incident.as_str()), ("ann", "inc_1"));
    assert_problem(&order(&bed, "second", &json!({"want": "unacknowledge"})).await, 409, "conflict", &[], "refused");
    let other = json!({"want": "release"});
    assert_problem(&order(&bed, "first", &other).await, 422, "invalid", &["Idempotency-Key"], "a key used again");
    let unanswered = bed.post(PATH, ANN, &other).await;
    assert_eq!((unanswered.status.as_u16(), &unanswered.json["state"]), (202, &json!("accepted")), "{unanswered:?}");
}

#[tokio::test]
async fn what_nobody_can_carry_out_never_reaches_the_bus() {
    let bed = bed().await;
    record(&bed, vec![("inc_1", opened("checkout fails"))]).await;
    for (case, body, field) in [
        ("no want", json!({"minutes": 5}), ""),
        ("an unknown one", json!({"want": "explode"}), "/want"),
        ("a field too many", json!({"want": "acknowledge", "minutes": 5, "hours": 1}), ""),
        ("too short", json!({"want": "acknowledge", "minutes": 1}), "/minutes"),
        ("no reason", json!({"want": "resolve", "reason": " "}), "/reason"),
        ("nobody's", json!({"want": "own", "owner": "dee"}), "/owner"),
        ("no alert", json!({"want": "attach", "alerts": [], "to": "inc_2"}), "/alerts"),
        ("no incident", json!({"want": "merge", "into": "a b"}), ""),
    ] {
        let answered = bed.post(PATH, ANN, &body).await;
        assert_eq!(answered.status.as_u16(), 422, "{case}: {answered:?}");
        let named = answered.json["errors"][0]["field"].as_str().unwrap();
        assert!(field.is_empty() || named == field, "{case}: {answered:?}");
    }
    let note = json!({"want": "note", "text": "hello"});
    assert_problem(&order(&bed, "", &note).await, 422, "invalid", &["Idempotency-Key"], "an empty key");
    assert_problem(&bed.post("/v1/incidents/inc_none/orders", ANN, &note).await, 404, "not-found", &[], "no such incident");
    assert_problem(&bed.post(PATH, DEE, &note).await, 404, "not-found", &[], "another tenant's (P10)");
    assert_problem(&bed.post(PATH, "wrong", &note).await, 401, "unauthorized", &[], "nobody");
    assert_eq!(bed.stored().await, 0);
}
