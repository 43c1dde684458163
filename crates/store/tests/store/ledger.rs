//! The audit chain and what people read of it.

use incident::alert::Severity;
use incident::fact::{Fact, What};
use incident::id::{IncidentId, TenantId};
use incident::record::{Broken, Head, Record};
use incident::task::{Phase, Role};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use store::{After, IncidentQuery, IncidentState, Outcome, Store, StoreError};

use crate::bed::{Plain, at, bed, done, put, tenant};

fn fact(incident: &str, second: i64, what: What) -> Fact {
    let id = format!("monitoring/{incident}/{second}/{}", what.kind());
    let at = at(second) + chrono::TimeDelta::nanoseconds(123_456_789);
    Fact { id, tenant: tenant(), incident: incident.parse().unwrap(), by: Role::Monitoring, at, what }
}

fn opened(incident: &str, second: i64) -> Fact {
    let title = format!("{incident} is\u{0} down");
    fact(incident, second, What::Opened { title, severity: Severity::Critical, follows: None })
}

fn phase(incident: &str, second: i64, phase: Phase) -> Fact {
    fact(incident, second, What::PhaseChanged { phase, why: "\u{0} why".to_owned() })
}

/// Appends facts as the ledger does: the chain's head is the entity.
async fn append(store: &Store, head: &mut Head, revision: &mut Option<u64>, facts: Vec<Fact>) {
    let records: Vec<Record> = facts.into_iter().map(|fact| head.append(fact).unwrap()).collect();
    done(store, &Plain { records, ..put("chain", None, json!(head), *revision) }).await;
    *revision = Some(revision.unwrap_or(0) + 1);
}

async fn verify(store: &Store) -> Result<u64, Broken> {
    let mut head = Head::default();
    loop {
        let records = store.audit_records(&tenant(), head.seq + 1, 2).await.unwrap();
        if records.is_empty() {
            return Ok(head.seq);
        }
        for record in &records {
            head.follow(record)?;
        }
    }
}

fn page(state: IncidentState, after: Option<After>) -> IncidentQuery {
    IncidentQuery { state, after, limit: 2 }
}

async fn names(store: &Store, query: &IncidentQuery) -> Vec<String> {
    store.incidents(&tenant(), query).await.unwrap().into_iter().map(|i| i.incident.to_string()).collect()
}

#[tokio::test]
async fn the_chain_comes_back_as_it_was_hashed() {
    let bed = bed().await;
    let store = bed.store(Role::Ledger).await;
    let (mut head, mut revision) = (Head::default(), None);
    append(&store, &mut head, &mut revision, vec![opened("inc_1", 1), phase("inc_1", 2, Phase::Planning)]).await;
    append(&store, &mut head, &mut revision, vec![phase("inc_1", 3, Phase::Resolved)]).await;
    assert_eq!(verify(&store).await, Ok(3));

    let late = Head::default().append(opened("inc_9", 9)).unwrap();
    let late = Plain { records: vec![late], ..put("chain", None, json!(1), Some(1)) };
    assert_eq!(store.commit(&late).await.unwrap(), Outcome::Lost);
    assert_eq!(verify(&store).await, Ok(3), "a lost race leaves no record");

    let twice = Plain { records: vec![head.append(opened("inc_1", 1)).unwrap()], ..put("chain", None, json!(1), revision) };
    let error = store.commit(&twice).await.unwrap_err();
    assert!(!error.is_transient(), "a fact stands in the chain once: {error:?}");
}

#[tokio::test]
async fn tampering_shows() {
    let bed = bed().await;
    let store = bed.store(Role::Ledger).await;
    let (mut head, mut revision) = (Head::default(), None);
    let facts = vec![opened("inc_1", 1), phase("inc_1", 2, Phase::Planning), phase("inc_1", 3, Phase::Resolved)];
    append(&store, &mut head, &mut revision, facts).await;

    let mut admin = bed.admin().await;
    let mut tamper = async |sql: &str| admin.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    tamper("update ledger.record set kind = 'closed' where seq = 2").await;
    let error = store.audit_records(&tenant(), 1, 10).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error:?}");
    tamper("update ledger.record set kind = 'phase_changed' where seq = 2").await;
    assert_eq!(verify(&store).await, Ok(3));

    tamper("update ledger.record set body = replace(body::text, 'planning', 'repairing')::json where seq = 2").await;
    assert_eq!(verify(&store).await, Err(Broken::Content { seq: 2 }));
    tamper("delete from ledger.record where seq = 2").await;
    assert_eq!(verify(&store).await, Err(Broken::Order { expected: 2, found: 3 }));
    tamper("update ledger.record set seq = 2 where seq = 3").await;
    assert_eq!(verify(&store).await, Err(Broken::Chain { seq: 2 }));
}

#[tokio::test]
async fn the_gateway_reads_how_incidents_stand() {
    let bed = bed().await;
    let store = bed.store(Role::Ledger).await;
    let gateway = bed.store(Role::Gateway).await;
    let (mut head, mut revision) = (Head::default(), None);
    // Out of order: a phase before the opening, an older phase after a newer one.
    let early = vec![phase("inc_1", 5, Phase::Repairing)];
    append(&store, &mut head, &mut revision, early).await;
    assert_eq!(names(&gateway, &page(IncidentState::Any, None)).await, Vec::<String>::new(), "not opened yet");
    let facts = vec![phase("inc_1", 2, Phase::Planning), opened("inc_1", 1), opened("inc_2", 2), opened("inc_3", 2)];
    append(&store, &mut head, &mut revision, facts).await;

    let inc_1: IncidentId = "inc_1".parse().unwrap();
    let summary = gateway.incident(&tenant(), &inc_1).await.unwrap().unwrap();
    assert_eq!((summary.title.as_str(), summary.severity), ("inc_1 is\u{fffd} down", Severity::Critical));
    assert_eq!((summary.phase, summary.closed_at), (Phase::Repairing, None));
    assert_eq!(gateway.incident(&tenant(), &"inc_2".parse().unwrap()).await.unwrap().unwrap().phase, Phase::Diagnosing);

    let closed = vec![phase("inc_1", 8, Phase::Resolved), fact("inc_1", 9, What::Closed { outcome: "rolled back".to_owned() })];
    append(&store, &mut head, &mut revision, closed).await;
    let summary = gateway.incident(&tenant(), &inc_1).await.unwrap().unwrap();
    assert_eq!((summary.phase, summary.outcome.as_deref()), (Phase::Resolved, Some("rolled back")));
    assert!(summary.closed_at.is_some());

    let first = gateway.incidents(&tenant(), &page(IncidentState::Any, None)).await.unwrap();
    assert_eq!(names(&gateway, &page(IncidentState::Any, None)).await, ["inc_3", "inc_2"]);
    let last = first.last().unwrap();
    let after = After { opened_at: last.opened_at, incident: last.incident.clone() };
    assert_eq!(names(&gateway, &page(IncidentState::Any, Some(after))).await, ["inc_1"]);
    assert_eq!(names(&gateway, &page(IncidentState::Open, None)).await, ["inc_3", "inc_2"]);
    assert_eq!(names(&gateway, &page(IncidentState::Closed, None)).await, ["inc_1"]);
}

#[tokio::test]
async fn an_incident_stands_as_the_newest_facts_say_in_whatever_order_they_come() {
    let bed = bed().await;
    let store = bed.store(Role::Ledger).await;
    let (mut head, mut revision) = (Head::default(), None);
    let before: IncidentId = "inc_0".parse().unwrap();
    let opened = What::Opened { title: "t".to_owned(), severity: Severity::Warning, follows: Some(before.clone()) };
    let closed = |second| fact("inc_1", second, What::Closed { outcome: format!("over at {second}") });
    let reopened = |second| fact("inc_1", second, What::Reopened { why: "again".to_owned() });
    let (warning, critical, why) = (Severity::Warning, Severity::Critical, String::new());
    let up = |second| fact("inc_1", second, What::SeverityChanged { from: warning, to: critical, why: why.clone() });
    let down = |second| fact("inc_1", second, What::SeverityChanged { from: critical, to: warning, why: why.clone() });
    let steps = [
        (vec![up(3)], vec![fact("inc_1", 1, opened)], (critical, None)),
        (vec![closed(4)], vec![], (critical, Some("over at 4"))),
        (vec![reopened(5)], vec![down(7), up(6)], (warning, None)),
        (vec![closed(8)], vec![reopened(7)], (warning, Some("over at 8"))),
    ];
    for (first, second, (severity, outcome)) in steps {
        for facts in [first, second] {
            append(&store, &mut head, &mut revision, facts).await;
        }
        let summary = store.incident(&tenant(), &"inc_1".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((summary.severity, summary.outcome.as_deref()), (severity, outcome));
        assert_eq!((summary.closed_at.is_some(), summary.follows), (outcome.is_some(), Some(before.clone())));
    }
}

#[tokio::test]
async fn a_timeline_has_its_incident_in_order() {
    let bed = bed().await;
    let store = bed.store(Role::Ledger).await;
    let gateway = bed.store(Role::Gateway).await;
    let (mut head, mut revision) = (Head::default(), None);
    let facts =
        vec![opened("inc_1", 1), opened("inc_2", 1), phase("inc_1", 2, Phase::Planning), phase("inc_1", 3, Phase::Resolved)];
    append(&store, &mut head, &mut revision, facts.clone()).await;

    let inc_1: IncidentId = "inc_1".parse().unwrap();
    let all = gateway.timeline(&tenant(), &inc_1, 0, 10).await.unwrap();
    assert_eq!(all, [(1, facts[0].clone()), (3, facts[2].clone()), (4, facts[3].clone())]);
    assert_eq!(gateway.timeline(&tenant(), &inc_1, 1, 1).await.unwrap(), [(3, facts[2].clone())]);
    let other: TenantId = "other".parse().unwrap();
    assert_eq!(gateway.timeline(&other, &inc_1, 0, 10).await.unwrap(), []);
    let error = gateway.audit_records(&tenant(), 1, 10).await.unwrap_err();
    assert!(!error.is_transient(), "the chain is the ledger's: {error:?}");
}
