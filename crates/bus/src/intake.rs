//! The gateway's way in: many requests, each of which may be answered only when its messages are on disk.
//!
//! An fsync per message is what costs. While one shipment is on its way to disk, requests wait; when it is there, all that wait go
//! together in one atomic batch, with one fsync. A few are published plainly, side by side, because a batch costs the server a staging
//! store (2.8 ms for ten messages, beside 0.6 ms for a lone one). So a quiet gateway answers after one fsync, and a busy one shares it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::connection::Bus;
use crate::header;
use crate::publish::{Publication, PublishError, request};

/// Requests that wait; past that the caller is told to come again, which Alertmanager does.
const WAITING_MAX: usize = 4_096;
/// Bytes that wait or are on their way: what a full intake may take of the process's memory.
const BYTES_MAX: usize = 64 << 20;
/// Messages in one atomic batch; the server allows 1000.
const BATCH_MESSAGES_MAX: usize = 500;
/// Bytes in one atomic batch, unless a single message is larger: keeps a commit short, and what the server stages small.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Up to so many messages go plainly: their separate fsyncs cost less than a staging store. Measured: with 4, eight callers get
/// 2.3 k/s, with 8 they get 3.2 k/s; with 16, sixteen callers wait half as long again.
const PLAIN_MESSAGES_MAX: usize = 8;
/// Shipments on their way at once: while one is written the next is staged. Measured: no more throughput with 3 or 4, only smaller
/// batches and longer tails.
const SHIPMENTS_MAX: usize = 2;

/// Nothing was promised. Messages may be on the stream all the same; sending them again does no harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// No room here or on the stream. Come again later.
    #[error("the intake is full ({reason}); send it again later")]
    Full {
        /// What is full.
        reason: String,
    },
    /// The bus does not answer. Come again later.
    #[error("the bus is unavailable ({reason}); send it again later")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// It can never be taken.
    #[error("the message cannot be taken: {reason}")]
    Unfit {
        /// What is wrong with it.
        reason: String,
    },
}

impl From<PublishError> for IntakeError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Full { reason, .. } => Self::Full { reason },
            PublishError::Unavailable { reason, .. } => Self::Unavailable { reason },
            PublishError::Refused { code, reason, .. } => {
                Self::Unavailable { reason: format!("JetStream error {code}: {reason}") }
            }
            error @ (PublishError::TooLarge { .. } | PublishError::Invalid { .. }) => Self::Unfit { reason: error.to_string() },
        }
    }
}

/// Takes messages in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    patience: Duration,
}

/// Does the work of all its [`Intake`]s; somebody must run it.
pub struct IntakeWorker {
    bus: Bus,
    waiting: mpsc::Receiver<Waiting>,
}

/// One request's messages, or a part of them.
#[derive(Debug)]
struct Waiting {
    publications: Vec<Publication>,
    bytes: usize,
    answer: oneshot::Sender<Result<(), IntakeError>>,
    /// Given back when the answer is known.
    room: OwnedSemaphorePermit,
}

impl Bus {
    /// An intake and what runs it.
    pub fn intake(&self) -> (Intake, IntakeWorker) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let room = Arc::new(Semaphore::new(BYTES_MAX));
        (Intake { waiting: sender, room, patience: self.ack_within }, IntakeWorker { bus: self.clone(), waiting })
    }
}

impl Intake {
    /// Resolves to `Ok` only when every message is on disk. They keep their order.
    ///
    /// # Errors
    /// If any of them is not, or that is not known; send all of them again.
    pub async fn submit(&self, publications: Vec<Publication>) -> Result<(), IntakeError> {
        let mut rest = publications;
        while !rest.is_empty() {
            let later = rest.split_off(part_of(&rest));
            self.submit_part(rest).await?;
            rest = later;
        }
        Ok(())
    }

    async fn submit_part(&self, publications: Vec<Publication>) -> Result<(), IntakeError> {
        let bytes: usize = publications.iter().map(Publication::size).sum();
        let full = || IntakeError::Full { reason: "too many requests wait".to_owned() };
        let permits = u32::try_from(bytes).map_err(|_| full())?;
        let room = self.room.clone().try_acquire_many_owned(permits).map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { publications, bytes, answer, room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => full(),
            mpsc::error::TrySendError::Closed(_) => IntakeError::Unavailable { reason: "the gateway stops".to_owned() },
        })?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(IntakeError::Unavailable { reason: "the gateway stops".to_owned() }),
            Err(_) => Err(IntakeError::Unavailable { reason: format!("not on disk within {} ms", self.patience.as_millis()) }),
        }
    }
}

/// How many of the first messages fit one batch; at least one.
fn part_of(publications: &[Publication]) -> usize {
    let mut bytes = 0;
    let fits = |publication: &&Publication| {
        bytes += publication.size();
        bytes <= BATCH_BYTES_MAX
    };
    publications.iter().take(BATCH_MESSAGES_MAX).take_while(fits).count().max(1)
}

impl IntakeWorker {
    /// Ships what waits until every [`Intake`] is gone.
    pub async fn run(mut self) {
        let mut under_way: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let mut held_back = None;
        loop {
            if under_way.len() >= SHIPMENTS_MAX {
                under_way.next().await;
                continue;
            }
            let next = async { if held_back.is_some() { held_back.take() } else { self.waiting.recv().await } };
            let first = tokio::select! {
                biased;
                Some(()) = under_way.next() => continue,
                first = next => first,
            };
            let Some(first) = first else { break };
            let load;
            (load, held_back) = self.gather(first);
            if !load.is_empty() {
                under_way.push(Box::pin(ship(self.bus.clone(), load)));
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// Takes what waits, as much as one batch holds, and what did not fit any more.
    fn gather(&mut self, first: Waiting) -> (Vec<Waiting>, Option<Waiting>) {
        let (mut messages, mut bytes) = (0, 0);
        let mut load = Vec::new();
        let mut next = Some(first);
        while let Some(waiting) = next {
            // Nobody waits for it any more, and nothing was promised.
            if !waiting.answer.is_closed() {
                messages += waiting.publications.len();
                bytes += waiting.bytes;
                if !load.is_empty() && (messages > BATCH_MESSAGES_MAX || bytes > BATCH_BYTES_MAX) {
                    return (load, Some(waiting));
                }
                load.push(waiting);
            }
            next = self.waiting.try_recv().ok();
        }
        (load, None)
    }
}

async fn ship(bus: Bus, load: Vec<Waiting>) {
    let messages: usize = load.iter().map(|waiting| waiting.publications.len()).sum();
    if messages > PLAIN_MESSAGES_MAX {
        match send_batch(&bus, &load).await {
            // One message that cannot be sent, or a server without batches, must not refuse the others.
            Err(PublishError::Refused { .. } | PublishError::Invalid { .. } | PublishError::TooLarge { .. }) => {}
            result => return answer_all(load, &result.map_err(IntakeError::from)),
        }
    }
    send_plainly(&bus, load).await;
}

fn answer_all(load: Vec<Waiting>, result: &Result<(), IntakeError>) {
    for waiting in load {
        // Whoever asked may have gone; they were promised nothing.
        let _ = waiting.answer.send(result.clone());
    }
}

async fn send_plainly(bus: &Bus, load: Vec<Waiting>) {
    let mut publications = Vec::new();
    let mut asked = Vec::with_capacity(load.len());
    for waiting in load {
        asked.push((waiting.publications.len(), waiting.answer, waiting.room));
        publications.extend(waiting.publications);
    }
    let mut results = bus.publish_all(&publications).await.into_iter();
    for (messages, answer, _room) in asked {
        let failed = results.by_ref().take(messages).fold(None, |first, result| first.or(result.err()));
        let _ = answer.send(failed.map_or(Ok(()), |error| Err(error.into())));
    }
}

/// All or none: the commit's acknowledgement says that every message is on disk.
async fn send_batch(bus: &Bus, load: &[Waiting]) -> Result<(), PublishError> {
    let publications: Vec<&Publication> = load.iter().flat_map(|waiting| &waiting.publications).collect();
    let Some((last, others)) = publications.split_last() else { return Ok(()) };
    if !bus.is_connected() {
        return Err(crate::publish::unavailable(&last.subject, "not connected"));
    }
    let mut link = bus.watch_link();
    let inbox = bus.client.new_inbox();
    let batch = Batch { client: &bus.client, id: inbox.rsplit('.').next().unwrap_or(&inbox) };
    let sending = async {
        // Only the commit is answered; it refuses if any message before it went missing.
        for (n, publication) in others.iter().enumerate() {
            batch.add(n + 1, publication).await?;
        }
        batch.commit(publications.len(), last, bus.ack_within).await
    };
    tokio::select! {
        result = sending => result,
        () = link.lost() => Err(crate::publish::unavailable(&last.subject, "the connection was lost")),
    }
}

/// An atomic batch under way (server 2.12, ADR-50).
struct Batch<'a> {
    client: &'a Client,
    id: &'a str,
}

impl Batch<'_> {
    async fn add(&self, sequence: usize, publication: &Publication) -> Result<(), PublishError> {
        let headers = self.headers(sequence, publication)?;
        // The client would refuse it only when it writes, and nobody would hear of it.
        if publication.size() > self.client.max_payload() {
            return Err(PublishError::TooLarge { subject: publication.subject.clone(), bytes: publication.body.len() });
        }
        let sent = self.client.publish_with_headers(publication.subject.clone(), headers, publication.body.clone()).await;
        sent.map_err(|error| crate::publish::unavailable(&publication.subject, &error.to_string()))
    }

    async fn commit(&self, sequence: usize, publication: &Publication, within: Duration) -> Result<(), PublishError> {
        let mut headers = self.headers(sequence, publication)?;
        headers.insert(header::BATCH_COMMIT, "1");
        request(self.client, &publication.subject, headers, publication.body.clone(), within).await
    }

    fn headers(&self, sequence: usize, publication: &Publication) -> Result<async_nats::HeaderMap, PublishError> {
        let mut headers = publication.header_map()?;
        headers.insert(header::BATCH_ID, self.id);
        headers.insert(header::BATCH_SEQUENCE, sequence.to_string());
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(bytes: usize) -> Publication {
        let (subject, id) = ("alerts.acme.0".to_owned(), "x".to_owned());
        Publication { subject, id, trace: None, headers: vec![], body: vec![0; bytes].into() }
    }

    #[test]
    fn a_part_fits_one_batch_and_is_never_empty() {
        let table = [
            (vec![publication(10); 3], 3),
            (vec![publication(10); BATCH_MESSAGES_MAX + 1], BATCH_MESSAGES_MAX),
            (vec![publication(BATCH_BYTES_MAX / 2); 3], 1),
            (vec![publication(2 * BATCH_BYTES_MAX), publication(1)], 1),
        ];
        for (publications, expected) in table {
            assert_eq!(part_of(&publications), expected);
        }
    }
}
