//! What is told meanwhile.

use a2a::{A2aService, PartContent, SendMessageRequest, StreamResponse, SubscribeToTaskRequest, TaskState};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Side, all, assert_state, seen, story};

pub(crate) async fn a_stream_tells_everything_in_order<S: A2aService>(side: &Side<S>) -> Value {
    let mut transcripts = vec![];
    for prefix in ["tck-stream-001", "tck-stream-003", "tck-stream-ordering-001", "tck-stream-artifact-file"] {
        let events = side.stream(side.message(prefix)).await;
        let expected = [
            "task TASK_STATE_SUBMITTED",
            "status TASK_STATE_WORKING",
            "artifact append=false last=true",
            "status TASK_STATE_COMPLETED",
        ];
        assert_eq!(story(&events), expected, "{prefix}");
        transcripts.push(seen(&events));
    }
    Value::from(transcripts)
}

pub(crate) async fn an_artifact_in_pieces<S: A2aService>(side: &Side<S>) -> Value {
    let events = side.stream(side.message("tck-stream-artifact-chunked")).await;
    let pieces: Vec<_> = story(&events).into_iter().filter(|line| line.starts_with("artifact")).collect();
    assert_eq!(pieces, ["artifact append=false last=false", "artifact append=true last=true"]);
    let StreamResponse::Task(first) = &events[0] else { panic!("the task comes first: {events:?}") };
    let task = side.get(&first.id, None).await.unwrap();
    let texts: Vec<_> = task.artifacts[0].parts.iter().map(|part| part.content.clone()).collect();
    assert_eq!(texts, ["chunk-1 ", "chunk-2"].map(|text| PartContent::Text(text.to_owned())));
    assert_eq!(task.artifacts.len(), 1);
    json!([seen(&events), seen(&task)])
}

pub(crate) async fn a_message_alone_is_a_whole_stream<S: A2aService>(side: &Side<S>) -> Value {
    let events = side.stream(side.message("tck-message-response")).await;
    assert_eq!(story(&events), ["message"]);
    seen(&events)
}

pub(crate) async fn all_subscribers_hear_the_same<S: A2aService>(side: &Side<S>) -> Value {
    let asked = side.task(side.message("tck-input-required")).await;
    let mut streams = vec![];
    for _ in 0..3 {
        let request = SubscribeToTaskRequest { tenant: None, id: asked.id.clone() };
        let mut stream = side.agent.subscribe_to_task(&side.caller, request).await.unwrap();
        // The task itself comes first, so every subscriber is there before anything happens.
        let first = stream.next().await.unwrap().unwrap();
        let StreamResponse::Task(task) = first else { panic!("{first:?}") };
        assert_state(&task, TaskState::InputRequired);
        streams.push(stream);
    }
    let mut message = side.message("tck-stream-chunked");
    message.task_id = Some(asked.id);
    let done = side.task(message).await;
    assert_state(&done, TaskState::Completed);
    let mut heard = vec![];
    for stream in streams {
        heard.push(all(stream).await);
    }
    assert!(heard.iter().all(|events| *events == heard[0]), "{heard:?}");
    assert_eq!(story(&heard[0]).last().map(String::as_str), Some("status TASK_STATE_COMPLETED"));
    seen(&heard[0])
}

pub(crate) async fn a_stream_is_taken_up_again<S: A2aService>(side: &Side<S>) -> Value {
    let request = SendMessageRequest::new(side.message("test-resubscribe-message-id"));
    let mut stream = side.agent.send_streaming_message(&side.caller, request).await.unwrap();
    let before = [stream.next().await.unwrap().unwrap(), stream.next().await.unwrap().unwrap()];
    assert_eq!(story(&before), ["task TASK_STATE_SUBMITTED", "status TASK_STATE_WORKING"]);
    let StreamResponse::Task(begun) = &before[0] else { panic!("the task comes first: {before:?}") };
    drop(stream);
    let request = SubscribeToTaskRequest { tenant: None, id: begun.id.clone() };
    let after = all(side.agent.subscribe_to_task(&side.caller, request).await.unwrap()).await;
    assert_eq!(story(&after), ["task TASK_STATE_WORKING", "status TASK_STATE_COMPLETED"]);
    json!([seen(&before), seen(&after)])
}
