//! Every limit, reached.

use a2a::{A2aError, A2aService as _, ErrorKind, Part, SubscribeToTaskRequest, TaskState};
use futures::future::join_all;

use crate::bed::{at_once, bed, caller, get, named, request, send, to, until};

fn is_full(error: &A2aError) -> bool {
    matches!(error.kind, ErrorKind::ResourceExhausted { .. })
}

#[tokio::test]
async fn a_tenant_has_so_many_tasks_at_work_and_no_more() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.running_per_tenant_max = 2).await;
    let first = request("gate");
    let task = send(&engine, at_once(first.clone())).await.unwrap();
    send(&engine, at_once(request("gate"))).await.unwrap();
    let refused = send(&engine, at_once(request("gate"))).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::ResourceExhausted { retry_after: Some(_) }));
    assert_eq!(send(&engine, at_once(first)).await.unwrap().id, task.id, "a copy of what was taken is answered");
    engine.send_message(&named("other", "ada"), at_once(request("gate"))).await.unwrap();
    bed.called(3).await;
    bed.script.open_gate();
    until(&engine, &task.id, |task| task.status.state == TaskState::Completed).await;
    assert_eq!(send(&engine, request("echo")).await.unwrap().status.state, TaskState::Completed, "there is room again");
    // Tasks that wait for somebody take no room.
    for _ in 0..3 {
        send(&engine, request("ask")).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_has_so_many_messages_waiting() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.messages_waiting_max = 1).await;
    let task = send(&engine, at_once(request("gate"))).await.unwrap();
    bed.called(1).await;
    let waiting = to(&task, "ask");
    send(&engine, at_once(waiting.clone())).await.unwrap();
    assert!(is_full(&send(&engine, at_once(to(&task, "ask"))).await.unwrap_err()));
    assert_eq!(send(&engine, at_once(waiting)).await.unwrap().id, task.id, "a copy of what was taken is answered");
}

#[tokio::test]
async fn streams_are_counted_per_task_and_in_all() {
    let bed = bed().await;
    let engine = bed
        .engine_limited(|limits| {
            limits.subscribers_per_task_max = 2;
            limits.subscribers_max = 3;
        })
        .await;
    let mut tasks = vec![];
    for _ in 0..2 {
        tasks.push(send(&engine, request("ask")).await.unwrap().id);
    }
    let subscribe = async |n: usize| {
        let request = SubscribeToTaskRequest { id: tasks[n].clone(), ..SubscribeToTaskRequest::default() };
        engine.subscribe_to_task(&caller(), request).await
    };
    let (one, two) = (subscribe(0).await.unwrap(), subscribe(0).await.unwrap());
    assert!(is_full(&subscribe(0).await.err().unwrap()), "of one task");
    let three = subscribe(1).await.unwrap();
    assert!(is_full(&subscribe(1).await.err().unwrap()), "in all");
    drop(one);
    let four = subscribe(1).await.unwrap();
    drop((two, three, four));
    assert!(subscribe(0).await.is_ok());
}

#[tokio::test]
async fn who_gets_no_stream_has_sent_nothing() {
    let bed = bed().await;
    let engine = bed
        .engine_limited(|limits| {
            limits.subscribers_per_task_max = 1;
            limits.subscribers_max = 2;
        })
        .await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let subscribe = SubscribeToTaskRequest { id: asked.id.clone(), ..SubscribeToTaskRequest::default() };
    let one = engine.subscribe_to_task(&caller(), subscribe).await.unwrap();
    let refused = engine.send_streaming_message(&caller(), to(&asked, "echo")).await.err().unwrap();
    assert!(is_full(&refused), "of one task");
    let two = engine.send_streaming_message(&caller(), request("gate")).await.unwrap();
    bed.called(2).await;
    let refused = engine.send_streaming_message(&caller(), request("echo")).await.err().unwrap();
    assert!(is_full(&refused), "in all");
    drop((one, two));
    let messages: i64 =
        sqlx::query_scalar("select count(*) from gateway.a2a_message").fetch_one(&mut bed.admin().await).await.unwrap();
    assert_eq!((messages, bed.script.calls().len()), (2, 2));
}

#[tokio::test]
async fn work_that_makes_too_much_fails() {
    let bed = bed().await;
    let engine = bed
        .engine_limited(|limits| {
            limits.events_max = 20;
            limits.artifacts_max = 1;
        })
        .await;
    let task = send(&engine, request("pieces 50")).await.unwrap();
    assert_eq!((task.status.state, task.artifacts[0].parts.len()), (TaskState::Failed, 19));
    let engine = bed.engine_limited(|limits| limits.task_bytes_max = 2_000).await;
    // The message fits, and the same again as an artifact does not.
    let mut large = request("echo");
    large.message.parts.push(Part::text("x".repeat(1_200)));
    assert_eq!(send(&engine, large).await.unwrap().status.state, TaskState::Failed);
}

#[tokio::test]
async fn a_message_must_fit_into_its_task() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.task_bytes_max = 3_000).await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let half = "x".repeat(1_200);
    let mut answer = to(&asked, "ask");
    answer.message.parts.push(Part::text(&half));
    let asked = send(&engine, answer).await.unwrap();
    let mut too_much = to(&asked, "ask");
    too_much.message.parts.push(Part::text(&half));
    let mut alone = request("ask");
    alone.message.parts.push(Part::text("x".repeat(3_000)));
    for request in [too_much, alone] {
        let error = send(&engine, request).await.unwrap_err();
        let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
        assert_eq!(violations[0].field, "message");
    }
    assert_eq!(get(&engine, &asked.id).await, asked, "nothing of it is stored");
    let messages: i64 =
        sqlx::query_scalar("select count(*) from gateway.a2a_message").fetch_one(&mut bed.admin().await).await.unwrap();
    assert_eq!(messages, 2);
}

#[tokio::test]
async fn large_tasks_share_no_statement_that_is_too_large() {
    let bed = bed().await;
    // Written one after the other, they take a while.
    let engine = bed.engine_limited(|limits| limits.accept_max = crate::bed::WITHIN).await;
    let large = (0..20).map(|_| {
        let mut request = at_once(request("gate"));
        request.message.parts.push(Part::text("x".repeat(2 << 20)));
        send(&engine, request)
    });
    for sent in join_all(large).await {
        sent.unwrap();
    }
    // A message is written once, by the statement that makes its task.
    let most: i64 =
        sqlx::query_scalar("select max(n) from (select count(*) as n from gateway.a2a_message group by xmin::text) as writes")
            .fetch_one(&mut bed.admin().await)
            .await
            .unwrap();
    assert!(most <= 8, "{most} tasks of 2 MiB in one statement");
}

/// Stands for a machine on which more than one task at once takes longer than a statement may.
const SLOW: &str = "
    create function gateway.slow() returns trigger language plpgsql as $$
    begin
        if (select count(*) from written) > 1 then
            raise exception 'canceling statement due to statement timeout' using errcode = 'query_canceled';
        end if;
        return null;
    end $$;
    create trigger slow after insert on gateway.a2a_task referencing new table as written
    for each statement execute function gateway.slow();";

#[tokio::test]
async fn what_takes_too_long_together_is_written_one_by_one() {
    let bed = bed().await;
    sqlx::raw_sql(SLOW).execute(&mut bed.admin().await).await.unwrap();
    let engine = bed.engine().await;
    for task in join_all((0..20).map(|_| send(&engine, request("echo")))).await {
        assert_eq!(task.unwrap().status.state, TaskState::Completed);
    }
}

#[tokio::test]
async fn whoever_reports_faster_than_it_can_be_written_waits_and_loses_nothing() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.unwritten_bytes_max = 500).await;
    let task = send(&engine, request("pieces 200")).await.unwrap();
    assert_eq!((task.status.state, task.artifacts[0].parts.len()), (TaskState::Completed, 200));
}

#[tokio::test]
async fn a_task_remembers_so_many_messages() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.history_max = 3).await;
    let mut task = send(&engine, request("ask")).await.unwrap();
    for _ in 0..3 {
        task = send(&engine, to(&task, "ask")).await.unwrap();
    }
    assert_eq!(get(&engine, &task.id).await.history.len(), 3);
    assert_eq!(bed.script.calls().len(), 4);
}

#[tokio::test]
async fn work_takes_so_long_and_no_longer() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.execution_max = std::time::Duration::from_millis(200)).await;
    assert_eq!(send(&engine, request("deaf")).await.unwrap().status.state, TaskState::Failed);
}

#[tokio::test]
async fn ids_that_no_index_can_hold_are_refused() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let mut long = request("echo");
    // Few enough characters for the protocol, too many bytes for us.
    long.message.context_id = Some("\u{1f691}".repeat(200));
    let error = send(&engine, long).await.unwrap_err();
    let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
    assert_eq!(violations[0].field, "message.contextId");
    let mut longest = request("echo");
    longest.message.context_id = Some("x".repeat(256));
    longest.message.message_id = "\u{1f691}".repeat(150);
    send(&engine, longest).await.unwrap();
}
