//! The day: what the scenario says will happen, when.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use incident::agent::{Content, Message};
use incident::agents::monitoring::Incident;
use incident::id::{IncidentId, OrderId};
use incident::order::Order;
use incident::task::Role;
use std::rc::Rc;

use super::World;
use crate::env::{Env, Event};
use crate::outside::Episode;
use crate::people::Reaction;
use crate::scenario::{Happening, Moment, Orders, Place, Provider, Rules, Scenario, Trouble, What, When};
use crate::scene::{self, Time, s};

/// For so long after the last thing that the scenario says, chance goes on.
const DISTURBED_AFTER: TimeDelta = TimeDelta::minutes(8);
/// Who finds no incident to want something of looks again.
const LOOKS_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// The scenario, and how far it is.
pub(super) struct Day {
    happens: Vec<Happening>,
    rules: Rules,
    reached: BTreeSet<Moment>,
}

impl Day {
    pub(super) fn begin(scenario: &Scenario, env: &mut Env) -> Self {
        let day = Self { happens: scenario.happens.clone(), rules: scenario.rules, reached: BTreeSet::new() };
        let begins = env.now;
        env.calm_from = begins + DISTURBED_AFTER;
        listen(&scenario.rules, env);
        for (n, happening) in day.happens.iter().enumerate() {
            if let When::At { s: at } = happening.when {
                place(n, happening, begins + s(at), env);
            }
        }
        day
    }

    /// How many people must say yes, at least.
    pub(super) const fn approvers(&self) -> u8 {
        self.rules.approvers
    }

    /// These moments have come: what waits for one is placed on the agenda, once.
    pub(super) fn reached(&mut self, moments: impl Iterator<Item = Moment>, env: &mut Env) {
        for moment in moments {
            if !self.reached.insert(moment) {
                continue;
            }
            for (n, happening) in self.happens.iter().enumerate() {
                match happening.when {
                    When::After { moment: awaited, s: after } if awaited == moment => {
                        place(n, happening, env.now + s(after), env);
                    }
                    When::After { .. } | When::At { .. } => {}
                }
            }
        }
    }
}

/// Monitoring starts, and listens for heartbeats.
fn listen(rules: &Rules, env: &mut Env) {
    let expected = scene::heartbeats(rules);
    for (tenant, name) in expected.iter().flat_map(|(tenant, of)| of.keys().map(move |name| (tenant.clone(), name.clone()))) {
        let (id, content) = (format!("listen-{name}"), Content::Listen { tenant: tenant.clone(), name });
        let number = env.log.store(Role::Monitoring, Rc::new(Message { id, tenant, trace: None, content }));
        env.at(env.now, Event::Delivery(number));
    }
}

fn place(n: usize, happening: &Happening, first: Time, env: &mut Env) {
    let times = (0..happening.times).map(|time| first + s(happening.every_s * time));
    for at in times {
        env.calm_from = env.calm_from.max(at + DISTURBED_AFTER);
        env.at(at, Event::Happens(n));
    }
}

impl World {
    pub(super) fn happens(&mut self, n: usize) {
        let Some(happening) = self.day.happens.get(n).cloned() else { return };
        let now = self.env.now;
        self.env.trace.say(now, || format!("-- {:?}", happening.what));
        let outside = &mut self.env.outside;
        match happening.what {
            What::Release { workload, bad } => outside.deployment(&workload).release(bad, now),
            What::Edit { workload } => outside.deployment(&workload).edit(),
            What::Trouble { workload, begins } => {
                outside.deployment(&workload).trouble(begins, now);
                self.env.at(now + s(15), Event::Evaluates(workload));
            }
            What::Stuck { workload, for_s } => outside.deployment(&workload).stuck(now + s(for_s)),
            What::Lags { workload, for_s } => outside.deployment(&workload).lag(now + s(for_s)),
            What::Silences { workload, for_s } => {
                let (tenant, order) = scene::silence(&workload, (now, now + s(for_s)));
                let id = format!("silence-{n}-{}", now.timestamp_millis());
                let content = Content::Silence { tenant: tenant.clone(), order };
                let number = self.env.log.store(Role::Gateway, Rc::new(Message { id, tenant, trace: None, content }));
                self.env.at(now, Event::Delivery(number));
            }
            What::Beats => {
                for beat in scene::beats(&self.day.rules, now) {
                    self.env.at(now, Event::Webhook(Box::new(beat)));
                }
            }
            What::Fires(fires) => {
                let (episode, late) = (Episode { since: now, fires: fires.clone() }, s(fires.late_s));
                self.env.outside.firing.push(episode.clone());
                self.tell(&episode, None, late);
            }
            What::Resolves(fires) => {
                if let Some(episode) = self.env.outside.resolved(&fires) {
                    self.tell(&episode, Some(now), s(fires.late_s));
                }
            }
            What::Orders(orders) => self.order(n, &orders),
            What::Outage { of, how, for_s } => outside.fails(of, how, now + s(for_s)),
            What::Away { role: Role::Connectors, for_s } => {
                // They keep nothing: who calls them is refused.
                for of in [Provider::Slack, Provider::Jira] {
                    outside.fails(of, Trouble::Refuses, now + s(for_s));
                }
            }
            What::Away { role, for_s } => {
                if let Some((part, env)) = self.part(role) {
                    part.leaves(env, s(for_s));
                }
            }
            What::Approvers { approvers } => {
                let policy = scene::policy(&Rules { approvers, ..self.day.rules });
                for agent in [&mut self.remediation.agent.agent, &mut self.remediation.performer.checks] {
                    agent.tenants.values_mut().for_each(|rules| rules.policy = policy.clone());
                }
            }
            What::Answers(answers) => {
                let nth = match happening.when {
                    When::After { moment: Moment::Asked(n), .. } => Some(n),
                    When::After { .. } | When::At { .. } => None,
                };
                match outside.people.answers(&answers, nth, now) {
                    Some(Reaction::Calls(call)) => self.env.at(now, Event::Answers(call)),
                    Some(Reaction::Votes(signed)) => {
                        let (id, tenant) = (format!("vote-{n}-{}", now.timestamp_millis()), signed.vote.tenant.clone());
                        let message = Message { id, tenant, trace: None, content: Content::Voted(*signed) };
                        let number = self.env.log.store(Role::Remediation, Rc::new(message));
                        self.env.at(now, Event::Delivery(number));
                    }
                    None => self.env.trace.say(now, || "   there is nothing to answer".to_owned()),
                }
            }
        }
    }

    /// A person wants something of an incident; who finds none yet looks again, as long as the day goes on.
    fn order(&mut self, n: usize, orders: &Orders) {
        let now = self.env.now;
        let (of, other) = (self.incident_about(&orders.of), orders.other().map(|other| self.incident_about(other)));
        let want = if other == Some(None) { None } else { orders.want(other.flatten()) };
        let (Some(incident), Some(want)) = (of, want) else {
            if now < self.env.calm_from {
                self.env.at(now + LOOKS_AGAIN, Event::Happens(n));
            }
            return;
        };
        let (tenant, by) = (scene::tenant(&orders.of.tenant), orders.who.clone());
        let id = OrderId::derive(&[tenant.as_str(), &n.to_string(), &now.to_string()]);
        let order = Order { id: id.clone(), tenant: tenant.clone(), incident, by, want };
        self.env.witness.orders.push((tenant.clone(), id.clone()));
        let message = Message { id: id.to_string(), tenant, trace: None, content: Content::Order(Box::new(order)) };
        let number = self.env.log.store(Role::Monitoring, Rc::new(message));
        self.env.soon(id.as_str(), Event::Delivery(number));
    }

    /// The incident that a person finds about a workload: open, or resting.
    fn incident_about(&self, place: &Place) -> Option<IncidentId> {
        let tenant = scene::tenant(&place.tenant);
        let key = format!("namespace=shop,service={}", place.name);
        let mut about = self.monitoring.store.entities().filter(|(of, stored)| {
            let is_incident = matches!(stored.entity.state, Incident::Open(_) | Incident::Resting { .. });
            **of == tenant && is_incident && stored.entity.open_key.as_deref() == Some(&key)
        });
        about.next()?.1.entity.id.parse().ok()
    }

    /// Alertmanager tells of a rule's alerts, so much later.
    pub(super) fn tell(&mut self, episode: &Episode, ends_at: Option<Time>, late: TimeDelta) {
        let alerts = scene::alerts(&episode.fires, (episode.since, ends_at));
        for notification in scene::notifications(&episode.fires, alerts) {
            self.env.at(self.env.now + late, Event::Webhook(Box::new(notification)));
        }
    }
}
