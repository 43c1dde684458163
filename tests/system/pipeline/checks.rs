//! How every story must end: nothing owed, nothing lost, nothing twice, and the record whole.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use futures::TryStreamExt as _;
use incident::fact::What;
use incident::task::Role;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use testkit::fakes::slack::Message;

use super::bus_users::MESSAGE_ID;
use super::watched::{PLAN, UNDONE};
use super::{FALLBACK, Pipeline, until};

const DEAD: &str = "DEAD";

/// What must have happened outside, in all, by the end of a test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// Incidents, each with one card and one issue where Slack and Jira are configured.
    pub(crate) incidents: usize,
    /// Rollbacks.
    pub(crate) rollbacks: usize,
    /// Of these, taken back.
    pub(crate) undone: usize,
    /// Dead letters.
    pub(crate) dead: u64,
}

impl Ending {
    /// One incident, one rollback.
    pub(crate) const REPAIRED: Self = Self { incidents: 1, rollbacks: 1, undone: 0, dead: 0 };
    /// One incident, and nothing changed.
    pub(crate) const UNTOUCHED: Self = Self { incidents: 1, rollbacks: 0, undone: 0, dead: 0 };
}

impl Pipeline {
    /// Waits until all work is done, checks what came of it, and stops the program.
    pub(crate) async fn settled(mut self: Box<Self>, ending: Ending) -> Result<()> {
        until("an end of all work", async || {
            self.is_idle().await?;
            let dead = self.dead_letters().await?;
            ensure!(dead == ending.dead, "{dead} dead letters, not {}", ending.dead);
            Ok(())
        })
        .await?;
        self.nothing_twice(ending).await?;
        self.promises_kept(&self.left(&self.namespaces, &BTreeSet::new()).await?).await?;
        self.records_are_whole().await?;
        self.process.stop().await
    }

    /// Nobody has changed what was recorded.
    pub(crate) async fn records_are_whole(&self) -> Result<()> {
        for tenant in self.tenants() {
            self.process.administers(&["audit", "verify", "--tenant", tenant]).await?;
        }
        Ok(())
    }

    /// Nothing waits in an outbox or before a consumer, at one moment: no message came or was handled while the outboxes were looked at.
    pub(crate) async fn is_idle(&self) -> Result<()> {
        let before = self.queues_are_empty().await?;
        self.owes_nothing().await?;
        let after = self.queues_are_empty().await?;
        ensure!(before == after, "messages came: {before:?}, then {after:?}");
        Ok(())
    }

    /// How many letters are dead.
    pub(crate) async fn dead_letters(&self) -> Result<u64> {
        Ok(jetstream::new(self.admin().await?).get_stream(DEAD).await?.cached_info().state.messages)
    }

    /// The messages that are dead letters now.
    pub(crate) async fn dead_ids(&self) -> Result<BTreeSet<String>> {
        let stream = jetstream::new(self.admin().await?).get_stream(DEAD).await?;
        let (mut ids, mut from) = (BTreeSet::new(), 1);
        while let Ok(message) = stream.direct_get_next_for_subject("dead.>", Some(from)).await {
            from = message.sequence + 1;
            ids.extend(message.headers.get(MESSAGE_ID).map(|id| id.as_str().to_owned()));
        }
        Ok(ids)
    }

    /// The messages that monitoring has handled.
    pub(crate) async fn handled_alerts(&self) -> Result<BTreeSet<String>> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        let query = sqlx::query_scalar("select message_id from monitoring.inbox");
        let handled: Vec<String> = query.fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(handled.into_iter().collect())
    }

    /// No outbox holds a row.
    async fn owes_nothing(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        for role in Role::ALL.iter().filter(|role| **role != Role::Connectors) {
            // The name of a role is one of ours.
            let query = AssertSqlSafe(format!("select count(*), min(id) from {role}.outbox"));
            let (owed, first): (i64, Option<String>) = sqlx::query_as(query).fetch_one(&mut connection).await?;
            ensure!(owed == 0, "{role} still owes {owed}, such as {first:?}");
        }
        Ok(connection.close().await?)
    }

    /// No consumer has anything before it; gives the number of the last message of each stream.
    async fn queues_are_empty(&self) -> Result<BTreeMap<String, u64>> {
        let context = jetstream::new(self.admin().await?);
        let (mut streams, mut last) = (context.streams(), BTreeMap::new());
        while let Some(stream) = streams.try_next().await? {
            let name = stream.config.name;
            let mut consumers = context.get_stream(&name).await?.consumers();
            while let Some(consumer) = consumers.try_next().await? {
                let (pending, unacknowledged) = (consumer.num_pending, consumer.num_ack_pending);
                ensure!(pending == 0 && unacknowledged == 0, "{name}/{}: {pending} and {unacknowledged}", consumer.name);
            }
            last.insert(name, stream.state.last_sequence);
        }
        Ok(last)
    }

    async fn nothing_twice(&self, ending: Ending) -> Result<()> {
        let incidents = self.incidents().await?;
        ensure!(incidents.len() == ending.incidents, "{} incidents: {incidents:?}", incidents.len());
        let mut facts = Vec::new();
        for incident in &incidents {
            facts.extend(self.facts(&incident.id).await?);
        }
        let executed: Vec<_> = facts.iter().filter(|what| matches!(what, What::Executed { .. })).collect();
        let undone: Vec<_> = facts.iter().filter(|what| matches!(what, What::Undone { .. })).collect();
        ensure!(executed.len() == ending.rollbacks, "{executed:?}");
        ensure!(undone.len() == ending.undone, "{undone:?}");
        self.cluster_agrees(&facts, ending).await?;
        self.told_once(&facts, ending)
    }

    /// The Deployments changed as often as the record says, and carry its plans.
    async fn cluster_agrees(&self, facts: &[What], ending: Ending) -> Result<()> {
        let (mut changes, mut plans, mut taken_back) = (0, Vec::new(), Vec::new());
        for namespace in &self.namespaces {
            changes += self.changes(namespace).await?;
            let mut annotations = self.deployment(namespace).await?.metadata.annotations.unwrap_or_default();
            plans.extend(annotations.remove(PLAN));
            taken_back.extend(annotations.remove(UNDONE));
        }
        let expected = i64::try_from(ending.rollbacks + ending.undone)?;
        ensure!(changes == expected, "the specs were changed {changes} times, not {expected}");
        let mut recorded: Vec<String> = facts.iter().filter_map(executed).collect();
        recorded.sort();
        plans.sort();
        ensure!(plans == recorded, "the Deployments carry {plans:?}, the record says {recorded:?}");
        ensure!(taken_back.len() == ending.undone, "taken back: {taken_back:?}");
        Ok(())
    }

    /// One card and one issue an incident, and no line of a thread twice for one bulletin.
    fn told_once(&self, facts: &[What], ending: Ending) -> Result<()> {
        if !self.options.channels {
            return Ok(());
        }
        let messages: Vec<Message> = self.slack.messages().into_iter().filter(|message| message.channel != FALLBACK).collect();
        let cards: Vec<&str> = messages.iter().filter(|m| m.thread_ts.is_none()).map(|m| m.text.as_str()).collect();
        ensure!(cards.len() == ending.incidents, "cards: {cards:?}");
        let issues: Vec<String> =
            self.jira.issues().into_iter().map(|issue| format!("{} {}", issue.key, issue.summary)).collect();
        ensure!(issues.len() == ending.incidents, "issues: {issues:?}");
        let told: Vec<&What> =
            facts.iter().filter(|what| matches!(what, What::Told { place, .. } if place.starts_with("Slack"))).collect();
        let texts: Vec<String> = messages.iter().map(|message| format!("{:?} {}", message.thread_ts, message.text)).collect();
        ensure!(messages.len() == told.len(), "the channel has {texts:#?}, but the record has {told:#?}");
        Ok(())
    }

    /// The bus, as its administrator.
    pub(crate) async fn admin(&self) -> Result<async_nats::Client> {
        let password = super::configuration::password("admin");
        let options = async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), password);
        options.connect(self.nats.urls()).await.context("connecting to NATS as administrator")
    }
}

fn executed(what: &What) -> Option<String> {
    match what {
        What::Executed { digest, .. } => Some(digest.0.clone()),
        _ => None,
    }
}
