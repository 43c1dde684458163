//! One suite of behaviours over every binding: JSON-RPC, HTTP+JSON, gRPC and NATS must show the same of one engine.

#[cfg(test)]
mod bed;
#[cfg(test)]
mod suite;

use std::collections::BTreeMap;

use a2a::A2aService;
use serde_json::Value;

use crate::bed::Bed;
use crate::suite::{Side, behaviours};

/// What every behaviour looked like on one binding.
async fn transcripts<S: A2aService>(side: &Side<S>) -> BTreeMap<&'static str, Value> {
    let mut seen = BTreeMap::new();
    for (name, behaviour) in behaviours::<S>() {
        eprintln!("{}: {name}", side.name);
        seen.insert(name, behaviour(side).await);
    }
    seen
}

/// Compares with what JSON-RPC showed: there nothing is converted on the way.
async fn alike<S: A2aService>(bed: &Bed, side: Side<S>) {
    let expected = transcripts(&bed.json_rpc()).await;
    for (name, seen) in transcripts(&side).await {
        assert_eq!(Some(&seen), expected.get(name), "{name} looks otherwise over {}", side.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_json_shows_what_json_rpc_shows() {
    let bed = bed::bed().await;
    alike(&bed, bed.http_json()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_shows_what_json_rpc_shows() {
    let bed = bed::bed().await;
    alike(&bed, bed.grpc()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_shows_what_json_rpc_shows() {
    let bed = bed::bed().await;
    alike(&bed, bed.nats().await).await;
}

/// A task that takes longer than the engine waits is answered as it stands. A binding that waits less would answer an error instead.
#[test]
fn nats_waits_longer_than_the_engine() {
    assert!(a2a_nats::Limits::default().deadline_default > tasks::Limits::default().blocking_max);
}
