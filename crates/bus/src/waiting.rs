//! Alerts that wait in the stream, seen by somebody who does not handle them; and a notebook for who must remember something while
//! Postgres is away.
//!
//! Looking takes nothing: whoever handles the alerts finds them as if nobody had looked.

use async_nats::jetstream::context::CreateKeyValueErrorKind;
use async_nats::jetstream::kv::{self, CreateErrorKind, UpdateErrorKind};
use async_nats::jetstream::stream::{self, DirectGetErrorKind, StorageType};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use incident::id::TenantId;

use crate::connection::Bus;
use crate::stream::{EnsureError, Stream};
use crate::subject::Subject;

/// The notebook's bucket.
pub(crate) const BUCKET: &str = "FALLBACK";
/// What all alerts are on.
const ALERTS: &str = "alerts.>";
/// Far above what a tenant's page holds: some thousand alerts in a word, some tens in a line.
const PAGE_BYTES_MAX: i32 = 4 << 20;
/// Pages: one for each tenant.
const NOTEBOOK_BYTES_MAX: i64 = 256 << 20;

/// A notification that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the stream.
    pub sequence: u64,
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// Whose.
    pub tenant: TenantId,
    /// What it says.
    pub body: Bytes,
}

/// The stream or the notebook cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {reason}")]
pub struct WaitingError {
    doing: &'static str,
    reason: String,
}

fn failed(doing: &'static str) -> impl FnOnce(String) -> WaitingError {
    move |reason| WaitingError { doing, reason }
}

async fn alerts(bus: &Bus) -> Result<stream::Stream<()>, WaitingError> {
    let context = jetstream::new(bus.client.clone());
    let opened = context.get_stream_no_info(Stream::Alerts.name()).await;
    opened.map_err(|error| failed("opening the stream of alerts")(error.to_string()))
}

/// At most `limit` notifications from place `from` on, in order. What was handled may be among them for some seconds.
///
/// # Errors
/// If the server does not answer, or something is on the stream that the gateway did not put there.
pub async fn from(bus: &Bus, from: u64, limit: usize) -> Result<Vec<Waiting>, WaitingError> {
    let stream = alerts(bus).await?;
    let (mut found, mut next) = (Vec::new(), from.max(1));
    while found.len() < limit {
        let message = match stream.direct_get_next_for_subject(ALERTS, Some(next)).await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => break,
            Err(error) => return Err(failed("reading alerts that wait")(error.to_string())),
        };
        next = message.sequence.saturating_add(1);
        let subject = message.subject.as_str().parse::<Subject>();
        let subject = subject.map_err(|error| failed("reading alerts that wait")(error.to_string()))?;
        let nanos = i64::try_from(message.time.unix_timestamp_nanos()).unwrap_or_default();
        let since = DateTime::from_timestamp_nanos(nanos);
        found.push(Waiting { sequence: message.sequence, since, tenant: subject.tenant().clone(), body: message.payload });
    }
    Ok(found)
}

/// Makes the notebook, if there is none.
pub(crate) async fn ensure_notebook(context: &Context, replicas: usize) -> Result<(), EnsureError> {
    if context.get_key_value(BUCKET).await.is_ok() {
        return Ok(());
    }
    let config = kv::Config {
        bucket: BUCKET.to_owned(),
        description: "what was announced while Postgres was away, by tenant".to_owned(),
        history: 1,
        max_value_size: PAGE_BYTES_MAX,
        max_bytes: NOTEBOOK_BYTES_MAX,
        storage: StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    let made = context.create_key_value(config).await;
    made.map(drop).map_err(|error| EnsureError {
        what: format!("bucket {BUCKET}"),
        reason: error.to_string(),
        is_passing: matches!(error.kind(), CreateKeyValueErrorKind::TimedOut | CreateKeyValueErrorKind::BucketCreate),
    })
}

/// Pages that survive Postgres, one for each tenant. Who writes one must have read it: a page that somebody else has written since is
/// left as it is.
#[derive(Debug, Clone)]
pub struct Notebook(kv::Store);

impl Notebook {
    /// Opens it.
    ///
    /// # Errors
    /// If it is not there or the server does not answer.
    pub async fn open(bus: &Bus) -> Result<Self, WaitingError> {
        let context = jetstream::new(bus.client.clone());
        let opened = context.get_key_value(BUCKET).await;
        opened.map(Self).map_err(|error| failed("opening the notebook of what was announced")(error.to_string()))
    }

    /// A tenant's page and its revision, if there is one.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn read(&self, tenant: &TenantId) -> Result<Option<(Bytes, u64)>, WaitingError> {
        let entry = self.0.entry(tenant.as_str()).await;
        let entry = entry.map_err(|error| failed("reading what was announced")(error.to_string()))?;
        Ok(entry.filter(|entry| entry.operation == kv::Operation::Put).map(|entry| (entry.value, entry.revision)))
    }

    /// Writes a page in place of the revision that was read. False: somebody else was faster.
    ///
    /// # Errors
    /// If the server does not answer; it may be written or not.
    pub async fn write(&self, tenant: &TenantId, page: Bytes, read: Option<u64>) -> Result<bool, WaitingError> {
        let doing = "writing what was announced";
        let Some(revision) = read else {
            return match self.0.create(tenant.as_str(), page).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(failed(doing)(error.to_string())),
            };
        };
        match self.0.update(tenant.as_str(), page, revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(failed(doing)(error.to_string())),
        }
    }
}
