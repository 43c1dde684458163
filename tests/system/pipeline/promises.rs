//! The promises, asked of everything that a pipeline has left behind: records, tables, chat, tracker, cluster.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use incident::fact::Fact;
use incident::id::IncidentId;
use incident::promises::world::{self, Change, Deed, DeedKind, Shown, Waiting};
use incident::promises::{self, Broken};
use incident::task::{Phase, Role};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use testkit::fakes::jira::Issue;
use testkit::fakes::slack::Message;

use super::configuration::{OTHER_CHANNEL, OTHER_PROJECT};
use super::{OTHER_TENANT, Pipeline, TENANT, until};

/// All processes run on one machine.
const CLOCKS_APART: TimeDelta = TimeDelta::zero();
/// Who posts the notices of storms.
const DESK: &str = "desk";
/// Jira's category of what is over.
const DONE: &str = "done";

/// What an installation left behind.
pub(crate) struct Left {
    /// By incident.
    pub(crate) facts: BTreeMap<IncidentId, Vec<Fact>>,
    /// What was done outside.
    pub(crate) deeds: Vec<Deed>,
    /// What was changed in the cluster.
    pub(crate) changes: Vec<Change>,
    /// What of this was taken back.
    pub(crate) undone: Vec<Change>,
    shown: Vec<Shown>,
}

impl Left {
    /// Every fact.
    pub(crate) fn all_facts(&self) -> Vec<Fact> {
        self.facts.values().flatten().cloned().collect()
    }
}

impl Pipeline {
    /// All incidents that there are.
    pub(crate) async fn known(&self) -> Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        for tenant in self.tenants() {
            known.extend(self.incidents_of(tenant).await?.into_iter().map(|incident| incident.id));
        }
        Ok(known)
    }

    /// What there is in these namespaces, and of incidents that are none of those `before`.
    pub(crate) async fn left(&self, namespaces: &[String], before: &BTreeSet<String>) -> Result<Left> {
        let mut facts: BTreeMap<IncidentId, Vec<Fact>> = BTreeMap::new();
        for tenant in self.tenants() {
            for incident in self.incidents_of(tenant).await?.into_iter().filter(|incident| !before.contains(&incident.id)) {
                facts.insert(incident.id.parse()?, self.record(tenant, &incident.id).await?);
            }
        }
        let (mut deeds, mut shown) = (Vec::new(), Vec::new());
        let storms: Vec<&IncidentId> = facts.keys().filter(|incident| incident.as_str().starts_with("storm_")).collect();
        // The desk posts notices under its own name; which storm one is about cannot be seen, unless there was just one.
        let about = |incident: IncidentId| match storms.as_slice() {
            [only] if incident.as_str() == DESK => (*only).clone(),
            _ => incident,
        };
        for message in self.slack.messages() {
            let said = spoken(&message).map(|deed| Deed { incident: about(deed.incident.clone()), ..deed });
            deeds.extend(said.filter(|deed| facts.contains_key(&deed.incident)));
            let cards = card(&message).map(|one| Shown { incident: about(one.incident.clone()), ..one });
            shown.extend(cards.filter(|one| facts.contains_key(&one.incident)));
        }
        for issue in self.jira.issues() {
            let incident = named(&issue)?;
            if facts.contains_key(&incident) {
                deeds.extend(written(&issue, &incident));
                shown.push(Shown { incident, is_over: issue.status.category == DONE });
            }
        }
        let (mut changes, mut undone) = (Vec::new(), Vec::new());
        for namespace in namespaces {
            let tenant = self.owner(namespace)?;
            changes.extend(self.watched.changes(&tenant, namespace)?);
            undone.extend(self.watched.undone(&tenant, namespace)?);
        }
        let plans = plans(&facts);
        let cluster = |change: &Change, kind| {
            let incident = plans.get(change.digest.0.as_str()).copied().cloned()?;
            Some(Deed { tenant: change.tenant.clone(), incident, kind, step: change.digest.0.clone() })
        };
        let made = changes.iter().map(|change| cluster(change, DeedKind::Change));
        let taken_back = undone.iter().map(|change| cluster(change, DeedKind::Undo));
        let done: Option<Vec<Deed>> = made.chain(taken_back).collect();
        deeds.extend(done.context("the cluster was changed by a plan that nobody proposed")?);
        Ok(Left { facts, deeds, changes, undone, shown })
    }

    /// Asks all promises that can be asked at the end, whatever the test was about.
    pub(crate) async fn promises_kept(&self, left: &Left) -> Result<()> {
        let facts = left.all_facts();
        let mut broken: Vec<Broken> = left.facts.values().flat_map(|facts| promises::broken(facts, CLOCKS_APART)).collect();
        broken.extend(world::one_effect(&left.deeds));
        broken.extend(world::no_change_without_a_yes(&left.changes, &facts, usize::from(self.options.approvers)));
        broken.extend(world::what_was_approved_is_what_ran(&left.changes, &facts));
        broken.extend(world::undone_as_planned(&left.undone, &facts));
        broken.extend(world::every_wait_has_a_deadline(&self.open(left).await?));
        broken.extend(world::what_was_owed_is_delivered(&left.shown, &facts));
        broken.extend(world::tenants_are_apart(&left.deeds, &facts));
        broken.extend(world::costs_are_booked(&left.deeds, &facts));
        ensure!(broken.is_empty(), "promises were broken: {broken:#?}");
        // Timers go on meanwhile: what they tell is recorded a moment later.
        let told = self.told(left).await?;
        until("every fact on the record", async || {
            let mut recorded = BTreeSet::new();
            for (incident, facts) in &left.facts {
                let tenant = facts.first().context("an incident without facts")?.tenant.as_str();
                recorded.extend(self.record(tenant, incident.as_str()).await?.into_iter().map(|fact| fact.id));
            }
            let missing = world::every_fact_is_recorded(&told, &recorded);
            ensure!(missing.is_empty(), "promises were broken: {missing:#?}");
            Ok(())
        })
        .await
    }

    /// Incidents that are not over, and when each is looked at again.
    async fn open(&self, left: &Left) -> Result<Vec<Waiting>> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        let query = "select e.id, min(t.due_at), exists (
                select from monitoring.outbox o where o.tenant = e.tenant and o.entity = e.id and o.kind = 'effect')
            from monitoring.entity e left join monitoring.timer t on t.tenant = e.tenant and t.entity = e.id
            where e.open_key is not null group by e.tenant, e.id";
        let rows: Vec<(String, Option<DateTime<Utc>>, bool)> = sqlx::query_as(query).fetch_all(&mut connection).await?;
        connection.close().await?;
        let known = rows.into_iter().filter(|(id, ..)| left.facts.keys().any(|incident| incident.as_str() == id));
        let role = Role::Monitoring;
        Ok(known.map(|(entity, deadline, is_owed)| Waiting { role, entity, deadline, is_owed }).collect())
    }

    /// Facts that are on the bus, about these incidents.
    async fn told(&self, left: &Left) -> Result<Vec<Fact>> {
        let stream = async_nats::jetstream::new(self.admin().await?).get_stream("FACTS").await?;
        let (mut facts, mut from) = (Vec::new(), 1);
        while let Ok(message) = stream.direct_get_next_for_subject("fact.>", Some(from)).await {
            from = message.sequence + 1;
            let fact: Fact = serde_json::from_slice(&message.payload)?;
            if left.facts.contains_key(&fact.incident) {
                facts.push(fact);
            }
        }
        ensure!(!facts.is_empty() || left.facts.is_empty(), "no facts are on the bus");
        Ok(facts)
    }
}

/// Which incident each plan was proposed for.
fn plans(facts: &BTreeMap<IncidentId, Vec<Fact>>) -> BTreeMap<&str, &IncidentId> {
    let proposed = facts.values().flatten().filter_map(|fact| match &fact.what {
        incident::fact::What::Proposed { digest, .. } => Some((digest.0.as_str(), &fact.incident)),
        _ => None,
    });
    proposed.collect()
}

/// The effect that posted a message, by the key that it left with it.
fn key(message: &Message) -> Option<(&str, IncidentId)> {
    let key = message.metadata.pointer("/event_payload/key").and_then(Value::as_str)?;
    Some((key, key.split('/').next()?.parse().ok()?))
}

fn spoken(message: &Message) -> impl Iterator<Item = Deed> {
    let kind = if message.thread_ts.is_none() { DeedKind::Card } else { DeedKind::Line };
    let tenant = if message.channel == OTHER_CHANNEL { OTHER_TENANT } else { TENANT };
    let deed =
        |(step, incident): (&str, IncidentId)| Some(Deed { tenant: tenant.parse().ok()?, incident, kind, step: step.to_owned() });
    key(message).and_then(deed).into_iter()
}

fn card(message: &Message) -> impl Iterator<Item = Shown> {
    let is_over = message.blocks.to_string().contains(&format!("· {} ·", Phase::Resolved.label()));
    let shown = key(message).filter(|_| message.thread_ts.is_none()).map(|(_, incident)| Shown { incident, is_over });
    shown.into_iter()
}

/// The incident that an issue is about: its description begins with it.
fn named(issue: &Issue) -> Result<IncidentId> {
    let text = issue.description.to_string();
    let (_, rest) = text.split_once("Incident ").with_context(|| format!("{} names no incident: {text}", issue.key))?;
    let id = rest.split(',').next().unwrap_or_default();
    id.parse().with_context(|| format!("{} names {id:?}", issue.key))
}

/// An issue and its comments; a comment's last line is the key that its effect left with it.
fn written(issue: &Issue, incident: &IncidentId) -> Vec<Deed> {
    let tenant = if issue.project == OTHER_PROJECT { OTHER_TENANT } else { TENANT };
    let deed =
        |kind, step: &str| Some(Deed { tenant: tenant.parse().ok()?, incident: incident.clone(), kind, step: step.to_owned() });
    let comments = issue.comments.iter().map(|comment| (DeedKind::Comment, comment.text.lines().last().unwrap_or_default()));
    std::iter::once((DeedKind::Issue, issue.key.as_str())).chain(comments).filter_map(|(kind, step)| deed(kind, step)).collect()
}
