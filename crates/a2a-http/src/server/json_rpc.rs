//! JSON-RPC 2.0 over HTTP (spec §9).

use a2a::rpc::Request;
use a2a::{A2aError, A2aService, Caller, ErrorKind, EventStream, Operation, StreamResponse};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::auth::Authenticate;
use super::events::{self, Write};
use super::host::{Admitted, Host};
use super::json;
use super::refusal::with_headers;
use crate::operation::{
    Call, CancelTask, CreateTaskPushNotificationConfig, DeleteTaskPushNotificationConfig, GetExtendedAgentCard, GetTask,
    GetTaskPushNotificationConfig, ListTaskPushNotificationConfigs, ListTasks, SendMessage, SendStreamingMessage,
    SubscribeToTask,
};

const MEDIA_TYPE: &str = "application/json";

#[derive(Serialize)]
struct Success<'a, T> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    error: Value,
}

/// Answers one request.
pub(super) async fn answer<S: A2aService, A: Authenticate>(host: &Host<S, A>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = async {
        let caller = host.authenticate(&parts).await?;
        json::check_type(&parts.headers, &[MEDIA_TYPE])?;
        let received = host.receive(&caller, body).await?;
        Ok((caller, received))
    };
    let (caller, (body, _place)) = match read.await {
        Ok(read) => read,
        Err(error) => return refuse(RawValue::NULL, &error),
    };
    let request = match Request::read(&body) {
        Ok(request) => request,
        Err(refusal) => return refuse(refusal.id, &refusal.error),
    };
    match host.admit(caller, &parts) {
        Ok(admitted) => admitted.sign(dispatch(host, &admitted, &request).await),
        Err(error) => refuse(request.id, &error),
    }
}

async fn dispatch<S: A2aService, A: Authenticate>(host: &Host<S, A>, admitted: &Admitted, request: &Request<'_>) -> Response {
    let caller = &admitted.caller;
    match request.operation {
        Operation::SendMessage => once::<SendMessage, _, _>(host, caller, request).await,
        Operation::GetTask => once::<GetTask, _, _>(host, caller, request).await,
        Operation::ListTasks => once::<ListTasks, _, _>(host, caller, request).await,
        Operation::CancelTask => once::<CancelTask, _, _>(host, caller, request).await,
        Operation::CreateTaskPushNotificationConfig => {
            once::<CreateTaskPushNotificationConfig, _, _>(host, caller, request).await
        }
        Operation::GetTaskPushNotificationConfig => once::<GetTaskPushNotificationConfig, _, _>(host, caller, request).await,
        Operation::ListTaskPushNotificationConfigs => once::<ListTaskPushNotificationConfigs, _, _>(host, caller, request).await,
        Operation::DeleteTaskPushNotificationConfig => {
            once::<DeleteTaskPushNotificationConfig, _, _>(host, caller, request).await
        }
        Operation::GetExtendedAgentCard => once::<GetExtendedAgentCard, _, _>(host, caller, request).await,
        Operation::SendStreamingMessage => stream::<SendStreamingMessage, _, _>(host, caller, request).await,
        Operation::SubscribeToTask => stream::<SubscribeToTask, _, _>(host, caller, request).await,
    }
}

async fn once<C: Call<Reply: Serialize>, S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    caller: &Caller,
    request: &Request<'_>,
) -> Response {
    let reply = match a2a::read_request(request.params.as_bytes()) {
        Ok(params) => host.run::<C>(caller, params).await,
        Err(error) => Err(error),
    };
    match reply {
        Ok(reply) => json::respond(StatusCode::OK, MEDIA_TYPE, success(request.id, &reply)),
        Err(error) => refuse(request.id, &error),
    }
}

async fn stream<C: Call<Reply = EventStream>, S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    caller: &Caller,
    request: &Request<'_>,
) -> Response {
    let events = match a2a::read_request(request.params.as_bytes()) {
        Ok(params) => host.stream::<C>(caller, params).await,
        Err(error) => Err(error),
    };
    match events {
        Ok(events) => events::respond(events, Numbered(request.id.to_owned()), host.options.keep_alive_every),
        Err(error) => refuse(request.id, &error),
    }
}

/// Each event is an answer of its own to the one request.
struct Numbered(Box<RawValue>);

impl Write for Numbered {
    fn event(&self, event: &StreamResponse) -> Vec<u8> {
        success(&self.0, event)
    }

    fn error(&self, error: &A2aError) -> Vec<u8> {
        failure(&self.0, error)
    }
}

fn success<T: Serialize>(id: &RawValue, result: &T) -> Vec<u8> {
    json::write(&Success { jsonrpc: "2.0", id, result })
}

fn failure(id: &RawValue, error: &A2aError) -> Vec<u8> {
    json::write(&Failure { jsonrpc: "2.0", id, error: error.to_json_rpc_error() })
}

/// An error is an answer like others, so its status is 200; only that somebody is not known is also a matter of HTTP.
pub(super) fn refuse(id: &RawValue, error: &A2aError) -> Response {
    let status = if error.kind == ErrorKind::Unauthenticated { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    with_headers(json::respond(status, MEDIA_TYPE, failure(id, error)), error)
}
