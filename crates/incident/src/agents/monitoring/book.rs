//! The book: one for each tenant, with what concerns all of its incidents. It has the silences as people made them, and which services fail:
//! it alone says which incident is part of which, so there is one answer, whoever comes first.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Incident, Monitoring, Outcome};
use crate::agent::{Content, Decision, Entity, Event, Locator, Outgoing, Timer};
use crate::alert::CorrelationKey;
use crate::id::{IncidentId, TenantId};
use crate::related::{Related, Relative, Told};
use crate::route::{Route, Routes};
use crate::silence::Silences;
use crate::topology::{Failing, Topology};

/// The id of each tenant's book.
pub(super) const BOOK: &str = "book";
/// The timer of a second round to all incidents.
const AGAIN: &str = "again";
/// A decision that was made on the silences as they were before is durable by then.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(10);
/// Incidents that ended, remembered in case that their beginning comes late.
const OVER_MAX: usize = 200;
/// Services that fail at once in the book; more than any topology has.
const FAILING_MAX: usize = 2_000;

/// What concerns all incidents of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Book {
    tenant: TenantId,
    pub(super) silences: Silences,
    failing: Vec<Entry>,
    over: Vec<(IncidentId, DateTime<Utc>)>,
    /// Counts what was told.
    number: u64,
    /// What people said of where alerts belong.
    #[serde(default)]
    pub(super) routes: Routes,
}

/// A service that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Entry {
    failing: Failing,
    incident: IncidentId,
    since: DateTime<Utc>,
    /// The one that it is part of, as it was told.
    origin: Option<IncidentId>,
    /// The incident's key.
    #[serde(default)]
    key: Option<CorrelationKey>,
}

/// Where the book is.
pub(super) fn locator() -> Locator {
    Locator::Id(BOOK.to_owned())
}

/// What follows from `event` for the book of a tenant.
pub(super) fn decide(agent: &Monitoring, known: Option<Book>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
    match (event, known) {
        (Event::Message(Content::Silences { tenant, silences }), known) => {
            known.unwrap_or_else(|| Book::new(tenant)).silenced(silences, now)
        }
        (Event::Message(Content::Related(Related { tenant, told, .. })), known) => {
            let topology = agent.topologies.get(&tenant).map(|topology| &**topology);
            known.unwrap_or_else(|| Book::new(tenant)).hears(told, topology, now)
        }
        (Event::Timer(_), Some(known)) => known.put(true, "all incidents look again"),
        (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("this is not about the book"),
    }
}

impl Book {
    fn new(tenant: TenantId) -> Self {
        Self { tenant, silences: Silences::default(), failing: vec![], over: vec![], number: 0, routes: Routes::default() }
    }

    /// People made or ended silences: every incident looks whether it is muted, now and once more when nobody rests on the old ones.
    fn silenced(mut self, silences: Silences, now: DateTime<Utc>) -> Outcome {
        if silences.number <= self.silences.number {
            return Decision::unchanged("old silences");
        }
        self.silences = silences;
        let timers = vec![Timer { name: AGAIN.to_owned(), at: Some(now + AGAIN_AFTER) }];
        Decision { timers, ..self.put(true, "the silences are others now") }
    }

    fn hears(mut self, told: Told, topology: Option<&Topology>, now: DateTime<Utc>) -> Outcome {
        match told {
            Told::Fails { failing, incident, since, key } => {
                if self.over.contains(&(incident.clone(), since)) || self.failing.len() >= FAILING_MAX {
                    return Decision::unchanged("it is over already");
                }
                self.failing.retain(|entry| entry.incident != incident);
                self.failing.push(Entry { failing, incident: incident.clone(), since, origin: None, key });
                self.weigh(topology, Some(&incident))
            }
            Told::Over { incident, since } => {
                self.failing.retain(|entry| entry.incident != incident || entry.since > since);
                self.over.push((incident, since));
                let old = self.over.len().saturating_sub(OVER_MAX);
                self.over.drain(..old);
                self.weigh(topology, None)
            }
            Told::Route { of, to, at } => {
                for of in of {
                    self.routes.put(Route { of, to: to.clone(), at });
                }
                self.routed(topology, now)
            }
            Told::Alone { key, at } => {
                self.routes.alone(&key, at);
                self.routed(topology, now)
            }
            Told::Origin { .. } | Told::Callers { .. } | Told::Move { .. } => Decision::unchanged("this is told to incidents"),
        }
    }

    /// Every incident looks whether it has what belongs elsewhere, now and once more when nobody rests on the routes as they were.
    fn routed(self, topology: Option<&Topology>, now: DateTime<Utc>) -> Outcome {
        let timers = vec![Timer { name: AGAIN.to_owned(), at: Some(now + AGAIN_AFTER) }];
        Decision { timers, rouses: true, ..self.weigh(topology, None) }
    }

    /// Says to each incident what changed for it; to `asks` in any case, because it waits for an answer.
    fn weigh(mut self, topology: Option<&Topology>, asks: Option<&IncidentId>) -> Outcome {
        let since: BTreeMap<Failing, DateTime<Utc>> =
            self.failing.iter().map(|entry| (entry.failing.clone(), entry.since)).collect();
        let origin_of = |entry: &Entry| {
            if entry.key.as_ref().is_some_and(|key| self.routes.is_alone(key)) {
                return None;
            }
            let origin = topology?.origin(&entry.failing, &since)?;
            self.failing.iter().find(|other| other.failing == *origin).map(|other| other.incident.clone())
        };
        let origins: Vec<Option<IncidentId>> = self.failing.iter().map(origin_of).collect();
        let (mut outgoing, mut changed) = (vec![], vec![]);
        for (n, origin) in origins.into_iter().enumerate() {
            let relative = origin.as_ref().and_then(|origin| self.relative(origin));
            let Some(entry) = self.failing.get_mut(n) else { continue };
            if entry.origin == origin && asks != Some(&entry.incident) {
                continue;
            }
            changed.extend([entry.origin.take(), origin.clone()].into_iter().flatten());
            entry.origin = origin;
            let incident = entry.incident.clone();
            outgoing.push(self.say(|number| Told::Origin { incident, number, origin: relative }));
        }
        changed.sort();
        changed.dedup();
        for incident in changed {
            if self.failing.iter().all(|entry| entry.incident != incident) {
                continue;
            }
            let of = self.failing.iter().filter(|entry| entry.origin.as_ref() == Some(&incident));
            let callers = of.map(|entry| Relative { incident: entry.incident.clone(), service: entry.failing.service.clone() });
            let callers = callers.collect();
            outgoing.push(self.say(|number| Told::Callers { incident, number, callers }));
        }
        Decision { outgoing, ..self.put(false, "who fails is known") }
    }

    fn relative(&self, incident: &IncidentId) -> Option<Relative> {
        let entry = self.failing.iter().find(|entry| entry.incident == *incident)?;
        Some(Relative { incident: incident.clone(), service: entry.failing.service.clone() })
    }

    fn say(&mut self, told: impl FnOnce(u64) -> Told) -> Outgoing {
        self.number += 1;
        let message_id = format!("{BOOK}/{}", self.number);
        Outgoing::Related(Related { message_id, tenant: self.tenant.clone(), told: told(self.number) })
    }

    fn put(self, rouses: bool, why: &str) -> Outcome {
        let entity = Entity { id: BOOK.to_owned(), open_key: None, state: Incident::Book(self) };
        Decision { rouses, ..Decision::put(entity, why) }
    }
}

#[cfg(test)]
mod tests;
