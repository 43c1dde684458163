//! Agent cards in the key-value bucket `A2A_CARDS`: a client finds an agent that does not run just now, and need not ask the agent
//! itself who it is.

use std::collections::BTreeMap;

use a2a::AgentCard;
use a2a::card::{CardError, VerifyKey};
use async_nats::jetstream::context::{CreateKeyValueError, KeyValueError};
use async_nats::jetstream::{Context, kv, stream};

use crate::address::{Address, BINDING};

/// Holds the card of each agent under `<tenant>.<agent>`.
pub const BUCKET: &str = "A2A_CARDS";
/// Cards are read by clients as a whole.
const CARD_BYTES_MAX: i32 = 256 << 10;

/// The bucket cannot be used, or does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// It cannot be made.
    #[error("making the bucket {BUCKET}")]
    Make(#[source] CreateKeyValueError),
    /// It is not there, or may not be read.
    #[error("opening the bucket {BUCKET}; it is made by who sets up JetStream")]
    Open(#[source] KeyValueError),
    /// The card cannot be put in.
    #[error("writing the card {key}")]
    Put {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: kv::PutError,
    },
    /// The card cannot be got out.
    #[error("reading the card {key}")]
    Get {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: kv::EntryError,
    },
    /// What is there is no card.
    #[error("the card {key} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        key: String,
        /// Why.
        reason: String,
    },
    /// None of its signatures is by a key that is trusted.
    #[error("the card {key} proves nothing")]
    Unproved {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: CardError,
    },
}

/// Makes the bucket, or leaves it as it is. Needs the rights of an administrator.
///
/// # Errors
/// If JetStream refuses.
pub async fn ensure_bucket(jetstream: &Context, replicas: usize) -> Result<(), BucketError> {
    let config = kv::Config {
        bucket: BUCKET.to_owned(),
        description: "Agent cards of A2A, by tenant and agent".to_owned(),
        history: 1,
        max_value_size: CARD_BYTES_MAX,
        storage: stream::StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    if jetstream.get_key_value(BUCKET).await.is_ok() {
        return Ok(());
    }
    jetstream.create_key_value(config).await.map(drop).map_err(BucketError::Make)
}

/// Puts a card where others find it; in place of an older one.
///
/// # Errors
/// If the bucket is not there, or refuses.
pub async fn put_card(jetstream: &Context, address: &Address, card: &AgentCard) -> Result<(), BucketError> {
    let key = address.card_key();
    let unreadable = |error: serde_json::Error| BucketError::Unreadable { key: key.clone(), reason: error.to_string() };
    let json = serde_json::to_vec(card).map_err(unreadable)?;
    let bucket = jetstream.get_key_value(BUCKET).await.map_err(BucketError::Open)?;
    bucket.put(&key, json.into()).await.map(drop).map_err(|source| BucketError::Put { key, source })
}

/// Reads a card. If keys are given, one of them (by `kid`) must have signed it; without keys the card is who may write the bucket says
/// it is. Cards of others need not keep all rules for ours: only size, and the interface of this binding, if there is one, are checked.
///
/// # Errors
/// If the bucket cannot be read, or what is there is no card, or not a trusted one. `Ok(None)` if there is none.
pub async fn get_card(
    jetstream: &Context,
    address: &Address,
    keys: &BTreeMap<String, VerifyKey>,
) -> Result<Option<AgentCard>, BucketError> {
    let key = address.card_key();
    let bucket = jetstream.get_key_value(BUCKET).await.map_err(BucketError::Open)?;
    let found = bucket.get(&key).await.map_err(|source| BucketError::Get { key: key.clone(), source })?;
    let Some(json) = found else { return Ok(None) };
    let unreadable = |reason: String| BucketError::Unreadable { key: key.clone(), reason };
    if !i32::try_from(json.len()).is_ok_and(|bytes| bytes <= CARD_BYTES_MAX) {
        return Err(unreadable(format!("it has {} bytes; at most {CARD_BYTES_MAX} are read", json.len())));
    }
    let card: AgentCard = a2a::read(&json).map_err(|error| unreadable(error.to_string()))?;
    if let Some(interface) = card.interface(BINDING) {
        Address::from_url(&interface.url).map_err(|error| unreadable(error.to_string()))?;
    }
    if !keys.is_empty() {
        a2a::card::verify(&card, keys).map_err(|source| BucketError::Unproved { key, source })?;
    }
    Ok(Some(card))
}
