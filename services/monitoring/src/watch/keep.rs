//! Load, decide, commit, publish: the loop of every service, for the one row that a tenant's watch remembers in.

use std::time::Duration;

use anyhow::Context as _;
use bus::Bus;
use bus::subject::{Subject, shard_of};
use chrono::{DateTime, Utc};
use incident::agent::{Entity, Locator};
use incident::alert::{Alert, AlertStatus, Correlation, Notification};
use incident::handling::Stored;
use incident::id::TenantId;
use incident::watch::Grid;
use incident::watch::memory::{Looked, Memory, Turn, Watch};
use runtime::{clock, telemetry};
use store::{OutboxRow, Outcome, Owed, Publication, Store, Write};

use super::count;

/// The row's id: no incident is called so.
const ENTITY: &str = "watch";
/// The group that its notifications belong to, where Alertmanager names its route.
const GROUP: &str = "paramedic/watch";
/// Each lost race means that another replica has kept what it saw; then there is hardly anything left to keep.
const RACES_MAX: u32 = 8;

/// Keeps what a tenant's watch saw.
pub(super) struct Keeper {
    pub(super) tenant: TenantId,
    pub(super) grid: Grid,
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) lease: Duration,
    pub(super) correlation: Correlation,
}

impl Keeper {
    /// Takes a look in, and sends what it changes.
    pub(super) async fn keep(&self, looked: &[Looked<'_>], at: DateTime<Utc>) -> anyhow::Result<()> {
        for _ in 0..RACES_MAX {
            let stored = self.load().await?;
            let (memory, revision) = match stored {
                Some(Stored { entity, revision }) => (entity.state, Some(revision)),
                None => (Memory::default(), None),
            };
            let watch = Watch { tenant: &self.tenant, grid: self.grid };
            let Some(turn) = memory.turn(watch, looked, at) else { return Ok(()) };
            let alerts = turn.alerts.clone();
            if let Outcome::Done { owed, .. } = self.store.commit(&self.write(turn, revision)?).await.context("keeping it")? {
                self.say(&alerts);
                self.publish(owed).await;
                return Ok(());
            }
        }
        anyhow::bail!("{RACES_MAX} others were faster")
    }

    async fn load(&self) -> anyhow::Result<Option<Stored<Memory>>> {
        let loaded = self.store.load::<Memory, ()>(&self.tenant, &Locator::Id(ENTITY.to_owned()), &[]).await;
        Ok(loaded.context("reading what the watch remembers")?.stored)
    }

    fn write(&self, turn: Turn, revision: Option<u64>) -> anyhow::Result<Write<Memory, ()>> {
        let publications = turn.alerts.into_iter().map(|alert| self.publication(alert)).collect::<Result<Vec<_>, _>>()?;
        Ok(Write {
            tenant: self.tenant.clone(),
            id: ENTITY.to_owned(),
            expected: revision,
            // Not open: it is no incident, and listings of those do not have it.
            next: Some(Entity { id: ENTITY.to_owned(), open_key: None, state: turn.next }),
            handled: vec![],
            publications,
            effects: vec![],
            timers: vec![],
            records: vec![],
            rouses: false,
            trace: telemetry::traceparent(&tracing::Span::current()),
            now: clock::now(),
            lease: self.lease,
        })
    }

    /// As the gateway would write it. One alert a message: what else left in the same minute is another replica's matter, and must not
    /// make another id.
    fn publication(&self, alert: Alert) -> anyhow::Result<Publication> {
        let key = self.correlation.key(&alert.labels);
        let subject = Subject::Alerts { tenant: self.tenant.clone(), shard: shard_of(&key.0) };
        let group_key = GROUP.to_owned();
        let tenant = self.tenant.clone();
        let alerts = vec![alert];
        let notification = Notification {
            tenant,
            group_key,
            key,
            origin: None,
            alerts,
            truncated_alerts: 0,
            heartbeat: None,
            received_at: None,
        };
        let body = serde_json::to_vec(&notification).context("writing an alert")?;
        Ok(Publication { id: notification.message_id(), subject: subject.to_string(), headers: vec![], body })
    }

    fn say(&self, alerts: &[Alert]) {
        for alert in alerts {
            let status = match alert.status {
                AlertStatus::Firing => "firing",
                AlertStatus::Resolved => "resolved",
            };
            count::ALERTS.with_label_values(&[self.tenant.as_str(), status]).inc();
            tracing::info!(alert = alert.name(), status, fingerprint = alert.fingerprint, "the watch has news");
        }
    }

    /// At once, where that works. What does not stays in the outbox, and the sweep of monitoring sends it.
    async fn publish(&self, rows: Vec<OutboxRow>) {
        let (mut publications, mut leases) = (vec![], vec![]);
        for row in rows {
            leases.push(row.lease());
            if let Owed::Publication(Publication { id, subject, headers, body }) = row.owed {
                publications.push(bus::Publication { subject, id, trace: row.trace, headers, body: body.into() });
            }
        }
        let results = self.bus.publish_all(&publications).await;
        let published: Vec<_> =
            leases.into_iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(lease, _)| lease).collect();
        if let Some(error) = results.into_iter().find_map(Result::err) {
            tracing::warn!(error = %error, "an alert of the watch could not be published; the sweep sends it");
        }
        if let Err(error) = self.store.delete_published(&published).await {
            tracing::warn!(
                error = runtime::chain(&error),
                "published alerts stay in the outbox; they are sent again, as the same"
            );
        }
    }
}
