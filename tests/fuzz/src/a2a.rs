//! What agents and A2A clients send. The first line of an input says what the rest is: `rpc` and `answer` for JSON-RPC, the name of a
//! message of A2A, or what a subject of the bus carries. So the corpus can be read, and every reader is reached.
//!
//! What keeps the rules is written, read and found the same; what does not is refused as the caller's fault, in a form that the caller can
//! read; what our own agents are told goes to them.

mod bus;

use std::str;

use a2a::rpc::{Id, Refusal, Request, Response};
use a2a::{A2aError, ErrorKind, Validate};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::twice;

/// Reads what the first line says.
pub fn run(input: &[u8]) -> bool {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return false };
    let (what, rest) = input.split_at(end);
    let (Ok(what), Some((_, body))) = (str::from_utf8(what), rest.split_first()) else { return false };
    match what {
        "rpc" => request(body),
        "answer" => answer(body),
        _ => message(what, body),
    }
}

/// Reads a message by its name. Each line is one that a binding reads.
macro_rules! messages {
    ($($name:ident)+) => {
        fn message(what: &str, body: &[u8]) -> bool {
            match what {
                $(stringify!($name) => valid::<a2a::$name>(body),)+
                _ => bus::run(what, body),
            }
        }
    };
}

messages! {
    AgentCard CancelTaskRequest DeleteTaskPushNotificationConfigRequest GetExtendedAgentCardRequest
    GetTaskPushNotificationConfigRequest GetTaskRequest ListTaskPushNotificationConfigsRequest
    ListTaskPushNotificationConfigsResponse ListTasksRequest ListTasksResponse SendMessageRequest SendMessageResponse StreamResponse
    SubscribeToTaskRequest Task TaskPushNotificationConfig
}

fn valid<T: DeserializeOwned + Serialize + Validate>(body: &[u8]) -> bool {
    match a2a::read_valid::<T>(body) {
        Ok(value) => {
            twice::with(&value, a2a::read_valid::<T>);
            true
        }
        Err(error) => {
            told(&error);
            false
        }
    }
}

/// A refusal is the caller's fault, and goes over each binding unchanged.
fn told(error: &A2aError) {
    let is_callers = matches!(
        error.kind,
        ErrorKind::ParseError | ErrorKind::InvalidRequest | ErrorKind::InvalidParams { .. } | ErrorKind::MethodNotFound
    );
    assert!(is_callers && !error.message.is_empty(), "not the caller's fault: {error:?}");
    let again = A2aError::from_json_rpc_error(&error.to_json_rpc_error());
    assert_eq!(again, *error, "the caller reads another error");
}

fn request(body: &[u8]) -> bool {
    match Request::read(body) {
        Ok(request) => {
            let answer = Response { id: known(request.id), result: Ok(Value::Null) };
            let text = answer.to_value().to_string();
            assert_eq!(Response::read(text.as_bytes()), Ok(answer), "the caller reads another answer");
            parameters(request.operation, request.params.as_bytes())
        }
        Err(Refusal { id, error }) => {
            told(&error);
            let answer = Response { id: known(id), result: Err(error) };
            let text = answer.to_value().to_string();
            assert_eq!(Response::read(text.as_bytes()), Ok(answer), "the caller reads another answer");
            false
        }
    }
}

/// What comes back in an answer is an id.
fn known(id: &RawValue) -> Id {
    Id::read(id).unwrap_or_else(|| panic!("{id} comes back, and is no id"))
}

/// What a server reads for each operation.
fn parameters(operation: a2a::Operation, body: &[u8]) -> bool {
    use a2a::Operation as Op;
    match operation {
        Op::SendMessage | Op::SendStreamingMessage => valid::<a2a::SendMessageRequest>(body),
        Op::GetTask => valid::<a2a::GetTaskRequest>(body),
        Op::ListTasks => valid::<a2a::ListTasksRequest>(body),
        Op::CancelTask => valid::<a2a::CancelTaskRequest>(body),
        Op::SubscribeToTask => valid::<a2a::SubscribeToTaskRequest>(body),
        Op::CreateTaskPushNotificationConfig => valid::<a2a::TaskPushNotificationConfig>(body),
        Op::GetTaskPushNotificationConfig => valid::<a2a::GetTaskPushNotificationConfigRequest>(body),
        Op::ListTaskPushNotificationConfigs => valid::<a2a::ListTaskPushNotificationConfigsRequest>(body),
        Op::DeleteTaskPushNotificationConfig => valid::<a2a::DeleteTaskPushNotificationConfigRequest>(body),
        Op::GetExtendedAgentCard => valid::<a2a::GetExtendedAgentCardRequest>(body),
    }
}

/// What a client reads; an error of any kind may be in it, also one that we do not know.
fn answer(body: &[u8]) -> bool {
    match Response::read(body) {
        Ok(response) => {
            let text = response.to_value().to_string();
            let again = Response::read(text.as_bytes());
            let Ok(again) = again else { panic!("what was read cannot be read again: {again:?}\n{text}") };
            assert_eq!(again.to_value(), response.to_value(), "read again it is another answer");
            true
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidAgentResponse, "not the agent's fault: {error:?}");
            false
        }
    }
}
