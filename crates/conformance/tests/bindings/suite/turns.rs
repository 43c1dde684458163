//! Several messages, and whose they are.

use a2a::{
    A2aService, CancelTaskRequest, GetTaskRequest, ListTasksRequest, Message, Metadata, Part, Role, SendMessageRequest,
    SubscribeToTaskRequest, TaskState,
};
use serde_json::{Value, json};

use super::{Side, assert_state, refused, seen};

pub(crate) async fn a_question_and_its_answer<S: A2aService>(side: &Side<S>) -> Value {
    let asked = side.task(side.message("tck-input-required")).await;
    assert_state(&asked, TaskState::InputRequired);
    // Only the task is named: its context is known from it.
    let mut answer = side.message("tck-complete-task");
    answer.task_id = Some(asked.id.clone());
    let done = side.task(answer).await;
    assert_state(&done, TaskState::Completed);
    assert_eq!((&done.id, &done.context_id), (&asked.id, &asked.context_id));
    json!([seen(&asked), seen(&done)])
}

pub(crate) async fn turns_of_one_task<S: A2aService>(side: &Side<S>) -> Value {
    let first = side.task(side.message("tck-multi-turn")).await;
    assert_state(&first, TaskState::InputRequired);
    let mut second = side.message("tck-multi-turn");
    (second.task_id, second.context_id) = (Some(first.id.clone()), first.context_id.clone());
    let done = side.task(second).await;
    assert_state(&done, TaskState::Completed);
    // Another task in the same conversation.
    let mut third = side.message("tck-complete-task");
    third.context_id = first.context_id.clone();
    let next = side.task(third).await;
    assert_eq!(next.context_id, first.context_id);
    assert_ne!(next.id, first.id);
    seen(&done)
}

/// A message id of its own, and what is asked for in the text: as SDK clients send it.
fn once<S: A2aService>(side: &Side<S>, id: &str, text: &str) -> Message {
    Message::new(format!("{id}-{}", side.name), Role::User, vec![Part::text(text)])
}

pub(crate) async fn the_same_message_twice<S: A2aService>(side: &Side<S>) -> Value {
    let id = side.id("suite-once");
    let first = side.task(once(side, &id, "tck-complete-task")).await;
    let again = side.task(once(side, &id, "tck-complete-task")).await;
    assert_eq!(first, again, "asked twice is asked once");
    let other = side.send(once(side, &id, "tck-reject-task")).await;
    refused(other)
}

pub(crate) async fn nobody_else_sees_a_task<S: A2aService>(side: &Side<S>) -> Value {
    let task = side.task(side.message("tck-input-required")).await;
    let (agent, other, id) = (&side.stranger, &side.other, task.id.clone());
    let get = agent.get_task(other, GetTaskRequest { tenant: None, id: id.clone(), history_length: None }).await;
    let cancel = agent.cancel_task(other, CancelTaskRequest { tenant: None, id: id.clone(), metadata: Metadata::new() }).await;
    let subscribe = agent.subscribe_to_task(other, SubscribeToTaskRequest { tenant: None, id: id.clone() }).await;
    let mut message = side.message("tck-complete-task");
    message.task_id = Some(id.clone());
    let send = agent.send_message(other, SendMessageRequest::new(message)).await;
    let request = ListTasksRequest { context_id: task.context_id.clone(), ..ListTasksRequest::default() };
    let listed = agent.list_tasks(other, request).await.unwrap();
    assert!(listed.tasks.is_empty() && listed.total_size == 0, "{listed:?}");
    // Exactly what is answered for a task that never was.
    let missing = side.get("task-that-never-was", None).await;
    let all = [refused(get), refused(cancel), refused(subscribe.map(|_| ())), refused(send), refused(missing)];
    assert!(all.iter().all(|error| *error == all[0]), "{all:?}");
    assert_state(&side.get(&id, None).await.unwrap(), TaskState::InputRequired);
    Value::from(all.to_vec())
}
