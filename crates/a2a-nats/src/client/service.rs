//! The operations, as requests.

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Operation, SendMessageRequest,
    SendMessageResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::NatsClient;
use super::call::call;
use super::failure::Repeat;
use super::follow::{Origin, open};
use super::seen::Seen;
use crate::method::Method;

impl NatsClient {
    async fn ask<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        operation: Operation,
        request: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, A2aError> {
        let body = call(&self.link, caller, Method::Operation(operation), write(request)?, repeat).await?;
        a2a::read(&body).map_err(A2aError::in_response)
    }
}

fn write(request: &impl Serialize) -> Result<Bytes, A2aError> {
    let written = serde_json::to_vec(request).map(Bytes::from);
    written.map_err(|error| A2aError::invalid_request(format!("the request cannot be written: {error}")))
}

/// Idempotent are: a message by its id, a cancellation, a configuration that is deleted or has an id, and all questions.
impl A2aService for NatsClient {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        self.ask(caller, Operation::SendMessage, &request, Repeat::Always).await
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        let operation = Operation::SendStreamingMessage;
        let origin = Origin { caller: caller.clone(), operation, body: write(&request)? };
        open(&self.link, origin, Seen::default()).await
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        self.ask(caller, Operation::GetTask, &request, Repeat::Always).await
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        self.ask(caller, Operation::ListTasks, &request, Repeat::Always).await
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        self.ask(caller, Operation::CancelTask, &request, Repeat::Always).await
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        let operation = Operation::SubscribeToTask;
        let origin = Origin { caller: caller.clone(), operation, body: write(&request)? };
        open(&self.link, origin, Seen::of_task(&request.id)).await
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        // Without an id each one is another.
        let repeat = if request.id.is_some() { Repeat::Always } else { Repeat::IfUntaken };
        self.ask(caller, Operation::CreateTaskPushNotificationConfig, &request, repeat).await
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        self.ask(caller, Operation::GetTaskPushNotificationConfig, &request, Repeat::Always).await
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        self.ask(caller, Operation::ListTaskPushNotificationConfigs, &request, Repeat::Always).await
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        let operation = Operation::DeleteTaskPushNotificationConfig;
        self.ask::<serde::de::IgnoredAny>(caller, operation, &request, Repeat::Always).await.map(drop)
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        self.ask(caller, Operation::GetExtendedAgentCard, &request, Repeat::Always).await
    }

    fn card(&self) -> AgentCard {
        AgentCard::clone(&self.card)
    }
}
