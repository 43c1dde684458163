//! Names of headers, and getting them in and out of NATS messages without trusting what they hold.

use std::str::FromStr as _;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};

/// Our message id: the reader's inbox key. A header of our own, because inside an atomic batch one duplicate `Nats-Msg-Id` would
/// refuse the whole batch.
pub(crate) const MESSAGE_ID: &str = "Paramedic-Message-Id";
/// JetStream's own, for its duplicate window.
pub(crate) const NATS_MESSAGE_ID: &str = "Nats-Msg-Id";
/// W3C trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Atomic batches (server 2.12): which batch, which place in it, and that it ends here.
pub(crate) const BATCH_ID: &str = "Nats-Batch-Id";
pub(crate) const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
pub(crate) const BATCH_COMMIT: &str = "Nats-Batch-Commit";
/// What a dead letter was, and why it died.
pub(crate) const DEAD_SUBJECT: &str = "Paramedic-Dead-Subject";
pub(crate) const DEAD_STREAM: &str = "Paramedic-Dead-Stream";
pub(crate) const DEAD_SEQUENCE: &str = "Paramedic-Dead-Sequence";
pub(crate) const DEAD_ATTEMPTS: &str = "Paramedic-Dead-Attempts";
pub(crate) const DEAD_REASON: &str = "Paramedic-Dead-Reason";

/// Headers that say something about one copy of a message on one stream; another copy gets its own.
const OF_THE_COPY: [&str; 2] = ["Nats-", "Paramedic-Dead-"];

/// Adds a header. Names and values that NATS cannot carry are an error, never a panic.
pub(crate) fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let parsed = HeaderName::from_str(name).map_err(|error| format!("header name {name:?}: {error}"))?;
    let value = HeaderValue::from_str(value).map_err(|error| format!("the value of header {name}: {error}"))?;
    headers.append(parsed, value);
    Ok(())
}

/// Looks a header up; the first value if it was given twice.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = HeaderName::from_str(name).ok()?;
    headers.get(name).map(HeaderValue::as_str)
}

/// The headers that stay with a message when it moves to another stream, sorted by name.
pub(crate) fn lasting(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut lasting = Vec::new();
    for (name, values) in headers.iter() {
        let name = name.to_string();
        if OF_THE_COPY.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        lasting.extend(values.iter().map(|value| (name.clone(), value.as_str().to_owned())));
    }
    lasting.sort();
    lasting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nats_cannot_carry_is_an_error() {
        let mut headers = HeaderMap::new();
        assert!(add(&mut headers, "a:b", "1").is_err());
        assert!(add(&mut headers, "a", "1\r\nNats-Rollup: all").is_err());
        assert!(add(&mut headers, "a", "1").is_ok());
        assert_eq!(get(&headers, "a"), Some("1"));
        assert_eq!(get(&headers, "not a name"), None);
    }

    #[test]
    fn headers_of_the_copy_stay_behind() {
        let mut headers = HeaderMap::new();
        for name in ["ce-type", MESSAGE_ID, NATS_MESSAGE_ID, BATCH_ID, DEAD_REASON] {
            add(&mut headers, name, "x").unwrap();
        }
        let names: Vec<String> = lasting(&headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [MESSAGE_ID, "ce-type"]);
    }
}
