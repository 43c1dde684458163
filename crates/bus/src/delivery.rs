//! One message in a reader's hands, and what the reader makes of it.

use std::time::Duration;

use async_nats::jetstream::{self, AckKind};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use incident::id::TenantId;
use incident::task::Role;

use crate::connection::Bus;
use crate::dead;
use crate::header;
use crate::held::{Held, Hold};
use crate::publish::PublishError;
use crate::stream::Consumer;
use crate::subject::{BadSubject, Subject};

/// Deliveries of one message before it is a dead letter. With [`wait_before`] that is more than five hours of "not now", so an
/// outage of a database kills no letter before people have slept and seen it; and a message that crashes its reader ends some day.
pub(crate) const ATTEMPTS_MAX: u32 = 2_000;
/// Attempts that wait just as long as was asked.
const ATTEMPTS_AS_ASKED: u32 = 5;
/// Longest wait between attempts: what comes back is found soon, what stays away is not hammered.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long telling the server may take while the connection is down and its buffer full.
const TELL_WITHIN: Duration = Duration::from_secs(5);
/// A dead letter that could not be written waits this long; DEAD may be full.
const DEAD_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the reader makes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Handled, and that is durable.
    Done,
    /// Not now: deliver it again after this long, or longer if it failed often.
    Retry(Duration),
    /// Never: it becomes a dead letter with this reason.
    Reject(String),
}

/// The bus could not be told. It will deliver again, and the reader's inbox knows the message.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No acknowledgement went out.
    #[error("answering delivery {sequence} of {stream}: {reason}")]
    Unavailable {
        /// From where.
        stream: &'static str,
        /// Which.
        sequence: u64,
        /// Why not.
        reason: String,
    },
    /// The dead letter could not be written, so the message stays where it was.
    #[error("writing the dead letter of delivery {sequence} of {stream}")]
    DeadLetter {
        /// From where.
        stream: &'static str,
        /// Which.
        sequence: u64,
        /// Why not.
        #[source]
        source: PublishError,
    },
}

/// A message to be handled. If it is dropped without an answer, it is delivered again.
pub struct Delivery {
    /// Where it was said.
    pub subject: Subject,
    /// Whose.
    pub tenant: TenantId,
    /// The inbox key: unique per tenant, the same for every copy.
    pub id: String,
    /// W3C `traceparent` of what caused it.
    pub trace: Option<String>,
    /// The stream that it is on.
    pub stream: &'static str,
    /// Its number there.
    pub sequence: u64,
    /// The first delivery is 1.
    pub attempt: u32,
    /// When the stream took it.
    pub published_at: DateTime<Utc>,
    /// What it says.
    pub body: Bytes,
    letter: Letter,
}

/// The way back to the server.
pub(crate) struct Letter {
    pub(crate) client: Client,
    pub(crate) role: Role,
    pub(crate) ack_within: Duration,
    pub(crate) stream: &'static str,
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) attempt: u32,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    ack: async_nats::Subject,
    _hold: Hold,
}

/// A message that cannot be handed out, only buried.
pub(crate) struct Undeliverable {
    pub(crate) letter: Box<Letter>,
    pub(crate) reason: String,
}

impl Delivery {
    /// A header of the message; the first if it was given twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        header::get(&self.letter.headers, name)
    }

    /// Tells the server that the message is being worked on, so that nobody else gets it for now. Deliveries that are held do this by
    /// themselves for ten minutes; work that takes longer calls it.
    ///
    /// # Errors
    /// If the server cannot be told.
    pub async fn progress(&self) -> Result<(), AnswerError> {
        self.letter.tell(AckKind::Progress).await
    }

    /// Tells the server the verdict. A plain acknowledgement is enough: were it lost, the message would come again and the inbox, whose
    /// row was committed before, would say "handled"; asking for a receipt would cost a round trip and promise nothing more.
    ///
    /// # Errors
    /// If the server cannot be told, or a dead letter cannot be written; the message is then delivered again.
    pub async fn answer(self, verdict: Verdict) -> Result<(), AnswerError> {
        match verdict {
            Verdict::Done => self.letter.tell(AckKind::Ack).await,
            Verdict::Retry(after) => self.letter.tell(AckKind::Nak(Some(wait_before(self.attempt, after)))).await,
            Verdict::Reject(reason) => self.letter.bury(&reason).await,
        }
    }

    /// Reads a message of `consumer`. None if it is not a JetStream message at all.
    pub(crate) fn read(
        bus: &Bus,
        consumer: Consumer,
        held: &std::sync::Arc<Held>,
        message: async_nats::Message,
    ) -> Option<Result<Self, Undeliverable>> {
        let ack = message.reply.clone()?;
        let context = jetstream::new(bus.client.clone());
        let message = jetstream::Message { message, context };
        let info = message.info().ok()?;
        let (sequence, attempt) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX));
        let nanos = i64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let async_nats::Message { subject, payload: body, headers, .. } = message.message;
        let letter = Letter {
            client: bus.client.clone(),
            role: consumer.role,
            ack_within: bus.ack_within,
            stream: consumer.stream.name(),
            subject: subject.to_string(),
            sequence,
            attempt,
            headers: headers.unwrap_or_default(),
            body,
            _hold: held.hold(ack.clone()),
            ack,
        };
        Some(Self::hand_out(letter, nanos))
    }

    fn hand_out(letter: Letter, nanos: i64) -> Result<Self, Undeliverable> {
        if letter.attempt > ATTEMPTS_MAX {
            let reason = format!("not handled in {ATTEMPTS_MAX} attempts");
            return Err(Undeliverable { letter: Box::new(letter), reason });
        }
        let subject: Subject = match letter.subject.parse() {
            Ok(subject) => subject,
            Err(error) => {
                let error: BadSubject = error;
                return Err(Undeliverable { letter: Box::new(letter), reason: error.to_string() });
            }
        };
        let given =
            header::get(&letter.headers, header::MESSAGE_ID).or_else(|| header::get(&letter.headers, header::NATS_MESSAGE_ID));
        // Somebody who names no id gets no protection from sending twice, but redeliveries are still recognised.
        let id = given.map_or_else(|| format!("{}/{}/{nanos}", letter.stream, letter.sequence), ToOwned::to_owned);
        Ok(Self {
            tenant: subject.tenant().clone(),
            subject,
            id,
            trace: header::get(&letter.headers, header::TRACEPARENT).map(ToOwned::to_owned),
            stream: letter.stream,
            sequence: letter.sequence,
            attempt: letter.attempt,
            published_at: DateTime::from_timestamp_nanos(nanos),
            body: letter.body.clone(),
            letter,
        })
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Delivery");
        shown.field("subject", &self.subject).field("id", &self.id).field("stream", &self.stream);
        shown.field("sequence", &self.sequence).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Letter {
    async fn tell(&self, kind: AckKind) -> Result<(), AnswerError> {
        let told = tokio::time::timeout(TELL_WITHIN, self.client.publish(self.ack.clone(), kind.into())).await;
        let reason = match told {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "NATS is unavailable".to_owned(),
        };
        Err(AnswerError::Unavailable { stream: self.stream, sequence: self.sequence, reason })
    }

    /// First the dead letter, then the end of the message: a crash in between leaves one too many, never one too few.
    pub(crate) async fn bury(&self, reason: &str) -> Result<(), AnswerError> {
        match dead::write(self, reason).await {
            Ok(()) => self.tell(AckKind::Term).await,
            Err(source) => {
                self.tell(AckKind::Nak(Some(DEAD_AGAIN_AFTER))).await?;
                Err(AnswerError::DeadLetter { stream: self.stream, sequence: self.sequence, source })
            }
        }
    }
}

/// As long as asked at first, then doubling, up to the longest wait or what was asked.
fn wait_before(attempt: u32, asked: Duration) -> Duration {
    let doublings = attempt.saturating_sub(ATTEMPTS_AS_ASKED).min(16);
    asked.saturating_mul(2_u32.saturating_pow(doublings)).min(WAIT_MAX.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stretch_to_hours_but_each_wait_is_short() {
        let second = Duration::from_secs(1);
        assert_eq!(wait_before(1, second), second);
        assert_eq!(wait_before(7, second), 4 * second);
        assert_eq!(wait_before(u32::MAX, second), WAIT_MAX);
        assert_eq!(wait_before(1, 60 * second), 60 * second);
        let all: Duration = (1..=ATTEMPTS_MAX).map(|attempt| wait_before(attempt, second)).sum();
        assert!(all > Duration::from_hours(5));
    }
}
