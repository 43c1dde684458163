//! JSON-RPC 2.0 over HTTP (spec §9).
//!
//! A request that is as it should be is read in one go: its parameters stay text until the operation is known, and its id stays text
//! until the answer. Everything else goes to [`a2a::rpc`], which knows what to answer.

use std::borrow::Cow;

use a2a::rpc::{Refusal, Request as Parsed};
use a2a::{A2aError, A2aService, Caller, ErrorKind, EventStream, Operation, StreamResponse};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
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
/// The id of answers to requests whose id is not known.
pub(super) const NO_ID: &RawValue = RawValue::NULL;

#[derive(Deserialize)]
struct Envelope<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: &'a RawValue,
    method: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
}

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

/// A request that was understood.
struct Understood<'a> {
    id: Cow<'a, RawValue>,
    operation: Operation,
    params: Cow<'a, RawValue>,
}

/// Answers one request.
pub(super) async fn answer<S: A2aService, A: Authenticate>(host: &Host<S, A>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = async {
        let caller = host.authenticate(&parts).await?;
        json::check_type(&parts.headers, &[MEDIA_TYPE])?;
        let received = host.receive(&caller, body).await?;
        Ok((caller, received))
    };
    let (caller, (body, _place)) = match read.await {
        Ok(read) => read,
        Err(error) => return refuse(NO_ID, &error),
    };
    let understood = match understand(&body) {
        Ok(understood) => understood,
        Err(refusal) => return refuse(&raw(&Value::from(&refusal.id)), &refusal.error),
    };
    match host.admit(caller, &parts) {
        Ok(admitted) => admitted.sign(dispatch(host, &admitted, &understood).await),
        Err(error) => refuse(&understood.id, &error),
    }
}

fn understand(body: &[u8]) -> Result<Understood<'_>, Refusal> {
    // Serde would also take the members of an object as a list, in their order.
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(Envelope { jsonrpc: "2.0", id, method, params }) = serde_json::from_slice(body)
        && id.get().starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && params.get().starts_with('{')
        && let Ok(operation) = method.parse()
    {
        return Ok(Understood { id: Cow::Borrowed(id), operation, params: Cow::Borrowed(params) });
    }
    let Parsed { id, operation, params } = Parsed::read(body)?;
    Ok(Understood { id: Cow::Owned(raw(&Value::from(&id))), operation, params: Cow::Owned(raw(&params)) })
}

/// JSON that was parsed, as text again.
fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| NO_ID.to_owned())
}

async fn dispatch<S: A2aService, A: Authenticate>(host: &Host<S, A>, admitted: &Admitted, request: &Understood<'_>) -> Response {
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
    request: &Understood<'_>,
) -> Response {
    let reply = match a2a::read(request.params.get().as_bytes()) {
        Ok(params) => host.run::<C>(caller, params).await,
        Err(error) => Err(error),
    };
    match reply {
        Ok(reply) => json::respond(StatusCode::OK, MEDIA_TYPE, success(&request.id, &reply)),
        Err(error) => refuse(&request.id, &error),
    }
}

async fn stream<C: Call<Reply = EventStream>, S: A2aService, A: Authenticate>(
    host: &Host<S, A>,
    caller: &Caller,
    request: &Understood<'_>,
) -> Response {
    let events = match a2a::read(request.params.get().as_bytes()) {
        Ok(params) => host.stream::<C>(caller, params).await,
        Err(error) => Err(error),
    };
    match events {
        Ok(events) => events::respond(events, Numbered(request.id.clone().into_owned()), host.options.keep_alive_every),
        Err(error) => refuse(&request.id, &error),
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

#[cfg(test)]
mod tests {
    use a2a::rpc::Id;
    use serde_json::json;

    use super::*;

    fn understood(body: &Value) -> (String, Operation, String) {
        let body = body.to_string();
        let Ok(understood) = understand(body.as_bytes()) else { panic!("{body}") };
        (understood.id.get().to_owned(), understood.operation, understood.params.get().to_owned())
    }

    #[test]
    fn plain_and_odd_requests_are_understood_alike() {
        let get = |id: Value, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": "GetTask", "params": params});
        for id in [json!("a\"b"), json!(7), json!(-1), json!(null)] {
            let read = understood(&get(id.clone(), json!({"id": "t"})));
            assert_eq!(read, (id.to_string(), Operation::GetTask, r#"{"id":"t"}"#.to_owned()));
        }
        assert_eq!(understood(&get(json!(1), json!(null))).2, "{}");
        assert_eq!(understood(&json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"})).2, "{}");
    }

    #[test]
    fn what_cannot_be_understood_is_told_to_whom_it_concerns() {
        let request =
            |id: Value, version: &str, method: &str| json!({"jsonrpc": version, "id": id, "method": method, "params": {}});
        let nobody = Id::Null;
        let one = Id::Number(1.into());
        for (body, id, kind) in [
            (request(json!(1), "1.0", "GetTask"), &one, ErrorKind::InvalidRequest),
            (request(json!(1), "2.0", "tasks/get"), &one, ErrorKind::MethodNotFound),
            (request(json!({}), "2.0", "GetTask"), &nobody, ErrorKind::InvalidRequest),
            (request(json!(true), "2.0", "GetTask"), &nobody, ErrorKind::InvalidRequest),
            (json!({"jsonrpc": "2.0", "method": "GetTask", "params": {}}), &nobody, ErrorKind::InvalidRequest),
            (json!([request(json!(1), "2.0", "GetTask")]), &nobody, ErrorKind::InvalidRequest),
            (json!(["2.0", 1, "GetTask", {"id": "t"}]), &nobody, ErrorKind::InvalidRequest),
        ] {
            let body = body.to_string();
            let Err(refusal) = understand(body.as_bytes()) else { panic!("{body}") };
            assert_eq!((&refusal.id, &refusal.error.kind), (id, &kind), "{body}");
        }
    }
}
