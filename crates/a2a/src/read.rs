//! Reading what others sent: bytes or JSON in, typed values out, and every refusal an [`A2aError`] that names the field. Never panics.

mod objects;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

use objects::Objects;

use crate::error::{A2aError, ErrorKind};
use crate::limits::VALUES_MAX;
use crate::validate::Validate;

/// Reads ProtoJSON. What is no JSON is a parse error, what has another shape is invalid params with the field (§3.3.2).
/// Of two problems, the one that comes first in the bytes is told.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, A2aError> {
    // Only what is wrong is read a second time, to find out where: keeping track of the place costs.
    if let Some(value) = read_plain(json) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(refusal)?;
    deserializer.end().map_err(|error| parse_error(&error))?;
    Ok(value)
}

fn read_plain<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(Objects(&mut deserializer)).ok()?;
    deserializer.end().ok().map(|()| value)
}

/// Reads ProtoJSON that is parsed already, as `params` of JSON-RPC.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, A2aError> {
    serde_path_to_error::deserialize(Objects(value)).map_err(refusal)
}

/// Reads ProtoJSON as [`read`] does, if it holds at most [`VALUES_MAX`] values: what servers do with requests.
pub fn read_request<T: DeserializeOwned>(json: &[u8]) -> Result<T, A2aError> {
    if values(json) > VALUES_MAX {
        return Err(A2aError::invalid_field("", &format!("must hold at most {VALUES_MAX} values; more go as a file or by URL")));
    }
    read(json)
}

/// Reads a request and checks the rules for it.
pub fn read_valid<T: DeserializeOwned + Validate>(json: &[u8]) -> Result<T, A2aError> {
    let value: T = read_request(json)?;
    value.validate().map(|()| value)
}

/// How many values are in it: each but the first comes after a comma, a bracket or a brace. What is no JSON counts as if it were.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// Reads the path and query parameters of a GET as the request that they stand for (§11.5).
pub fn read_pairs<'a, T: DeserializeOwned>(pairs: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>) -> Result<T, A2aError> {
    let mut object = Map::new();
    for (name, value) in pairs {
        if object.insert(name.to_owned(), Value::String(value.into_owned())).is_some() {
            return Err(A2aError::invalid_field(name, "must be given once"));
        }
    }
    read_value(Value::Object(object))
}

impl A2aError {
    /// The same for the answer of an agent, which is the agent's fault.
    #[must_use]
    pub fn in_response(self) -> Self {
        Self { kind: ErrorKind::InvalidAgentResponse, ..self }
    }
}

pub(crate) fn parse_error(error: &serde_json::Error) -> A2aError {
    A2aError::new(ErrorKind::ParseError, format!("not JSON: {error}"))
}

fn refusal(error: serde_path_to_error::Error<serde_json::Error>) -> A2aError {
    let mut field = match error.path().to_string() {
        root if root == "." => String::new(),
        path => path,
    };
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return parse_error(&error);
    }
    let text = error.to_string();
    // The place is one in the bytes, which the field says better.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    // Serde says what is missing in a text only, and its path ends at the object that lacks it.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(name) = missing {
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(name);
        return A2aError::invalid_field(&field, "is required");
    }
    A2aError::invalid_field(&field, text)
}

#[cfg(test)]
mod tests;
