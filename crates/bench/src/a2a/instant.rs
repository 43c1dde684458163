//! An agent without memory, a process of its own: it completes every task as the conformance agent does, and writes nothing down. Behind
//! the same NATS server as the engine, it shows what the binding alone takes.

use std::future::pending;
use std::sync::Arc;

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Message, Part, Role, SendMessageRequest,
    SendMessageResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, TaskState, TaskStatus,
};
use a2a_nats::{Address, ServeOptions};
use anyhow::{Context as _, Result};
use runtime::clock;

use super::work;

const TENANT: &str = "bench";
const AGENT: &str = "instant";

/// Where it is on NATS.
pub(super) fn address() -> Result<Address> {
    Address::new(TENANT, AGENT).context("naming an agent")
}

/// Serves it until the process ends.
pub(crate) async fn serve(nats: &str) -> Result<()> {
    let client = async_nats::connect(nats).await.with_context(|| format!("connecting to NATS at {nats}"))?;
    let options = ServeOptions::new(TENANT, AGENT, Arc::new(clock::now));
    a2a_nats::serve(client, Arc::new(Instant), options, pending()).await.context("serving on NATS")
}

struct Instant;

fn id() -> String {
    format!("{:032x}", clock::random())
}

fn complete(mut asked: Message) -> Task {
    let (task_id, context_id) = (id(), id());
    let mut answer = Message::new(id(), Role::Agent, vec![Part::text(work::ANSWERED)]);
    for message in [&mut asked, &mut answer] {
        message.task_id = Some(task_id.clone());
        message.context_id = Some(context_id.clone());
    }
    let status = TaskStatus { message: Some(answer), timestamp: Some(clock::now()), ..TaskStatus::new(TaskState::Completed) };
    Task { context_id: Some(context_id), history: vec![asked], ..Task::new(task_id, status) }
}

/// Nobody asks for the others.
macro_rules! refuse {
    ($($method:ident($request:ty) -> $reply:ty;)+) => {
        $(async fn $method(&self, _: &Caller, _: $request) -> Result<$reply, A2aError> {
            Err(A2aError::unsupported_operation("nothing is remembered here"))
        })+
    };
}

impl A2aService for Instant {
    async fn send_message(&self, _: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        Ok(SendMessageResponse::Task(complete(request.message)))
    }

    refuse! {
        send_streaming_message(SendMessageRequest) -> EventStream;
        get_task(GetTaskRequest) -> Task;
        list_tasks(ListTasksRequest) -> ListTasksResponse;
        cancel_task(CancelTaskRequest) -> Task;
        subscribe_to_task(SubscribeToTaskRequest) -> EventStream;
        create_push_config(TaskPushNotificationConfig) -> TaskPushNotificationConfig;
        get_push_config(GetTaskPushNotificationConfigRequest) -> TaskPushNotificationConfig;
        list_push_configs(ListTaskPushNotificationConfigsRequest) -> ListTaskPushNotificationConfigsResponse;
        delete_push_config(DeleteTaskPushNotificationConfigRequest) -> ();
        extended_card(GetExtendedAgentCardRequest) -> AgentCard;
    }

    fn card(&self) -> AgentCard {
        AgentCard { name: AGENT.to_owned(), ..AgentCard::default() }
    }
}
