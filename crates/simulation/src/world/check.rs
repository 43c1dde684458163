//! The promises, asked after each step and at the end. The predicates are the core's; here they get what they look at, and only when there
//! is something new to look at.

use incident::agents::monitoring::{Book, Incident};
use incident::agents::remediation::Remediation;
use incident::fact::Fact;
use incident::id::TenantId;
use incident::promises::world::{self, Held, Repair, Shown, Waiting, Whereabouts};
use incident::promises::{self, Broken};
use incident::task::{Phase, Role};

use super::World;
use crate::scene;
use crate::service::CLOCKS_APART_MAX;

impl World {
    /// The first promise that does not hold at this moment.
    pub(super) fn broken_by_now(&mut self) -> Option<Broken> {
        self.find_accepted();
        let mut found = world::accepted_means_kept(&self.env.witness.accepted);
        found.extend(self.deeds_and_facts());
        let committed = std::mem::take(&mut self.env.witness.committed);
        if !committed.is_empty() {
            found.extend(world::every_wait_has_a_deadline(&self.waiting(|role| committed.contains(&role))));
        }
        if committed.contains(&Role::Remediation) {
            found.extend(world::one_at_a_time(&self.repairs()));
        }
        if committed.contains(&Role::Ledger) {
            found.extend(self.chains());
        }
        found.into_iter().next()
    }

    /// The first promise that was not kept by the end. People who have an incident have had it since these many `deeds`.
    pub(super) fn broken_at_the_end(&mut self, deeds: usize) -> Option<Broken> {
        let witness = &self.env.witness;
        let people_have = witness.phases.iter().filter(|(_, phase)| **phase == Phase::NeedsPeople);
        let people_have: Vec<_> = people_have.map(|((_, incident), _)| incident.clone()).collect();
        let facts = witness.all_facts();
        let mut found: Vec<Broken> = witness.facts.values().flat_map(|facts| promises::broken(facts, CLOCKS_APART_MAX)).collect();
        found.extend(world::accepted_reached_an_incident(&witness.accepted, &facts));
        found.extend(world::every_order_is_answered(&witness.orders, &facts));
        found.extend(world::one_incident_an_alert(&self.held()));
        found.extend(world::peoples_word_counts(&self.held()));
        found.extend(world::every_incident_ended(&facts));
        found.extend(world::every_wait_has_a_deadline(&self.waiting(|_| true)));
        found.extend(world::people_are_reminded(&people_have, witness.deeds.get(deeds..).unwrap_or_default()));
        found.extend(world::undone_as_planned(&witness.undone, &facts));
        found.extend(world::what_was_owed_is_delivered(&self.shown(), &facts));
        found.extend(world::tenants_are_apart(&witness.deeds, &facts));
        found.extend(world::costs_are_booked(&witness.deeds, &facts));
        for tenant in scene::tenants() {
            let of: Vec<Fact> = facts.iter().filter(|fact| fact.tenant == tenant).cloned().collect();
            let recorded = witness.chains.get(&tenant).map(|chain| chain.seen.clone()).unwrap_or_default();
            found.extend(world::every_fact_is_recorded(&of, &recorded));
        }
        found.into_iter().next()
    }

    /// Where everything that was accepted is. What was handled or buried stays so.
    fn find_accepted(&mut self) {
        let (log, store) = (&self.env.log, &self.monitoring.store);
        let open = self.env.witness.accepted.iter_mut().filter(|one| one.whereabouts == Whereabouts::OnTheWay);
        for one in open {
            one.whereabouts = if store.has_handled(&one.tenant, &one.id) {
                Whereabouts::Handled
            } else if log.is_dead(&one.tenant, &one.id) {
                Whereabouts::Dead
            } else if log.has(&one.tenant, &one.id) {
                Whereabouts::OnTheWay
            } else {
                Whereabouts::Nowhere
            };
        }
    }

    fn deeds_and_facts(&mut self) -> Vec<Broken> {
        let quorum = usize::from(self.day.approvers());
        let witness = &mut self.env.witness;
        let mut found = vec![];
        for key in std::mem::take(&mut witness.told) {
            found.extend(witness.facts.get(&key).into_iter().flat_map(|facts| promises::broken_by_now(facts, CLOCKS_APART_MAX)));
        }
        if witness.deeds.len() > witness.deeds_seen {
            witness.deeds_seen = witness.deeds.len();
            found.extend(world::one_effect(&witness.deeds));
            let facts = witness.all_facts();
            found.extend(world::tenants_are_apart(&witness.deeds, &facts));
            found.extend(world::no_change_without_a_yes(&witness.changes, &facts, quorum));
            found.extend(world::what_was_approved_is_what_ran(&witness.changes, &facts));
            found.extend(world::undone_as_planned(&witness.undone, &facts));
        }
        found
    }

    /// What is open, of these roles.
    fn waiting(&self, of: impl Fn(Role) -> bool) -> Vec<Waiting> {
        let all = [
            (Role::Gateway, self.gateway.store.waiting()),
            (Role::Monitoring, self.monitoring.store.waiting()),
            (Role::Diagnostics, self.diagnostics.store.waiting()),
            (Role::Communication, self.communication.store.waiting()),
            (Role::Remediation, self.remediation.store.waiting()),
        ];
        let of_these = all.into_iter().filter(|(role, _)| of(*role));
        let waiting = of_these.flat_map(|(role, open)| {
            open.into_iter().map(move |(entity, deadline, is_owed)| Waiting { role, entity, deadline, is_owed })
        });
        waiting.collect()
    }

    /// Which alerts fire in which open incident.
    fn held(&self) -> Vec<Held> {
        let held = self.monitoring.store.entities().filter_map(|(tenant, stored)| match &stored.entity.state {
            Incident::Open(open) => {
                let (tenant, incident) = (tenant.clone(), stored.entity.id.clone());
                let firing = open.fingerprints_firing().map(str::to_owned).collect();
                let astray = self.book_of(&tenant).into_iter().flat_map(|book| open.astray(book)).map(str::to_owned).collect();
                Some(Held { tenant, incident, firing, astray })
            }
            Incident::Early(_)
            | Incident::Resting { .. }
            | Incident::Closed { .. }
            | Incident::Heartbeat(_)
            | Incident::Book(_) => None,
        });
        held.collect()
    }

    fn book_of(&self, tenant: &TenantId) -> Option<&Book> {
        self.monitoring.store.entities().find_map(|(of, stored)| match &stored.entity.state {
            Incident::Book(book) if of == tenant => Some(book),
            _ => None,
        })
    }

    fn repairs(&self) -> Vec<Repair> {
        let repairs = self.remediation.store.entities().filter_map(|(tenant, stored)| match &stored.entity.state {
            Remediation::Applying { proposal, .. }
            | Remediation::Verifying { proposal, .. }
            | Remediation::Undoing { proposal, .. } => {
                let plan = &proposal.request.plan;
                Some(Repair { tenant: tenant.clone(), task: plan.task.clone(), workload: plan.target.workload.clone() })
            }
            Remediation::Drafting(_) | Remediation::Waiting { .. } | Remediation::Ended { .. } => None,
        });
        repairs.collect()
    }

    fn chains(&mut self) -> Vec<Broken> {
        let mut found = vec![];
        for (tenant, records) in self.ledger.store.records() {
            let chain = self.env.witness.chains.entry(tenant.clone()).or_default();
            let new = records.get(chain.followed..).unwrap_or_default();
            found.extend(world::the_chain_holds(&mut chain.head, &mut chain.seen, new));
            chain.followed = records.len();
        }
        found
    }

    /// Cards and issues as people see them, but those whose last edit was overtaken on its way by a newer one: see the crate's first page.
    fn shown(&self) -> Vec<Shown> {
        let entries = self.env.outside.places().flat_map(|(_, desk)| desk.entries()).filter(|entry| !entry.was_overtaken);
        let shown = entries.filter_map(|entry| Some(Shown { incident: entry.incident.clone(), is_over: entry.is_over? }));
        shown.collect()
    }
}
