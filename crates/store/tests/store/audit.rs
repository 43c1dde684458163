//! The auditor finds what is open and waits for nothing, and nothing else.

use chrono::TimeDelta;
use incident::agent::AUDIT;
use incident::task::Role;
use serde_json::json;
use sqlx::Connection as _;
use store::{AuditPlace, Store};

use crate::bed::{LEASE, Plain, at, bed, done, effect, put, tenant, timer};

const IDLE: TimeDelta = TimeDelta::seconds(60);

fn open(id: &str) -> Plain {
    put(id, Some(&format!("key of {id}")), json!({}), None)
}

/// What one audit of everything sets going, a page at a time.
async fn audit(store: &Store, limit: u32, second: i64) -> Vec<String> {
    let (mut place, mut found) = (AuditPlace::default(), vec![]);
    loop {
        let audited = store.audit(&place, limit, IDLE, at(second)).await.unwrap();
        found.extend(audited.set_going.into_iter().map(|(of, entity)| {
            assert_eq!(of, tenant());
            entity
        }));
        match audited.next {
            Some(next) => place = next,
            None => break,
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_deleted_timer_is_found_once_and_set_anew() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let waiting = |id| Plain { timers: vec![timer("deadline", Some(at(3_600)))], ..open(id) };
    let owed = Plain { effects: vec![effect("card")], ..open("inc_owed") };
    let closed = put("inc_closed", None, json!({}), None);
    for commit in [waiting("inc_1"), waiting("inc_2"), waiting("inc_3"), owed, closed] {
        done(&store, &commit).await;
    }
    assert_eq!(audit(&store, 1, 100).await, Vec::<String>::new(), "each waits for something, or is over");
    let mut admin = bed.admin().await;
    let deleted = sqlx::query("delete from monitoring.timer where entity <> 'inc_2'").execute(&mut admin).await.unwrap();
    assert_eq!(deleted.rows_affected(), 2);
    admin.close().await.unwrap();
    assert_eq!(audit(&store, 1, 59).await, Vec::<String>::new(), "somebody may be in the middle of it");
    assert_eq!(audit(&store, 2, 100).await, ["inc_1", "inc_3"]);
    assert_eq!(audit(&store, 2, 101).await, Vec::<String>::new(), "it is set going already");
    let due = store.claim_timers(10, LEASE, at(102)).await.unwrap();
    let mut due: Vec<_> = due.into_iter().map(|timer| (timer.entity, timer.name)).collect();
    due.sort();
    assert_eq!(due, [("inc_1".to_owned(), AUDIT.to_owned()), ("inc_3".to_owned(), AUDIT.to_owned())]);
}
