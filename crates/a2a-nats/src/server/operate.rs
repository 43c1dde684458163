//! From a method and a body to the service's operation, and back to a body.

use a2a::{
    A2aError, A2aService, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTasksRequest, Operation, SendMessageRequest, SubscribeToTaskRequest, TaskPushNotificationConfig, Validate,
};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::method::Method;

/// What came of a request.
pub(super) enum Answer {
    Body(Bytes),
    Stream(EventStream),
}

/// A request that may name the tenant that it is for.
trait Request: DeserializeOwned + Validate {
    fn tenant(&self) -> Option<&str>;
}

macro_rules! requests {
    ($($name:ident),+ $(,)?) => {
        $(impl Request for $name {
            fn tenant(&self) -> Option<&str> {
                self.tenant.as_deref()
            }
        })+
    };
}

requests!(
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

pub(super) async fn operate<S: A2aService>(
    service: &S,
    caller: &Caller,
    method: Method,
    body: &Bytes,
) -> Result<Answer, A2aError> {
    let Method::Operation(operation) = method else { return write(&service.card()) };
    match operation {
        Operation::SendMessage => write(&service.send_message(caller, read(caller, body)?).await?),
        Operation::SendStreamingMessage => service.send_streaming_message(caller, read(caller, body)?).await.map(Answer::Stream),
        Operation::GetTask => write(&service.get_task(caller, read(caller, body)?).await?),
        Operation::ListTasks => write(&service.list_tasks(caller, read(caller, body)?).await?),
        Operation::CancelTask => write(&service.cancel_task(caller, read(caller, body)?).await?),
        Operation::SubscribeToTask => service.subscribe_to_task(caller, read(caller, body)?).await.map(Answer::Stream),
        Operation::CreateTaskPushNotificationConfig => write(&service.create_push_config(caller, read(caller, body)?).await?),
        Operation::GetTaskPushNotificationConfig => write(&service.get_push_config(caller, read(caller, body)?).await?),
        Operation::ListTaskPushNotificationConfigs => write(&service.list_push_configs(caller, read(caller, body)?).await?),
        Operation::DeleteTaskPushNotificationConfig => {
            service.delete_push_config(caller, read(caller, body)?).await?;
            // google.protobuf.Empty.
            Ok(Answer::Body(Bytes::from_static(b"{}")))
        }
        Operation::GetExtendedAgentCard => write(&service.extended_card(caller, read(caller, body)?).await?),
    }
}

/// Reads a request and checks the rules for it. No body says what `{}` says. Whose data is meant, the subject has said; a request that
/// says otherwise is a mistake or worse.
fn read<T: Request>(caller: &Caller, body: &Bytes) -> Result<T, A2aError> {
    let request: T = a2a::read_valid(if body.is_empty() { b"{}" } else { body })?;
    match request.tenant() {
        Some(tenant) if tenant != caller.tenant => Err(A2aError::invalid_field("tenant", "must be the tenant of the subject")),
        _ => Ok(request),
    }
}

fn write<T: Serialize>(answer: &T) -> Result<Answer, A2aError> {
    let written = serde_json::to_vec(answer).map(|body| Answer::Body(body.into()));
    written.map_err(|error| A2aError::internal(format!("the answer cannot be written: {error}")))
}
