//! The operations of A2A as types: what each asks, what it answers, and which method of the service it is. Bindings differ in how
//! requests arrive and answers leave; what happens in between is the same for all and goes through here.

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Operation, SendMessageRequest,
    SendMessageResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, Validate,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// A request message.
pub(crate) trait Ask: DeserializeOwned + Serialize + Validate + Send + 'static {
    /// Whose data it is about, if it says so.
    fn tenant(&mut self) -> &mut Option<String>;
}

/// The answer to what is answered by nothing: `google.protobuf.Empty`. Some agents write `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "IgnoredAny")]
pub(crate) struct Nothing {}

impl From<IgnoredAny> for Nothing {
    fn from(_: IgnoredAny) -> Self {
        Self {}
    }
}

impl From<()> for Nothing {
    fn from((): ()) -> Self {
        Self {}
    }
}

/// An operation.
pub(crate) trait Call: 'static {
    /// Its name.
    const OPERATION: Operation;
    /// What it asks.
    type Request: Ask;
    /// What it answers.
    type Reply: Send;

    /// Calls the service.
    fn call<S: A2aService>(
        service: &S,
        caller: &Caller,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Reply, A2aError>> + Send;

    /// Whether the answer may take as long as the work takes.
    fn is_blocking(_: &Self::Request) -> bool {
        false
    }
}

macro_rules! calls {
    ($($name:ident($request:ident) -> $reply:ty = $method:ident $({ $($more:item)* })?;)+) => {$(
        pub(crate) struct $name;

        impl Call for $name {
            const OPERATION: Operation = Operation::$name;
            type Request = $request;
            type Reply = $reply;

            async fn call<S: A2aService>(service: &S, caller: &Caller, request: $request) -> Result<$reply, A2aError> {
                service.$method(caller, request).await.map(Into::into)
            }

            $($($more)*)?
        }
    )+};
}

calls! {
    SendMessage(SendMessageRequest) -> SendMessageResponse = send_message {
        fn is_blocking(request: &SendMessageRequest) -> bool {
            !request.configuration.as_ref().is_some_and(|configuration| configuration.return_immediately)
        }
    };
    SendStreamingMessage(SendMessageRequest) -> EventStream = send_streaming_message;
    GetTask(GetTaskRequest) -> Task = get_task;
    ListTasks(ListTasksRequest) -> ListTasksResponse = list_tasks;
    CancelTask(CancelTaskRequest) -> Task = cancel_task;
    SubscribeToTask(SubscribeToTaskRequest) -> EventStream = subscribe_to_task;
    CreateTaskPushNotificationConfig(TaskPushNotificationConfig) -> TaskPushNotificationConfig = create_push_config;
    GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest) -> TaskPushNotificationConfig = get_push_config;
    ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest) -> ListTaskPushNotificationConfigsResponse
        = list_push_configs;
    DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest) -> Nothing = delete_push_config;
    GetExtendedAgentCard(GetExtendedAgentCardRequest) -> AgentCard = extended_card;
}

macro_rules! asks {
    ($($request:ident),+ $(,)?) => {$(
        impl Ask for $request {
            fn tenant(&mut self) -> &mut Option<String> {
                &mut self.tenant
            }
        }
    )+};
}

asks!(
    SendMessageRequest,
    GetTaskRequest,
    ListTasksRequest,
    CancelTaskRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
);
