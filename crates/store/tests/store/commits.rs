//! What is committed is what is loaded; a lost race writes nothing.

use incident::agent::Locator;
use incident::handling::Loaded;
use incident::id::TenantId;
use incident::task::Role;
use serde_json::{Value, json};
use store::{Handled, Outcome, Store, StoreError, Write};

use crate::bed::{Plain, at, bed, done, effect, ended, fired, load, message, publication, put, seen, tenant, timer, write};

async fn load_open(store: &Store, key: &str) -> Loaded<Value> {
    store.load::<Value, ()>(&tenant(), &Locator::Open(key.to_owned()), &[]).await.unwrap()
}

/// The entity that is or was open under this key last.
async fn load_last(store: &Store, key: &str) -> Option<String> {
    let loaded = store.load::<Value, ()>(&tenant(), &Locator::Last(key.to_owned()), &[]).await.unwrap();
    loaded.stored.map(|stored| stored.entity.id)
}

#[tokio::test]
async fn what_was_committed_is_loaded() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    assert_eq!(load(&store, "inc_1", &[message("m1")]).await, Loaded { stored: None, handled: vec![false], beside: None });

    // A label may be longer than an index entry, and may carry a NUL in a document.
    let key = "service=".to_owned() + &"x".repeat(20_000);
    let state = json!({ "label": "a\u{0}b", "number": 1.0, "z": 1, "a": 2 });
    let mut first = put("inc_1", Some(&key), state.clone(), None);
    first.handled = vec![seen("m1")];
    assert_eq!(done(&store, &first).await, vec![]);

    for loaded in [load(&store, "inc_1", &[]).await, load_open(&store, &key).await] {
        let stored = loaded.stored.unwrap();
        assert_eq!((stored.revision, &stored.entity.id, &stored.entity.open_key), (1, &"inc_1".to_owned(), &Some(key.clone())));
        assert_eq!(stored.entity.state, state);
    }
    assert_eq!(load(&store, "inc_1", &[message("m1"), message("m2")]).await.handled, vec![true, false]);

    done(&store, &put("inc_1", None, json!({ "closed": true }), Some(1))).await;
    assert_eq!(load(&store, "inc_1", &[]).await.stored.unwrap().revision, 2);
    assert_eq!(load_open(&store, &key).await.stored, None, "a closed entity is not open");
    assert_eq!(load_last(&store, &key).await.as_deref(), Some("inc_1"), "but it was the last");
    done(&store, &put("inc_2", Some(&key), json!({}), None)).await;
    assert_eq!(load_open(&store, &key).await.stored.unwrap().entity.id, "inc_2");
    assert_eq!(load_last(&store, &key).await.as_deref(), Some("inc_2"));
    done(&store, &Plain { now: at(9), ..put("inc_2", None, json!({}), Some(1)) }).await;
    assert_eq!(load_last(&store, &key).await.as_deref(), Some("inc_2"), "of two that were, the later one");
    assert_eq!(load_last(&store, "another").await, None);
}

#[tokio::test]
async fn tenants_are_apart() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let mut mine = put("inc_1", Some("k"), json!("mine"), None);
    mine.handled = vec![seen("m")];
    mine.effects = vec![effect("e")];
    mine.timers = vec![timer("t", Some(at(1)))];
    done(&store, &mine).await;

    let theirs: TenantId = "other".parse().unwrap();
    let inputs = [message("m"), fired("t", at(1)), ended("e")];
    let loaded = store.load::<Value, ()>(&theirs, &Locator::Id("inc_1".to_owned()), &inputs).await.unwrap();
    assert_eq!(loaded, Loaded { stored: None, handled: vec![false, true, true], beside: None });
    done(&store, &Write { tenant: theirs, ..mine }).await;
    assert_eq!(store.backlog().await.unwrap(), store::Backlog { outbox: 2, timers: 2 });
}

#[tokio::test]
async fn an_input_is_handled_once() {
    let bed = bed().await;
    let store = bed.store(Role::Remediation).await;
    let mut first = put("task_1", None, json!(1), None);
    first.effects = vec![effect("apply-1"), effect("look")];
    first.timers = vec![timer("deadline", Some(at(60)))];
    done(&store, &first).await;

    let inputs =
        [ended("apply-1"), ended("unknown"), fired("deadline", at(60)), fired("deadline", at(61)), message("m"), message("m")];
    let handled = load(&store, "task_1", &inputs).await.handled;
    assert_eq!(handled, [false, true, false, true, false, true], "the same message twice is one message");

    let mut second = put("task_1", None, json!(2), Some(1));
    second.handled = [&inputs[0], &inputs[2], &inputs[4]].map(Handled::from).to_vec();
    done(&store, &second).await;
    let handled = load(&store, "task_1", &inputs).await.handled;
    assert_eq!(handled, [true; 6]);
    assert_eq!(load(&store, "task_1", &[ended("look")]).await.handled, [false]);
}

/// A commit that is lost against what `before` wrote, although all else in it is right.
async fn check_lost(name: &str, before: &[Plain], late: Plain) {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    for write in before {
        done(&store, write).await;
    }
    let backlog = store.backlog().await.unwrap();
    let entity = load(&store, &late.id, &[]).await;
    let mut late = late;
    late.handled.push(seen("late message"));
    late.publications.push(publication("late publication"));
    late.effects.push(effect("late effect"));
    late.timers.push(timer("late timer", Some(at(9))));
    assert_eq!(store.commit(&late).await.unwrap(), Outcome::Lost, "{name}");
    assert_eq!(store.backlog().await.unwrap(), backlog, "{name}");
    let after = load(&store, &late.id, &[message("late message")]).await;
    assert_eq!((after.stored, after.handled), (entity.stored, vec![false]), "{name}: nothing was written");
}

#[tokio::test]
async fn the_revision_read_must_be_the_revision_now() {
    let open = put("e", None, json!(1), None);
    let next = put("e", None, json!(2), Some(1));
    check_lost("changed", &[open.clone(), next.clone()], put("e", None, json!("late"), Some(1))).await;
    check_lost("from the future", std::slice::from_ref(&open), put("e", None, json!("late"), Some(2))).await;
    check_lost("gone", &[], put("e", None, json!("late"), Some(1))).await;
    check_lost("exists", std::slice::from_ref(&open), put("e", None, json!("late"), None)).await;
    check_lost("exists, left alone", std::slice::from_ref(&open), write("e")).await;
    check_lost("changed, left alone", &[open, next], Plain { expected: Some(1), ..write("e") }).await;
}

#[tokio::test]
async fn one_entity_is_open_under_a_key() {
    let open = put("a", Some("key"), json!(1), None);
    check_lost("another is open", std::slice::from_ref(&open), put("b", Some("key"), json!("late"), None)).await;
    let closed = put("b", None, json!(1), None);
    check_lost("reopened beside another", &[open, closed], put("b", Some("key"), json!("late"), Some(1))).await;
}

#[tokio::test]
async fn an_input_that_somebody_handled_is_lost() {
    let mut open = put("e", None, json!(1), None);
    open.handled = vec![seen("m1")];
    open.effects = vec![effect("post")];
    open.timers = vec![timer("remind", Some(at(5)))];
    let late = |handled: Handled| Plain { expected: Some(1), handled: vec![handled], ..write("e") };
    let due = |second| Handled::Timer { name: "remind".to_owned(), due: at(second) };

    check_lost("message", std::slice::from_ref(&open), late(seen("m1"))).await;
    check_lost("timer moved", std::slice::from_ref(&open), late(due(4))).await;
    check_lost("timer handled", &[open.clone(), late(due(5))], late(due(5))).await;
    let outcome = |claim| late(Handled::Outcome { effect: "post".to_owned(), claim });
    check_lost("outcome handled", &[open.clone(), outcome(1)], outcome(1)).await;
    check_lost("outcome of a claim that nobody has", &[open], outcome(2)).await;
}

#[tokio::test]
async fn sixteen_committers_count_every_message_once() {
    const COMMITTERS: usize = 16;
    const MESSAGES: usize = 40;
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let committers: Vec<_> = (0..COMMITTERS).map(|n| tokio::spawn(count_messages(store.clone(), n, MESSAGES))).collect();
    let mut won = 0;
    for committer in committers {
        won += committer.await.unwrap();
    }
    assert_eq!(won, MESSAGES);
    let stored = load(&store, "counter", &[]).await.stored.unwrap();
    assert_eq!((stored.entity.state, stored.revision), (json!(MESSAGES), MESSAGES as u64));
    assert_eq!(store.backlog().await.unwrap().outbox, MESSAGES as u64);
}

/// Handles all messages, each in its own turn, as often as it takes; answers with how many it handled itself.
async fn count_messages(store: Store, first: usize, messages: usize) -> usize {
    let mut won = 0;
    for n in 0..messages {
        let id = format!("m{}", (n + first) % messages);
        loop {
            let loaded = load(&store, "counter", &[message(&id)]).await;
            if loaded.handled == [true] {
                break;
            }
            let count = loaded.stored.as_ref().map_or(0, |s| s.entity.state.as_u64().unwrap());
            let mut write = put("counter", Some("the only one"), json!(count + 1), loaded.stored.map(|s| s.revision));
            write.handled = vec![seen(&id)];
            write.publications = vec![publication(&format!("counted {count}"))];
            if store.commit(&write).await.unwrap() != Outcome::Lost {
                won += 1;
                break;
            }
        }
    }
    won
}

#[tokio::test]
async fn what_cannot_be_stored_says_so_and_is_not_tried_again() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let long = "x".repeat(3000);
    let writes = [
        Plain { handled: vec![seen(&long)], ..write("e") },
        Plain { handled: vec![seen("a\0b")], ..write("e") },
        Plain { effects: vec![effect(&long)], ..write("e") },
        Plain { effects: vec![effect("no entity")], ..write("") },
        Plain { id: "another".to_owned(), ..put("e", None, json!(1), None) },
        put("e", None, json!("x".repeat(17 << 20)), None),
    ];
    for write in writes {
        let error = store.commit(&write).await.unwrap_err();
        assert!(matches!(error, StoreError::Unstorable { .. }) && !error.is_transient(), "{error:?}");
    }
    let nul_in_key = put("e", Some("k\0"), json!(1), None);
    done(&store, &nul_in_key).await;
    assert!(load_open(&store, "k\0").await.stored.is_some());
}
