//! A whole installation and its surroundings, one step at a time: the next event of the agenda, then the promises.

mod check;
mod day;

use incident::agent::Message;
use incident::agents::ballot::{Ballot, BallotKeeper};
use incident::agents::communication::Communicator;
use incident::agents::diagnostics::Diagnostician;
use incident::agents::gateway::{Gateway, Kept};
use incident::agents::ledger::Ledger;
use incident::agents::monitoring::Monitoring;
use incident::agents::remediation::Remediation;
use incident::alert::Notification;
use incident::promises::Broken;
use incident::task::{Phase, Role};
use std::rc::Rc;

use chrono::TimeDelta;

use crate::choices::Choices;
use crate::env::{Env, Event};
use crate::faults::{Profile, Site};
use crate::mutation::{Mutation, Remediating};
use crate::people::Call;
use crate::perform::{Collector, Executor, NoEffects, Speaker, Teller};
use crate::scenario::{Moment, Place, Scenario};
use crate::scene::{self, Time};
use crate::service::{Part, Service};
use crate::trace::Trace;
use day::Day;

/// Who was not answered calls again after this.
const CALL_AGAIN: TimeDelta = TimeDelta::seconds(5);
/// People who have an incident are reminded of it within this.
const REMINDED_WITHIN: TimeDelta = TimeDelta::minutes(75);
/// Longer than any wait that has an end.
const LASTS_MAX: TimeDelta = TimeDelta::hours(8);
/// A day that takes more steps than this never comes to rest.
const STEPS_MAX: usize = 400_000;

pub(crate) struct World {
    env: Env,
    day: Day,
    gateway: Service<Gateway, Teller>,
    monitoring: Service<Monitoring, NoEffects>,
    diagnostics: Service<Diagnostician, Collector>,
    communication: Service<Communicator, Speaker>,
    remediation: Service<Remediating, Executor>,
    ledger: Service<Ledger, NoEffects>,
}

/// When nothing went on any more but waiting for people.
#[derive(Clone, Copy)]
struct Rest {
    since: Time,
    /// Deeds until then.
    deeds: usize,
}

/// How a day ended.
pub(crate) struct Ended {
    /// The first promise that broke.
    pub(crate) broken: Option<Broken>,
    pub(crate) env: Env,
    /// Steps taken.
    pub(crate) steps: usize,
}

impl World {
    pub(crate) fn new(
        scenario: &Scenario,
        choices: Choices,
        profile: Profile,
        (mutation, trace): (Option<Mutation>, Trace),
    ) -> Self {
        let mut env = Env::new(scene::beginning(), (choices, profile), trace);
        env.mutation = mutation;
        let day = Day::begin(scenario, &mut env);
        let directories = scene::tenants().map(|tenant| (tenant, scene::directory())).collect();
        let gateway = Gateway { ballots: BallotKeeper { directories, key: scene::gateway_key() } };
        let communicator = Communicator {
            chat: scene::tenants().collect(),
            ticket: scene::tenants().collect(),
            storms: scene::storms(&scenario.rules),
        };
        let remediator = scene::remediator(&scenario.rules);
        let executor = Executor { checks: remediator.clone() };
        Self {
            gateway: Service::new(gateway, Teller, &mut env),
            monitoring: Service::new(scene::monitoring(&scenario.rules), NoEffects, &mut env),
            diagnostics: Service::new(Diagnostician, Collector, &mut env),
            communication: Service::new(communicator, Speaker, &mut env),
            remediation: Service::new(Remediating { agent: remediator, mutation }, executor, &mut env),
            ledger: Service::new(Ledger, NoEffects, &mut env),
            env,
            day,
        }
    }

    /// Plays the day until everything is at rest, or a promise breaks.
    pub(crate) fn run(mut self) -> Ended {
        let until = self.env.now + LASTS_MAX;
        let mut steps = 0;
        let mut rested: Option<Rest> = None;
        let broken = loop {
            if self.is_at_rest() {
                let Rest { since, deeds } =
                    *rested.get_or_insert(Rest { since: self.env.now, deeds: self.env.witness.deeds.len() });
                if self.has_people_waiting() && self.env.now < since + REMINDED_WITHIN {
                    self.env.calm_from = since;
                } else {
                    break self.broken_at_the_end(deeds);
                }
            }
            if steps == STEPS_MAX || self.env.now > until {
                break Some(Broken { promise: "P6", why: self.what_goes_on() });
            }
            let Some(event) = self.env.next() else {
                break Some(Broken { promise: "P6", why: self.what_goes_on() });
            };
            steps += 1;
            self.take(event);
            if let Some(broken) = self.broken_by_now() {
                break Some(broken);
            }
        };
        Ended { broken, env: self.env, steps }
    }

    fn part(&mut self, role: Role) -> Option<(&mut dyn Part, &mut Env)> {
        let part: &mut dyn Part = match role {
            Role::Gateway => &mut self.gateway,
            Role::Monitoring => &mut self.monitoring,
            Role::Diagnostics => &mut self.diagnostics,
            Role::Communication => &mut self.communication,
            Role::Remediation => &mut self.remediation,
            Role::Ledger => &mut self.ledger,
            Role::Connectors => return None,
        };
        Some((part, &mut self.env))
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Happens(n) => self.happens(n),
            Event::Delivery(number) => {
                let to = self.env.log.get(number).map(|letter| letter.to);
                if let Some((part, env)) = to.and_then(|to| self.part(to)) {
                    part.delivery(env, number);
                }
            }
            Event::Works(role, work) => {
                if let Some((part, env)) = self.part(role) {
                    part.work(env, work);
                }
            }
            Event::Starts(role, replica) => {
                if let Some((part, env)) = self.part(role) {
                    part.starts(env, replica);
                }
            }
            Event::Arrives(role, call) => {
                if let Some((part, env)) = self.part(role) {
                    part.arrives(env, call);
                }
            }
            Event::Webhook(notification) => self.webhook(notification),
            Event::Answers(call) => self.answers(call),
            Event::Evaluates(place) => self.evaluates(&place),
        }
        for call in self.env.outside.people.call_again() {
            self.env.at(self.env.now + CALL_AGAIN, Event::Answers(Box::new(call)));
        }
        if self.env.witness.committed.contains(&Role::Gateway) {
            self.people_look();
        }
        let (asked, changed) = (self.env.outside.people.asked.len(), self.env.witness.changes.len());
        let upto = |n: usize| 1..=u32::try_from(n).unwrap_or(u32::MAX);
        self.day.reached(upto(asked).map(Moment::Asked).chain(upto(changed).map(Moment::Changed)), &mut self.env);
    }

    /// Alertmanager calls. Accepted is what the bus has stored.
    fn webhook(&mut self, mut notification: Box<Notification>) {
        let about = notification.message_id();
        let env = &mut self.env;
        notification.received_at = Some(env.now);
        if !self.gateway.is_there() || !env.bus_stores() || env.strikes(Site::WebhookRefused, &about) {
            return env.at(env.now + CALL_AGAIN, Event::Webhook(notification));
        }
        let (id, tenant) = (about.clone(), notification.tenant.clone());
        let content = incident::agent::Content::Alerts((*notification).clone());
        let number = env.log.store(Role::Monitoring, Rc::new(Message { id, tenant, trace: None, content }));
        env.witness.accepted(&notification);
        env.trace.say(env.now, || format!("{about} is accepted"));
        env.soon(&about, Event::Delivery(number));
        if env.strikes(Site::WebhookTwice, &about) {
            env.at(env.now + CALL_AGAIN, Event::Webhook(notification));
        }
    }

    fn answers(&mut self, mut call: Box<Call>) {
        self.env.outside.people.calls(&mut call);
        let number = call.number;
        if !self.gateway.call(&mut self.env, call.message(), number) {
            self.env.outside.people.hang_up(number);
        }
    }

    fn evaluates(&mut self, place: &Place) {
        for episode in self.env.outside.recovered(place, self.env.now) {
            self.tell(&episode, Some(self.env.now), TimeDelta::zero());
        }
    }

    /// What the gateway shows people.
    fn people_look(&mut self) {
        let people = &mut self.env.outside.people;
        let open = self.gateway.store.entities().filter_map(|(_, stored)| match &stored.entity.state {
            Kept::Ballot(Ballot::Open { request, .. }) => Some(request),
            Kept::Ballot(Ballot::Closed { .. }) | Kept::Errand { .. } | Kept::Silences { .. } => None,
        });
        for request in open {
            if people.asked.iter().all(|known| known.approval != request.approval) {
                people.asked.push((**request).clone());
            }
        }
    }

    /// Whether nothing goes on any more but waiting for people who are reminded.
    fn is_at_rest(&self) -> bool {
        self.env.is_quiet()
            && ![self.gateway.owes(), self.monitoring.owes(), self.diagnostics.owes(), self.communication.owes()].contains(&true)
            && !self.remediation.owes()
            && !self.ledger.owes()
            && self.env.witness.phases.values().all(|phase| matches!(phase, Phase::Resolved | Phase::NeedsPeople))
            && self.remediation.store.entities().all(|(_, s)| matches!(s.entity.state, Remediation::Ended { .. }))
            && self.gateway.store.entities().all(|(_, s)| s.entity.open_key.is_none())
    }

    fn has_people_waiting(&self) -> bool {
        self.env.witness.phases.values().any(|phase| *phase == Phase::NeedsPeople)
    }

    fn what_goes_on(&self) -> String {
        let open = self.env.witness.phases.iter().filter(|(_, phase)| **phase != Phase::Resolved);
        let open: Vec<String> = open.map(|((_, incident), phase)| format!("{incident} {}", phase.label())).collect();
        format!("it never comes to rest; open: {}", open.join(", "))
    }
}
