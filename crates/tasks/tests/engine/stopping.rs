//! Stopping.

use a2a::{A2aService as _, ErrorKind, SubscribeToTaskRequest, TaskState};
use futures::StreamExt as _;

use crate::bed::{at_once, bed, caller, get, request, send, to, until};

#[tokio::test]
async fn what_was_done_is_stored_and_the_rest_goes_on_at_once_elsewhere() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.lease = std::time::Duration::from_mins(5)).await;
    let done = send(&engine, request("echo")).await.unwrap();
    // One stops when asked to, one does not.
    let kind = send(&engine, at_once(request("until-stopped"))).await.unwrap();
    let deaf = send(&engine, at_once(request("deaf"))).await.unwrap();
    bed.called(3).await;
    let subscribe = SubscribeToTaskRequest { id: kind.id.clone(), ..Default::default() };
    let stream = engine.subscribe_to_task(&caller(), subscribe).await.unwrap();
    let blocked = tokio::spawn({
        let engine = engine.clone();
        async move { send(&engine, request("gate")).await }
    });
    bed.called(4).await;
    engine.stop().await;

    assert_eq!(blocked.await.unwrap().unwrap_err().kind, ErrorKind::Unavailable, "the same message can be sent again elsewhere");
    let last = stream.collect::<Vec<_>>().await.pop();
    assert_eq!(last.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(send(&engine, request("echo")).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(get(&engine, &done.id).await, done);

    let next = bed.engine().await;
    bed.called(7).await;
    let attempts: Vec<u32> = bed.script.calls()[4..].iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts, [1; 3], "a stop is no death: however often it happens, the work goes on");
    for task in [&kind, &deaf] {
        until(&next, &task.id, |task| task.status.state == TaskState::Working).await;
    }
    engine.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_not_worked_on_goes_on_elsewhere_though_the_task_waits() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let asked = send(&engine, request("ask")).await.unwrap();
    send(&engine, at_once(to(&asked, "silent until-stopped"))).await.unwrap();
    bed.called(2).await;
    engine.stop().await;
    let _next = bed.engine().await;
    bed.called(3).await;
    assert_eq!(bed.script.calls()[2].0, "silent until-stopped");
}

#[tokio::test]
async fn an_engine_that_runs_is_not_broken() {
    let bed = bed().await;
    let engine = bed.engine().await;
    tokio::select! {
        () = engine.broken() => panic!("it is broken"),
        task = send(&engine, request("echo")) => assert_eq!(task.unwrap().status.state, TaskState::Completed),
    }
    engine.stop().await;
    tokio::select! {
        biased;
        () = engine.broken() => panic!("stopping is not breaking"),
        () = std::future::ready(()) => {}
    }
}
