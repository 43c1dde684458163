//! What people get while Postgres is away and nothing can be handled: the alerts as they came, in the tenant's fallback channel. The bus
//! has them, the connectors need no memory, and what was announced is noted in the bus's notebook, so that replicas and restarts do not
//! say it twice. Once Postgres is back and the alerts are handled, their incidents are told.
//!
//! It takes nothing from the stream of alerts and decides nothing: `incident::fallback` does.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bus::Bus;
use bus::subject::Subject;
use bus::waiting::{self, Notebook};
use chrono::{DateTime, TimeDelta, Utc};
use incident::alert::Notification;
use incident::fallback::{ANNOUNCED_AFTER, Announced, Announcement, Book, Stage};
use incident::id::{TenantId, fingerprint};
use mcp::Client;
use runtime::clock;
use runtime::lifecycle::Lifecycle;
use serde_json::json;
use store::Store;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{CALL_WITHIN, Ignored, Posted, card};

/// Between two looks at Postgres.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A Postgres that does not answer within this is away.
const PING_WITHIN: Duration = Duration::from_secs(1);
/// An alert that is older and still on the stream was not handled: handled ones are trimmed within two seconds.
const WAITS_SINCE: TimeDelta = TimeDelta::seconds(5);
/// Notifications read in one look: a storm is read in several.
const READ_MAX: usize = 500;
/// Races for a page that are lost before the next look.
const RACES_MAX: usize = 8;

/// Where and with what.
pub(crate) struct Fallback {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) slack: Client,
    /// Channel of each tenant that has one.
    pub(crate) channels: BTreeMap<TenantId, String>,
}

/// How far this process is.
struct Watch {
    away_since: Option<DateTime<Utc>>,
    /// Up to where the stream was read since Postgres went away.
    read_upto: u64,
    /// Whether incidents may still have to be told: also after a start, because another process may have announced something.
    may_owe: bool,
}

impl Fallback {
    /// Watches until the process stops.
    pub(crate) async fn run(self, life: Lifecycle) -> anyhow::Result<()> {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch { away_since: None, read_upto: 0, may_owe: true };
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = life.stopping() => return Ok(()),
            }
            tokio::select! {
                done = self.look(&mut watch) => {
                    if let Err(error) = done {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "alerts could not be announced as they came, or their incidents not told; trying again");
                    }
                }
                () = life.stopping() => return Ok(()),
            }
        }
    }

    async fn look(&self, watch: &mut Watch) -> anyhow::Result<()> {
        let now = clock::now();
        let is_there = matches!(timeout(PING_WITHIN, self.store.ping()).await, Ok(Ok(())));
        if is_there {
            watch.away_since = None;
            watch.read_upto = 0;
            if watch.may_owe {
                for (tenant, channel) in &self.channels {
                    while self.post_next((tenant, channel), now, |book| book.take_left(clock::now())).await? {}
                }
                watch.may_owe = self.tell_incidents().await?;
            }
            return Ok(());
        }
        let since = *watch.away_since.get_or_insert(now);
        if now - since < ANNOUNCED_AFTER {
            return Ok(());
        }
        watch.may_owe = true;
        watch.read_upto = self.read(watch.read_upto, now).await?;
        for (tenant, channel) in &self.channels {
            while self.post_next((tenant, channel), since, |book| book.take(clock::now())).await? {}
        }
        Ok(())
    }

    /// Notes what waits; gives up to where it has read.
    async fn read(&self, upto: u64, now: DateTime<Utc>) -> anyhow::Result<u64> {
        let all = waiting::from(&self.bus, upto.saturating_add(1), READ_MAX).await?;
        let (mut upto, mut by_tenant) = (upto, BTreeMap::<TenantId, Vec<(u64, Notification)>>::new());
        for one in all.into_iter().take_while(|one| now - one.since >= WAITS_SINCE) {
            upto = one.sequence;
            // What cannot be read ends as a dead letter of who handles it.
            if let Ok(notification) = serde_json::from_slice(&one.body) {
                by_tenant.entry(one.tenant).or_default().push((one.sequence, notification));
            }
        }
        for (tenant, waiting) in by_tenant.iter().filter(|(tenant, _)| self.channels.contains_key(*tenant)) {
            self.change(tenant, |book| book.look(waiting, now)).await?;
        }
        Ok(upto)
    }

    /// Posts the tenant's next announcement. False: there is none.
    async fn post_next(
        &self,
        (tenant, channel): (&TenantId, &str),
        away_since: DateTime<Utc>,
        take: impl FnMut(&mut Book) -> Option<(Announcement, u32)>,
    ) -> anyhow::Result<bool> {
        let Some((announcement, attempt)) = self.change(tenant, take).await? else { return Ok(false) };
        let message = json!({
            "channel": channel, "text": words(&announcement, away_since), "idempotency_key": announcement.id, "attempt": attempt,
            "not_before": announcement.at,
        });
        match self.slack.call::<Posted>("post_message", &message, CALL_WITHIN).await {
            Ok(Posted { channel, ts }) => {
                tracing::warn!(
                    tenant = tenant.as_str(),
                    alerts = announcement.lines.len() + announcement.more,
                    "alerts were announced as they came"
                );
                self.change(tenant, |book| book.posted(&announcement.id, (channel.clone(), ts.clone()))).await?;
                Ok(true)
            }
            Err(error) => {
                self.change(tenant, |book| book.failed(&announcement.id)).await?;
                Err(error).with_context(|| format!("announcing alerts of tenant {tenant} in {channel}"))
            }
        }
    }

    /// Tells the incidents of what was announced, once it is handled. Whether something is still to be told.
    async fn tell_incidents(&self) -> anyhow::Result<bool> {
        let waits_from = waiting::from(&self.bus, 1, 1).await?.first().map(|one| one.sequence);
        let mut is_owed = false;
        for (tenant, channel) in &self.channels {
            let notebook = Notebook::open(&self.bus).await?;
            let Some((page, revision)) = notebook.read(tenant).await? else { continue };
            let mut book: Book = serde_json::from_slice(&page).context("reading what was announced")?;
            let absorbed = book.absorb(waits_from);
            for announcement in &absorbed {
                self.absorb(tenant, channel, announcement).await?;
            }
            // Said twice it changes nothing: so who was slower says it again.
            let is_written =
                absorbed.is_empty() || notebook.write(tenant, serde_json::to_vec(&book)?.into(), Some(revision)).await?;
            is_owed |= !is_written || !book.is_settled();
        }
        Ok(is_owed)
    }

    async fn absorb(&self, tenant: &TenantId, channel: &str, announcement: &Announcement) -> anyhow::Result<()> {
        let Stage::Posted { room, name } = &announcement.stage else { return Ok(()) };
        let mut publications = Vec::new();
        for key in announcement.keys.keys() {
            let announced = Announced {
                tenant: tenant.clone(),
                key: key.clone(),
                announcement: announcement.id.clone(),
                place: format!("Slack {channel}"),
                at: announcement.at,
            };
            publications.push(bus::Publication {
                subject: Subject::Announced { tenant: tenant.clone() }.to_string(),
                id: format!("announced/{}/{}", announcement.id, fingerprint(&[&key.0])),
                trace: None,
                headers: vec![],
                body: serde_json::to_vec(&announced)?.into(),
            });
        }
        for published in self.bus.publish_all(&publications).await {
            published.context("telling incidents that they were announced")?;
        }
        let text = format!("✅ Paramedic is back: incidents have these alerts now.\n{}", listed(announcement));
        let edit = json!({ "channel": room, "ts": name, "text": text });
        self.slack.call::<Ignored>("update_message", &edit, CALL_WITHIN).await.context("taking an announcement back")?;
        Ok(())
    }

    /// Changes a tenant's page.
    async fn change<T>(&self, tenant: &TenantId, mut change: impl FnMut(&mut Book) -> T) -> anyhow::Result<T> {
        let notebook = Notebook::open(&self.bus).await?;
        for _ in 0..RACES_MAX {
            let page = notebook.read(tenant).await?;
            let mut book: Book = match &page {
                Some((page, _)) => serde_json::from_slice(page).context("reading what was announced")?,
                None => Book::default(),
            };
            let before = book.clone();
            let result = change(&mut book);
            let revision = page.map(|(_, revision)| revision);
            if book == before || notebook.write(tenant, serde_json::to_vec(&book)?.into(), revision).await? {
                return Ok(result);
            }
        }
        bail!("others write the page of tenant {tenant} all the time")
    }
}

fn words(announcement: &Announcement, away_since: DateTime<Utc>) -> String {
    let since = away_since.format("%H:%M UTC");
    format!(
        "⚠️ RAW ALERTS: Paramedic's database is away since {since}, so nothing is looked into. As they came:\n{}\nTheir incidents follow \
         when it is back.",
        listed(announcement)
    )
}

fn listed(announcement: &Announcement) -> String {
    let mut lines: Vec<String> = announcement.lines.iter().map(|line| format!("• {}", card::text(line))).collect();
    if announcement.more > 0 {
        lines.push(format!("… and {} more", announcement.more));
    }
    lines.join("\n")
}
