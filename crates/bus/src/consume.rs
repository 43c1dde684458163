//! Taking messages: one standing pull request per consumer, renewed before it runs dry, made anew after every trouble.
//!
//! A session is an inbox, a subscription and what was asked for over them. Whatever goes wrong (silence, a restarted server, a refused
//! request) ends the session; the next one starts with a fresh inbox, so that nothing is counted from before. What an ended session
//! still had coming is delivered again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use incident::task::Role;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Bus;
use crate::delivery::Delivery;
use crate::held::Held;
use crate::stream::Consumer;
use crate::trim;

/// Messages asked for and not yet taken, per consumer: enough to hide the round trip of a millisecond, few enough to lie idle elsewhere,
/// and to take little memory when each is a hundred alerts.
const PREFETCH: usize = 32;
/// Messages that wait for the reader, over all its consumers; past that they stay with the server.
const WAITING_MAX: usize = 16;
/// A request that found nothing for so long is made again; longer only means fewer empty answers.
const PULL_EXPIRES: Duration = Duration::from_mins(1);
/// An idle consumer shows life this often, so that a dead one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Two missed heartbeats and some delay: nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Wait before the next session after trouble, doubling up to [`WAIT_MAX`]. JetStream is back some 50 ms after its server.
const WAIT_FIRST: Duration = Duration::from_millis(25);
/// Longest wait between sessions.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A role takes nothing from the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{role} has no consumer on any stream, so there is nothing to take")]
pub struct DeliveriesError {
    role: Role,
}

/// Everything that is for one role, for ever; an endless [`futures::Stream`]. Dropping it stops taking.
pub struct Deliveries {
    waiting: mpsc::Receiver<Delivery>,
    _pullers: JoinSet<()>,
}

impl futures::Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.waiting.poll_recv(context)
    }
}

impl Bus {
    /// Takes from all consumers of `role`. Within a subject messages come in order; a retried one comes when its time is up.
    ///
    /// # Errors
    /// If the role has no consumer.
    pub fn deliveries(&self, role: Role) -> Result<Deliveries, DeliveriesError> {
        let (out, waiting) = mpsc::channel(WAITING_MAX);
        let held = Arc::new(Held::default());
        let new_puller = |consumer| Puller { bus: self.clone(), consumer, held: held.clone(), out: out.clone() };
        let pullers: Vec<Puller> = Consumer::of(role).map(new_puller).collect();
        if pullers.is_empty() {
            return Err(DeliveriesError { role });
        }
        let bus = self.clone();
        let mut tasks = JoinSet::new();
        // One task: should any part of it fail, the stream ends and its reader knows.
        tasks.spawn(async move {
            tokio::select! {
                _ = join_all(pullers.into_iter().map(Puller::run)) => {}
                () = held.renew(&bus.client) => {}
                () = trim_all(&bus, role) => {}
            }
        });
        Ok(Deliveries { waiting, _pullers: tasks })
    }
}

async fn trim_all(bus: &Bus, role: Role) {
    let trimmed = Consumer::of(role).filter(|consumer| consumer.stream.is_trimmed());
    join_all(trimmed.map(|consumer| trim::run(bus, consumer))).await;
    // A role without such a stream has nothing to do here, for ever.
    std::future::pending::<()>().await;
}

/// Takes from one consumer.
struct Puller {
    bus: Bus,
    consumer: Consumer,
    held: Arc<Held>,
    out: mpsc::Sender<Delivery>,
}

/// Why a session ended.
enum End {
    /// Nobody takes deliveries any more.
    Unwanted,
    /// There is a new connection; what was asked over the old one is forgotten.
    Reconnected,
    /// Anything else.
    Trouble(String),
}

impl Puller {
    async fn run(self) {
        let name = self.consumer.label();
        let mut wait = WAIT_FIRST;
        loop {
            let mut is_heard = false;
            match self.session(&mut is_heard).await {
                End::Unwanted => break,
                End::Reconnected => tracing::debug!(consumer = name, "asking anew over the new connection"),
                End::Trouble(reason) => tracing::warn!(consumer = name, reason, wait_ms = wait.as_millis(), "asking anew"),
            }
            if is_heard {
                wait = WAIT_FIRST;
            } else {
                self.bus.note_consumer(&name, false);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
        self.bus.forget_consumer(&name);
    }

    async fn session(&self, is_heard: &mut bool) -> End {
        let mut link = self.bus.watch_link();
        if !self.bus.is_connected() {
            tokio::select! {
                () = link.made() => {}
                () = self.out.closed() => return End::Unwanted,
            }
        }
        let mut link = self.bus.watch_link();
        let inbox = self.bus.client.new_inbox();
        let mut messages = match self.bus.client.subscribe(inbox.clone()).await {
            Ok(messages) => messages,
            Err(error) => return End::Trouble(error.to_string()),
        };
        let mut coming = 0;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            if coming <= PREFETCH / 2 {
                if let Err(error) = self.ask(&inbox, PREFETCH - coming).await {
                    return End::Trouble(error.to_string());
                }
                coming = PREFETCH;
            }
            let message = tokio::select! {
                biased;
                message = messages.next() => message,
                () = link.made() => return End::Reconnected,
                () = self.out.closed() => return End::Unwanted,
                () = tokio::time::sleep_until(silent_at) => return End::Trouble("the consumer is silent".to_owned()),
            };
            let Some(message) = message else { return End::Trouble("the subscription ended".to_owned()) };
            match read(&message) {
                Heard::Delivery => {
                    coming = coming.saturating_sub(1);
                    if self.hand_out(message).await.is_err() {
                        return End::Unwanted;
                    }
                }
                Heard::Heartbeat => {}
                Heard::Expired { pending } => coming = coming.saturating_sub(pending),
                Heard::Refused(reason) => return End::Trouble(reason),
            }
            if !*is_heard {
                *is_heard = true;
                self.bus.note_consumer(&self.consumer.label(), true);
            }
            silent_at = Instant::now() + SILENCE_MAX;
        }
    }

    async fn ask(&self, inbox: &str, batch: usize) -> Result<(), async_nats::PublishError> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.consumer.stream.name(), self.consumer.role);
        let request = json!({ "batch": batch, "expires": nanos(PULL_EXPIRES), "idle_heartbeat": nanos(HEARTBEAT) });
        self.bus.client.publish_with_reply(subject, inbox.to_owned(), Bytes::from(request.to_string())).await
    }

    /// Waits while the reader is busy, which holds the server back. An error means that nobody reads any more.
    async fn hand_out(&self, message: Message) -> Result<(), mpsc::error::SendError<Delivery>> {
        match Delivery::read(&self.bus, self.consumer, &self.held, message) {
            Some(Ok(delivery)) => self.out.send(delivery).await,
            Some(Err(undeliverable)) => {
                let (letter, reason) = (undeliverable.letter, undeliverable.reason);
                tracing::warn!(consumer = self.consumer.label(), subject = letter.subject, reason, "a dead letter");
                if let Err(error) = letter.bury(&reason).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(consumer = self.consumer.label(), error, "the dead letter could not be written; it will be");
                }
                Ok(())
            }
            None => {
                tracing::warn!(consumer = self.consumer.label(), "ignored a message that is not from JetStream");
                Ok(())
            }
        }
    }
}

/// What came over a session.
enum Heard {
    Delivery,
    Heartbeat,
    /// A request ended with this many messages still to come.
    Expired {
        pending: usize,
    },
    Refused(String),
}

fn read(message: &Message) -> Heard {
    let Some(status) = message.status else { return Heard::Delivery };
    match status {
        StatusCode::IDLE_HEARTBEAT => Heard::Heartbeat,
        StatusCode::TIMEOUT => {
            let headers = message.headers.as_ref();
            let pending = headers.and_then(|headers| crate::header::get(headers, "Nats-Pending-Messages"));
            // Without the number: all of it, so that we rather ask for too much than wait for nothing.
            Heard::Expired { pending: pending.and_then(|text| text.parse().ok()).unwrap_or(PREFETCH) }
        }
        StatusCode::NO_RESPONDERS => Heard::Refused("JetStream is not there".to_owned()),
        status => Heard::Refused(format!("{status} {}", message.description.as_deref().unwrap_or_default())),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
