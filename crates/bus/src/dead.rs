//! Dead letters: what could not be handled, with the reason, kept until a person replays or drops it. For the admin user.
//!
//! A letter is the message as it was, on `dead.<role>`, with headers that say where it came from and why it died. Replaying says it
//! again where it was first said, under a new id made from the old one and the letter's place: the old id may be in the reader's inbox
//! already (a refused message was handled, in a way), which would make a replay with it silently do nothing. What must happen once is
//! guarded by the entity's state and by effect ids, not by this id. Replaying one letter twice gives the same id, so it counts once.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, message::StreamMessage, stream::DirectGetErrorKind};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use incident::task::Role;
use serde::Serialize;

use crate::connection::Bus;
use crate::delivery::Letter;
use crate::header;
use crate::publish::{Publication, PublishError, request};
use crate::stream::Stream;
use crate::subject;

/// Letters in one page.
pub const PAGE_MAX: usize = 200;
/// As much of a reason as is kept: it is read by people, and headers are small.
const REASON_LENGTH_MAX: usize = 1_024;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its number: what `show`, `replay` and `drop` take.
    pub sequence: u64,
    /// Who could not handle it.
    pub role: Role,
    /// Why.
    pub reason: String,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// Where it was said.
    pub subject: String,
    /// Its id there.
    pub id: Option<String>,
    /// The stream that it was on.
    pub stream: String,
    /// Its number there.
    pub stream_sequence: u64,
    /// How often it was delivered.
    pub attempts: u32,
    /// The headers that it had.
    pub headers: Vec<(String, String)>,
    /// What it said.
    #[serde(skip)]
    pub body: Bytes,
}

/// Some dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Oldest first.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins, if there may be one.
    pub next: Option<u64>,
}

/// Dead letters could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DeadError {
    /// There is none of this number.
    #[error("there is no dead letter {sequence}; it was replayed or dropped, or never was")]
    Missing {
        /// Which.
        sequence: u64,
    },
    /// The server did not do as asked.
    #[error("{doing} dead letters: {reason}")]
    Unavailable {
        /// What we were doing.
        doing: &'static str,
        /// The server's words.
        reason: String,
    },
    /// Something on the stream that no reader of ours wrote.
    #[error("reading dead letter {sequence}: {reason}; drop it if nobody needs it")]
    Unreadable {
        /// Which.
        sequence: u64,
        /// What is wrong.
        reason: String,
    },
    /// The original could not be said again; the letter is kept.
    #[error("replaying dead letter {sequence}; it is kept")]
    Replay {
        /// Which.
        sequence: u64,
        /// Why not.
        #[source]
        source: PublishError,
    },
}

/// Dead letters from number `from` on (0: the oldest), at most `limit` of them and never more than [`PAGE_MAX`].
///
/// # Errors
/// If the server does not answer, or a letter cannot be read.
pub async fn list(admin: &Bus, from: u64, limit: usize) -> Result<Page, DeadError> {
    let stream = open(admin).await?;
    let mut letters = Vec::new();
    let mut next = from.max(1);
    while letters.len() < limit.clamp(1, PAGE_MAX) {
        match stream.direct_get_next_for_subject("dead.>", Some(next)).await {
            Ok(message) => {
                next = message.sequence.saturating_add(1);
                letters.push(read(message)?);
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(Page { letters, next: None }),
            Err(error) => return Err(DeadError::Unavailable { doing: "listing", reason: error.to_string() }),
        }
    }
    Ok(Page { letters, next: Some(next) })
}

/// One dead letter.
///
/// # Errors
/// If there is none of this number, or the server does not answer.
pub async fn show(admin: &Bus, sequence: u64) -> Result<DeadLetter, DeadError> {
    match open(admin).await?.direct_get(sequence).await {
        Ok(message) => read(message),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Err(DeadError::Missing { sequence }),
        Err(error) => Err(DeadError::Unavailable { doing: "reading", reason: error.to_string() }),
    }
}

/// Says the original again, where it was first said, and removes the letter. Gives the id that it was said with.
///
/// # Errors
/// If there is none of this number, or the original cannot be published; the letter is then kept.
pub async fn replay(admin: &Bus, sequence: u64) -> Result<String, DeadError> {
    let letter = show(admin, sequence).await?;
    let publication = letter.original();
    for result in admin.publish_all(std::slice::from_ref(&publication)).await {
        result.map_err(|source| DeadError::Replay { sequence, source })?;
    }
    drop(admin, sequence).await?;
    Ok(publication.id)
}

/// Removes a dead letter for good.
///
/// # Errors
/// If there is none of this number, or the server does not answer.
pub async fn drop(admin: &Bus, sequence: u64) -> Result<(), DeadError> {
    match open(admin).await?.delete_message(sequence).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DeadError::Missing { sequence }),
        // The server says "no message found" in an error of its own.
        Err(error) => match show(admin, sequence).await {
            Err(missing @ DeadError::Missing { .. }) => Err(missing),
            _ => Err(DeadError::Unavailable { doing: "dropping", reason: error.to_string() }),
        },
    }
}

impl DeadLetter {
    fn original(&self) -> Publication {
        let old = self.id.as_deref().unwrap_or(&self.stream);
        // The time as well as the number: numbers start anew if the stream is ever made anew, inboxes do not.
        let id = format!("{old}~replay-{}-{}", self.sequence, self.died_at.timestamp_millis());
        let given = |name: &str| self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let is_ours = |name: &str| name == header::MESSAGE_ID || name == header::TRACEPARENT;
        Publication {
            subject: self.subject.clone(),
            id,
            trace: given(header::TRACEPARENT),
            headers: self.headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect(),
            body: self.body.clone(),
        }
    }
}

/// Writes the dead letter of a delivery; a second one within the duplicate window changes nothing.
pub(crate) async fn write(letter: &Letter, reason: &str) -> Result<(), PublishError> {
    let place = subject::dead(letter.role);
    let invalid = |reason| PublishError::Invalid { subject: place.clone(), reason };
    let (sequence, attempts) = (letter.sequence.to_string(), letter.attempt.to_string());
    let one_line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_LENGTH_MAX).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in header::lasting(&letter.headers) {
        header::add(&mut headers, &name, &value).map_err(invalid)?;
    }
    let window_id = format!("{} {sequence}", letter.stream);
    let ours = [
        (header::DEAD_SUBJECT, letter.subject.as_str()),
        (header::DEAD_STREAM, letter.stream),
        (header::DEAD_SEQUENCE, &sequence),
        (header::DEAD_ATTEMPTS, &attempts),
        (header::DEAD_REASON, one_line.trim()),
        (header::NATS_MESSAGE_ID, &window_id),
    ];
    for (name, value) in ours {
        header::add(&mut headers, name, value).map_err(invalid)?;
    }
    request(&letter.client, &place, headers, letter.body.clone(), letter.ack_within).await
}

async fn open(admin: &Bus) -> Result<jetstream::stream::Stream<()>, DeadError> {
    let context = jetstream::new(admin.client.clone());
    let opened = context.get_stream_no_info(Stream::Dead.name()).await;
    opened.map_err(|error| DeadError::Unavailable { doing: "opening the stream of", reason: error.to_string() })
}

fn read(message: StreamMessage) -> Result<DeadLetter, DeadError> {
    let sequence = message.sequence;
    let unreadable = |reason: String| DeadError::Unreadable { sequence, reason };
    let header = |name: &str| header::get(&message.headers, name).ok_or_else(|| unreadable(format!("header {name} is missing")));
    let number = |name: &str| header(name)?.parse::<u64>().map_err(|error| unreadable(format!("header {name}: {error}")));
    let role = message.subject.as_str().trim_start_matches("dead.").parse().map_err(unreadable)?;
    let nanos = i64::try_from(message.time.unix_timestamp_nanos()).unwrap_or_default();
    Ok(DeadLetter {
        sequence,
        role,
        reason: header(header::DEAD_REASON)?.to_owned(),
        died_at: DateTime::from_timestamp_nanos(nanos),
        subject: header(header::DEAD_SUBJECT)?.to_owned(),
        id: header::get(&message.headers, header::MESSAGE_ID).map(ToOwned::to_owned),
        stream: header(header::DEAD_STREAM)?.to_owned(),
        stream_sequence: number(header::DEAD_SEQUENCE)?,
        attempts: u32::try_from(number(header::DEAD_ATTEMPTS)?).unwrap_or(u32::MAX),
        headers: header::lasting(&message.headers),
        body: message.payload,
    })
}
