//! Tasks of A2A: many in one write, each for itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use incident::task::Role;
use store::Store;
use store::a2a::{
    Birth, Filter, Lost, MessageKey, NewPush, PageSize, Place, PushBacklog, PushKey, PushOutcome, PutPush, Putting, Rival,
    TaskKey, TaskRow, TaskWrite,
};

use crate::bed::{at, bed};

const AGENT: &str = "agent";
const WORKING: &str = "TASK_STATE_WORKING";

fn key(id: &str) -> TaskKey {
    TaskKey { tenant: "acme".to_owned(), id: id.to_owned() }
}

fn message(id: &str) -> MessageKey {
    MessageKey { sender: "ada".into(), message_id: id.to_owned(), digest: [7; 32] }
}

fn new(id: &str, message_id: &str) -> TaskWrite {
    TaskWrite {
        key: Arc::new(key(id)),
        birth: Some(Birth { owner: "ada".into(), context_id: "c".into() }),
        expected: 0,
        state: "TASK_STATE_SUBMITTED",
        status_at: at(0),
        seq: 0,
        document: Some(r#"{"nul":"\u0000"}"#.to_owned()),
        events: None,
        owed: Some("[1]".into()),
        holder: Some("one".into()),
        turn: 1,
        attempt: 1,
        pushes: 0,
        message: Some(message(message_id)),
        push: None,
    }
}

fn next(id: &str, expected: i64, seq: i64) -> TaskWrite {
    TaskWrite {
        birth: None,
        expected,
        state: WORKING,
        status_at: at(seq),
        seq,
        document: None,
        events: Some(format!("[{seq}]")),
        message: None,
        ..new(id, "")
    }
}

async fn write(store: &Store, batch: &[TaskWrite]) -> Vec<(usize, Rival)> {
    let lost = store.write_tasks(AGENT, at(0), batch).await.unwrap();
    lost.into_iter().map(|Lost { place, to }| (place, to)).collect()
}

async fn row(store: &Store, id: &str) -> TaskRow {
    store.task(AGENT, &key(id)).await.unwrap().unwrap()
}

async fn store() -> (crate::bed::Bed, Store) {
    let bed = bed().await;
    let store = bed.store(Role::Gateway).await;
    (bed, store)
}

#[tokio::test]
async fn a_task_is_read_as_it_was_written() {
    let (_bed, store) = store().await;
    assert_eq!(write(&store, &[new("t", "m")]).await, []);
    let first = row(&store, "t").await;
    assert_eq!((first.revision, first.seq, first.document.as_str()), (1, 0, r#"{"nul":"\u0000"}"#));
    assert_eq!((first.owed.as_deref(), first.holder.as_deref(), first.owner.as_str()), (Some("[1]"), Some("one"), "ada"));
    write(&store, &[next("t", 1, 2)]).await;
    write(&store, &[TaskWrite { owed: None, holder: None, ..next("t", 2, 3) }]).await;
    let later = row(&store, "t").await;
    assert_eq!((later.revision, later.seq, later.later), (3, 3, vec!["[2]".to_owned(), "[3]".to_owned()]));
    assert_eq!((later.owed, later.holder, later.status_at), (None, None, at(3)));
    // A whole document takes the place of the events before it, which stay for streams.
    write(&store, &[TaskWrite { document: Some("{}".to_owned()), ..next("t", 3, 4) }]).await;
    let whole = row(&store, "t").await;
    assert_eq!((whole.document.as_str(), whole.later.len()), ("{}", 0));
    let events = store.task_events(AGENT, &key("t"), 2, 1_000).await.unwrap();
    assert_eq!(events.iter().map(|row| row.seq).collect::<Vec<_>>(), [3, 4]);
    // Each of the three rows has three bytes: the last one may go beyond the end.
    for (bytes, rows) in [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3)] {
        assert_eq!(store.task_events(AGENT, &key("t"), 0, bytes).await.unwrap().len(), rows, "{bytes}");
    }
    assert!(store.task("another", &key("t")).await.unwrap().is_none());
}

#[tokio::test]
async fn whoever_loses_a_race_does_not_fail_the_others() {
    let (_bed, store) = store().await;
    write(&store, &[new("a", "m-a"), new("b", "m-b"), new("c", "m-c")]).await;
    write(&store, &[next("b", 1, 1)]).await;
    let to_c = TaskWrite { message: Some(message("m-a")), ..next("c", 1, 1) };
    let late = TaskWrite { message: Some(message("m-late")), ..next("b", 1, 2) };
    let fits = TaskWrite { message: Some(message("m-fits")), ..next("d", 1, 1) };
    write(&store, &[new("d", "m-d")]).await;
    let batch =
        [new("e", "m-e"), new("f", "m-a"), next("a", 1, 1), next("b", 1, 2), to_c, fits, new("g", "m-e"), next("none", 1, 1)];
    let mut lost = write(&store, &batch).await;
    lost.sort_by_key(|(place, _)| *place);
    assert_eq!(lost, [(1, Rival::Message), (3, Rival::Task), (4, Rival::Message), (6, Rival::Message), (7, Rival::Task)]);
    for (id, revision) in [("a", 2), ("b", 2), ("c", 1), ("d", 2), ("e", 1)] {
        assert_eq!(row(&store, id).await.revision, revision, "{id}");
    }
    for id in ["f", "g", "none"] {
        assert!(store.task(AGENT, &key(id)).await.unwrap().is_none(), "{id}");
    }
    // A message whose task was written by another is not taken.
    assert_eq!(write(&store, &[late]).await, [(0, Rival::Task)]);
    assert!(store.taken_message(AGENT, "acme", "ada", "m-late").await.unwrap().is_none());
    let taken = store.taken_message(AGENT, "acme", "ada", "m-fits").await.unwrap().unwrap();
    assert_eq!((taken.task_id.as_deref(), taken.revision, taken.digest), (Some("d"), Some(2), vec![7; 32]));
    assert!(store.task_events(AGENT, &key("b"), 1, 1_000).await.unwrap().is_empty(), "no events of those who lost");
}

#[tokio::test]
async fn the_same_batch_again_writes_nothing_twice() {
    let (_bed, store) = store().await;
    let known = |place| (place, Rival::Message);
    let batch = [new("a", "m-a"), new("b", "m-b")];
    assert_eq!(write(&store, &batch).await, []);
    // As after an answer that never came. Others join in.
    let [a, b] = batch;
    let goes_on = TaskWrite { message: Some(message("m-c")), ..next("b", 1, 1) };
    assert_eq!(write(&store, &[a, b, new("d", "m-d")]).await, [known(0), known(1)]);
    assert_eq!(write(&store, std::slice::from_ref(&goes_on)).await, []);
    assert_eq!(write(&store, &[goes_on, next("a", 1, 1)]).await, [(0, Rival::Task)]);
    for (id, revision) in [("a", 2), ("b", 2), ("d", 1)] {
        assert_eq!(row(&store, id).await.revision, revision, "{id}");
    }
}

#[tokio::test]
async fn what_no_table_can_hold_is_refused_as_a_whole() {
    let (_bed, store) = store().await;
    let batch = [new("a", "m-a"), new("b", &"x".repeat(5_000))];
    let error = store.write_tasks(AGENT, at(0), &batch).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    let batch = [new("a", "m-a"), TaskWrite { document: Some("{".to_owned()), ..new("b", "m-b") }];
    let error = store.write_tasks(AGENT, at(0), &batch).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert!(store.task(AGENT, &key("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_reply_is_written_once() {
    let (_bed, store) = store().await;
    assert!(store.write_reply(AGENT, "acme", &message("m"), "\"first\"").await.unwrap());
    assert!(!store.write_reply(AGENT, "acme", &message("m"), "\"second\"").await.unwrap());
    let row = store.taken_message(AGENT, "acme", "ada", "m").await.unwrap().unwrap();
    assert_eq!((row.reply.as_deref(), row.task_id), (Some("\"first\""), None));
    assert_eq!(write(&store, &[new("t", "m")]).await, [(0, Rival::Message)]);
}

#[tokio::test]
async fn who_changed_is_known_by_the_revision() {
    let (_bed, store) = store().await;
    write(&store, &[new("a", "m-a"), new("b", "m-b")]).await;
    write(&store, &[next("b", 1, 1)]).await;
    let (a, b, none) = (key("a"), key("b"), key("none"));
    let changed = store.changed_tasks(AGENT, &[(&a, 1), (&b, 1), (&none, 1), (&b, 2)]).await.unwrap();
    assert_eq!(changed, [1]);
}

#[tokio::test]
async fn a_listing_goes_on_after_its_last_task() {
    let (_bed, store) = store().await;
    let at_second = |id: &str, second: i64| TaskWrite { status_at: at(second), ..new(id, id) };
    // Two of the same time: the id decides.
    write(&store, &[at_second("a", 1), at_second("b", 2), at_second("c", 2), at_second("d", 3)]).await;
    let filter = Filter { tenant: "acme".to_owned(), owner: "ada".to_owned(), context_id: None, state: None, since: None };
    let list = async |filter: &Filter, after: Option<(i64, &str)>| {
        let after = after.map(|(second, id)| Place { status_at: at(second), id: id.to_owned() });
        let size = PageSize { tasks: 2, bytes: 1_000 };
        let listed = store.list_tasks(AGENT, filter, after.as_ref(), size).await.unwrap();
        (listed.rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), listed.total)
    };
    assert_eq!(list(&filter, None).await, (vec!["d".to_owned(), "c".to_owned()], 4));
    assert_eq!(list(&filter, Some((2, "c"))).await, (vec!["b".to_owned(), "a".to_owned()], 4));
    assert_eq!(list(&filter, Some((1, "a"))).await, (vec![], 4));
    let since = Filter { since: Some(at(2)), ..filter.clone() };
    assert_eq!(list(&since, Some((2, "c"))).await, (vec!["b".to_owned()], 3));
    // A document has 16 bytes.
    for (tasks, bytes, found, has_more) in
        [(4, 16, 1, true), (4, 17, 2, true), (4, 1_000, 4, false), (3, 1_000, 3, true), (9, 48, 3, true)]
    {
        let listed = store.list_tasks(AGENT, &filter, None, PageSize { tasks, bytes }).await.unwrap();
        assert_eq!((listed.rows.len(), listed.has_more), (found, has_more), "{tasks} tasks, {bytes} bytes");
    }
    for other in [
        Filter { tenant: "other".to_owned(), ..filter.clone() },
        Filter { owner: "bob".to_owned(), ..filter.clone() },
        Filter { context_id: Some("d".to_owned()), ..filter.clone() },
        Filter { state: Some(WORKING), ..filter },
    ] {
        assert_eq!(list(&other, None).await, (vec![], 0), "{other:?}");
    }
}

#[tokio::test]
async fn a_dead_process_is_inherited_from_once_and_refused_afterwards() {
    let (_bed, store) = store().await;
    let idle = TaskWrite { owed: None, holder: None, ..new("idle", "m-idle") };
    write(&store, &[new("a", "m-a"), new("b", "m-b"), idle]).await;
    store.beat(AGENT, "one", at(10)).await.unwrap();
    assert_eq!(store.take_over(AGENT, "two", at(9), 10).await.unwrap(), []);
    assert_eq!(store.take_over("another", "two", at(11), 10).await.unwrap(), []);
    let (mut first, second) =
        (store.take_over(AGENT, "two", at(11), 1).await.unwrap(), store.take_over(AGENT, "two", at(11), 9).await.unwrap());
    first.extend(second);
    first.sort();
    assert_eq!(first, [key("a"), key("b")]);
    assert_eq!(store.take_over(AGENT, "three", at(11), 10).await.unwrap(), []);
    let taken = row(&store, "a").await;
    assert_eq!((taken.holder.as_deref(), taken.turn, taken.attempt, taken.revision), (Some("two"), 2, 2, 2));
    let mut held = store.held_tasks("two", 9).await.unwrap();
    held.sort();
    assert_eq!((held, store.held_tasks("one", 9).await.unwrap()), (vec![key("a"), key("b")], vec![]));
    assert_eq!(write(&store, &[next("a", 1, 1)]).await, [(0, Rival::Task)], "the dead one is late");
    // It comes back, takes something more, and dies again.
    store.beat(AGENT, "one", at(20)).await.unwrap();
    write(&store, &[new("c", "m-c")]).await;
    assert_eq!(store.take_over(AGENT, "two", at(21), 10).await.unwrap(), [key("c")]);
    // One that stops need not be waited for.
    store.beat(AGENT, "four", at(1_000)).await.unwrap();
    write(&store, &[TaskWrite { holder: Some("four".into()), ..new("d", "m-d") }]).await;
    store.release("four", at(30)).await.unwrap();
    assert_eq!(store.take_over(AGENT, "two", at(30), 10).await.unwrap(), [key("d")]);
    let released = row(&store, "d").await;
    assert_eq!((released.holder.as_deref(), released.turn, released.attempt), (Some("two"), 2, 1), "its work did not kill it");
    // It goes on after all, and dies.
    store.beat(AGENT, "four", at(40)).await.unwrap();
    write(&store, &[TaskWrite { holder: Some("four".into()), ..new("e", "m-e") }]).await;
    assert_eq!(store.take_over(AGENT, "two", at(41), 10).await.unwrap(), [key("e")]);
    assert_eq!(row(&store, "e").await.attempt, 2);
}

fn push_key(id: &str) -> PushKey {
    PushKey { task: key("t"), id: id.to_owned() }
}

async fn put(store: &Store, id: &str, owner: &str) -> PutPush {
    let push = NewPush { id: id.to_owned(), config: format!("\"{id}\"") };
    let putting = Putting { limit: 2, after: None, now: at(0) };
    store.put_push(AGENT, &key("t"), owner, &push, putting).await.unwrap()
}

#[tokio::test]
async fn configurations_are_counted_and_are_the_owners() {
    let (_bed, store) = store().await;
    let with_push = TaskWrite { pushes: 1, push: Some(NewPush { id: "a".to_owned(), config: "1".to_owned() }), ..new("t", "m") };
    write(&store, &[with_push]).await;
    assert_eq!(put(&store, "b", "bob").await, PutPush::Missing);
    assert_eq!(put(&store, "b", "ada").await, PutPush::Done);
    assert_eq!(put(&store, "b", "ada").await, PutPush::Done);
    assert_eq!(put(&store, "c", "ada").await, PutPush::Full);
    let found = row(&store, "t").await;
    assert_eq!((found.pushes, found.revision), (2, 2), "whoever holds the task in memory learns of it");
    assert_eq!(store.pushes(AGENT, &key("t"), "ada", None).await.unwrap().unwrap(), ["1", "\"b\""]);
    assert_eq!(store.pushes(AGENT, &key("t"), "ada", Some("b")).await.unwrap().unwrap(), ["\"b\""]);
    assert_eq!(store.pushes(AGENT, &key("t"), "ada", Some("c")).await.unwrap().unwrap(), [""; 0]);
    assert_eq!(store.pushes(AGENT, &key("t"), "bob", None).await.unwrap(), None);
    assert!(!store.delete_push(AGENT, &push_key("b"), "bob").await.unwrap());
    for _ in 0..2 {
        assert!(store.delete_push(AGENT, &push_key("b"), "ada").await.unwrap());
    }
    assert_eq!(row(&store, "t").await.pushes, 1);
}

#[tokio::test]
async fn a_place_is_posted_to_by_one_process_at_a_time_and_nothing_is_forgotten() {
    let (_bed, store) = store().await;
    write(&store, &[new("t", "m")]).await;
    put(&store, "p", "ada").await;
    let claim = async |now: i64, until: i64| store.claim_pushes(AGENT, at(now), at(until), 10, &[]).await.unwrap();
    assert_eq!(claim(0, 30).await, [], "nothing has happened");
    write(&store, &[TaskWrite { pushes: 1, ..next("t", 2, 2) }]).await;
    let first = claim(0, 30).await.pop().unwrap();
    assert_eq!((first.cursor, first.attempts, &first.key), (0, 0, &push_key("p")));
    assert_eq!(claim(29, 60).await, [], "it is leased");
    // More happens meanwhile: there is more to do at once.
    write(&store, &[TaskWrite { pushes: 1, ..next("t", 3, 3) }]).await;
    store.settle_push(AGENT, &first, 2, PushOutcome::Delivered, at(1)).await.unwrap();
    let second = claim(1, 31).await.pop().unwrap();
    assert_eq!(second.cursor, 2);
    store.settle_push(AGENT, &second, 2, PushOutcome::Failed(at(5)), at(2)).await.unwrap();
    assert_eq!(claim(4, 40).await, []);
    let third = claim(5, 40).await.pop().unwrap();
    assert_eq!(third.attempts, 1);
    // Its lease runs out; the next one counts, and the late one does not.
    let fourth = claim(41, 80).await.pop().unwrap();
    store.settle_push(AGENT, &third, 3, PushOutcome::GivenUp, at(42)).await.unwrap();
    assert_eq!(store.push_backlog(AGENT).await.unwrap(), PushBacklog { due: 1, given_up: 0 });
    store.settle_push(AGENT, &fourth, 3, PushOutcome::Delivered, at(43)).await.unwrap();
    assert_eq!(store.push_backlog(AGENT).await.unwrap(), PushBacklog { due: 0, given_up: 0 });

    write(&store, &[TaskWrite { pushes: 1, ..next("t", 4, 4) }]).await;
    let last = claim(50, 90).await.pop().unwrap();
    store.settle_push(AGENT, &last, 3, PushOutcome::GivenUp, at(51)).await.unwrap();
    write(&store, &[TaskWrite { pushes: 1, ..next("t", 5, 5) }]).await;
    assert_eq!(store.push_backlog(AGENT).await.unwrap(), PushBacklog { due: 0, given_up: 1 });
    put(&store, "p", "ada").await;
    assert_eq!(store.push_backlog(AGENT).await.unwrap(), PushBacklog { due: 0, given_up: 0 }, "set anew, it begins anew");
}

#[tokio::test]
async fn tenants_take_turns_however_much_one_of_them_has_to_post() {
    let (_bed, store) = store().await;
    let of = |tenant: &str, id: &str| {
        let push = Some(NewPush { id: "p".to_owned(), config: "1".to_owned() });
        let key = Arc::new(TaskKey { tenant: tenant.to_owned(), id: id.to_owned() });
        let begun = TaskWrite { key: Arc::clone(&key), pushes: 1, push, ..new(id, id) };
        (begun, TaskWrite { key, pushes: 1, ..next(id, 1, 1) })
    };
    // The first tenant's were due long before the others'.
    for (second, tenant, ids) in [(0, "b", vec!["1", "2", "3", "4"]), (2, "c", vec!["5"]), (1, "a", vec!["6"])] {
        for id in ids {
            let (begun, event) = of(tenant, id);
            write(&store, &[begun]).await;
            store.write_tasks(AGENT, at(second), &[event]).await.unwrap();
        }
    }
    let claim = async |limit: u32, under_way: &[&str]| {
        let claimed = store.claim_pushes(AGENT, at(2), at(30), limit, under_way).await.unwrap();
        let mut tenants: Vec<_> = claimed.into_iter().map(|claimed| claimed.key.task.tenant).collect();
        tenants.sort();
        tenants
    };
    assert_eq!(claim(1, &["b"]).await.concat(), "a", "whoever has nothing under way comes first");
    assert_eq!(claim(2, &["b", "a"]).await.concat(), "bc");
    assert_eq!(claim(9, &[]).await.concat(), "bbb", "and nobody waits for nothing");
}

#[tokio::test]
async fn a_configuration_that_is_set_again_goes_on_where_it_was() {
    let (_bed, store) = store().await;
    write(&store, &[new("t", "m")]).await;
    put(&store, "p", "ada").await;
    write(&store, &[TaskWrite { pushes: 1, ..next("t", 2, 2) }]).await;
    put(&store, "p", "ada").await;
    let claim = async || store.claim_pushes(AGENT, at(0), at(30), 10, &[]).await.unwrap();
    let claimed = claim().await.pop().unwrap();
    assert_eq!((claimed.cursor, claimed.config.as_str()), (0, "\"p\""), "what has not arrived still has to");
    // Another one of the same name begins anew; where, is said.
    let set = async |config: &str, after| {
        let push = NewPush { id: "p".to_owned(), config: config.to_owned() };
        let putting = Putting { limit: 2, after, now: at(0) };
        store.put_push(AGENT, &key("t"), "ada", &push, putting).await.unwrap()
    };
    assert_eq!(set("1", Some(1)).await, PutPush::Done);
    assert_eq!(claim().await.pop().map(|claimed| (claimed.cursor, claimed.config)), Some((1, "1".to_owned())));
    assert_eq!(set("2", None).await, PutPush::Done);
    assert_eq!(claim().await, [], "nothing has happened since");
    assert_eq!(row(&store, "t").await.pushes, 1);
}

#[tokio::test]
async fn tables_that_grow_are_read_by_their_keys() {
    let (bed, store) = store().await;
    // All plans are made now, while there is nothing in the tables.
    write(&store, &[new("first", "first")]).await;
    write(&store, &[next("first", 1, 1)]).await;
    for round in 0..4 {
        let ids: Vec<String> = (0..250).map(|n| format!("{round}-{n:03}")).collect();
        write(&store, &ids.iter().map(|id| new(id, id)).collect::<Vec<_>>()).await;
        write(&store, &ids.iter().map(|id| next(id, 1, 1)).collect::<Vec<_>>()).await;
    }
    let mut admin = bed.admin().await;
    let read = "select coalesce(sum(seq_tup_read + idx_tup_read), 0)::bigint from (
        select seq_tup_read, 0 as idx_tup_read from pg_stat_user_tables where relname like 'a2a_%'
        union all select 0, idx_tup_read from pg_stat_user_indexes where relname like 'a2a_%') as all_reads";
    let count = async || {
        let read: i64 = sqlx::query_scalar(read).fetch_one(&mut admin).await.unwrap();
        // Backends report now and then; by then each task was looked up at least once.
        (read >= 1_000).then_some(read)
    };
    let read = testkit::eventually("the counts", std::time::Duration::from_secs(30), count).await.unwrap();
    assert!(read < 10_000, "{read} rows and index entries read for 2,000 writes");
}

/// Times are what was given, to the microsecond.
#[tokio::test]
async fn times_are_kept() {
    let (_bed, store) = store().await;
    let time: DateTime<Utc> = "2026-11-26T08:09:10.123Z".parse().unwrap();
    write(&store, &[TaskWrite { status_at: time, ..new("t", "m") }]).await;
    assert_eq!(row(&store, "t").await.status_at, time);
}
