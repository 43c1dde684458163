//! JSON-RPC 2.0, as A2A uses it (spec §9): one request, one answer, no batches and no notifications.

mod operation;

use serde_json::{Map, Number, Value, json};

pub use operation::Operation;

use crate::error::{A2aError, ErrorKind};
use crate::read::parse_error;

/// The version of JSON-RPC.
const VERSION: &str = "2.0";

/// What answers are matched by; made by the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Id {
    /// Text.
    Text(String),
    /// A number.
    Number(Number),
    /// Also for requests whose id could not be read.
    #[default]
    Null,
}

impl Id {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::Null => Some(Self::Null),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl From<&Id> for Value {
    fn from(id: &Id) -> Self {
        match id {
            Id::Text(text) => Self::String(text.clone()),
            Id::Number(number) => Self::Number(number.clone()),
            Id::Null => Self::Null,
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Comes back in the answer.
    pub id: Id,
    /// Which operation.
    pub operation: Operation,
    /// Its request message, not read yet: always an object.
    pub params: Value,
}

/// A request that cannot be understood, and whom to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The request's id, as far as it could be read.
    pub id: Id,
    /// Why.
    pub error: A2aError,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// What to answer: parse error, invalid request, method not found, or invalid params.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let parsed: Result<Value, _> = serde_json::from_slice(json);
        let value = parsed.map_err(|error| Refusal { id: Id::Null, error: parse_error(&error) })?;
        let Value::Object(mut object) = value else {
            let what = if value.is_array() { "batches are not taken" } else { "a request is an object" };
            return Err(Refusal { id: Id::Null, error: A2aError::invalid_request(what) });
        };
        let id = object.get("id").and_then(Id::read);
        let read = Self::operation(&object).and_then(|operation| Ok((operation, params(&mut object)?)));
        match (id, read) {
            (Some(id), Ok((operation, params))) => Ok(Self { id, operation, params }),
            (Some(id), Err(error)) => Err(Refusal { id, error }),
            (None, _) => {
                let error = A2aError::invalid_request("id must be there: a text, a number or null");
                Err(Refusal { id: Id::Null, error })
            }
        }
    }

    fn operation(object: &Map<String, Value>) -> Result<Operation, A2aError> {
        check_version(object)?;
        let method = object.get("method").and_then(Value::as_str);
        let method = method.ok_or_else(|| A2aError::invalid_request("method must be a text"))?;
        method.parse()
    }

    /// As it travels.
    pub fn to_value(&self) -> Value {
        json!({"jsonrpc": VERSION, "id": Value::from(&self.id), "method": self.operation.as_str(), "params": self.params})
    }
}

/// By-position parameters mean nothing here: A2A's messages have names only.
fn params(object: &mut Map<String, Value>) -> Result<Value, A2aError> {
    match object.remove("params") {
        None | Some(Value::Null) => Ok(json!({})),
        Some(params @ Value::Object(_)) => Ok(params),
        Some(_) => Err(A2aError::invalid_field("", "params must be an object")),
    }
}

fn check_version(object: &Map<String, Value>) -> Result<(), A2aError> {
    let is_ours = object.get("jsonrpc").and_then(Value::as_str) == Some(VERSION);
    if is_ours { Ok(()) } else { Err(A2aError::invalid_request(format!("jsonrpc must be {VERSION:?}"))) }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The request's.
    pub id: Id,
    /// What came of it.
    pub result: Result<Value, A2aError>,
}

impl Response {
    /// As it travels.
    pub fn to_value(&self) -> Value {
        let id = Value::from(&self.id);
        match &self.result {
            Ok(result) => json!({"jsonrpc": VERSION, "id": id, "result": result}),
            Err(error) => json!({"jsonrpc": VERSION, "id": id, "error": error.to_json_rpc_error()}),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// InvalidAgentResponse, if it is none.
    pub fn read(json: &[u8]) -> Result<Self, A2aError> {
        let invalid = |message: &str| A2aError::new(ErrorKind::InvalidAgentResponse, message);
        let value: Value = serde_json::from_slice(json).map_err(|error| parse_error(&error).in_response())?;
        let Value::Object(mut object) = value else { return Err(invalid("an answer is an object")) };
        check_version(&object).map_err(A2aError::in_response)?;
        let id = object.get("id").and_then(Id::read).ok_or_else(|| invalid("an answer has an id"))?;
        // Some servers write the other member as null.
        let error = object.remove("error").filter(|error| !error.is_null());
        let result = match (object.remove("result"), error) {
            (None | Some(Value::Null), Some(error)) => Err(A2aError::from_json_rpc_error(&error)),
            (Some(result), None) => Ok(result),
            (Some(_), Some(_)) => return Err(invalid("an answer has a result or an error, not both")),
            (None, None) => return Err(invalid("an answer has a result or an error")),
        };
        Ok(Self { id, result })
    }
}

#[cfg(test)]
mod tests;
