//! The client for HTTP+JSON (spec §11).

use std::time::Duration;

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::exchange::{Answer, Exchange, invalid};
use super::{ClientError, Endpoint};
use crate::operation::{self, Ask, Call, Nothing};

const MEDIA_TYPE: &str = "application/a2a+json";
/// All that means something in a path, or in the paths of A2A.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An agent over HTTP+JSON.
pub struct HttpJsonClient {
    exchange: Exchange,
}

impl HttpJsonClient {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { exchange: Exchange::new(endpoint)? })
    }

    /// A request to a path below the interface's address, with the tenant in front if there is one.
    fn request(&self, method: Method, path: &str, tenant: Option<&str>, caller: &Caller) -> Result<RequestBuilder, A2aError> {
        let mut url = self.exchange.endpoint.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let tenant = tenant.map(|tenant| segment("tenant", tenant)).transpose()?;
        let tenant = tenant.map(|tenant| format!("/{tenant}")).unwrap_or_default();
        url.set_path(&format!("{base}{tenant}/{path}"));
        Ok(self.exchange.request(method, url, caller).header(ACCEPT, MEDIA_TYPE))
    }

    /// A POST with the request in the body, but for what is in the path.
    fn post<T: Ask>(&self, path: &str, in_path: &[&str], mut request: T, caller: &Caller) -> Result<RequestBuilder, A2aError> {
        self.exchange.endpoint.address(&mut request);
        let tenant = request.tenant().clone();
        let body = if in_path.is_empty() { json(&request) } else { json(&without(&request, in_path)) };
        let request = self.request(Method::POST, path, tenant.as_deref(), caller)?;
        Ok(request.header(CONTENT_TYPE, MEDIA_TYPE).body(body))
    }

    /// A request with everything in path and query.
    fn bare<T: Ask>(
        &self,
        method: Method,
        path: &str,
        in_path: &[&str],
        mut request: T,
        caller: &Caller,
    ) -> Result<RequestBuilder, A2aError> {
        self.exchange.endpoint.address(&mut request);
        let tenant = request.tenant().take();
        let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
        let query: Vec<_> = without(&request, in_path).into_iter().map(|(name, value)| (name, text(value))).collect();
        let request = self.request(method, path, tenant.as_deref(), caller)?;
        Ok(if query.is_empty() { request } else { request.query(&query) })
    }

    async fn once<T: DeserializeOwned>(&self, request: RequestBuilder, within: Duration) -> Result<T, A2aError> {
        read_answer(&self.exchange.whole(request, within).await?)
    }

    async fn quick<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, A2aError> {
        self.once(request, self.exchange.endpoint.answer_within).await
    }

    async fn stream(&self, request: RequestBuilder) -> Result<EventStream, A2aError> {
        match self.exchange.events(request.header(ACCEPT, "text/event-stream"), Box::new(read_event)).await? {
            Ok(events) => Ok(events),
            Err(answer) => match read_answer::<Value>(&answer) {
                Ok(_) => Err(invalid("the agent answered a streaming request with a single answer")),
                Err(error) => Err(error),
            },
        }
    }
}

/// An id as one segment of a path.
fn segment(field: &str, id: &str) -> Result<String, A2aError> {
    // Empty segments and dots are steps through a path, however they are written.
    if ["", ".", ".."].contains(&id) {
        return Err(A2aError::invalid_field(field, "cannot be part of a path"));
    }
    Ok(utf8_percent_encode(id, SEGMENT).to_string())
}

/// Our types always have a JSON form: their keys are texts.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn without<T: Serialize>(request: &T, in_path: &[&str]) -> Map<String, Value> {
    let Ok(Value::Object(mut object)) = serde_json::to_value(request) else { return Map::new() };
    object.retain(|name, _| !in_path.contains(&name.as_str()));
    object
}

fn read_answer<T: DeserializeOwned>(answer: &Answer) -> Result<T, A2aError> {
    if !answer.status.is_success() {
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        return Err(A2aError::from_http_body(answer.status.as_u16(), &body));
    }
    // 204 and the like: an answer without a body says nothing.
    let body = if answer.body.is_empty() { b"null" } else { answer.body.as_slice() };
    a2a::read(body).map_err(A2aError::in_response)
}

fn read_event(data: &[u8]) -> Result<StreamResponse, A2aError> {
    a2a::read(data).or_else(|_| {
        let value: Value = a2a::read(data).map_err(A2aError::in_response)?;
        let status = value.get("error").map(|error| error.get("code").and_then(Value::as_u64).unwrap_or_default());
        match status.map(|status| u16::try_from(status).unwrap_or_default()) {
            Some(status) => Err(A2aError::from_http_body(status, &value)),
            None => a2a::read_value(value).map_err(A2aError::in_response),
        }
    })
}

impl A2aService for HttpJsonClient {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        let is_blocking = operation::SendMessage::is_blocking(&request);
        let endpoint = &self.exchange.endpoint;
        let within = if is_blocking { endpoint.work_within } else { endpoint.answer_within };
        self.once(self.post("message:send", &[], request, caller)?, within).await
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        self.stream(self.post("message:stream", &[], request, caller)?).await
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        let path = format!("tasks/{}", segment("id", &request.id)?);
        self.quick(self.bare(Method::GET, &path, &["id"], request, caller)?).await
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        self.quick(self.bare(Method::GET, "tasks", &[], request, caller)?).await
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        let path = format!("tasks/{}:cancel", segment("id", &request.id)?);
        self.quick(self.post(&path, &["id"], request, caller)?).await
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        let path = format!("tasks/{}:subscribe", segment("id", &request.id)?);
        self.stream(self.post(&path, &["id"], request, caller)?).await
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let task = segment("taskId", request.task_id.as_deref().unwrap_or_default())?;
        let path = format!("tasks/{task}/pushNotificationConfigs");
        self.quick(self.post(&path, &["taskId"], request, caller)?).await
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let path = config_path(&request.task_id, &request.id)?;
        self.quick(self.bare(Method::GET, &path, &["taskId", "id"], request, caller)?).await
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        let path = format!("tasks/{}/pushNotificationConfigs", segment("taskId", &request.task_id)?);
        self.quick(self.bare(Method::GET, &path, &["taskId"], request, caller)?).await
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        let path = config_path(&request.task_id, &request.id)?;
        self.quick::<Nothing>(self.bare(Method::DELETE, &path, &["taskId", "id"], request, caller)?).await.map(drop)
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        self.quick(self.bare(Method::GET, "extendedAgentCard", &[], request, caller)?).await
    }

    fn card(&self) -> AgentCard {
        self.exchange.endpoint.card.clone()
    }
}

fn config_path(task: &str, id: &str) -> Result<String, A2aError> {
    Ok(format!("tasks/{}/pushNotificationConfigs/{}", segment("taskId", task)?, segment("id", id)?))
}
