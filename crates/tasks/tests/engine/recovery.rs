//! Processes that die, and a Postgres that goes away.

use std::time::Duration;

use a2a::{A2aService as _, GetTaskRequest, SubscribeToTaskRequest, TaskState};
use futures::StreamExt as _;
use futures::future::join_all;
use incident::task::Role;
use store::{Options as StoreOptions, Store, migrate, role_url};
use tasks::Engine;
use testkit::eventually;

use crate::bed::{WITHIN, at_once, bed, caller, options, request, send, to, until};
use crate::script::Script;

#[tokio::test]
async fn work_of_a_process_that_died_is_begun_anew() {
    let bed = bed().await;
    let (runtime, dying) = bed.process().await;
    let tasks: Vec<_> = join_all((0..5).map(|_| send(&dying, at_once(request("gate"))))).await;
    bed.called(5).await;
    let survivor = bed.engine().await;
    let watched = tasks[0].as_ref().unwrap().id.clone();
    let stream =
        survivor.subscribe_to_task(&caller(), SubscribeToTaskRequest { id: watched, ..Default::default() }).await.unwrap();
    runtime.shutdown_background();
    bed.called(10).await;
    assert!(bed.script.calls()[5..].iter().all(|(_, attempt)| *attempt == 2), "the executor knows that it is not the first");
    bed.script.open_gate();
    for task in tasks {
        until(&survivor, &task.unwrap().id, |task| task.status.state == TaskState::Completed).await;
    }
    // Nobody who watched need know: the stream goes on to the end.
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert!(
        matches!(events.last(), Some(a2a::StreamResponse::StatusUpdate(event)) if event.status.state == TaskState::Completed)
    );
    drop(dying);
}

#[tokio::test]
async fn tasks_that_rest_are_left_alone_and_messages_that_waited_are_not_lost() {
    let bed = bed().await;
    let (runtime, dying) = bed.process().await;
    let asked = send(&dying, request("ask")).await.unwrap();
    let busy = send(&dying, at_once(request("gate"))).await.unwrap();
    bed.called(2).await;
    send(&dying, at_once(to(&busy, "ask"))).await.unwrap();
    runtime.shutdown_background();
    let survivor = bed.engine().await;
    bed.called(3).await;
    assert_eq!(bed.script.calls()[2], ("gate".to_owned(), 2));
    let task = survivor.get_task(&caller(), GetTaskRequest { id: busy.id.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(task.history.len(), 2);
    bed.script.open_gate();
    until(&survivor, &busy.id, |task| task.status.state == TaskState::Completed).await;
    assert_eq!(send(&survivor, to(&asked, "echo")).await.unwrap().status.state, TaskState::Completed);
    assert_eq!(bed.script.calls().iter().filter(|(text, _)| text == "ask").count(), 1);
}

#[tokio::test]
async fn work_that_kills_its_process_again_and_again_fails_in_the_end() {
    let bed = bed().await;
    let (runtime, dying) = bed.process().await;
    let task = send(&dying, at_once(request("gate"))).await.unwrap();
    bed.called(1).await;
    runtime.shutdown_background();
    let survivor = bed.engine_limited(|limits| limits.attempts_max = 1).await;
    let task = until(&survivor, &task.id, |task| task.status.state.is_terminal()).await;
    assert_eq!((task.status.state, bed.script.calls().len()), (TaskState::Failed, 1));
}

#[tokio::test]
async fn a_process_that_was_taken_for_dead_must_not_write_any_more() {
    let bed = bed().await;
    // It does not notice what others do.
    let slow = bed.engine_limited(|limits| limits.look_every = Duration::from_mins(1)).await;
    let task = send(&slow, at_once(request("gate"))).await.unwrap();
    bed.called(1).await;
    let late = sqlx::query("update gateway.a2a_holder set lease_until = now() - interval '1 minute'");
    late.execute(&mut bed.admin().await).await.unwrap();
    let other = bed.engine().await;
    bed.called(2).await;
    // Both calls report the end; one of them counts.
    bed.script.open_gate();
    let done = until(&other, &task.id, |task| task.status.state == TaskState::Completed).await;
    let stream = other.watch(&caller(), &done.id, Some(0)).await.unwrap();
    let ends = stream.filter(|event| {
        let is_end =
            matches!(&event.as_ref().unwrap().event, a2a::StreamResponse::StatusUpdate(e) if e.status.state.is_terminal());
        std::future::ready(is_end)
    });
    assert_eq!(ends.count().await, 1);
    // The first one has learned it.
    slow.stop().await;
}

#[tokio::test]
async fn a_process_says_that_it_is_alive_whatever_else_it_waits_for() {
    let bed = bed().await;
    let _engine = bed.engine_limited(|limits| limits.lease = Duration::from_millis(300)).await;
    let (mut blocking, mut admin) = (bed.admin().await, bed.admin().await);
    sqlx::raw_sql("begin; lock table gateway.a2a_task in access exclusive mode").execute(&mut blocking).await.unwrap();
    let query = "select a.query_start::text, h.lease_until::text from pg_stat_activity a, gateway.a2a_holder h
        where a.datname = current_database() and a.wait_event_type = 'Lock'";
    let mut seen = std::collections::BTreeMap::new();
    let look = async || {
        let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&mut admin).await.unwrap();
        // A statement that waits since the same moment, and another lease.
        rows.into_iter().any(|(since, lease)| *seen.entry(since).or_insert_with(|| lease.clone()) != lease).then_some(())
    };
    eventually("a sign of life while a look waits", WITHIN, look).await.unwrap();
}

#[tokio::test]
async fn everything_comes_to_its_end_though_postgres_goes_away() {
    let mut postgres = testkit::private_postgres().await.unwrap();
    migrate(&postgres.url(), &[(Role::Gateway, "secret".to_owned())]).await.unwrap();
    let url = role_url(&postgres.url(), Role::Gateway, "secret").unwrap();
    let script = Script::new();
    let store = Store::connect(&StoreOptions::new(url, Role::Gateway)).await.unwrap();
    let engine = Engine::start(store, script.clone(), options()).await.unwrap();
    let (all, ()) = tokio::join!(join_all((0..8).map(|_| send_many(&engine))), cut(&mut postgres, &script));
    for id in all.into_iter().flatten() {
        let task = until(&engine, &id, |task| task.status.state == TaskState::Completed).await;
        assert_eq!(task.artifacts[0].parts.len(), 10, "each piece once, whatever was cut off: {id}");
    }
    assert_eq!(script.calls().len(), 8 * MESSAGES, "each message once");
}

/// Crashes Postgres in the middle, again and again.
async fn cut(postgres: &mut testkit::PrivatePostgres, script: &Script) {
    for begun in [20, 70, 120, 170] {
        let look = async || (script.calls().len() >= begun).then_some(());
        eventually("sending", WITHIN, look).await.unwrap();
        postgres.server().kill().await.unwrap();
        postgres.server().restart().await.unwrap();
    }
}

const MESSAGES: usize = 30;

/// Sends each message until it is answered.
async fn send_many(engine: &Engine<Script>) -> Vec<String> {
    let mut ids = vec![];
    for _ in 0..MESSAGES {
        let request = request("pieces 10");
        let send = async || send(engine, request.clone()).await.ok().map(|task| task.id);
        ids.push(eventually("sending one", WITHIN, send).await.unwrap());
    }
    ids
}
