//! Who may publish and hear what: the rights of a NATS user that make the subject a proof of who asks.
//!
//! Each user has an inbox prefix of its own (`_INBOX_<user>`), so that nobody hears another's answers; agents may publish answers only
//! where they were asked to.

use std::fmt;
use std::time::Duration;

use crate::address::{Address, AddressError, QUEUE_GROUP, service_name};
use crate::cards::BUCKET;

/// How long an agent may answer in an inbox after a message named it. A message within this time does not prolong it, one after it makes it
/// begin anew: a stream is silent then until its client, missing a heartbeat, asks for the frames again.
const ANSWER_WITHIN: Duration = Duration::from_hours(1);
const VERBS: [&str; 3] = ["PING", "INFO", "STATS"];

/// What one user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects that it may publish to.
    pub publish: Vec<String>,
    /// Subjects that it may subscribe to, some of them in a queue group only: `<subject> <group>`.
    pub subscribe: Vec<String>,
    /// For how long it may answer messages that it heard (`allow_responses`); `None`: never.
    pub answer_within: Option<Duration>,
}

impl Permissions {
    /// Both users' rights, for a process that is agent and sender, or several agents.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.publish.extend(other.publish);
        self.subscribe.extend(other.subscribe);
        for list in [&mut self.publish, &mut self.subscribe] {
            list.sort();
            list.dedup();
        }
        self.answer_within = self.answer_within.max(other.answer_within);
        self
    }
}

/// The value of `permissions` in the configuration of nats-server.
impl fmt::Display for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |subjects: &[String]| subjects.iter().map(|subject| format!("{subject:?}")).collect::<Vec<_>>().join(", ");
        write!(out, "{{ publish: {{ allow: [{}] }}, ", list(&self.publish))?;
        write!(out, "subscribe: {{ allow: [{}] }}", list(&self.subscribe))?;
        if let Some(within) = self.answer_within {
            write!(out, ", allow_responses: {{ max: -1, expires: \"{}s\" }}", within.as_secs())?;
        }
        out.write_str(" }")
    }
}

/// What the user of an agent's replicas may do. `inbox_prefix` is the user's own, as in `ConnectOptions::custom_inbox_prefix`.
pub fn agent_permissions(address: &Address, inbox_prefix: &str) -> Permissions {
    let name = service_name(address.tenant());
    let asked = VERBS
        .into_iter()
        .flat_map(|verb| [format!("$SRV.{verb}"), format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.*")]);
    let heard = [format!("{} {QUEUE_GROUP}", address.requests()), address.controls("*"), format!("{inbox_prefix}.>")];
    Permissions {
        publish: vec![
            address.alive(),
            format!("$KV.{BUCKET}.{}", address.card_key()),
            format!("$JS.API.STREAM.INFO.KV_{BUCKET}"),
        ],
        subscribe: heard.into_iter().chain(asked).collect(),
        answer_within: Some(ANSWER_WITHIN),
    }
}

/// What the user of a sender may do who asks these agents. They are all of one tenant: a sender in two tenants is two senders.
///
/// # Errors
/// If the sender is no token.
pub fn sender_permissions(sender: &str, agents: &[Address], inbox_prefix: &str) -> Result<Permissions, AddressError> {
    let (mut publish, mut subscribe) = (vec![], vec![format!("{inbox_prefix}.>")]);
    for address in agents {
        let asked = address.asked_by(sender)?;
        publish.push(format!("{asked}.*.*.*"));
        publish.push(asked);
        publish.push(format!("$JS.API.DIRECT.GET.KV_{BUCKET}.$KV.{BUCKET}.{}", address.card_key()));
        subscribe.push(address.alive());
        let name = service_name(address.tenant());
        publish.extend(VERBS.into_iter().flat_map(|verb| [format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.*")]));
    }
    publish.push(format!("$JS.API.STREAM.INFO.KV_{BUCKET}"));
    publish.sort();
    publish.dedup();
    Ok(Permissions { publish, subscribe, answer_within: None })
}
