//! Everything that is not Paramedic: clusters, chat, tracker, metrics, people, and when which of them fails.

pub(crate) mod cluster;
pub(crate) mod desk;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use incident::id::TenantId;

use crate::people::People;
use crate::scenario::{Fires, Place, Provider, Trouble};
use crate::scene::{Time, beginning};
use cluster::Deployment;
use desk::Desk;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Well,
    /// Nothing is done, and an error is answered.
    Refused,
    /// Nothing is done, and nothing is answered.
    Silent,
    /// It is done, and nothing is answered.
    Unanswered,
    /// It is done, so much later.
    Late(TimeDelta),
}

#[derive(Debug)]
struct Outage {
    of: Provider,
    how: Trouble,
    until: Time,
}

/// Alerts of one rule that Alertmanager has told of.
#[derive(Debug, Clone)]
pub(crate) struct Episode {
    pub(crate) fires: Fires,
    pub(crate) since: Time,
}

#[derive(Debug, Default)]
pub(crate) struct Outside {
    deployments: BTreeMap<Place, Deployment>,
    /// Each tenant's Slack channel.
    pub(crate) chats: BTreeMap<TenantId, Desk>,
    /// Each tenant's Jira project.
    pub(crate) trackers: BTreeMap<TenantId, Desk>,
    pub(crate) people: People,
    pub(crate) firing: Vec<Episode>,
    outages: Vec<Outage>,
}

impl Outside {
    /// The workload; it has run its first revision since yesterday.
    pub(crate) fn deployment(&mut self, place: &Place) -> &mut Deployment {
        let born = || Deployment::new(&format!("{}-{}", place.tenant, place.name), beginning() - TimeDelta::days(1));
        self.deployments.entry(place.clone()).or_insert_with(born)
    }

    /// The workload of this name in this tenant's cluster.
    pub(crate) fn deployment_of(&mut self, tenant: &TenantId, name: &str) -> &mut Deployment {
        self.deployment(&Place { tenant: tenant.to_string(), name: name.to_owned() })
    }

    pub(crate) fn fails(&mut self, of: Provider, how: Trouble, until: Time) {
        self.outages.push(Outage { of, how, until });
    }

    /// How the provider fails now, if it does.
    pub(crate) fn trouble(&self, of: Provider, now: Time) -> Option<Trouble> {
        self.outages.iter().rev().find(|outage| outage.of == of && now < outage.until).map(|outage| outage.how)
    }

    pub(crate) fn desk<'a>(desks: &'a mut BTreeMap<TenantId, Desk>, of: &TenantId) -> &'a mut Desk {
        desks.entry(of.clone()).or_default()
    }

    /// Alerts of this workload that are over now: they are told once.
    pub(crate) fn recovered(&mut self, place: &Place, now: Time) -> Vec<Episode> {
        if !self.deployment(place).is_well() {
            return vec![];
        }
        let (over, still): (Vec<Episode>, Vec<Episode>) = std::mem::take(&mut self.firing)
            .into_iter()
            .partition(|episode| episode.fires.workload == *place && episode.since < now);
        self.firing = still;
        over
    }

    /// One rule's alerts that are over, whether the workload is well or not.
    pub(crate) fn resolved(&mut self, fires: &Fires) -> Option<Episode> {
        let is_it =
            |known: &Fires| (&known.workload, &known.alert, &known.labels) == (&fires.workload, &fires.alert, &fires.labels);
        let found = self.firing.iter().position(|episode| is_it(&episode.fires))?;
        Some(self.firing.remove(found))
    }

    /// All tenants' channels or projects.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&TenantId, &Desk)> {
        self.chats.iter().chain(&self.trackers)
    }
}
