//! The client for gRPC (spec §10).

use std::time::Duration;

use a2a::parameters::{VERSION, write_extensions};
use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use a2a_pb::proto as pb;
use futures::{StreamExt as _, stream};
use pb::a2a_service_client::A2aServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint as Transport};
use tonic::{Code, Request, Response, Status, Streaming};
use url::{ParseError, Url};

use super::bearer::is_here;
use super::exchange::{bearer, invalid, late};
use super::{CONNECT_WITHIN, ClientError, Endpoint};
use crate::grpc::{Field, read, status, write};
use crate::operation::{self, Ask, Call};

/// A connection may be silent while an agent works for hours, but must be there.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Errors travel as headers; other implementations write longer ones than we do.
const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// An agent over gRPC.
pub struct GrpcClient {
    service: A2aServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    endpoint: Endpoint,
}

impl GrpcClient {
    /// Nothing is sent yet. The address may have a path, below which the service is then looked for.
    ///
    /// # Errors
    /// If the address cannot be used, or there are no TLS roots on this machine.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let authorization = endpoint.token.as_ref().map(bearer).transpose()?;
        let authorization = authorization.map(|value| MetadataValue::try_from(value.as_bytes())).transpose();
        let mut authorization = authorization.map_err(|_| ClientError::Token)?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        // The service's path begins with a slash of its own.
        let mut transport =
            Transport::from_shared(endpoint.url.as_str().trim_end_matches('/').to_owned()).map_err(ClientError::Grpc)?;
        let origin = transport.uri().clone();
        if endpoint.url.scheme() == "https" {
            transport = transport.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(ClientError::Grpc)?;
        }
        let channel = transport
            .connect_timeout(CONNECT_WITHIN)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .connect_lazy();
        let service = A2aServiceClient::with_origin(channel, origin).max_decoding_message_size(endpoint.answer_bytes_max);
        Ok(Self { service, authorization, endpoint })
    }

    fn request<T: Ask + Field<P>, P>(&self, caller: &Caller, mut request: T) -> Result<Request<P>, A2aError> {
        self.endpoint.address(&mut request);
        let mut request = Request::new(write(request));
        let metadata = request.metadata_mut();
        metadata.insert("a2a-version", MetadataValue::from_static(VERSION));
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        if !caller.extensions.is_empty() {
            let extensions = write_extensions(&caller.extensions).parse();
            let extensions = extensions.map_err(|_| A2aError::invalid_field("A2A-Extensions", "must be URIs"))?;
            metadata.insert("a2a-extensions", extensions);
        }
        Ok(request)
    }
}

/// Where a card says that gRPC is served. Many say host and port only, as gRPC's libraries take it. What that leaves open is TLS: we
/// take it for granted, since a token goes there too, but not on this machine.
pub(super) fn address(url: &str) -> Result<Url, ParseError> {
    if url.contains("://") {
        return url.parse();
    }
    let secured: Url = format!("https://{url}").parse()?;
    if is_here(&secured) { format!("http://{url}").parse() } else { Ok(secured) }
}

/// What came of a call, within the time.
async fn answered<T: Field<P>, P>(
    call: impl Future<Output = Result<Response<P>, Status>>,
    within: Duration,
) -> Result<T, A2aError> {
    let answered = tokio::time::timeout(within, call).await.map_err(|_| late())?;
    read(answered.map_err(|error| refused(&error))?.into_inner()).map_err(A2aError::in_response)
}

/// The events of a stream, which ends after its first error.
async fn followed(
    call: impl Future<Output = Result<Response<Streaming<pb::StreamResponse>>, Status>>,
    within: Duration,
) -> Result<EventStream, A2aError> {
    let answered = tokio::time::timeout(within, call).await.map_err(|_| late())?;
    let events = answered.map_err(|error| refused(&error))?.into_inner();
    Ok(Box::pin(stream::unfold(Some(events), |open| async move {
        let mut events = open?;
        match events.next().await? {
            Ok(event) => match read(event) {
                Ok(event) => Some((Ok(event), Some(events))),
                Err(error) => Some((Err(error.in_response()), None)),
            },
            Err(error) => Some((Err(refused(&error)), None)),
        }
    })))
}

/// An error of the agent's, or of the way to it.
fn refused(error: &Status) -> A2aError {
    // A status that tonic made of another error has that as its source: nobody answered.
    if std::error::Error::source(error).is_some() {
        return A2aError::unavailable("the connection to the agent failed");
    }
    // This is how tonic says that a message is too large. A2A has no use for the code.
    if error.code() == Code::OutOfRange {
        return invalid("the agent answered with more bytes than are taken");
    }
    status::read(error)
}

impl A2aService for GrpcClient {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        let is_blocking = operation::SendMessage::is_blocking(&request);
        let within = if is_blocking { self.endpoint.work_within } else { self.endpoint.answer_within };
        answered(self.service.clone().send_message(self.request(caller, request)?), within).await
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        let request = self.request(caller, request)?;
        followed(self.service.clone().send_streaming_message(request), self.endpoint.answer_within).await
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        answered(self.service.clone().get_task(self.request(caller, request)?), self.endpoint.answer_within).await
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        answered(self.service.clone().list_tasks(self.request(caller, request)?), self.endpoint.answer_within).await
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        answered(self.service.clone().cancel_task(self.request(caller, request)?), self.endpoint.answer_within).await
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        followed(self.service.clone().subscribe_to_task(self.request(caller, request)?), self.endpoint.answer_within).await
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let request = self.request(caller, request)?;
        answered(self.service.clone().create_task_push_notification_config(request), self.endpoint.answer_within).await
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let request = self.request(caller, request)?;
        answered(self.service.clone().get_task_push_notification_config(request), self.endpoint.answer_within).await
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        let request = self.request(caller, request)?;
        answered(self.service.clone().list_task_push_notification_configs(request), self.endpoint.answer_within).await
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        let request = self.request(caller, request)?;
        answered(self.service.clone().delete_task_push_notification_config(request), self.endpoint.answer_within).await
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        answered(self.service.clone().get_extended_agent_card(self.request(caller, request)?), self.endpoint.answer_within).await
    }

    fn card(&self) -> AgentCard {
        self.endpoint.card.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, expected: &str) {
        assert_eq!(address(given).expect(given).as_str(), expected, "{given}");
    }

    #[test]
    fn host_and_port_are_an_address_with_tls_but_for_this_machine() {
        check("agent.example:443", "https://agent.example/");
        check("agent.example:50051", "https://agent.example:50051/");
        check("10.0.0.7:50051", "https://10.0.0.7:50051/");
        check("localhost:50051", "http://localhost:50051/");
        check("127.0.0.1:443", "http://127.0.0.1:443/");
        check("[::1]:50051", "http://[::1]:50051/");
        check("http://agent.example:50051/a2a", "http://agent.example:50051/a2a");
        check("https://agent.example", "https://agent.example/");
        assert!(address("").is_err() && address("agent.example:port").is_err());
    }
}
