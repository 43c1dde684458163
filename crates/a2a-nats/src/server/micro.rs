//! The agent as a service of NATS (ADR-32): `nats micro` and the like find it, and so does [`crate::discover`]. All agents of a tenant
//! share one service name, so that permissions can keep tenants apart.

use async_nats::Message;
use serde_json::{Value, json};

use super::Server;
use crate::address::{Address, BINDING, QUEUE_GROUP, is_inbox, service_name};

/// Of the binding, in the form that ADR-32 wants.
const VERSION: &str = "1.0.0";
const VERBS: [&str; 3] = ["PING", "INFO", "STATS"];
/// Everybody, all of this name, and this one.
const SUBJECTS_PER_VERB: usize = 3;

/// Where one agent is asked about itself.
pub(super) fn subjects(address: &Address, replica: &str) -> impl Iterator<Item = String> {
    let name = service_name(address.tenant());
    VERBS
        .into_iter()
        .flat_map(move |verb| [format!("$SRV.{verb}"), format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.{replica}")])
}

/// Answers a question that was heard on the `place`th of all addresses' [`subjects`].
pub(super) async fn answer<S>(server: &Server<S>, place: usize, message: &Message) {
    let Some(inbox) = message.reply.as_ref().filter(|inbox| is_inbox(inbox)) else { return };
    let Some(address) = server.addresses.get(place / (VERBS.len() * SUBJECTS_PER_VERB)) else { return };
    let verb = message.subject.split('.').nth(1).unwrap_or_default();
    let told = match verb {
        "PING" => about(server, address, "ping"),
        "INFO" => info(server, address),
        _ => stats(server, address),
    };
    server.post.tell(inbox, &told).await;
}

fn about<S>(server: &Server<S>, address: &Address, kind: &str) -> Value {
    json!({
        "type": format!("io.nats.micro.v1.{kind}_response"),
        "name": service_name(address.tenant()),
        "id": server.replica,
        "version": VERSION,
        "metadata": {
            "tenant": address.tenant(),
            "agent": address.agent(),
            "protocolBinding": BINDING,
            "protocolVersion": a2a::parameters::VERSION,
        },
    })
}

fn endpoint(address: &Address) -> Value {
    json!({"name": "rpc", "subject": address.requests(), "queue_group": QUEUE_GROUP, "metadata": {}})
}

fn info<S>(server: &Server<S>, address: &Address) -> Value {
    let more = json!({"description": server.card.description, "endpoints": [endpoint(address)]});
    joined(about(server, address, "info"), more)
}

fn stats<S>(server: &Server<S>, address: &Address) -> Value {
    let counts = server.stats.counts();
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let average = counts.processing.checked_div(u32::try_from(counts.requests).unwrap_or(u32::MAX)).unwrap_or_default();
    let counted = json!({
        "num_requests": counts.requests,
        "num_errors": counts.errors,
        "last_error": counts.last_error,
        "processing_time": nanos(counts.processing),
        "average_processing_time": nanos(average),
    });
    let more = json!({"started": server.stats.started.to_rfc3339(), "endpoints": [joined(endpoint(address), counted)]});
    joined(about(server, address, "stats"), more)
}

fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
