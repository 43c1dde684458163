//! How tasks begin and end.

use a2a::{
    A2aService, CancelTaskRequest, GetExtendedAgentCardRequest, Metadata, PartContent, Role, SendMessageResponse, TaskState,
};
use serde_json::{Value, json};

use super::{Side, assert_state, said, seen};

pub(crate) async fn a_task_completes<S: A2aService>(side: &Side<S>) -> Value {
    let sent = side.message("tck-complete-task");
    let task = side.task(sent.clone()).await;
    assert_state(&task, TaskState::Completed);
    assert_eq!(said(&task), Some("Hello from TCK"));
    let says = task.status.message.as_ref().unwrap();
    assert_eq!((says.role, says.task_id.as_ref()), (Role::Agent, Some(&task.id)));
    assert_eq!(says.context_id, task.context_id);
    assert!(task.context_id.is_some() && task.status.timestamp.is_some());
    assert!(task.history.iter().any(|message| message.message_id == sent.message_id), "history holds the message");
    assert_eq!(side.get(&task.id, None).await.unwrap(), task);
    seen(&task)
}

pub(crate) async fn artifacts_of_every_kind<S: A2aService>(side: &Side<S>) -> Value {
    let mut all = vec![];
    for prefix in ["tck-artifact-text", "tck-artifact-file", "tck-artifact-file-url", "tck-artifact-data"] {
        let task = side.task(side.message(prefix)).await;
        assert_state(&task, TaskState::Completed);
        let part = &task.artifacts[0].parts[0];
        match prefix {
            "tck-artifact-text" => assert_eq!(part.content, PartContent::Text("Generated text content".to_owned())),
            "tck-artifact-data" => {
                let PartContent::Data(data) = &part.content else { panic!("{part:?}") };
                assert_eq!((&data["key"], data["count"].as_f64()), (&json!("value"), Some(42.0)));
            }
            _ => {
                assert_eq!((part.filename.as_deref(), part.media_type.as_deref()), (Some("output.txt"), Some("text/plain")));
                let url = PartContent::Url("https://example.com/output.txt".to_owned());
                let content = if prefix.ends_with("url") { url } else { PartContent::Raw(b"tck".to_vec()) };
                assert_eq!(part.content, content);
            }
        }
        all.push(seen(&task));
    }
    Value::from(all)
}

pub(crate) async fn a_message_without_a_task<S: A2aService>(side: &Side<S>) -> Value {
    let answer = side.send(side.message("tck-message-response")).await.unwrap();
    let SendMessageResponse::Message(message) = &answer else { panic!("{answer:?}") };
    assert_eq!(message.parts[0].content, PartContent::Text("Direct message response".to_owned()));
    seen(&answer)
}

pub(crate) async fn tasks_that_fail_or_are_refused<S: A2aService>(side: &Side<S>) -> Value {
    let failed = side.task(side.message("tck-task-failure")).await;
    assert_state(&failed, TaskState::Failed);
    let rejected = side.task(side.message("tck-reject-task")).await;
    assert_state(&rejected, TaskState::Rejected);
    let asked = side.task(side.message("tck-auth-required")).await;
    assert_state(&asked, TaskState::AuthRequired);
    json!([seen(&failed), seen(&rejected), seen(&asked)])
}

pub(crate) async fn history_is_cut_to_length<S: A2aService>(side: &Side<S>) -> Value {
    let task = side.task(side.message("tck-multi-turn")).await;
    let mut second = side.message("tck-multi-turn");
    second.task_id = Some(task.id.clone());
    side.task(second).await;
    let whole = side.get(&task.id, None).await.unwrap();
    assert!(whole.history.len() >= 2, "{:?}", whole.history);
    assert!(side.get(&task.id, Some(0)).await.unwrap().history.is_empty());
    let last = side.get(&task.id, Some(1)).await.unwrap().history;
    assert_eq!(Some(&last[0]), whole.history.last(), "the newest is kept");
    assert_eq!(last.len(), 1);
    seen(&whole)
}

pub(crate) async fn a_send_that_returns_at_once_and_a_cancel<S: A2aService>(side: &Side<S>) -> Value {
    let begun = side.begin(side.message("tck-cancel")).await;
    assert!(!begun.status.state.is_terminal(), "{begun:?}");
    let cancel = CancelTaskRequest { tenant: None, id: begun.id.clone(), metadata: Metadata::new() };
    let canceled = side.agent.cancel_task(&side.caller, cancel.clone()).await.unwrap();
    assert_state(&canceled, TaskState::Canceled);
    assert_state(&side.get(&begun.id, None).await.unwrap(), TaskState::Canceled);
    let again = side.agent.cancel_task(&side.caller, cancel).await.unwrap();
    assert_eq!(again, canceled, "asked twice is asked once");
    json!([canceled.status.state.as_str(), seen(&again)])
}

pub(crate) async fn a_blocking_send_waits_for_the_end<S: A2aService>(side: &Side<S>) -> Value {
    let begun = side.begin(side.message("tck-delayed-complete")).await;
    assert!(!begun.status.state.is_terminal(), "{begun:?}");
    let task = side.task(side.message("tck-delayed-complete")).await;
    assert_state(&task, TaskState::Completed);
    seen(&task)
}

pub(crate) async fn cards<S: A2aService>(side: &Side<S>) -> Value {
    let card = side.agent.card();
    assert!(card.capabilities.streaming == Some(true) && card.capabilities.push_notifications == Some(true), "{card:?}");
    let extended = side.agent.extended_card(&side.caller, GetExtendedAgentCardRequest { tenant: None }).await.unwrap();
    assert!(extended.skills.len() > card.skills.len(), "the extended card says more");
    json!([seen(&card), seen(&extended)])
}
