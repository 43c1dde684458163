//! Streams: first the task, then every event, in one order for everybody.

use a2a::{
    A2aError, A2aService as _, ErrorKind, EventStream, PartContent, StreamResponse, SubscribeToTaskRequest, Task, TaskState,
};
use futures::StreamExt as _;
use futures::future::join_all;
use tasks::Engine;

use crate::bed::{at_once, bed, caller, get, options, request, send, to, until};
use crate::script::Script;

async fn subscribe(engine: &Engine<Script>, id: &str) -> Result<EventStream, A2aError> {
    engine.subscribe_to_task(&caller(), SubscribeToTaskRequest { id: id.to_owned(), ..Default::default() }).await
}

async fn all(stream: EventStream) -> Vec<StreamResponse> {
    stream.map(Result::unwrap).collect().await
}

/// What the events made of the task.
fn replay(events: &[StreamResponse]) -> Task {
    let StreamResponse::Task(first) = &events[0] else { panic!("first comes the task: {events:?}") };
    events[1..].iter().fold(first.clone(), |task, event| task.apply(event.clone()).unwrap())
}

#[tokio::test]
async fn a_stream_begins_with_the_task_and_ends_with_its_end() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let stream = engine.send_streaming_message(&caller(), request("pieces 5")).await.unwrap();
    let events = all(stream).await;
    let StreamResponse::Task(first) = &events[0] else { panic!("{events:?}") };
    assert_eq!((first.status.state, events.len()), (TaskState::Submitted, 8));
    assert!(matches!(&events[7], StreamResponse::StatusUpdate(event) if event.status.state == TaskState::Completed));
    let last = events.iter().find(|event| matches!(event, StreamResponse::ArtifactUpdate(event) if event.last_chunk));
    assert!(last.is_some());
    assert_eq!(replay(&events), get(&engine, &first.id).await, "the events make the task");
}

#[tokio::test]
async fn an_answer_without_a_task_is_the_whole_stream() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let events = all(engine.send_streaming_message(&caller(), request("hello")).await.unwrap()).await;
    assert!(matches!(&events[..], [StreamResponse::Message(_)]));
}

#[tokio::test]
async fn every_stream_sees_the_same_in_the_same_order_on_every_process() {
    let bed = bed().await;
    let (one, two) = (bed.engine().await, bed.engine().await);
    let task = send(&one, at_once(request("hand-over"))).await.unwrap();
    until(&one, &task.id, |task| task.status.state == TaskState::Working).await;
    let mut streams = vec![];
    for engine in [&one, &one, &two] {
        streams.push(tokio::spawn(all(subscribe(engine, &task.id).await.unwrap())));
    }
    // Both processes write, in turns.
    let updates = [one.updates("acme", &task.id).await.unwrap(), two.updates("acme", &task.id).await.unwrap()];
    for n in 0..50 {
        let updates = &updates[n / 7 % 2];
        updates.report(a2a::Artifact::new(format!("a{n}"), vec![a2a::Part::text("x".repeat(n * 100))])).await.unwrap();
        if n % 7 == 6 {
            updates.flush().await.unwrap();
        }
    }
    updates[1].flush().await.unwrap();
    updates[0].report(TaskState::Completed).await.unwrap();
    let seen = join_all(streams).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(seen[0].len(), 52);
    assert!(seen.iter().all(|events| *events == seen[0]));
    assert_eq!(replay(&seen[0]), get(&one, &task.id).await);
}

#[tokio::test]
async fn a_stream_that_comes_late_or_is_slow_misses_nothing() {
    let bed = bed().await;
    // Nothing fits into memory: all comes from the table.
    let engine = bed.engine_limited(|limits| limits.recent_bytes_max = 10).await;
    let task = send(&engine, at_once(request("hand-over"))).await.unwrap();
    until(&engine, &task.id, |task| task.status.state == TaskState::Working).await;
    let mut slow = subscribe(&engine, &task.id).await.unwrap();
    let updates = engine.updates("acme", &task.id).await.unwrap();
    for n in 0..60 {
        updates.report(a2a::Artifact::new(format!("a{n}"), vec![a2a::Part::text("x")])).await.unwrap();
        updates.flush().await.unwrap();
    }
    let mut late = subscribe(&engine, &task.id).await.unwrap();
    updates.report(TaskState::Completed).await.unwrap();
    updates.flush().await.unwrap();
    // The slow one has not been asked for anything so far.
    let mut seen = vec![slow.next().await.unwrap().unwrap()];
    seen.extend(all(slow).await);
    assert_eq!(seen.len(), 62);
    let StreamResponse::Task(first) = late.next().await.unwrap().unwrap() else { panic!("first comes the task") };
    assert_eq!((first.artifacts.len(), all(late).await.len()), (60, 1));
}

#[tokio::test]
async fn streams_stay_open_while_the_task_waits() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let stream = engine.send_streaming_message(&caller(), request("ask")).await.unwrap();
    let watching = tokio::spawn(all(stream));
    let asked = until(&engine, &first_id(&engine).await, |task| task.status.state == TaskState::InputRequired).await;
    send(&engine, to(&asked, "echo")).await.unwrap();
    let events = watching.await.unwrap();
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            StreamResponse::StatusUpdate(event) => Some(event.status.state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [TaskState::Working, TaskState::InputRequired, TaskState::Working, TaskState::Completed]);
}

/// The only task there is.
async fn first_id(engine: &Engine<Script>) -> String {
    let look = async || {
        let listed = engine.list_tasks(&caller(), a2a::ListTasksRequest::default()).await.unwrap();
        listed.tasks.first().map(|task| task.id.clone())
    };
    testkit::eventually("the task", crate::bed::WITHIN, look).await.unwrap()
}

#[tokio::test]
async fn what_has_ended_or_is_not_there_has_no_stream() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let done = send(&engine, request("echo")).await.unwrap();
    let kind = |result: Result<EventStream, A2aError>| result.err().unwrap().kind;
    assert_eq!(kind(subscribe(&engine, &done.id).await), ErrorKind::UnsupportedOperation);
    assert_eq!(kind(subscribe(&engine, "made up").await), ErrorKind::TaskNotFound);
    let mut options = options();
    options.card.capabilities.streaming = None;
    let silent = bed.engine_with(options).await;
    assert_eq!(kind(subscribe(&silent, &done.id).await), ErrorKind::UnsupportedOperation);
    assert_eq!(kind(silent.send_streaming_message(&caller(), request("echo")).await), ErrorKind::UnsupportedOperation);
}

#[tokio::test]
async fn a_stream_is_taken_up_again_after_the_last_event_that_was_seen() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let done = send(&engine, request("pieces 40")).await.unwrap();
    for after in [0, 1, 20, 42] {
        let stream = engine.watch(&caller(), &done.id, Some(after)).await.unwrap();
        let seen: Vec<u64> = stream.map(|event| event.unwrap().seq).collect().await;
        assert_eq!(seen, (after + 1..=42).collect::<Vec<_>>(), "{after}");
    }
    let future = engine.watch(&caller(), &done.id, Some(43)).await.err().unwrap();
    assert!(matches!(future.kind, ErrorKind::InvalidParams { .. }));
    let ended = engine.watch(&caller(), &done.id, None).await.err().unwrap();
    assert_eq!(ended.kind, ErrorKind::UnsupportedOperation);
    let pieces: Vec<_> = done.artifacts[0].parts.iter().map(|part| &part.content).collect();
    assert!(matches!(pieces[..], [PartContent::Text(first), .., PartContent::Text(last)] if first == "0" && last == "39"));
}

#[tokio::test]
async fn the_same_message_again_joins_the_stream() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let request = request("gate");
    let first = engine.send_streaming_message(&caller(), request.clone()).await.unwrap();
    bed.called(1).await;
    let second = engine.send_streaming_message(&caller(), request.clone()).await.unwrap();
    bed.script.open_gate();
    let (first, second) = (all(first).await, all(second).await);
    assert_eq!(replay(&first), replay(&second));
    // After the end, the task is all there is.
    let third = all(engine.send_streaming_message(&caller(), request).await.unwrap()).await;
    assert!(matches!(&third[..], [StreamResponse::Task(task)] if *task == replay(&first)));
}
