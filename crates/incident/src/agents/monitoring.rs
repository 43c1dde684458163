//! Monitoring: one incident per correlation key, from its first alert to its end, and the workflow that works on it.

mod alerts;
mod around;
mod book;
mod early;
mod flap;
mod heartbeat;
mod hush;
mod lifecycle;
mod open;
mod orders;
mod rest;
mod tasks;
mod turn;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Content, Decision, Entity, Event, Locator, Misdirected, Outgoing};
use crate::alert::Notification;
use crate::heartbeat::Heartbeats;
use crate::id::{IncidentId, TenantId};
use crate::related::{Related, Told};
use crate::route::Routes;
use crate::silence::Maintenance;
use crate::task::Role;
use crate::topology::Topology;
use crate::workflow::StepSpec;
use around::Rules;
pub use book::Book;
use early::{Early, Start};
use heartbeat::Listening;
pub use lifecycle::Lifecycle;
pub use open::OpenIncident;
use orders::refused;
use rest::{Rest, after_the_end};
use turn::Turn;

/// What people are told who want something of an incident that is none.
const NONE: &str = "there is no such incident";

/// Steps of an incident's workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// Find the cause.
    Diagnose,
    /// Show it in the chat.
    Announce,
    /// Open the ticket.
    Ticket,
    /// Repair it.
    Remediate,
}

impl StepName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Diagnose => "diagnose",
            Self::Announce => "announce",
            Self::Ticket => "ticket",
            Self::Remediate => "remediate",
        }
    }

    const fn agent(self) -> Role {
        match self {
            Self::Diagnose => Role::Diagnostics,
            Self::Announce | Self::Ticket => Role::Communication,
            Self::Remediate => Role::Remediation,
        }
    }
}

/// The workflow. A diagnosis that does not come must not keep people from knowing, so it has half a minute and a second try. A chat
/// or tracker that is down is tried for longer, by communication itself. Remediation says something at least every few minutes while
/// it works, and its wait for people has a deadline of its own; three hours without a word mean that it is lost.
const GRAPH: &[StepSpec<StepName>] = &[
    StepSpec { name: StepName::Diagnose, needs: &[], timeout_s: 30, attempts_max: 2 },
    StepSpec { name: StepName::Remediate, needs: &[StepName::Diagnose], timeout_s: 10_800, attempts_max: 1 },
    StepSpec { name: StepName::Announce, needs: &[StepName::Diagnose], timeout_s: 900, attempts_max: 1 },
    StepSpec { name: StepName::Ticket, needs: &[StepName::Diagnose], timeout_s: 900, attempts_max: 1 },
];

/// What monitoring remembers of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "incident", rename_all = "snake_case")]
pub enum Incident {
    /// None yet: only ends of alerts were heard, whose beginnings may still come.
    Early(Early),
    /// Alerts fire, or the repair is not verified yet.
    Open(Box<OpenIncident>),
    /// It is over, and opened again if its alerts fire again soon.
    Resting {
        /// What it was.
        open: Box<OpenIncident>,
        /// For how long, and how it ended.
        rest: Rest,
    },
    /// It is over for good.
    Closed {
        /// Since when it was over.
        at: DateTime<Utc>,
        /// How it ended.
        outcome: String,
        /// Its alerts by fingerprint, with the beginning of their newest episodes: what is told of those late is no news.
        #[serde(default)]
        episodes: BTreeMap<String, DateTime<Utc>>,
    },
    /// No incident, but a heartbeat that is listened for.
    Heartbeat(Listening),
    /// No incident, but what concerns all of a tenant's.
    Book(Book),
}

/// Monitoring's behaviour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Monitoring {
    /// Numbers of the tenants that have their own.
    pub tenants: BTreeMap<TenantId, Lifecycle>,
    /// Heartbeats of each tenant.
    pub heartbeats: BTreeMap<TenantId, Heartbeats>,
    /// When each tenant works on its systems.
    pub maintenance: BTreeMap<TenantId, Vec<Maintenance>>,
    /// What depends on what, for tenants that say so.
    pub topologies: BTreeMap<TenantId, Arc<Topology>>,
}

type Outcome = Decision<Incident, ()>;

impl Agent for Monitoring {
    type State = Incident;
    type Effect = ();
    type Outcome = ();

    fn role(&self) -> Role {
        Role::Monitoring
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Alerts(Notification { heartbeat: Some(beat), .. }) => Ok(heartbeat::locator(&beat.name)),
            Content::Alerts(notification) => Ok(Locator::Last(notification.key.0.clone())),
            Content::Listen { name, .. } => Ok(heartbeat::locator(name)),
            Content::Related(Related { told: Told::Origin { incident, .. } | Told::Callers { incident, .. }, .. }) => {
                Ok(Locator::Id(incident.to_string()))
            }
            Content::Related(Related { told: Told::Move { to, .. }, .. }) => Ok(Locator::Id(to.to_string())),
            Content::Order(order) => Ok(Locator::Id(order.incident.to_string())),
            Content::Silences { .. } | Content::Related(_) => Ok(book::locator()),
            Content::Event(event) => Ok(Locator::Id(event.incident.to_string())),
            Content::Announced(announced) => Ok(Locator::Last(announced.key.0.clone())),
            other => Err(other.misdirected(Role::Monitoring)),
        }
    }

    fn incident(&self, state: &Incident) -> Option<IncidentId> {
        match state {
            Incident::Open(open) | Incident::Resting { open, .. } => Some(open.id().clone()),
            Incident::Early(_) | Incident::Closed { .. } | Incident::Heartbeat(_) | Incident::Book(_) => None,
        }
    }

    fn beside(&self) -> Option<&'static str> {
        Some(book::BOOK)
    }

    fn decide(&self, entity: Option<Entity<Incident>>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
        self.decide_beside(entity, None, event, now)
    }

    fn decide_beside(
        &self,
        entity: Option<Entity<Incident>>,
        beside: Option<&Incident>,
        event: Event<()>,
        now: DateTime<Utc>,
    ) -> Outcome {
        match event {
            Event::Message(Content::Alerts(notification)) if notification.heartbeat.is_none() => {
                self.sorted(entity, beside, notification, now)
            }
            event => self.decide_sorted(entity, beside, event, now),
        }
    }
}

impl Monitoring {
    /// Alerts that belong to another incident by a person's word go there, whatever state this one is in.
    fn sorted(
        &self,
        entity: Option<Entity<Incident>>,
        beside: Option<&Incident>,
        notification: Notification,
        now: DateTime<Utc>,
    ) -> Outcome {
        let (here, elsewhere) = match beside {
            Some(Incident::Book(book)) => book.routes.sort(notification),
            Some(_) | None => (Some(notification), vec![]),
        };
        let mut decision = match here {
            Some(here) => self.decide_sorted(entity, beside, Event::Message(Content::Alerts(here)), now),
            None => Decision::unchanged("its alerts belong to another incident"),
        };
        decision.outgoing.extend(elsewhere.into_iter().map(|moved| Outgoing::Alerts(Box::new(moved))));
        decision
    }

    fn decide_sorted(
        &self,
        entity: Option<Entity<Incident>>,
        beside: Option<&Incident>,
        event: Event<()>,
        now: DateTime<Utc>,
    ) -> Outcome {
        let rules = |tenant: &TenantId| self.rules(tenant, beside, now);
        let Some(Entity { id, state, .. }) = entity else {
            return match event {
                Event::Message(Content::Listen { .. } | Content::Alerts(Notification { heartbeat: Some(_), .. })) => {
                    heartbeat::decide(self, None, event, now)
                }
                Event::Message(Content::Order(order)) => refused(&order, NONE),
                Event::Message(Content::Related(Related { told: Told::Move { order, .. }, .. })) => refused(&order, NONE),
                Event::Message(Content::Silences { .. } | Content::Related(_)) => book::decide(self, None, event, now),
                Event::Message(Content::Alerts(notification)) => {
                    let rules = rules(&notification.tenant);
                    Start::of(&notification, None).begin(notification, rules, now)
                }
                Event::Message(_) | Event::Timer(_) | Event::Outcome { .. } => Decision::unchanged(NONE),
            };
        };
        match state {
            Incident::Early(early) => early.hears(id, event, rules, now),
            Incident::Open(open) => {
                let rules = rules(open.tenant());
                Turn::of(*open, None, rules, now).take(event)
            }
            Incident::Resting { open, rest } => {
                let rules = rules(open.tenant());
                Turn::of(*open, Some(rest), rules, now).take(event)
            }
            Incident::Closed { at, episodes, .. } => after_the_end(id, (at, episodes), event, rules, now),
            Incident::Heartbeat(known) => heartbeat::decide(self, Some(known), event, now),
            Incident::Book(known) => book::decide(self, Some(known), event, now),
        }
    }

    fn rules(&self, tenant: &TenantId, beside: Option<&Incident>, now: DateTime<Utc>) -> Rules {
        let (silences, routes) = match beside {
            Some(Incident::Book(book)) => (&*book.silences.all, book.routes.clone()),
            Some(_) | None => (&[][..], Routes::default()),
        };
        Rules {
            routes,
            maintenance: self.maintenance.get(tenant).cloned().unwrap_or_default(),
            topology: self.topologies.get(tenant).cloned(),
            ..Rules::new(self.tenants.get(tenant).copied().unwrap_or_default(), silences, now)
        }
    }
}
