//! What is refused, and how.

use a2a::{
    A2aService, CancelTaskRequest, Metadata, Part, SendMessageRequest, SubscribeToTaskRequest, TaskPushNotificationConfig,
    TaskState,
};
use serde_json::{Value, json};

use super::{Side, assert_state, push_to, refused};

pub(crate) async fn an_ended_task_takes_nothing<S: A2aService>(side: &Side<S>) -> Value {
    let task = side.task(side.message("tck-complete-task")).await;
    assert_state(&task, TaskState::Completed);
    let mut more = side.message("tck-complete-task");
    more.task_id = Some(task.id.clone());
    let send = side.send(more.clone()).await;
    let stream = side.agent.send_streaming_message(&side.caller, SendMessageRequest::new(more)).await;
    let cancel = CancelTaskRequest { tenant: None, id: task.id.clone(), metadata: Metadata::new() };
    let cancel = side.agent.cancel_task(&side.caller, cancel).await;
    let subscribe = SubscribeToTaskRequest { tenant: None, id: task.id.clone() };
    let subscribe = side.agent.subscribe_to_task(&side.caller, subscribe).await;
    let all = json!([refused(send), refused(stream.map(|_| ())), refused(cancel), refused(subscribe.map(|_| ()))]);
    let reasons = ["UNSUPPORTED_OPERATION", "UNSUPPORTED_OPERATION", "TASK_NOT_CANCELABLE", "UNSUPPORTED_OPERATION"];
    assert_eq!(all, Value::from(reasons.map(|reason| json!({"reason": reason})).to_vec()));
    all
}

pub(crate) async fn a_task_that_is_not_there<S: A2aService>(side: &Side<S>) -> Value {
    let id = "task-that-never-was";
    let get = side.get(id, None).await;
    let cancel = CancelTaskRequest { tenant: None, id: id.to_owned(), metadata: Metadata::new() };
    let cancel = side.agent.cancel_task(&side.caller, cancel).await;
    let subscribe = SubscribeToTaskRequest { tenant: None, id: id.to_owned() };
    let subscribe = side.agent.subscribe_to_task(&side.caller, subscribe).await;
    let mut message = side.message("tck-complete-task");
    message.task_id = Some(id.to_owned());
    let send = side.send(message).await;
    let config = TaskPushNotificationConfig { task_id: Some(id.to_owned()), ..push_to("http://127.0.0.1:9/") };
    let push = side.agent.create_push_config(&side.caller, config).await;
    let all = json!([refused(get), refused(cancel), refused(subscribe.map(|_| ())), refused(send), refused(push)]);
    assert_eq!(all, Value::from(vec![json!({"reason": "TASK_NOT_FOUND"}); 5]));
    all
}

pub(crate) async fn another_context<S: A2aService>(side: &Side<S>) -> Value {
    let task = side.task(side.message("tck-input-required")).await;
    let mut message = side.message("tck-complete-task");
    (message.task_id, message.context_id) = (Some(task.id.clone()), Some("another".to_owned()));
    let error = refused(side.send(message).await);
    assert_eq!(error, json!({"reason": "INVALID_PARAMS", "fields": ["message.contextId"]}));
    error
}

pub(crate) async fn fields_that_break_rules<S: A2aService>(side: &Side<S>) -> Value {
    let mut nameless = side.message("tck-complete-task");
    nameless.message_id = String::new();
    let mut empty = side.message("tck-complete-task");
    empty.parts = vec![];
    let mut both = empty.clone();
    both.message_id = String::new();
    let all = json!([
        refused(side.send(nameless).await),
        refused(side.send(empty).await),
        refused(side.send(both).await),
        refused(side.get("", None).await),
    ]);
    let fields = [&["message.messageId"][..], &["message.parts"], &["message.messageId", "message.parts"], &["id"]];
    assert_eq!(all, Value::from(fields.map(|fields| json!({"reason": "INVALID_PARAMS", "fields": fields})).to_vec()));
    all
}

pub(crate) async fn a_media_type_that_is_not_taken<S: A2aService>(side: &Side<S>) -> Value {
    let mut message = side.message("tck-complete-task");
    message.parts = vec![Part { media_type: Some("application/x-unheard-of".to_owned()), ..Part::text("?") }];
    let error = refused(side.send(message).await);
    assert_eq!(error, json!({"reason": "CONTENT_TYPE_NOT_SUPPORTED"}));
    error
}
