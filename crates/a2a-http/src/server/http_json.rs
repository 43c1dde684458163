//! HTTP+JSON (spec §11).

use std::borrow::Cow;

use a2a::{A2aError, A2aService, EventStream, StreamResponse, TaskPushNotificationConfig};
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::auth::Authenticate;
use super::events::{self, Write};
use super::host::{Admitted, Host, query};
use super::json;
use super::path::{Route, Target, resolve};
use super::refusal::with_headers;
use crate::operation::{
    Ask, Call, CancelTask, CreateTaskPushNotificationConfig, DeleteTaskPushNotificationConfig, GetExtendedAgentCard, GetTask,
    GetTaskPushNotificationConfig, ListTaskPushNotificationConfigs, ListTasks, SendMessage, SendStreamingMessage,
    SubscribeToTask,
};

/// What bodies should be (§11.1).
const MEDIA_TYPE: &str = "application/a2a+json";
/// What they may be.
const PLAIN_TYPE: &str = "application/json";

/// A request with its body, not read yet.
struct Asked<'a> {
    parts: &'a Parts,
    tenant: Option<String>,
    body: Bytes,
}

/// Answers one request.
pub(super) async fn answer<S: A2aService, A: Authenticate>(host: &Host<S, A>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = async { host.admit(host.authenticate(&parts).await?, &parts) }.await;
    let answered = match admitted {
        Ok(admitted) => {
            let answered = async {
                let Target { tenant, route } = resolve(&parts.method, parts.uri.path())?;
                let (body, _place) = host.receive(&admitted.caller, body).await?;
                dispatch(host, &admitted, route, Asked { parts: &parts, tenant, body }).await
            };
            answered.await.map(|response| admitted.sign(response))
        }
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| refuse(&error))
}

async fn dispatch<S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    admitted: &Admitted,
    route: Route,
    asked: Asked<'_>,
) -> Result<Response, A2aError> {
    match route {
        Route::SendMessage => once::<SendMessage, _, _>(host, admitted, &asked, asked.body()?).await,
        Route::SendStreamingMessage => stream::<SendStreamingMessage, _, _>(host, admitted, asked.body()?).await,
        Route::GetTask { id } => once::<GetTask, _, _>(host, admitted, &asked, asked.query(&[("id", id)])?).await,
        Route::ListTasks => once::<ListTasks, _, _>(host, admitted, &asked, asked.query(&[])?).await,
        Route::CancelTask { id } => once::<CancelTask, _, _>(host, admitted, &asked, asked.body_of(id)?).await,
        Route::SubscribeToTask { id } => stream::<SubscribeToTask, _, _>(host, admitted, asked.body_of(id)?).await,
        Route::CreatePushConfig { task } => {
            once::<CreateTaskPushNotificationConfig, _, _>(host, admitted, &asked, asked.config_of(task)?).await
        }
        Route::GetPushConfig { task, id } => {
            let request = asked.query(&[("taskId", task), ("id", id)])?;
            once::<GetTaskPushNotificationConfig, _, _>(host, admitted, &asked, request).await
        }
        Route::ListPushConfigs { task } => {
            once::<ListTaskPushNotificationConfigs, _, _>(host, admitted, &asked, asked.query(&[("taskId", task)])?).await
        }
        Route::DeletePushConfig { task, id } => {
            let request = asked.query(&[("taskId", task), ("id", id)])?;
            once::<DeleteTaskPushNotificationConfig, _, _>(host, admitted, &asked, request).await
        }
        Route::ExtendedCard => once::<GetExtendedAgentCard, _, _>(host, admitted, &asked, asked.query(&[])?).await,
    }
}

async fn once<C: Call<Reply: Serialize>, S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    admitted: &Admitted,
    asked: &Asked<'_>,
    request: C::Request,
) -> Result<Response, A2aError> {
    let reply = host.run::<C>(&admitted.caller, request).await?;
    Ok(json::respond(StatusCode::OK, media_type(&asked.parts.headers), json::write(&reply)))
}

async fn stream<C: Call<Reply = EventStream>, S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    admitted: &Admitted,
    request: C::Request,
) -> Result<Response, A2aError> {
    let events = host.stream::<C>(&admitted.caller, request).await?;
    Ok(events::respond(events, Plain, host.options.keep_alive_every))
}

impl Asked<'_> {
    /// The body as the request.
    fn body<T: Ask>(&self) -> Result<T, A2aError> {
        self.check_type()?;
        self.of_tenant(a2a::read_request(&self.body)?)
    }

    /// The body, which may be absent, as the request about this task.
    fn body_of<T: Ask>(&self, id: String) -> Result<T, A2aError> {
        let mut object = Map::new();
        if !self.body.is_empty() {
            self.check_type()?;
            object = a2a::read_request(&self.body)?;
        }
        if object.insert("id".to_owned(), Value::String(id.clone())).is_some_and(|other| other != Value::String(id)) {
            return Err(A2aError::invalid_field("id", "must be absent or the path's"));
        }
        self.of_tenant(a2a::read_value(Value::Object(object))?)
    }

    /// The body as a push notification configuration of this task.
    fn config_of(&self, task: String) -> Result<TaskPushNotificationConfig, A2aError> {
        let mut config: TaskPushNotificationConfig = self.body()?;
        set("taskId", &mut config.task_id, Some(task))?;
        Ok(config)
    }

    /// The query as the request, with what the path says.
    fn query<T: DeserializeOwned + Ask>(&self, path: &[(&str, String)]) -> Result<T, A2aError> {
        let query: Vec<_> = query(&self.parts.uri).map(|(name, value)| short_state(name, value)).collect();
        let path = path.iter().map(|(name, value)| (*name, Cow::Borrowed(value.as_str())));
        self.of_tenant(a2a::read_pairs(path.chain(query.iter().map(|(name, value)| (&**name, value.clone()))))?)
    }

    fn of_tenant<T: Ask>(&self, mut request: T) -> Result<T, A2aError> {
        set("tenant", request.tenant(), self.tenant.clone())?;
        Ok(request)
    }

    fn check_type(&self) -> Result<(), A2aError> {
        json::check_type(&self.parts.headers, &[MEDIA_TYPE, PLAIN_TYPE])
    }
}

/// Fills in what the path says; a body that says otherwise is wrong.
fn set(name: &str, field: &mut Option<String>, path: Option<String>) -> Result<(), A2aError> {
    if path.is_some() && field.is_some() && *field != path {
        return Err(A2aError::invalid_field(name, "must be absent or the path's"));
    }
    *field = path.or(field.take());
    Ok(())
}

/// The spec's examples write `status=working` for `TASK_STATE_WORKING` (§11.5).
fn short_state<'a>(name: Cow<'a, str>, value: Cow<'a, str>) -> (Cow<'a, str>, Cow<'a, str>) {
    let is_short = name == "status" && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !is_short || value.is_empty() {
        return (name, value);
    }
    (name, format!("TASK_STATE_{}", value.replace('-', "_").to_ascii_uppercase()).into())
}

/// The plain type only for clients that know no other.
fn media_type(headers: &HeaderMap) -> &'static str {
    let accepted: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let names = |media_type| accepted.iter().any(|value| value.contains(media_type));
    if names(PLAIN_TYPE) && !names(MEDIA_TYPE) { PLAIN_TYPE } else { MEDIA_TYPE }
}

/// Events stand for themselves; an error is the object that other answers have as their body.
struct Plain;

impl Write for Plain {
    fn event(&self, event: &StreamResponse) -> Vec<u8> {
        json::write(event)
    }

    fn error(&self, error: &A2aError) -> Vec<u8> {
        json::write(&error.to_http_body())
    }
}

/// An error (§11.6).
pub(super) fn refuse(error: &A2aError) -> Response {
    let status = StatusCode::from_u16(error.codes().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_headers(json::respond(status, MEDIA_TYPE, json::write(&error.to_http_body())), error)
}
