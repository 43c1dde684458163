//! gRPC (spec §10): the official service, answered by ours.

use std::pin::Pin;
use std::sync::Arc;

use a2a::{A2aService, EventStream};
use a2a_pb::proto as pb;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::{Stream, StreamExt as _};
use pb::a2a_service_server::A2aServiceServer;
use tonic::Status;
use tonic::codegen::Service as _;

use super::ANSWER_BYTES_MAX;
use super::auth::Authenticate;
use super::host::{Admitted, Host};
use super::refusal::Binding;
use crate::grpc::{read, status, write};
use crate::operation::{
    Call, CancelTask, CreateTaskPushNotificationConfig, DeleteTaskPushNotificationConfig, GetExtendedAgentCard, GetTask,
    GetTaskPushNotificationConfig, ListTaskPushNotificationConfigs, ListTasks, SendMessage, SendStreamingMessage,
    SubscribeToTask,
};

/// What gRPC puts in front of a message.
const FRAME_BYTES: usize = 5;

/// Answers one request. Strangers are sent away before their body is read, as in the other bindings.
pub(super) async fn answer<S: A2aService, A: Authenticate>(host: Arc<Host<S, A>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let read = async {
        let admitted = host.admit(host.authenticate(&parts).await?, &parts)?;
        let received = host.receive(&admitted.caller, body).await?;
        Ok((admitted, received))
    };
    let (admitted, (body, _place)) = match read.await {
        Ok(read) => read,
        Err(error) => return Binding::Grpc.refuse(&error),
    };
    let admitted = Arc::new(admitted);
    parts.extensions.insert(admitted.clone());
    let bytes_max = host.options.body_bytes_max + FRAME_BYTES;
    let mut server =
        A2aServiceServer::new(Agent { host }).max_decoding_message_size(bytes_max).max_encoding_message_size(ANSWER_BYTES_MAX);
    let answered = match server.call(Request::from_parts(parts, Body::from(body))).await {
        Ok(answered) => answered,
        Err(never) => match never {},
    };
    admitted.sign(answered.map(Body::new))
}

struct Agent<S, A> {
    host: Arc<Host<S, A>>,
}

type Answer<T> = Result<tonic::Response<T>, Status>;
type Events = Pin<Box<dyn Stream<Item = Result<pb::StreamResponse, Status>> + Send>>;

impl<S: A2aService, A: Authenticate> Agent<S, A> {
    async fn once<C, P>(&self, request: tonic::Request<P>) -> Result<C::Reply, Status>
    where
        C: Call<Request: crate::grpc::Field<P>>,
    {
        let (admitted, request) = Self::take::<C, P>(request)?;
        self.host.run::<C>(&admitted.caller, request).await.map_err(|error| status::write(&error))
    }

    async fn stream<C, P>(&self, request: tonic::Request<P>) -> Answer<Events>
    where
        C: Call<Request: crate::grpc::Field<P>, Reply = EventStream>,
    {
        let (admitted, request) = Self::take::<C, P>(request)?;
        let events = self.host.stream::<C>(&admitted.caller, request).await.map_err(|error| status::write(&error))?;
        let events = events.map(|event| event.map(write).map_err(|error| status::write(&error)));
        Ok(tonic::Response::new(Box::pin(events)))
    }

    /// Who asks, and what.
    fn take<C, P>(mut request: tonic::Request<P>) -> Result<(Arc<Admitted>, C::Request), Status>
    where
        C: Call<Request: crate::grpc::Field<P>>,
    {
        let admitted = request.extensions_mut().remove::<Arc<Admitted>>();
        let admitted = admitted.ok_or_else(|| Status::internal("the request came past the doors"))?;
        let request = read(request.into_inner()).map_err(|error| status::write(&error))?;
        Ok((admitted, request))
    }
}

#[tonic::async_trait]
impl<S: A2aService, A: Authenticate> pb::a2a_service_server::A2aService for Agent<S, A> {
    type SendStreamingMessageStream = Events;
    type SubscribeToTaskStream = Events;

    async fn send_message(&self, request: tonic::Request<pb::SendMessageRequest>) -> Answer<pb::SendMessageResponse> {
        Ok(tonic::Response::new(write(self.once::<SendMessage, _>(request).await?)))
    }

    async fn send_streaming_message(&self, request: tonic::Request<pb::SendMessageRequest>) -> Answer<Events> {
        self.stream::<SendStreamingMessage, _>(request).await
    }

    async fn get_task(&self, request: tonic::Request<pb::GetTaskRequest>) -> Answer<pb::Task> {
        Ok(tonic::Response::new(write(self.once::<GetTask, _>(request).await?)))
    }

    async fn list_tasks(&self, request: tonic::Request<pb::ListTasksRequest>) -> Answer<pb::ListTasksResponse> {
        Ok(tonic::Response::new(write(self.once::<ListTasks, _>(request).await?)))
    }

    async fn cancel_task(&self, request: tonic::Request<pb::CancelTaskRequest>) -> Answer<pb::Task> {
        Ok(tonic::Response::new(write(self.once::<CancelTask, _>(request).await?)))
    }

    async fn subscribe_to_task(&self, request: tonic::Request<pb::SubscribeToTaskRequest>) -> Answer<Events> {
        self.stream::<SubscribeToTask, _>(request).await
    }

    async fn create_task_push_notification_config(
        &self,
        request: tonic::Request<pb::TaskPushNotificationConfig>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        Ok(tonic::Response::new(write(self.once::<CreateTaskPushNotificationConfig, _>(request).await?)))
    }

    async fn get_task_push_notification_config(
        &self,
        request: tonic::Request<pb::GetTaskPushNotificationConfigRequest>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        Ok(tonic::Response::new(write(self.once::<GetTaskPushNotificationConfig, _>(request).await?)))
    }

    async fn list_task_push_notification_configs(
        &self,
        request: tonic::Request<pb::ListTaskPushNotificationConfigsRequest>,
    ) -> Answer<pb::ListTaskPushNotificationConfigsResponse> {
        Ok(tonic::Response::new(write(self.once::<ListTaskPushNotificationConfigs, _>(request).await?)))
    }

    async fn get_extended_agent_card(&self, request: tonic::Request<pb::GetExtendedAgentCardRequest>) -> Answer<pb::AgentCard> {
        Ok(tonic::Response::new(write(self.once::<GetExtendedAgentCard, _>(request).await?)))
    }

    async fn delete_task_push_notification_config(
        &self,
        request: tonic::Request<pb::DeleteTaskPushNotificationConfigRequest>,
    ) -> Answer<()> {
        self.once::<DeleteTaskPushNotificationConfig, _>(request).await.map(|_| tonic::Response::new(()))
    }
}
