//! The one trait between bindings and what stands behind them: the operations of spec §3.1. The task engine implements it, and so does
//! each binding's client, so that one suite of tests runs over all of them.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use futures::Stream;

use crate::error::A2aError;
use crate::types::{
    AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};

/// Who calls, as the binding's authentication found out. The binding has also checked `A2A-Version`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whose data it may see; never taken from the request's body.
    pub tenant: String,
    /// The authenticated sender. Message ids are unique per tenant and sender.
    pub sender: String,
    /// URIs of the extensions that it declared in `A2A-Extensions`.
    pub extensions: BTreeSet<String>,
}

/// Events of one stream, in order; it ends after the terminal state, or with its first error.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, A2aError>> + Send>>;

/// An agent, wherever it is.
pub trait A2aService: Send + Sync + 'static {
    /// Begins a task or goes on with one (§3.1.1).
    fn send_message(
        &self,
        caller: &Caller,
        request: SendMessageRequest,
    ) -> impl Future<Output = Result<SendMessageResponse, A2aError>> + Send;

    /// The same, and tells what happens meanwhile (§3.1.2).
    fn send_streaming_message(
        &self,
        caller: &Caller,
        request: SendMessageRequest,
    ) -> impl Future<Output = Result<EventStream, A2aError>> + Send;

    /// How a task stands (§3.1.3).
    fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> impl Future<Output = Result<Task, A2aError>> + Send;

    /// The caller's tasks, newest status first (§3.1.4).
    fn list_tasks(
        &self,
        caller: &Caller,
        request: ListTasksRequest,
    ) -> impl Future<Output = Result<ListTasksResponse, A2aError>> + Send;

    /// Takes a task back (§3.1.5). Idempotent.
    fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> impl Future<Output = Result<Task, A2aError>> + Send;

    /// Tells what happens to a task from now on; first comes the task itself (§3.1.6).
    fn subscribe_to_task(
        &self,
        caller: &Caller,
        request: SubscribeToTaskRequest,
    ) -> impl Future<Output = Result<EventStream, A2aError>> + Send;

    /// Has a task's events posted somewhere (§3.1.7).
    fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> impl Future<Output = Result<TaskPushNotificationConfig, A2aError>> + Send;

    /// One such configuration (§3.1.8).
    fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> impl Future<Output = Result<TaskPushNotificationConfig, A2aError>> + Send;

    /// All of a task's (§3.1.9).
    fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> impl Future<Output = Result<ListTaskPushNotificationConfigsResponse, A2aError>> + Send;

    /// Ends it (§3.1.10). Idempotent.
    fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> impl Future<Output = Result<(), A2aError>> + Send;

    /// The card for authenticated callers (§3.1.11).
    fn extended_card(
        &self,
        caller: &Caller,
        request: GetExtendedAgentCardRequest,
    ) -> impl Future<Output = Result<AgentCard, A2aError>> + Send;

    /// The public card (§8.2).
    fn card(&self) -> AgentCard;
}
