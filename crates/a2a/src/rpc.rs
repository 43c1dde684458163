//! JSON-RPC 2.0, as A2A uses it (spec §9): one request, one answer, no batches and no notifications.

mod operation;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

pub use operation::Operation;

use crate::error::{A2aError, ErrorKind};
use crate::read::parse_error;
use crate::types::field::present;

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
    /// Reads one: nothing else will do.
    pub fn read(json: &RawValue) -> Option<Self> {
        match json.get().as_bytes().first()? {
            b'"' => serde_json::from_str(json.get()).ok().map(Self::Text),
            b'-' | b'0'..=b'9' => serde_json::from_str(json.get()).ok().map(Self::Number),
            b'n' => Some(Self::Null),
            _ => None,
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Null => serializer.serialize_unit(),
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Comes back in the answer as it was written: an [`Id`].
    pub id: &'a RawValue,
    /// Which operation.
    pub operation: Operation,
    /// Its request message as JSON, not read yet: an object.
    pub params: &'a str,
}

/// The members of a request as they came; others are passed over.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// A request that cannot be understood, and whom to tell.
#[derive(Debug, Clone)]
pub struct Refusal<'a> {
    /// The request's id; null if it could not be read.
    pub id: &'a RawValue,
    /// Why.
    pub error: A2aError,
}

impl<'a> Request<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// What to answer: parse error, invalid request, method not found, or invalid params.
    pub fn read(json: &'a [u8]) -> Result<Self, Refusal<'a>> {
        let envelope = Envelope::read(json).map_err(|error| Refusal { id: RawValue::NULL, error })?;
        let Some(id) = envelope.id.filter(|id| Id::read(id).is_some()) else {
            let error = A2aError::invalid_request("id must be there: a text, a number or null");
            return Err(Refusal { id: RawValue::NULL, error });
        };
        match envelope.operation().and_then(|operation| Ok((operation, envelope.params()?))) {
            Ok((operation, params)) => Ok(Self { id, operation, params }),
            Err(error) => Err(Refusal { id, error }),
        }
    }
}

impl<'a> Envelope<'a> {
    fn read(json: &'a [u8]) -> Result<Self, A2aError> {
        if is_object(json) {
            return whole(json);
        }
        let is_batch = json.trim_ascii_start().starts_with(b"[");
        let what = if is_batch { "batches are not taken" } else { "a request is an object" };
        whole::<IgnoredAny>(json).and(Err(A2aError::invalid_request(what)))
    }

    fn operation(&self) -> Result<Operation, A2aError> {
        check_version(self.jsonrpc)?;
        let method = self.method.and_then(text);
        method.ok_or_else(|| A2aError::invalid_request("method must be a text"))?.parse()
    }

    /// By-position parameters mean nothing here: A2A's messages have names only.
    fn params(&self) -> Result<&'a str, A2aError> {
        match self.params.map(RawValue::get) {
            None | Some("null") => Ok("{}"),
            Some(object) if object.starts_with('{') => Ok(object),
            Some(_) => Err(A2aError::invalid_field("", "params must be an object")),
        }
    }
}

/// Serde would also take a list of the members, in their order.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// Reads all of it.
fn whole<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, A2aError> {
    serde_json::from_slice(json).map_err(|error| match error.classify() {
        Category::Data => A2aError::invalid_request(error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => parse_error(&error),
    })
}

fn check_version(jsonrpc: Option<&RawValue>) -> Result<(), A2aError> {
    let is_ours = jsonrpc.and_then(text).as_deref() == Some(VERSION);
    if is_ours { Ok(()) } else { Err(A2aError::invalid_request(format!("jsonrpc must be {VERSION:?}"))) }
}

fn text(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The request's.
    pub id: Id,
    /// What came of it.
    pub result: Result<Value, A2aError>,
}

/// The members of an answer as they came.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<Value>,
}

impl Response {
    /// As it travels.
    pub fn to_value(&self) -> Value {
        let id = &self.id;
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
        if !is_object(json) {
            return Err(invalid("an answer is an object"));
        }
        let answer: Answer = whole(json).map_err(A2aError::in_response)?;
        check_version(answer.jsonrpc).map_err(A2aError::in_response)?;
        let id = answer.id.and_then(Id::read).ok_or_else(|| invalid("an answer has an id"))?;
        // Some servers write the other member as null.
        let result = match (answer.result, answer.error.filter(|error| !error.is_null())) {
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
