//! The streams, and each role's durable consumers on them. [`ensure`] makes both as they are written here; services only use them.
//!
//! | stream | subjects | keeps | read by |
//! |---|---|---|---|
//! | ALERTS | `alerts.>` | until handled | monitoring |
//! | A2A | `a2a.*.*.request`, `a2a.*.*.event`, `a2a.*.monitoring.announced` | for a week | monitoring, gateway (events); diagnostics, communication, remediation (requests) |
//! | APPROVALS | `approval.>` | for 30 days | gateway (requested, closed); remediation (decided) |
//! | FACTS | `fact.>` | for 30 days | ledger |
//! | DEAD | `dead.>` | until replayed or dropped | people |
//!
//! All refuse new messages when full, because forgetting old ones would break "accepted means kept"; the publisher then keeps what it
//! owes. Were handled alerts kept by age, a busy week would fill ALERTS with them and lock new ones out; so its reader trims it (see
//! `trim`). JetStream's own work queue retention does that too, but with an fsync for each removal, which takes half of a lone
//! sender's rate and nine tenths of the reader's.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType};
use incident::task::Role;
use tokio::time::Instant;

use crate::connection::Bus;

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_hours(24);

/// Elections take a second or two, and longer on machines that have much to do. One request is given up after 5 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// No leader yet, or a server that came back a moment ago.
const PASSING: [ErrorCode; 2] = [ErrorCode::CLUSTER_NOT_AVAILABLE, ErrorCode::CLUSTER_NO_PEERS];
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// What A2A messages are good for: no task runs longer, a late reader finds those of the weekend.
const A2A_AGE_MAX: Duration = DAY.saturating_mul(7);
/// Approvals expire within hours; a month lets an auditor compare.
const APPROVALS_AGE_MAX: Duration = DAY.saturating_mul(30);
/// The ledger may be away for this long and misses nothing.
const FACTS_AGE_MAX: Duration = DAY.saturating_mul(30);
/// Within this time JetStream itself drops a message that is sent twice. Longer costs memory; the inbox remembers for ever.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// Messages per stream, so that many small ones cannot exhaust the server's index memory.
const MESSAGES_MAX: i64 = 5_000_000;
/// Consumers per stream: ours, and room for people's tools.
const CONSUMERS_MAX: i32 = 32;

/// A delivery that is not answered for this long goes to somebody else. Deliveries in work renew it (see `held`), so it bounds only
/// how long a killed process's messages wait.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(5);
/// Deliveries under way per consumer, over all replicas: bounds memory and what a crash repeats.
const ACK_PENDING_MAX: i64 = 2_048;
/// Pull requests that wait at a consumer: some for each replica.
const PULLS_WAITING_MAX: i64 = 128;

/// The five streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Raw notifications.
    Alerts,
    /// Requests and events between agents.
    A2a,
    /// Approvals asked for and decided.
    Approvals,
    /// What happened.
    Facts,
    /// What could not be handled.
    Dead,
}

/// What may differ between installations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Copies of each message: 1 on one server, 3 in a cluster.
    pub replicas: usize,
    /// Bytes of alerts that wait: half an hour of a storm of 150 notifications of 2 KiB a second.
    pub alerts_bytes_max: u64,
    /// Bytes of messages between agents: about 5000 incidents a week.
    pub a2a_bytes_max: u64,
    /// Bytes of approvals.
    pub approvals_bytes_max: u64,
    /// Bytes of facts: about a million.
    pub facts_bytes_max: u64,
    /// Bytes of dead letters: far more than anybody looks through.
    pub dead_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicas: 1,
            alerts_bytes_max: 512 * MIB,
            a2a_bytes_max: 512 * MIB,
            approvals_bytes_max: 128 * MIB,
            facts_bytes_max: 1_024 * MIB,
            dead_bytes_max: 256 * MIB,
        }
    }
}

/// A stream or consumer could not be made as it should be.
#[derive(Debug, thiserror::Error)]
#[error("setting up {what} on NATS as user admin: {reason}")]
pub struct EnsureError {
    pub(crate) what: String,
    pub(crate) reason: String,
    /// Nobody was there to answer, which passes.
    pub(crate) is_passing: bool,
}

/// A role's durable consumer on a stream. It is called like the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    /// Where.
    pub stream: Stream,
    /// Whose.
    pub role: Role,
    /// What it takes.
    pub filters: &'static [&'static str],
}

/// Every consumer there is.
pub const CONSUMERS: [Consumer; 10] = [
    Consumer { stream: Stream::Alerts, role: Role::Monitoring, filters: &["alerts.>"] },
    Consumer { stream: Stream::A2a, role: Role::Monitoring, filters: &["a2a.*.monitoring.event", "a2a.*.monitoring.announced"] },
    Consumer { stream: Stream::A2a, role: Role::Gateway, filters: &["a2a.*.gateway.event"] },
    Consumer { stream: Stream::A2a, role: Role::Diagnostics, filters: &["a2a.*.diagnostics.request"] },
    Consumer { stream: Stream::A2a, role: Role::Communication, filters: &["a2a.*.communication.request"] },
    Consumer { stream: Stream::A2a, role: Role::Remediation, filters: &["a2a.*.remediation.request"] },
    Consumer { stream: Stream::Approvals, role: Role::Gateway, filters: &["approval.*.*.requested", "approval.*.*.closed"] },
    Consumer { stream: Stream::Approvals, role: Role::Remediation, filters: &["approval.*.*.decided"] },
    Consumer { stream: Stream::Facts, role: Role::Ledger, filters: &["fact.>"] },
    Consumer { stream: Stream::Facts, role: Role::Communication, filters: &["fact.*.*.opened"] },
];

impl Consumer {
    /// The consumers of a role.
    pub fn of(role: Role) -> impl Iterator<Item = Self> {
        CONSUMERS.into_iter().filter(move |consumer| consumer.role == role)
    }

    /// `STREAM/durable`, for logs and health.
    pub fn label(&self) -> String {
        format!("{}/{}", self.stream.name(), self.role)
    }

    fn config(&self) -> pull::Config {
        pull::Config {
            durable_name: Some(self.role.as_str().to_owned()),
            description: Some(format!("what {} handles", self.role)),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // We count attempts ourselves: the server would stop delivering without a dead letter.
            max_deliver: -1,
            filter_subjects: self.filters.iter().map(|&filter| filter.to_owned()).collect(),
            max_ack_pending: ACK_PENDING_MAX,
            max_waiting: PULLS_WAITING_MAX,
            ..Default::default()
        }
    }
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Alerts, Self::A2a, Self::Approvals, Self::Facts, Self::Dead];

    /// The name on the server.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "ALERTS",
            Self::A2a => "A2A",
            Self::Approvals => "APPROVALS",
            Self::Facts => "FACTS",
            Self::Dead => "DEAD",
        }
    }

    /// The subjects it takes. Of A2A only what must survive: calls that wait for a reply (`a2a.*.*.rpc.*`) are not for a stream, whose
    /// acknowledgement the caller would take for the reply.
    pub const fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Alerts => &["alerts.>"],
            Self::A2a => &["a2a.*.*.request", "a2a.*.*.event", "a2a.*.monitoring.announced"],
            Self::Approvals => &["approval.>"],
            Self::Facts => &["fact.>"],
            Self::Dead => &["dead.>"],
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Alerts => "notifications until monitoring has handled them",
            Self::A2a => "requests and events between agents",
            Self::Approvals => "approvals asked for and decided",
            Self::Facts => "what happened, for the ledger and anyone else",
            Self::Dead => "what could not be handled, with the reason",
        }
    }

    /// Zero: until it is handled, or a person says so.
    const fn age_max(self) -> Duration {
        match self {
            Self::Alerts | Self::Dead => Duration::ZERO,
            Self::A2a => A2A_AGE_MAX,
            Self::Approvals => APPROVALS_AGE_MAX,
            Self::Facts => FACTS_AGE_MAX,
        }
    }

    const fn bytes_max(self, settings: &Settings) -> u64 {
        match self {
            Self::Alerts => settings.alerts_bytes_max,
            Self::A2a => settings.a2a_bytes_max,
            Self::Approvals => settings.approvals_bytes_max,
            Self::Facts => settings.facts_bytes_max,
            Self::Dead => settings.dead_bytes_max,
        }
    }

    /// Whether handled messages are removed by their only reader.
    pub(crate) const fn is_trimmed(self) -> bool {
        matches!(self, Self::Alerts)
    }

    fn config(self, settings: &Settings) -> jetstream::stream::Config {
        jetstream::stream::Config {
            name: self.name().to_owned(),
            description: Some(self.description().to_owned()),
            subjects: self.subjects().iter().map(|&subject| subject.to_owned()).collect(),
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            max_bytes: i64::try_from(self.bytes_max(settings)).unwrap_or(i64::MAX),
            max_messages: MESSAGES_MAX,
            max_messages_per_subject: -1,
            max_consumers: CONSUMERS_MAX,
            max_age: self.age_max(),
            num_replicas: settings.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            allow_atomic_publish: matches!(self, Self::Alerts),
            ..Default::default()
        }
    }
}

/// Makes streams and consumers, or changes those there are to what is written here. Doing it again changes nothing. A cluster that elects
/// its leaders cannot answer meanwhile: it is asked again for [`ANSWERED_WITHIN`].
///
/// # Errors
/// If the server refuses: usually no JetStream, too little storage for the bounds, or a user that is not admin.
pub async fn ensure(admin: &Bus, settings: &Settings) -> Result<(), EnsureError> {
    let until = Instant::now() + ANSWERED_WITHIN;
    loop {
        match ensure_all(admin, settings).await {
            Err(error) if error.is_passing && Instant::now() < until => {
                tracing::warn!(%error, "NATS is not ready; asking again");
                tokio::time::sleep(ASKED_EVERY).await;
            }
            other => return other,
        }
    }
}

async fn ensure_all(admin: &Bus, settings: &Settings) -> Result<(), EnsureError> {
    let context = jetstream::new(admin.client.clone());
    for stream in Stream::ALL {
        context.create_or_update_stream(stream.config(settings)).await.map_err(|error| EnsureError {
            what: format!("stream {}", stream.name()),
            reason: error.to_string(),
            is_passing: match error.kind() {
                CreateStreamErrorKind::JetStream(error) => PASSING.contains(&error.error_code()),
                kind => kind == CreateStreamErrorKind::TimedOut,
            },
        })?;
    }
    crate::waiting::ensure_notebook(&context, settings.replicas).await?;
    for consumer in CONSUMERS {
        context.create_consumer_on_stream(consumer.config(), consumer.stream.name()).await.map_err(|error| EnsureError {
            what: format!("consumer {}", consumer.label()),
            reason: error.to_string(),
            is_passing: match error.kind() {
                ConsumerErrorKind::JetStream(error) => PASSING.contains(&error.error_code()),
                kind => kind == ConsumerErrorKind::TimedOut,
            },
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_consumer_on_a_stream_and_it_takes_only_what_the_stream_has() {
        let mut seen = std::collections::BTreeSet::new();
        for consumer in CONSUMERS {
            assert!(seen.insert((consumer.stream, consumer.role)), "{} twice", consumer.label());
            let is_taken = |filter: &&str| consumer.stream.subjects().iter().any(|subject| covers(subject, filter));
            assert!(consumer.filters.iter().all(is_taken), "{}", consumer.label());
        }
        assert_eq!(Consumer::of(Role::Connectors).count(), 0);
    }

    /// Whether every subject that the filter takes is one of the stream's.
    fn covers(subject: &str, filter: &str) -> bool {
        let mut wanted = filter.split('.');
        for token in subject.split('.') {
            match (token, wanted.next()) {
                (">", Some(_)) => return true,
                ("*", Some(other)) if other != ">" => {}
                (token, other) if other == Some(token) => {}
                _ => return false,
            }
        }
        wanted.next().is_none()
    }
}
