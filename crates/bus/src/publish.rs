//! Publishing with an acknowledgement: a message counts as published when JetStream has it on disk, not before.

use std::time::Duration;

use async_nats::{Client, HeaderMap, RequestErrorKind};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::Deserialize;

use crate::connection::Bus;
use crate::header;

/// JetStream error codes that say "no room": account, server, storage, or the stream (10077: it would not store).
const NO_ROOM: [u64; 4] = [10_002, 10_023, 10_047, 10_077];
/// JetStream's code for a message that no stream may ever hold.
const MESSAGE_TOO_LARGE: u64 = 10_054;

/// What it means when no server answers for a subject: JetStream is starting, or was never set up.
const NOBODY: &str = "no stream takes this subject now";

/// A message to be published, perhaps more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub subject: String,
    /// Unique per tenant; publishing one id twice is publishing once, because readers keep it in their inbox.
    pub id: String,
    /// W3C `traceparent` of what caused it.
    pub trace: Option<String>,
    /// Further headers, such as CloudEvents attributes (`ce-…`).
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub body: Bytes,
}

/// A message that JetStream did not acknowledge. It may be on the stream all the same; publish it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No answer, or nobody there. Try again later.
    #[error("publishing to {subject}: NATS is unavailable ({reason}); try again later")]
    Unavailable {
        /// Where to.
        subject: String,
        /// What was missing.
        reason: String,
    },
    /// The stream is full and refuses rather than forget.
    #[error("publishing to {subject}: no room ({reason}); let the stream's readers catch up, or raise its limits")]
    Full {
        /// Where to.
        subject: String,
        /// The server's words.
        reason: String,
    },
    /// Larger than the server takes. Trying again does not help.
    #[error("publishing to {subject}: the message of {bytes} bytes is larger than the server takes; raise max_payload there")]
    TooLarge {
        /// Where to.
        subject: String,
        /// Its size.
        bytes: usize,
    },
    /// Not a message that NATS can carry. Trying again does not help.
    #[error("publishing to {subject}: {reason}")]
    Invalid {
        /// Where to.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
    /// JetStream refused for another reason.
    #[error("publishing to {subject}: JetStream refused with error {code}: {reason}")]
    Refused {
        /// Where to.
        subject: String,
        /// JetStream's error code.
        code: u64,
        /// The server's words.
        reason: String,
    },
}

impl Publication {
    /// Its headers, but for the duplicate window's.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, PublishError> {
        let mut headers = HeaderMap::new();
        let invalid = |reason| PublishError::Invalid { subject: self.subject.clone(), reason };
        header::add(&mut headers, header::MESSAGE_ID, &self.id).map_err(invalid)?;
        if let Some(trace) = &self.trace {
            header::add(&mut headers, header::TRACEPARENT, trace).map_err(invalid)?;
        }
        for (name, value) in &self.headers {
            header::add(&mut headers, name, value).map_err(invalid)?;
        }
        Ok(headers)
    }

    /// Roughly what it takes on the wire and in memory; never less.
    pub(crate) fn size(&self) -> usize {
        /// Header framing, trace, batch headers and the protocol line.
        const OVERHEAD: usize = 384;
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.body.len() + headers + self.id.len() + self.subject.len() + OVERHEAD
    }
}

impl Bus {
    /// Publishes in order, all sent before any acknowledgement is awaited: many share the server's time, none waits for another's
    /// disk. One result for each, in order. A duplicate is a success: the first copy is on disk.
    pub async fn publish_all(&self, publications: &[Publication]) -> Vec<Result<(), PublishError>> {
        let mut results = vec![None; publications.len()];
        let missing = self.publish_until_lost(publications, &mut results).await;
        let result =
            |(result, one): (Option<_>, &Publication)| result.unwrap_or_else(|| Err(unavailable(&one.subject, &missing)));
        results.into_iter().zip(publications).map(result).collect()
    }

    /// Collects acknowledgements while they can come; gives the reason why the rest will not.
    async fn publish_until_lost(&self, publications: &[Publication], results: &mut [Option<Result<(), PublishError>>]) -> String {
        if !self.is_connected() {
            return "not connected".to_owned();
        }
        let mut link = self.watch_link();
        // Polled for the first time in order, without a pause in between, and so sent in order.
        let mut answers: FuturesUnordered<_> =
            publications.iter().enumerate().map(async |(n, publication)| (n, self.publish(publication).await)).collect();
        let collecting = tokio::task::unconstrained(async {
            while let Some((n, result)) = answers.next().await {
                if let Some(place) = results.get_mut(n) {
                    *place = Some(result);
                }
            }
        });
        tokio::select! {
            biased;
            () = collecting => String::new(),
            () = link.lost() => "the connection was lost".to_owned(),
        }
    }

    async fn publish(&self, publication: &Publication) -> Result<(), PublishError> {
        let subject = &publication.subject;
        let mut headers = publication.header_map()?;
        // Ids are unique per tenant and the window is per stream, so the subject, which names the tenant, is part of it.
        let window_id = format!("{subject} {}", publication.id);
        header::add(&mut headers, header::NATS_MESSAGE_ID, &window_id)
            .map_err(|reason| PublishError::Invalid { subject: subject.clone(), reason })?;
        request(&self.client, subject, headers, publication.body.clone(), self.ack_within).await
    }
}

/// Sends one message and awaits JetStream's answer to it.
pub(crate) async fn request(
    client: &Client,
    subject: &str,
    headers: HeaderMap,
    body: Bytes,
    within: Duration,
) -> Result<(), PublishError> {
    let bytes = body.len();
    let request = async_nats::Request::new().headers(headers).payload(body).timeout(Some(within));
    let answer = client.send_request(subject.to_owned(), request).await.map_err(|error| {
        let subject = subject.to_owned();
        match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => PublishError::TooLarge { subject, bytes },
            RequestErrorKind::InvalidSubject => PublishError::Invalid { subject, reason: "not a subject".to_owned() },
            RequestErrorKind::NoResponders => unavailable(&subject, NOBODY),
            RequestErrorKind::TimedOut | RequestErrorKind::Other => unavailable(&subject, &error.to_string()),
        }
    })?;
    read_answer(subject, bytes, &answer.payload)
}

/// JetStream's answer to a publish (ADR-1): an acknowledgement or an error.
#[derive(Deserialize)]
struct Answer {
    stream: Option<String>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

fn read_answer(subject: &str, bytes: usize, payload: &[u8]) -> Result<(), PublishError> {
    let subject = || subject.to_owned();
    let refused = |code, reason| Err(PublishError::Refused { subject: subject(), code, reason });
    match serde_json::from_slice(payload) {
        Ok(Answer { error: Some(error), .. }) if NO_ROOM.contains(&error.err_code) => {
            Err(PublishError::Full { subject: subject(), reason: error.description })
        }
        Ok(Answer { error: Some(error), .. }) if error.err_code == MESSAGE_TOO_LARGE => {
            Err(PublishError::TooLarge { subject: subject(), bytes })
        }
        Ok(Answer { error: Some(error), .. }) => refused(error.err_code, error.description),
        Ok(Answer { stream: Some(_), .. }) => Ok(()),
        Ok(Answer { stream: None, error: None }) => refused(0, "an answer that is no acknowledgement".to_owned()),
        Err(error) => refused(0, format!("an answer that is no acknowledgement: {error}")),
    }
}

pub(crate) fn unavailable(subject: &str, reason: &str) -> PublishError {
    PublishError::Unavailable { subject: subject.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let read = |text: &str| read_answer("a", 7, text.as_bytes());
        let error =
            |code: u64| format!(r#"{{"error":{{"code":503,"err_code":{code},"description":"why"}},"stream":"A","seq":0}}"#);
        assert_eq!(read(r#"{"stream":"A","seq":1}"#), Ok(()));
        assert_eq!(read(r#"{"stream":"A","seq":1,"duplicate":true}"#), Ok(()));
        assert!(matches!(read(&error(10_077)), Err(PublishError::Full { .. })));
        assert!(matches!(read(&error(10_054)), Err(PublishError::TooLarge { bytes: 7, .. })));
        assert!(matches!(read(&error(10_176)), Err(PublishError::Refused { code: 10_176, .. })));
        assert!(matches!(read(""), Err(PublishError::Refused { code: 0, .. })));
        assert!(matches!(read("{}"), Err(PublishError::Refused { code: 0, .. })));
    }
}
