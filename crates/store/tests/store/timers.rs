//! Timers are set, moved, taken back, and given to one process at a time.

use chrono::{DateTime, TimeDelta, Utc};
use incident::task::Role;
use serde_json::json;
use store::{Handled, Outcome, Store};

use crate::bed::{LEASE, Plain, at, bed, done, fired, load, put, timer, write};

async fn due(store: &Store, now: DateTime<Utc>) -> Vec<String> {
    store.claim_timers(10, LEASE, now).await.unwrap().into_iter().map(|t| format!("{}/{}", t.entity, t.name)).collect()
}

#[tokio::test]
async fn timers_fire_when_due_and_come_back_when_nobody_handled_them() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let timers = vec![timer("late", Some(at(20))), timer("early", Some(at(10))), timer("never", None)];
    done(&store, &Plain { timers, ..put("e", None, json!(1), None) }).await;

    assert_eq!(due(&store, at(9)).await, Vec::<String>::new());
    assert_eq!(due(&store, at(20)).await, ["e/early", "e/late"]);
    assert_eq!(due(&store, at(49)).await, Vec::<String>::new(), "held");
    let again = store.claim_timers(1, LEASE, at(50)).await.unwrap();
    assert_eq!((again.len(), again[0].name.as_str(), again[0].due), (1, "early", at(10)));
    assert_eq!(again[0].trace, write("e").trace);
}

#[tokio::test]
async fn a_timer_that_was_moved_or_taken_back_does_not_fire() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let timers = vec![timer("a", Some(at(10))), timer("b", Some(at(10)))];
    done(&store, &Plain { timers, ..put("e", None, json!(1), None) }).await;
    assert_eq!(due(&store, at(10)).await.len(), 2);

    let timers = vec![timer("a", Some(at(11))), timer("b", None)];
    done(&store, &Plain { expected: Some(1), timers, ..write("e") }).await;
    assert_eq!(
        load(&store, "e", &[fired("a", at(10)), fired("a", at(11)), fired("b", at(10))]).await.handled,
        [true, false, true]
    );
    assert_eq!(due(&store, at(11)).await, ["e/a"], "moving a timer ends the claim on it");
}

#[tokio::test]
async fn a_timer_that_fired_may_be_set_again_by_what_handles_it() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    // Postgres keeps microseconds; a due time with more is still recognised.
    let first = at(10) + TimeDelta::nanoseconds(1_999);
    done(&store, &Plain { timers: vec![timer("tick", Some(first))], ..put("e", None, json!(1), None) }).await;
    let handled = vec![Handled::Timer { name: "tick".to_owned(), due: first }];
    let tick = Plain { expected: Some(1), handled, timers: vec![timer("tick", Some(at(20)))], ..write("e") };
    assert_eq!(load(&store, "e", &[fired("tick", first)]).await.handled, [false]);
    done(&store, &tick).await;
    assert_eq!(store.commit(&tick).await.unwrap(), Outcome::Lost, "the same firing twice");
    assert_eq!(store.backlog().await.unwrap().timers, 1);
    assert_eq!(due(&store, at(20)).await, ["e/tick"]);
}
