//! Headers of this binding: their names, and getting them in and out of messages without trusting what they hold.

use std::str::FromStr as _;

use async_nats::HeaderMap;
use async_nats::header::HeaderValue;

/// How long the sender waits for the answer, in milliseconds.
pub(crate) const TIMEOUT: &str = "A2A-Timeout";
/// How often the sender wants to hear that the agent is still at it, in milliseconds.
pub(crate) const HEARTBEAT: &str = "A2A-Heartbeat";
/// How many frames the sender takes without having acknowledged one.
pub(crate) const WINDOW: &str = "A2A-Window";
/// Over the whole body: `sha-256=` and base64.
pub(crate) const DIGEST: &str = "A2A-Digest";
/// Compact JWS, ES256.
pub(crate) const SIGNATURE: &str = "A2A-Signature";
/// What a message of the agent is.
pub(crate) const STATUS: &str = "A2A-Status";
/// Number of a frame, from 1.
pub(crate) const SEQ: &str = "A2A-Seq";
/// Which piece of a body: `2/5`.
pub(crate) const CHUNK: &str = "A2A-Chunk";
/// Which body.
pub(crate) const CHUNK_ID: &str = "A2A-Chunk-Id";
/// Bytes of the whole body, on its first piece.
pub(crate) const LENGTH: &str = "A2A-Length";
/// What a control message wants; without it, it acknowledges.
pub(crate) const CONTROL: &str = "A2A-Control";
/// W3C trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// NATS' own way to mark errors of services (ADR-32), for its tools.
pub(crate) const SERVICE_ERROR: &str = "Nats-Service-Error";
/// The same as a number: HTTP's status.
pub(crate) const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// What a message of the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// An answer; with a number, a frame of a stream.
    Ok,
    /// An error object. Nothing comes after it.
    Error,
    /// The stream has ended.
    End,
    /// The agent is still at it.
    Heartbeat,
    /// Send the other pieces of the request.
    Continue,
    /// This replica does not go on with the stream: subscribe again.
    Resume,
}

impl Status {
    const ALL: [Self; 6] = [Self::Ok, Self::Error, Self::End, Self::Heartbeat, Self::Continue, Self::Resume];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::End => "end",
            Self::Heartbeat => "heartbeat",
            Self::Continue => "continue",
            Self::Resume => "resume",
        }
    }

    pub(crate) fn read(headers: Option<&HeaderMap>) -> Option<Self> {
        let text = get(headers, STATUS)?;
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a client believes it. A forged one of the others costs no more than a lost one: time.
    pub(crate) const fn is_signed(self) -> bool {
        match self {
            Self::Ok | Self::Error | Self::End => true,
            Self::Heartbeat | Self::Continue | Self::Resume => false,
        }
    }
}

/// What a control message wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// I have the frame of the subject's number, and all before it.
    Ack,
    /// The same, and send what comes after it (again) to my inbox.
    Resume,
    /// I do not listen any more.
    Cancel,
}

impl Control {
    pub(crate) fn read(headers: Option<&HeaderMap>) -> Option<Self> {
        match get(headers, CONTROL) {
            None => Some(Self::Ack),
            Some("resume") => Some(Self::Resume),
            Some("cancel") => Some(Self::Cancel),
            Some(_) => None,
        }
    }

    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Ack => {}
            Self::Resume => headers.insert(CONTROL, "resume"),
            Self::Cancel => headers.insert(CONTROL, "cancel"),
        }
        headers
    }
}

/// Adds a header whose value may come from elsewhere. What NATS cannot carry is left out: it would be another header.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Adds a number.
pub(crate) fn put_number(headers: &mut HeaderMap, name: &'static str, number: impl ToString) {
    headers.insert(name, number.to_string());
}

/// Looks a header up. NATS compares names case by case, A2A does not: the usual spelling is tried first.
pub(crate) fn get<'a>(headers: Option<&'a HeaderMap>, name: &'static str) -> Option<&'a str> {
    let headers = headers?;
    if let Some(value) = headers.get(name) {
        return Some(value.as_str());
    }
    pairs(headers).find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// All of them.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| (name, value.as_str()))
    })
}

/// A number, if the header is there and holds one.
pub(crate) fn number(headers: Option<&HeaderMap>, name: &'static str) -> Option<u64> {
    get(headers, name)?.trim().parse().ok()
}

/// What they take on the wire.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    const FRAMING: usize = "NATS/1.0\r\n\r\n".len();
    const PER_LINE: usize = ": \r\n".len();
    pairs(headers).map(|(name, value)| name.len() + value.len() + PER_LINE).sum::<usize>() + FRAMING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_values_cannot_add_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("a2a-digest", "x");
        put(&mut headers, TRACEPARENT, "1\r\nA2A-Status: ok");
        assert_eq!(get(Some(&headers), DIGEST), Some("x"));
        assert_eq!(get(Some(&headers), STATUS), None);
        assert_eq!(get(Some(&headers), TRACEPARENT), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        for status in Status::ALL {
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, status.as_str());
            assert_eq!(Status::read(Some(&headers)), Some(status));
        }
        for control in [Control::Ack, Control::Resume, Control::Cancel] {
            assert_eq!(Control::read(Some(&control.headers())), Some(control));
        }
        assert_eq!(Control::read(None), Some(Control::Ack));
    }
}
