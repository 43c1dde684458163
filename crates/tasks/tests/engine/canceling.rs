//! Canceling.

use a2a::{A2aError, A2aService as _, CancelTaskRequest, ErrorKind, Task, TaskState};
use tasks::Engine;

use crate::bed::{at_once, bed, caller, get, request, send, until};
use crate::script::Script;

async fn cancel(engine: &Engine<Script>, id: &str) -> Result<Task, A2aError> {
    engine.cancel_task(&caller(), CancelTaskRequest { id: id.to_owned(), ..CancelTaskRequest::default() }).await
}

#[tokio::test]
async fn canceling_ends_the_task_and_its_work_once() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("until-stopped"))).await.unwrap();
    bed.called(1).await;
    let canceled = cancel(&engine, &task.id).await.unwrap();
    assert_eq!(canceled.status.state, TaskState::Canceled);
    assert_eq!(get(&engine, &task.id).await, canceled, "it is stored when it is answered");
    assert_eq!(cancel(&engine, &task.id).await.unwrap(), canceled, "again is the same");
    bed.script.idle().await;
}

#[tokio::test]
async fn a_task_that_waits_can_be_canceled_from_another_process() {
    let bed = bed().await;
    let (one, two) = (bed.engine().await, bed.engine().await);
    let asked = send(&one, request("ask")).await.unwrap();
    assert_eq!(cancel(&two, &asked.id).await.unwrap().status.state, TaskState::Canceled);
    assert_eq!(send(&one, crate::bed::to(&asked, "echo")).await.unwrap_err().kind, ErrorKind::UnsupportedOperation);

    let task = send(&one, at_once(request("deaf"))).await.unwrap();
    bed.called(2).await;
    assert_eq!(cancel(&two, &task.id).await.unwrap().status.state, TaskState::Canceled);
    assert_eq!(get(&one, &task.id).await.status.state, TaskState::Canceled);
    // The first process notices, and breaks its work off.
    bed.script.idle().await;
}

#[tokio::test]
async fn a_task_that_ended_otherwise_cannot_be_canceled() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for script in ["echo", "fail"] {
        let task = send(&engine, request(script)).await.unwrap();
        assert_eq!(cancel(&engine, &task.id).await.unwrap_err().kind, ErrorKind::TaskNotCancelable, "{script}");
    }
    assert_eq!(cancel(&engine, "made up").await.unwrap_err().kind, ErrorKind::TaskNotFound);
}

#[tokio::test]
async fn the_executor_may_cancel_later_or_refuse() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("until-stopped later"))).await.unwrap();
    bed.called(1).await;
    until(&engine, &task.id, |task| task.status.state == TaskState::Working).await;
    assert_eq!(cancel(&engine, &task.id).await.unwrap().status.state, TaskState::Working);
    let updates = engine.updates("acme", &task.id).await.unwrap();
    updates.report(TaskState::Canceled).await.unwrap();
    until(&engine, &task.id, |task| task.status.state == TaskState::Canceled).await;

    let task = send(&engine, at_once(request("gate never"))).await.unwrap();
    bed.called(2).await;
    assert_eq!(cancel(&engine, &task.id).await.unwrap_err().kind, ErrorKind::UnsupportedOperation);
    assert!(!get(&engine, &task.id).await.status.state.is_terminal());
}
