//! The behaviours that every binding must show alike. Each asserts what the spec says, and returns what it saw with all names that are
//! drawn or made taken out: the transcripts of all bindings must be equal.

mod lifecycle;
mod listing;
mod mistakes;
mod push;
mod streams;
mod turns;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use a2a::{
    A2aError, A2aService, Caller, EventStream, GetTaskRequest, Message, Part, Role, SendMessageConfiguration, SendMessageRequest,
    SendMessageResponse, StreamResponse, Task, TaskPushNotificationConfig, TaskState,
};
use futures::{Future, StreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};

/// One binding's way to the agent.
pub(crate) struct Side<S> {
    /// The binding's name.
    pub(crate) name: &'static str,
    /// Calls as the first sender.
    pub(crate) agent: S,
    /// Calls as another sender.
    pub(crate) stranger: S,
    /// What the first caller is to the engine; over a wire the binding finds it out.
    pub(crate) caller: Caller,
    /// The other caller.
    pub(crate) other: Caller,
    /// Makes ids that were never used.
    pub(crate) counter: AtomicU32,
}

type Behaviour<S> = for<'a> fn(&'a Side<S>) -> Pin<Box<dyn Future<Output = Value> + Send + 'a>>;

/// All behaviours by name.
pub(crate) fn behaviours<S: A2aService>() -> Vec<(&'static str, Behaviour<S>)> {
    macro_rules! list {
        ($($module:ident :: $name:ident),* $(,)?) => {
            vec![$((stringify!($name), (|side| Box::pin($module::$name(side))) as Behaviour<S>)),*]
        };
    }
    list![
        lifecycle::a_task_completes,
        lifecycle::artifacts_of_every_kind,
        lifecycle::a_message_without_a_task,
        lifecycle::tasks_that_fail_or_are_refused,
        lifecycle::history_is_cut_to_length,
        lifecycle::a_send_that_returns_at_once_and_a_cancel,
        lifecycle::a_blocking_send_waits_for_the_end,
        turns::a_question_and_its_answer,
        turns::turns_of_one_task,
        turns::the_same_message_twice,
        turns::nobody_else_sees_a_task,
        mistakes::an_ended_task_takes_nothing,
        mistakes::a_task_that_is_not_there,
        mistakes::another_context,
        mistakes::fields_that_break_rules,
        mistakes::a_media_type_that_is_not_taken,
        streams::a_stream_tells_everything_in_order,
        streams::an_artifact_in_pieces,
        streams::a_message_alone_is_a_whole_stream,
        streams::all_subscribers_hear_the_same,
        streams::a_stream_is_taken_up_again,
        listing::pages_of_a_context,
        listing::filters,
        push::configurations_come_and_go,
        lifecycle::cards,
    ]
}

impl<S: A2aService> Side<S> {
    /// An id that begins with this and was never used.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}-{}-{}", self.name.replace('+', "-"), self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// A message that asks for what the prefix says.
    pub(crate) fn message(&self, prefix: &str) -> Message {
        Message::new(self.id(prefix), Role::User, vec![Part::text("a text for the suite")])
    }

    pub(crate) async fn send(&self, message: Message) -> Result<SendMessageResponse, A2aError> {
        self.agent.send_message(&self.caller, SendMessageRequest::new(message)).await
    }

    /// Sends what must come back as a task.
    pub(crate) async fn task(&self, message: Message) -> Task {
        match self.send(message).await {
            Ok(SendMessageResponse::Task(task)) => task,
            other => panic!("{}: a task was expected: {other:?}", self.name),
        }
    }

    /// Sends without waiting for the end.
    pub(crate) async fn begin(&self, message: Message) -> Task {
        let configuration = SendMessageConfiguration { return_immediately: true, ..Default::default() };
        let request = SendMessageRequest { configuration: Some(configuration), ..SendMessageRequest::new(message) };
        match self.agent.send_message(&self.caller, request).await {
            Ok(SendMessageResponse::Task(task)) => task,
            other => panic!("{}: a task was expected: {other:?}", self.name),
        }
    }

    pub(crate) async fn get(&self, id: &str, history_length: Option<u32>) -> Result<Task, A2aError> {
        self.agent.get_task(&self.caller, GetTaskRequest { tenant: None, id: id.to_owned(), history_length }).await
    }

    /// Opens a stream with a message.
    pub(crate) async fn stream(&self, message: Message) -> Vec<StreamResponse> {
        let stream = self.agent.send_streaming_message(&self.caller, SendMessageRequest::new(message)).await;
        all(stream.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))).await
    }
}

/// Everything that a stream says; it must end by itself.
pub(crate) async fn all(stream: EventStream) -> Vec<StreamResponse> {
    let events = tokio::time::timeout(std::time::Duration::from_secs(20), stream.collect::<Vec<_>>()).await;
    events.expect("the stream ends").into_iter().map(|event| event.expect("an event")).collect()
}

/// The states and artifacts that a stream told of, in short.
pub(crate) fn story(events: &[StreamResponse]) -> Vec<String> {
    let short = |event: &StreamResponse| match event {
        StreamResponse::Task(task) => format!("task {}", task.status.state.as_str()),
        StreamResponse::Message(_) => "message".to_owned(),
        StreamResponse::StatusUpdate(update) => format!("status {}", update.status.state.as_str()),
        StreamResponse::ArtifactUpdate(update) => format!("artifact append={} last={}", update.append, update.last_chunk),
    };
    events.iter().map(short).collect()
}

/// Something to compare: names that were drawn are numbered in the order in which they appear, times are gone, and numbers are doubles,
/// as peers built on protobuf see them.
pub(crate) fn seen(value: &impl Serialize) -> Value {
    let mut names = BTreeMap::new();
    plain(&serde_json::to_value(value).expect("JSON"), "", &mut names)
}

fn plain(value: &Value, key: &str, names: &mut BTreeMap<String, usize>) -> Value {
    match value {
        Value::String(_) if key == "timestamp" => json!("a time"),
        Value::String(text) if ["id", "taskId", "contextId", "messageId", "artifactId"].contains(&key) => {
            let next = names.len() + 1;
            json!(format!("name {}", names.entry(text.clone()).or_insert(next)))
        }
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), plain(value, key, names))).collect(),
        Value::Array(items) => items.iter().map(|item| plain(item, key, names)).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// What an error says on every binding alike.
pub(crate) fn failure(error: &A2aError) -> Value {
    let a2a::ErrorKind::InvalidParams { violations } = &error.kind else {
        return json!({"reason": error.codes().reason});
    };
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    json!({"reason": error.codes().reason, "fields": fields})
}

/// The error of something that must fail.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, A2aError>) -> Value {
    failure(&result.expect_err("it must be refused"))
}

/// The text that a status carries.
pub(crate) fn said(task: &Task) -> Option<&str> {
    let part = task.status.message.as_ref()?.parts.first()?;
    if let a2a::PartContent::Text(text) = &part.content { Some(text) } else { None }
}

pub(crate) fn assert_state(task: &Task, state: TaskState) {
    assert_eq!(task.status.state, state, "{task:?}");
}

/// A configuration with nothing but where to post.
pub(crate) fn push_to(url: &str) -> TaskPushNotificationConfig {
    TaskPushNotificationConfig { tenant: None, id: None, task_id: None, url: url.to_owned(), token: None, authentication: None }
}
