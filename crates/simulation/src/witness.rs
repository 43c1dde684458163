//! What somebody who watches everything would have seen: facts, deeds, what was accepted. The promises are asked of this and of the stores.

use std::collections::{BTreeMap, BTreeSet};

use incident::alert::{AlertStatus, Notification};
use incident::fact::{Fact, What};
use incident::id::{IncidentId, OrderId, TenantId};
use incident::promises::world::{Accepted, Change, Deed, Whereabouts};
use incident::record::Head;
use incident::task::{Phase, Role};

/// A tenant's chain as far as it was followed.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) head: Head,
    pub(crate) seen: BTreeSet<String>,
    pub(crate) followed: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// By incident, in the order of the commits.
    pub(crate) facts: BTreeMap<(TenantId, IncidentId), Vec<Fact>>,
    /// The newest phase of each incident.
    pub(crate) phases: BTreeMap<(TenantId, IncidentId), Phase>,
    pub(crate) accepted: Vec<Accepted>,
    /// What people wanted, as far as it is on the bus.
    pub(crate) orders: Vec<(TenantId, OrderId)>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) changes: Vec<Change>,
    pub(crate) undone: Vec<Change>,
    pub(crate) chains: BTreeMap<TenantId, Chain>,
    /// Incidents with new facts since somebody looked.
    pub(crate) told: BTreeSet<(TenantId, IncidentId)>,
    /// Roles that committed something since then.
    pub(crate) committed: BTreeSet<Role>,
    /// Deeds that were looked at.
    pub(crate) deeds_seen: usize,
}

impl Witness {
    /// A role committed this.
    pub(crate) fn saw(&mut self, role: Role, tenant: &TenantId, facts: Vec<Fact>) {
        self.committed.insert(role);
        for fact in facts {
            let key = (tenant.clone(), fact.incident.clone());
            match &fact.what {
                What::Opened { .. } => drop(self.phases.insert(key.clone(), Phase::Diagnosing)),
                What::PhaseChanged { phase, .. } => drop(self.phases.insert(key.clone(), *phase)),
                _ => {}
            }
            self.told.insert(key.clone());
            self.facts.entry(key).or_default().push(fact);
        }
    }

    /// Something was done outside.
    pub(crate) fn did(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// The gateway answered 2xx.
    pub(crate) fn accepted(&mut self, notification: &Notification) {
        let id = notification.message_id();
        if self.accepted.iter().any(|known| known.id == id && known.tenant == notification.tenant) {
            return;
        }
        // A heartbeat that is heard belongs to no incident.
        let alerts = notification.alerts.iter().filter(|_| notification.heartbeat.is_none());
        let firing = alerts.filter(|alert| alert.status == AlertStatus::Firing);
        let firing = firing.map(|alert| alert.fingerprint.clone()).collect();
        self.accepted.push(Accepted { tenant: notification.tenant.clone(), id, firing, whereabouts: Whereabouts::OnTheWay });
    }

    /// All facts, by incident and in the order of the commits.
    pub(crate) fn all_facts(&self) -> Vec<Fact> {
        self.facts.values().flatten().cloned().collect()
    }
}
