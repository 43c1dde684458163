//! What people want of an incident: they acknowledge and own it, say something, end it, and say which alerts belong to it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::book::Book;
use super::open::{OpenIncident, Remedy};
use super::turn::Turn;
use crate::agent::{Decision, Outgoing};
use crate::alert::{Alert, AlertStatus, CorrelationKey};
use crate::fact::What;
use crate::id::{IncidentId, PersonId};
use crate::order::{Acknowledged, Order, Want};
use crate::related::{Related, Told};
use crate::route::{Moved, Of};

/// An incident that a person resolved while its alerts fired is opened again after this time if they still do: half a shift.
pub(super) const OVERRULED_FOR: TimeDelta = TimeDelta::hours(4);

/// That a person said that it is over, whatever fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Overruled {
    pub(super) by: PersonId,
    pub(super) reason: String,
    /// Alerts that fired then, by fingerprint, with the beginning of their episodes: those that they knew of.
    episodes: BTreeMap<String, DateTime<Utc>>,
}

impl Overruled {
    pub(super) fn covers(&self, alert: &Alert) -> bool {
        self.episodes.get(&alert.fingerprint).is_some_and(|known| alert.starts_at <= *known)
    }

    /// For people.
    pub(super) fn outcome(&self, alerts: &BTreeMap<String, Alert>) -> String {
        let names: Vec<&str> = alerts.values().filter(|alert| self.covers(alert)).map(Alert::name).collect();
        let fired = if names.is_empty() { String::new() } else { format!(", while {} fired", listed(names)) };
        format!("resolved by {}{fired}: {}", self.by, self.reason)
    }
}

impl OpenIncident {
    /// Whether alerts fire that a person resolved it in spite of.
    pub(super) fn is_held(&self) -> bool {
        let overruled = self.overruled.as_ref();
        overruled.is_some_and(|o| self.alerts.values().any(|a| a.status == AlertStatus::Firing && o.covers(a)))
    }

    /// Fingerprints of the alerts that fire in it and belong to another one by a person's word.
    pub fn astray(&self, book: &Book) -> impl Iterator<Item = &str> {
        let belongs = |alert: &&Alert| book.routes.place(alert, self.origin_of(alert)) == self.key;
        self.firing().filter(move |alert| !belongs(alert)).map(|alert| alert.fingerprint.as_str())
    }

    /// Where an alert of it came from.
    fn origin_of(&self, alert: &Alert) -> &CorrelationKey {
        self.origins.get(&alert.fingerprint).unwrap_or(&self.key)
    }

    /// When something is due because of who has it.
    pub(super) fn attended_until(&self) -> Option<DateTime<Utc>> {
        let until = self.attendance.acknowledged.as_ref().map(|acknowledged| acknowledged.until);
        [self.remind_at, until].into_iter().flatten().min()
    }
}

/// An order of which nothing comes.
pub(super) fn refused(order: &Order, why: impl Into<String>) -> Outcome {
    let why = why.into();
    let fact = What::OrderRefused { order: order.id.clone(), by: order.by.clone(), what: order.want.clone(), why: why.clone() };
    Decision { facts: vec![(order.incident.clone(), fact)], ..Decision::unchanged(why) }
}

/// An order about an incident that is over for good, or never was: only a note is taken.
pub(super) fn too_late(order: &Order, state: &'static str) -> Outcome {
    match &order.want {
        Want::Note { .. } => {
            let facts = vec![(order.incident.clone(), done(order))];
            Decision { facts, ..Decision::unchanged("a note on an incident that is over") }
        }
        _ => refused(order, state),
    }
}

fn done(order: &Order) -> What {
    What::Ordered { order: order.id.clone(), by: order.by.clone(), what: order.want.clone() }
}

fn listed(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

impl Turn {
    /// A person wants something.
    pub(super) fn ordered(mut self, order: &Order) -> Outcome {
        let carried_out = match &order.want {
            Want::Acknowledge { .. } | Want::Unacknowledge | Want::Resolve { .. } if self.rest.is_some() => {
                Err("it is resolved; it is opened again if its alerts fire again soon".to_owned())
            }
            Want::Acknowledge { minutes } => {
                self.acknowledge(&order.by, *minutes);
                Ok(())
            }
            Want::Unacknowledge => self.unacknowledge(&order.by),
            Want::Own { owner } => self.own(Some(owner.as_ref().unwrap_or(&order.by)), &order.by),
            Want::Release => self.own(None, &order.by),
            Want::Note { text } => {
                self.lines.push(format!("{}: {text}", order.by));
                Ok(())
            }
            Want::Resolve { reason, while_firing } => self.overrule(order, reason, *while_firing),
            Want::Merge { into } => {
                let all = vec![Of::Key(self.open.key.clone())];
                return self.asks_to_move(into.clone(), order, all);
            }
            Want::Attach { alerts, to } => match self.alerts_called(alerts) {
                Ok(of) => return self.asks_to_move(to.clone(), order, of),
                Err(why) => Err(why),
            },
            Want::Detach { alerts } => self.detach(order, alerts),
        };
        if let Err(why) = carried_out {
            return refused(order, why);
        }
        self.facts.insert(0, done(order));
        self.finish("a person's order")
    }

    fn acknowledge(&mut self, by: &PersonId, minutes: u32) {
        let lasts = TimeDelta::minutes(i64::from(minutes));
        let until = self.now + lasts;
        self.open.attendance.acknowledged = Some(Acknowledged { by: by.clone(), until });
        self.open.remind_at = Some(until - lasts / 4);
        self.lines.push(format!("Acknowledged by {by} until {}.", until.format("%H:%M UTC")));
        self.attended(format!("{by} looks at it"));
    }

    fn unacknowledge(&mut self, by: &PersonId) -> Result<(), String> {
        if !self.forget_acknowledgement() {
            return Err("nobody has acknowledged it".to_owned());
        }
        self.lines.push(format!("{by} took the acknowledgement back: nobody looks at it now."));
        self.attended(format!("{by} took the acknowledgement back"));
        Ok(())
    }

    /// Whether there was one.
    pub(super) fn forget_acknowledgement(&mut self) -> bool {
        self.open.remind_at = None;
        self.open.attendance.acknowledged.take().is_some()
    }

    fn own(&mut self, owner: Option<&PersonId>, by: &PersonId) -> Result<(), String> {
        let before = std::mem::replace(&mut self.open.attendance.owner, owner.cloned());
        let why = match (owner, before) {
            (Some(owner), Some(before)) if *owner == before => return Err(format!("{owner} owns it already")),
            (Some(owner), Some(before)) => format!("{by} handed it from {before} to {owner}"),
            (Some(owner), None) if owner == by => format!("{owner} took it"),
            (Some(owner), None) => format!("{by} gave it to {owner}"),
            (None, Some(before)) => format!("{by} released it; {before} owned it"),
            (None, None) => return Err("nobody owns it".to_owned()),
        };
        self.lines.push(format!("{why}."));
        self.attended(why);
        Ok(())
    }

    pub(super) fn attended(&mut self, why: String) {
        self.facts.push(What::AttendanceChanged { attendance: self.open.attendance.clone(), why });
    }

    /// Time passed: who acknowledged it is reminded, and after that it is everybody's again.
    pub(super) fn look_after_acknowledgement(&mut self) {
        let Some(Acknowledged { by, until }) = self.open.attendance.acknowledged.clone() else { return };
        if self.now >= until {
            self.forget_acknowledgement();
            self.lines.push(format!("Nobody looks at it any more: the acknowledgement of {by} is over, and it is not resolved."));
            self.attended(format!("the acknowledgement of {by} ran out"));
        } else if self.open.remind_at.take_if(|at| self.now >= *at).is_some() {
            let until = until.format("%H:%M UTC");
            self.lines.push(format!("{by}, your acknowledgement ends at {until}: acknowledge it again if you still look at it."));
        }
    }

    fn overrule(&mut self, order: &Order, reason: &str, while_firing: bool) -> Result<(), String> {
        if matches!(self.open.remedy, Remedy::Running) {
            return Err("a change is being made and verified: wait until that is over".to_owned());
        }
        if !while_firing && self.open.firing().next().is_some() {
            let names = listed(self.open.firing().map(Alert::name).collect());
            return Err(format!("its alerts still fire ({names}): to end it all the same, say that you mean it while they fire"));
        }
        let episodes = self.open.firing().map(|alert| (alert.fingerprint.clone(), alert.starts_at)).collect();
        self.open.overruled = Some(Overruled { by: order.by.clone(), reason: reason.to_owned(), episodes });
        self.open.flapping = None;
        self.open.swings.clear();
        Ok(())
    }

    /// Fingerprints of the alerts that people call so.
    fn alerts_called(&self, names: &[String]) -> Result<Vec<Of>, String> {
        let mut found = vec![];
        for name in names {
            let called = self.open.alerts.values().filter(|alert| alert.name() == name || alert.fingerprint == *name);
            let of: Vec<Of> = called.map(|alert| Of::Alert(alert.fingerprint.clone())).collect();
            if of.is_empty() {
                return Err(format!("it has no alert {name}"));
            }
            found.extend(of);
        }
        Ok(found)
    }

    /// The other incident knows whether it can be had, and answers to this one's record.
    fn asks_to_move(self, to: IncidentId, order: &Order, of: Vec<Of>) -> Outcome {
        if to == self.open.id {
            return refused(order, "that is this very incident");
        }
        let message_id = format!("{}/move.{}", self.open.id, order.id);
        let told = Told::Move { to, order: order.clone(), of };
        let outgoing = vec![Outgoing::Related(Related { message_id, tenant: self.open.tenant.clone(), told })];
        Decision { outgoing, ..Decision::unchanged("the other incident is asked") }
    }

    fn detach(&mut self, order: &Order, alerts: &[String]) -> Result<(), String> {
        let at = self.now;
        let told = if alerts.is_empty() {
            Told::Alone { key: self.open.key.clone(), at }
        } else {
            let to = CorrelationKey(format!("{},split={}", self.open.key.0, order.id));
            Told::Route { of: self.alerts_called(alerts)?, to, at }
        };
        self.tell_routes(order, told);
        self.lines.push(format!("{} {}.", order.by, order.want.sentence()));
        Ok(())
    }

    /// A person wants what another incident has in this one.
    pub(super) fn takes_over(mut self, order: &Order, of: Vec<Of>) -> Outcome {
        self.tell_routes(order, Told::Route { of, to: self.open.key.clone(), at: self.now });
        self.lines.push(format!("{} {} (it was {}).", order.by, order.want.sentence(), order.incident));
        self.facts.push(done(order));
        let there = (order.incident.clone(), done(order));
        let mut decision = self.finish("a person says what belongs to it");
        decision.facts.push(there);
        decision
    }

    fn tell_routes(&mut self, order: &Order, told: Told) {
        let message_id = format!("{}/route.{}", self.open.id, order.id);
        self.outgoing.push(Outgoing::Related(Related { message_id, tenant: self.open.tenant.clone(), told }));
    }

    /// Lets those alerts go that belong elsewhere by a person's word.
    pub(super) fn hand_over(&mut self) {
        let mut leaving: BTreeMap<CorrelationKey, Vec<Alert>> = BTreeMap::new();
        for alert in self.open.alerts.values() {
            let origin = self.open.origin_of(alert);
            if self.rules.routes.place(alert, origin) != self.open.key {
                leaving.entry(origin.clone()).or_default().push(alert.clone());
            }
        }
        let cause = format!("{} at {}", self.open.id, self.now.timestamp_micros());
        for (origin, alerts) in leaving {
            for alert in &alerts {
                self.open.alerts.remove(&alert.fingerprint);
                self.open.origins.remove(&alert.fingerprint);
            }
            let why = Moved { tenant: &self.open.tenant, cause: &cause, received_at: None };
            for moved in self.rules.routes.moved(alerts, &origin, &why) {
                let names = listed(moved.alerts.iter().map(Alert::name).collect());
                self.lines.push(format!("{names} belongs to {} now.", moved.key.0));
                let alerts = moved.alerts.iter().map(|alert| alert.name().to_owned()).collect();
                self.facts.push(What::MovedAway { alerts, to: moved.key.clone() });
                self.outgoing.push(Outgoing::Alerts(Box::new(moved)));
            }
        }
    }
}
