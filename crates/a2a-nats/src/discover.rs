//! Which agents a tenant has, and which of their replicas answer now.

use std::collections::BTreeMap;
use std::time::Duration;

use a2a::card::VerifyKey;
use a2a::{A2aError, AgentCard};
use async_nats::{Client, Message, StatusCode};
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::address::{Address, service_name};
use crate::cards::{BucketError, get_card};

/// After an answer, others come within this time or are taken to be down: they all got the question at once.
const STALL: Duration = Duration::from_millis(250);
/// A tenant has tens of replicas, not thousands.
const REPLICAS_MAX: usize = 1_024;

/// A process that serves an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    /// Its name; `$SRV.PING.a2a-<tenant>.<id>` asks it alone.
    pub id: String,
}

/// An agent that answers.
#[derive(Debug)]
pub struct Found {
    /// Where it is asked.
    pub address: Address,
    /// What it says of itself.
    pub description: String,
    /// Those that answered.
    pub replicas: Vec<Replica>,
    /// Its card in the bucket; none there, or the bucket cannot be used.
    pub card: Result<Option<AgentCard>, BucketError>,
}

/// The part of an `INFO` answer that is read.
#[derive(Deserialize)]
struct Info {
    id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Asks all agents of a tenant, for at most so long, and looks up their cards. Cards must be signed by one of the keys, if any are
/// given.
///
/// # Errors
/// If NATS cannot be asked.
pub async fn discover(
    client: &Client,
    tenant: &str,
    within: Duration,
    keys: &BTreeMap<String, VerifyKey>,
) -> Result<Vec<Found>, A2aError> {
    let down = |error: &dyn std::error::Error| A2aError::unavailable(format!("asking NATS for agents: {error}"));
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| down(&error))?;
    let question = format!("$SRV.INFO.{}", service_name(tenant));
    client.publish_with_reply(question, inbox, "".into()).await.map_err(|error| down(&error))?;
    let end = Instant::now() + within;
    let mut until = end;
    let mut agents: BTreeMap<Address, (String, Vec<Replica>)> = BTreeMap::new();
    for _ in 0..REPLICAS_MAX {
        let Ok(Some(answer)) = timeout_at(until, answers.next()).await else { break };
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            break;
        }
        until = end.min(Instant::now() + STALL);
        let Some((address, info)) = read(tenant, &answer) else { continue };
        let (description, replicas) = agents.entry(address).or_default();
        *description = info.description;
        replicas.push(Replica { id: info.id });
    }
    let jetstream = async_nats::jetstream::new(client.clone());
    let mut found = vec![];
    for (address, (description, mut replicas)) in agents {
        replicas.sort();
        replicas.dedup();
        let card = get_card(&jetstream, &address, keys).await;
        found.push(Found { address, description, replicas, card });
    }
    Ok(found)
}

/// What calls itself so without being of this tenant and this binding is left out.
fn read(tenant: &str, answer: &Message) -> Option<(Address, Info)> {
    let info: Info = serde_json::from_slice(&answer.payload).ok()?;
    let said = |key: &str| info.metadata.get(key).map(String::as_str);
    let is_ours = said("tenant") == Some(tenant) && said("protocolBinding") == Some(crate::BINDING);
    let address = Address::new(tenant, said("agent").filter(|_| is_ours)?).ok()?;
    Some((address, info))
}
