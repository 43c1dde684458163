//! The batching of the gateway's intake with nothing around it: what waits while one shipment is written goes together in the next.
//! Written anew on purpose: were it the intake's own code, a slow intake would lower its own yardstick.

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

/// As the intake's: bodies that wait.
const WAITING_MAX: usize = 4_096;
/// As the intake's: up to so many go plainly, side by side.
const PLAIN_MAX: usize = 8;
/// As the intake's: messages in an atomic batch.
const BATCH_MAX: usize = 500;
/// As the intake's: shipments under way.
const SHIPMENTS_MAX: usize = 2;

struct Waiting {
    body: Bytes,
    answer: oneshot::Sender<bool>,
}

/// Takes bodies for one subject.
pub(crate) struct Batcher(mpsc::Sender<Waiting>);

impl Batcher {
    /// Runs until the process ends.
    pub(crate) fn start(client: Client, subject: &'static str) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(client, subject, waiting));
        Self(sender)
    }

    /// True only when the body is on disk.
    pub(crate) async fn store(&self, body: Bytes) -> bool {
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { body, answer }).await.is_ok() && answered.await.unwrap_or(false)
    }
}

async fn run(client: Client, subject: &'static str, mut waiting: mpsc::Receiver<Waiting>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        if under_way.len() >= SHIPMENTS_MAX {
            under_way.next().await;
            continue;
        }
        let first = tokio::select! {
            biased;
            Some(()) = under_way.next() => continue,
            first = waiting.recv() => first,
        };
        let Some(first) = first else { return };
        let mut load = vec![first];
        while load.len() < BATCH_MAX {
            let Ok(more) = waiting.try_recv() else { break };
            load.push(more);
        }
        under_way.push(ship(&client, subject, load));
    }
}

async fn ship(client: &Client, subject: &'static str, load: Vec<Waiting>) {
    if load.len() <= PLAIN_MAX {
        join_all(load.into_iter().map(async |one| {
            let stored = is_stored(client.request(subject, one.body).await);
            let _ = one.answer.send(stored);
        }))
        .await;
        return;
    }
    let stored = batch(client, subject, &load).await;
    for one in load {
        let _ = one.answer.send(stored);
    }
}

/// One atomic batch (ADR-50): only its last message is answered, for all.
async fn batch(client: &Client, subject: &'static str, load: &[Waiting]) -> bool {
    let Some((last, others)) = load.split_last() else { return true };
    let inbox = client.new_inbox();
    let id = inbox.rsplit('.').next().unwrap_or(&inbox);
    let headers = |sequence: usize| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", sequence.to_string());
        headers
    };
    for (n, one) in others.iter().enumerate() {
        if client.publish_with_headers(subject, headers(n + 1), one.body.clone()).await.is_err() {
            return false;
        }
    }
    let mut commit = headers(load.len());
    commit.insert("Nats-Batch-Commit", "1");
    is_stored(client.request_with_headers(subject, commit, last.body.clone()).await)
}

/// JetStream's acknowledgement has a sequence and no error.
fn is_stored(answer: Result<async_nats::Message, async_nats::RequestError>) -> bool {
    let json = answer.ok().and_then(|message| serde_json::from_slice::<serde_json::Value>(&message.payload).ok());
    json.is_some_and(|json| json.get("seq").is_some() && json.get("error").is_none())
}
