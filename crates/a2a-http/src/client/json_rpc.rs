//! The client for JSON-RPC (spec §9).

use std::sync::atomic::{AtomicU64, Ordering};

use a2a::rpc::{Id, Response};
use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::exchange::{Answer, Exchange, invalid};
use super::{ClientError, Endpoint};
use crate::operation::{self, Call};

/// An agent over JSON-RPC.
pub struct JsonRpcClient {
    exchange: Exchange,
    requests: AtomicU64,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: &'a T,
}

#[derive(Deserialize)]
struct Success<'a> {
    jsonrpc: &'a str,
    id: u64,
    #[serde(borrow)]
    result: &'a RawValue,
}

impl JsonRpcClient {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { exchange: Exchange::new(endpoint)?, requests: AtomicU64::new(1) })
    }

    async fn once<C: Call<Reply: DeserializeOwned>>(&self, caller: &Caller, request: C::Request) -> Result<C::Reply, A2aError> {
        let endpoint = &self.exchange.endpoint;
        let within = if C::is_blocking(&request) { endpoint.work_within } else { endpoint.answer_within };
        let (id, request) = self.request::<C>(caller, request);
        let answer = self.exchange.whole(request, within).await?;
        read_answer(id, &answer)
    }

    async fn stream<C: Call<Reply = EventStream>>(&self, caller: &Caller, request: C::Request) -> Result<EventStream, A2aError> {
        let (id, request) = self.request::<C>(caller, request);
        let request = request.header(ACCEPT, "text/event-stream");
        match self.exchange.events(request, Box::new(move |event| read_result(id, event))).await? {
            Ok(events) => Ok(events),
            Err(answer) => match read_answer::<Value>(id, &answer) {
                Ok(_) => Err(invalid("the agent answered a streaming request with a single answer")),
                Err(error) => Err(error),
            },
        }
    }

    fn request<C: Call>(&self, caller: &Caller, mut params: C::Request) -> (u64, RequestBuilder) {
        let endpoint = &self.exchange.endpoint;
        endpoint.address(&mut params);
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let envelope = Envelope { jsonrpc: "2.0", id, method: C::OPERATION.as_str(), params: &params };
        // Our types always have a JSON form: their keys are texts.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        let request = self.exchange.request(Method::POST, endpoint.url.clone(), caller);
        (id, request.header(CONTENT_TYPE, "application/json").body(body))
    }
}

/// Errors may come with any status; where the body is no answer, the status says what it can.
fn read_answer<T: DeserializeOwned>(id: u64, answer: &Answer) -> Result<T, A2aError> {
    let read = read_result(id, &answer.body);
    if answer.status.is_success() || Response::read(&answer.body).is_ok() {
        return read;
    }
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(A2aError::from_http_body(answer.status.as_u16(), &body))
}

/// Reads one answer. What is as it should be is read in one go; everything else goes to [`a2a::rpc`].
fn read_result<T: DeserializeOwned>(id: u64, body: &[u8]) -> Result<T, A2aError> {
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(Success { jsonrpc: "2.0", id: answered, result }) = serde_json::from_slice(body)
        && answered == id
        && let Ok(result) = a2a::read(result.get().as_bytes())
    {
        return Ok(result);
    }
    let response = Response::read(body)?;
    // An agent that could not read the request cannot know its id.
    let is_ours = response.id == Id::Number(id.into()) || (response.id == Id::Null && response.result.is_err());
    if !is_ours {
        return Err(invalid("the answer is to another request"));
    }
    a2a::read_value(response.result?).map_err(A2aError::in_response)
}

impl A2aService for JsonRpcClient {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        self.once::<operation::SendMessage>(caller, request).await
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        self.stream::<operation::SendStreamingMessage>(caller, request).await
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        self.once::<operation::GetTask>(caller, request).await
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        self.once::<operation::ListTasks>(caller, request).await
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        self.once::<operation::CancelTask>(caller, request).await
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        self.stream::<operation::SubscribeToTask>(caller, request).await
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        self.once::<operation::CreateTaskPushNotificationConfig>(caller, request).await
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        self.once::<operation::GetTaskPushNotificationConfig>(caller, request).await
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        self.once::<operation::ListTaskPushNotificationConfigs>(caller, request).await
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        self.once::<operation::DeleteTaskPushNotificationConfig>(caller, request).await.map(drop)
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        self.once::<operation::GetExtendedAgentCard>(caller, request).await
    }

    fn card(&self) -> AgentCard {
        self.exchange.endpoint.card.clone()
    }
}
