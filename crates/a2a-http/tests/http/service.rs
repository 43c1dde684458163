//! An agent that answers what it is told to, and remembers what it was asked.

use std::sync::Mutex;

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::samples;

/// How all operations end from now on.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Fine,
    Fails(A2aError),
    Panics,
    Hangs,
    /// A stream ends so after its first event; other operations are fine.
    FailsLate(A2aError),
    PanicsLate,
    Stalls,
}

/// What was asked: by whom, which operation, and its request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) caller: Caller,
    pub(crate) operation: &'static str,
    pub(crate) request: Value,
}

pub(crate) struct Scripted {
    outcome: Mutex<Outcome>,
    seen: Mutex<Vec<Seen>>,
    card: AgentCard,
    /// Calls and streams that somebody still waits for.
    pub(crate) open: watch::Sender<usize>,
}

/// Counts while it lives.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Scripted {
    pub(crate) fn new(card: AgentCard) -> Self {
        Self { outcome: Mutex::new(Outcome::Fine), seen: Mutex::default(), card, open: watch::Sender::new(0) }
    }

    pub(crate) fn set(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap() = outcome;
    }

    /// What was asked since the last time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    async fn answer<T>(&self, caller: &Caller, operation: &'static str, request: impl Serialize, fine: T) -> Result<T, A2aError> {
        let request = serde_json::to_value(request).unwrap();
        self.seen.lock().unwrap().push(Seen { caller: caller.clone(), operation, request });
        let outcome = self.outcome.lock().unwrap().clone();
        let _open = Open::new(&self.open);
        match outcome {
            Outcome::Fails(error) => Err(error),
            Outcome::Panics => panic!("as told"),
            Outcome::Hangs => std::future::pending().await,
            Outcome::Fine | Outcome::FailsLate(_) | Outcome::PanicsLate | Outcome::Stalls => Ok(fine),
        }
    }

    fn events(&self) -> EventStream {
        let mut events: Vec<_> = samples::events().into_iter().map(Ok).collect();
        let outcome = self.outcome.lock().unwrap().clone();
        if !matches!(outcome, Outcome::Fine) {
            events.truncate(1);
        }
        let open = Open::new(&self.open);
        let end: EventStream = match outcome {
            Outcome::FailsLate(error) => Box::pin(stream::iter([Err(error)])),
            Outcome::PanicsLate => Box::pin(stream::poll_fn(|_| panic!("as told"))),
            Outcome::Stalls => Box::pin(stream::pending()),
            _ => Box::pin(stream::empty()),
        };
        Box::pin(stream::iter(events).chain(end).map(move |event| {
            let _ = &open;
            event
        }))
    }
}

macro_rules! scripted {
    ($($method:ident($request:ty) -> $reply:ty = $fine:expr;)+) => {
        impl A2aService for Scripted {
            $(async fn $method(&self, caller: &Caller, request: $request) -> Result<$reply, A2aError> {
                self.answer(caller, stringify!($method), request, $fine).await
            })+

            async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
                self.answer(caller, "send_streaming_message", request, self.events()).await
            }

            async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
                self.answer(caller, "subscribe_to_task", request, self.events()).await
            }

            fn card(&self) -> AgentCard {
                self.card.clone()
            }
        }
    };
}

scripted! {
    send_message(SendMessageRequest) -> SendMessageResponse = SendMessageResponse::Message(samples::message());
    get_task(GetTaskRequest) -> Task = samples::task();
    list_tasks(ListTasksRequest) -> ListTasksResponse = samples::tasks();
    cancel_task(CancelTaskRequest) -> Task = samples::task();
    create_push_config(TaskPushNotificationConfig) -> TaskPushNotificationConfig = samples::config();
    get_push_config(GetTaskPushNotificationConfigRequest) -> TaskPushNotificationConfig = samples::config();
    list_push_configs(ListTaskPushNotificationConfigsRequest) -> ListTaskPushNotificationConfigsResponse = samples::configs();
    delete_push_config(DeleteTaskPushNotificationConfigRequest) -> () = ();
    extended_card(GetExtendedAgentCardRequest) -> AgentCard = samples::card(true);
}
