//! The details of an error, which all bindings share: a list of objects of google.rpc, each with its `@type`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{A2aError, ErrorKind, FieldViolation};

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl A2aError {
    /// What `error.data` of JSON-RPC and `error.details` of HTTP hold. ErrorInfo comes first and is always there (§9.5, §11.6).
    pub fn details(&self) -> Vec<Value> {
        let codes = self.codes();
        let info = json!({"@type": ERROR_INFO, "reason": codes.reason, "domain": codes.domain, "metadata": self.metadata});
        let more = match &self.kind {
            ErrorKind::InvalidParams { violations } => Some(bad_request(violations)),
            ErrorKind::ResourceExhausted { retry_after } => {
                retry_after.map(|after| json!({"@type": RETRY_INFO, "retryDelay": write_duration(after)}))
            }
            _ => None,
        };
        std::iter::once(info).chain(more).collect()
    }

    /// Reads details back. `None` if none of them names a reason that is known here.
    pub fn from_details(message: &str, details: &[Value]) -> Option<Self> {
        let kind = details.iter().filter(|detail| is(detail, ERROR_INFO)).find_map(kind_of)?;
        Some(Self::with_facts(kind, message, details))
    }

    /// Of a kind that is known from elsewhere, with the facts that the details add.
    pub(super) fn with_facts(kind: ErrorKind, message: &str, details: &[Value]) -> Self {
        let find = |name| details.iter().find(|detail| is(detail, name));
        let kind = match kind {
            ErrorKind::InvalidParams { .. } => {
                ErrorKind::InvalidParams { violations: find(BAD_REQUEST).map(violations).unwrap_or_default() }
            }
            ErrorKind::ResourceExhausted { .. } => {
                let delay = find(RETRY_INFO).and_then(|detail| detail.get("retryDelay")?.as_str());
                ErrorKind::ResourceExhausted { retry_after: delay.and_then(read_duration) }
            }
            other => other,
        };
        let metadata = find(ERROR_INFO).and_then(|detail| detail.get("metadata")?.as_object());
        Self { kind, message: message.to_owned(), metadata: metadata.map(texts).unwrap_or_default() }
    }
}

fn is(detail: &Value, name: &str) -> bool {
    detail.get("@type").and_then(Value::as_str) == Some(name)
}

fn kind_of(info: &Value) -> Option<ErrorKind> {
    let (reason, domain) = (info.get("reason")?.as_str()?, info.get("domain")?.as_str()?);
    ErrorKind::all().into_iter().find(|kind| kind.codes().reason == reason && kind.codes().domain == domain)
}

fn texts(metadata: &Map<String, Value>) -> BTreeMap<String, String> {
    metadata.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn bad_request(violations: &[FieldViolation]) -> Value {
    let write = |violation: &FieldViolation| json!({"field": violation.field, "description": violation.description});
    json!({"@type": BAD_REQUEST, "fieldViolations": violations.iter().map(write).collect::<Vec<_>>()})
}

fn violations(detail: &Value) -> Vec<FieldViolation> {
    let list = detail.get("fieldViolations").and_then(Value::as_array);
    let text = |violation: &Value, key| violation.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read = |violation| FieldViolation { field: text(violation, "field"), description: text(violation, "description") };
    list.into_iter().flatten().map(read).collect()
}

/// Seconds with an `s`, as protobuf writes durations.
fn write_duration(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos => format!("{}.{nanos:09}s", duration.as_secs()),
    }
}

fn read_duration(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.strip_suffix('s')?.split_once('.').unwrap_or((text.strip_suffix('s')?, ""));
    let is_number = fraction.len() <= 9 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let nanos = is_number.then(|| format!("{fraction:0<9}"))?.parse().ok()?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}
