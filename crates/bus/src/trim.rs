//! Removing from a stream what its only reader has handled: everything below the server's own acknowledgement floor, many at a time.
//!
//! A message that is retried for hours holds the floor, and with it what was handled after it; the number of attempts bounds that,
//! and the stream's size bounds what it costs.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::connection::Bus;
use crate::stream::Consumer;

/// Handled messages stay for so long: at the fastest intake measured some 100 MiB, a fifth of the stream.
const TRIM_EVERY: Duration = Duration::from_secs(2);

/// What we read of an answer of JetStream's API.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Error { error: ApiError },
    Good(T),
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct ConsumerInfo {
    ack_floor: AckFloor,
}

#[derive(Deserialize)]
struct AckFloor {
    stream_seq: u64,
}

#[derive(Deserialize)]
struct Purged {
    purged: u64,
}

/// Trims the stream of `consumer` for ever.
pub(crate) async fn run(bus: &Bus, consumer: Consumer) {
    let mut trimmed = 0;
    let mut tick = tokio::time::interval(TRIM_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !bus.is_connected() {
            continue;
        }
        match trim(bus, consumer, trimmed).await {
            Ok(floor) => trimmed = floor,
            Err(reason) => {
                tracing::warn!(consumer = consumer.label(), reason, "handled messages could not be removed; trying again");
            }
        }
    }
}

/// Removes what is handled, if there is more of it than last time; gives where it ended.
async fn trim(bus: &Bus, consumer: Consumer, before: u64) -> Result<u64, String> {
    let stream = consumer.stream.name();
    let info: ConsumerInfo = ask(bus, format!("$JS.API.CONSUMER.INFO.{stream}.{}", consumer.role), Bytes::new()).await?;
    let floor = info.ack_floor.stream_seq;
    if floor != before {
        let up_to = json!({ "seq": floor.saturating_add(1) }).to_string();
        let done: Purged = ask(bus, format!("$JS.API.STREAM.PURGE.{stream}"), up_to.into()).await?;
        tracing::debug!(stream, floor, purged = done.purged, "removed handled messages");
    }
    Ok(floor)
}

async fn ask<T: DeserializeOwned>(bus: &Bus, subject: String, body: Bytes) -> Result<T, String> {
    let request = async_nats::Request::new().payload(body).timeout(Some(bus.ack_within));
    let answer = bus.client.send_request(subject, request).await.map_err(|error| error.to_string())?;
    match serde_json::from_slice(&answer.payload) {
        Ok(Answer::Good(good)) => Ok(good),
        Ok(Answer::Error { error }) => Err(error.description),
        Err(error) => Err(error.to_string()),
    }
}
