//! What people read: incidents, timelines, and what waits for them.

use std::time::Duration;

use incident::agent::Entity;
use incident::alert::Severity;
use incident::fact::{Fact, What};
use incident::record::{Head, Record};
use incident::task::{Phase, Role};
use runtime::clock;
use serde_json::{Value, json};
use store::{Outcome, Write};

use crate::bed::{ANN, Bed, DEE, assert_problem, bed, request, tenant};

/// Puts facts on the chain, as the ledger does.
pub(crate) async fn record(bed: &Bed, facts: Vec<(&str, What)>) {
    let (mut head, now) = (Head::default(), clock::now());
    let mut records: Vec<Record> = vec![];
    for (n, (incident, what)) in facts.into_iter().enumerate() {
        let at = now + Duration::from_secs(u64::try_from(n).unwrap());
        let incident = incident.parse().unwrap();
        let fact = Fact { id: format!("fact-{n}"), tenant: tenant(), incident, by: Role::Monitoring, at, what };
        records.push(head.append(fact).unwrap());
    }
    let write = Write::<Value, Value> {
        tenant: tenant(),
        id: "chain".to_owned(),
        expected: None,
        next: Some(Entity { id: "chain".to_owned(), open_key: None, state: json!(head) }),
        handled: vec![],
        publications: vec![],
        effects: vec![],
        timers: vec![],
        records,
        rouses: false,
        trace: None,
        now,
        lease: Duration::from_secs(5),
    };
    assert!(matches!(bed.ledger.commit(&write).await.unwrap(), Outcome::Done { .. }));
}

pub(crate) fn opened(title: &str) -> What {
    What::Opened { title: title.to_owned(), severity: Severity::Critical, follows: None }
}

fn phase(phase: Phase) -> What {
    What::PhaseChanged { phase, why: "so it is".to_owned() }
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["incident"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn incidents_are_listed_in_pages_and_told_in_order() {
    let bed = bed().await;
    let facts = vec![
        ("inc_1", opened("checkout fails")),
        ("inc_2", opened("cart fails")),
        ("inc_3", opened("mail is late")),
        ("inc_1", phase(Phase::Planning)),
        ("inc_2", What::Closed { outcome: "over by itself".to_owned() }),
    ];
    record(&bed, facts).await;
    let first = bed.get("/v1/incidents?limit=2", ANN).await.json;
    assert_eq!(names(&first), ["inc_3", "inc_2"]);
    let next = first["next"].as_str().unwrap();
    let second = bed.get(&format!("/v1/incidents?limit=2&cursor={next}"), ANN).await.json;
    assert_eq!((names(&second), &second["next"]), (vec!["inc_1"], &Value::Null));
    assert_eq!(names(&bed.get("/v1/incidents?state=open", ANN).await.json), ["inc_3", "inc_1"]);
    assert_eq!(names(&bed.get("/v1/incidents?state=closed", ANN).await.json), ["inc_2"]);
    let one = bed.get("/v1/incidents/inc_1", ANN).await.json;
    assert_eq!(
        (&one["title"], &one["phase"], &one["severity"]),
        (&json!("checkout fails"), &json!("planning"), &json!("critical"))
    );
    let line = bed.get("/v1/incidents/inc_1/timeline?limit=1", ANN).await.json;
    assert_eq!((&line["items"][0]["what"]["kind"], &line["items"][0]["seq"]), (&json!("opened"), &json!(1)));
    let rest = bed.get(&format!("/v1/incidents/inc_1/timeline?cursor={}", line["next"].as_str().unwrap()), ANN).await.json;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["items"][0]["what"]["phase"]), (1, &json!("planning")));
    // Another tenant sees none of it (P10), and nobody sees anything.
    assert_eq!(names(&bed.get("/v1/incidents", DEE).await.json), Vec::<&str>::new());
    for path in ["/v1/incidents/inc_1", "/v1/incidents/inc_1/timeline"] {
        assert_problem(&bed.get(path, DEE).await, 404, "not-found", &[], path);
    }
    for path in ["/v1/incidents", "/v1/incidents/inc_1", "/v1/incidents/inc_1/timeline", "/v1/approvals", "/v1/approvals/apr_1"] {
        assert_problem(&bed.get(path, "wrong").await, 401, "unauthorized", &[], path);
    }
    for query in ["limit=0", "limit=1000", "state=all", "cursor=x", "stat=open"] {
        let field = format!("?{}", query.split('=').next().unwrap());
        assert_problem(&bed.get(&format!("/v1/incidents?{query}"), ANN).await, 422, "invalid", &[&field], query);
    }
}

#[tokio::test]
async fn what_waits_is_listed_and_shown_whole() {
    let bed = bed().await;
    let (waits, answered) = (request("a", 1), request("b", 1));
    bed.ask(&waits).await;
    bed.ask(&answered).await;
    let first = bed.get("/v1/approvals?limit=1", ANN).await.json;
    let second = bed.get(&format!("/v1/approvals?limit=1&cursor={}", first["next"].as_str().unwrap()), ANN).await.json;
    let mut listed = [names(&first), names(&second)].concat();
    listed.sort_unstable();
    assert_eq!(listed, ["inc_a", "inc_b"]);
    let path = format!("/v1/approvals/{}", answered.approval);
    let decided = bed.post(&format!("{path}/decisions"), ANN, &json!({"decision": "approve"})).await;
    assert_eq!(decided.status.as_u16(), 200);
    let list = bed.get("/v1/approvals", ANN).await.json;
    assert_eq!(names(&list), ["inc_a"]);
    assert_eq!(list["items"][0]["may_answer"], json!(["ann", "bob"]));
    assert_problem(&bed.get(&path, ANN).await, 404, "not-found", &[], "answered");
    let shown = bed.get(&format!("/v1/approvals/{}", waits.approval), ANN).await.json;
    assert_eq!(shown["digest"], json!(waits.digest));
    assert_eq!(shown["diff"], json!(["- image: shop:v2", "+ image: shop:v1"]));
    assert_eq!(shown["plan"], json!(waits.plan));
    assert_eq!((&shown["quorum"], &shown["groups"]), (&json!(1), &json!(["on-call"])));
    assert_eq!(names(&bed.get("/v1/approvals", DEE).await.json), Vec::<&str>::new());
    assert_problem(&bed.get(&format!("/v1/approvals/{}", waits.approval), DEE).await, 404, "not-found", &[], "another tenant");
}
