//! One decision of monitoring in the making: what happened is taken in, then the incident comes to rest, or what is ready starts, people
//! are told what is new, and the next deadline is set.

use chrono::{DateTime, TimeDelta, Utc};

use super::around::Rules;
use super::lifecycle::told;
use super::open::{OpenIncident, Remedy};
use super::rest::Rest;
use super::{GRAPH, Incident, Outcome, StepName};
use crate::agent::{AUDIT, Content, Decision, Entity, Event, LOOK, Outgoing, Timer};
use crate::fact::What;
use crate::related::{Related, Told};
use crate::task::{Errand, Phase, Role};
use crate::workflow::{Overdue, StepSpec, StepState};

/// Gaps kept for people to read.
const GAPS_MAX: usize = 20;
/// An incident that waits for people is announced anew after this time, so that nobody forgets it.
const REMIND_PEOPLE: TimeDelta = TimeDelta::minutes(60);
/// How long the first bulletin waits for the plan. Nobody reads a card sooner; a cluster that answers slower shall not keep people from
/// knowing.
const PLAN_SOON: TimeDelta = TimeDelta::seconds(2);
pub(super) const DEADLINE: &str = "deadline";

/// One decision in the making.
pub(super) struct Turn {
    pub(super) open: OpenIncident,
    /// Set while it is at rest.
    pub(super) rest: Option<Rest>,
    pub(super) rules: Rules,
    pub(super) before: Phase,
    pub(super) now: DateTime<Utc>,
    pub(super) facts: Vec<What>,
    pub(super) outgoing: Vec<Outgoing>,
    /// Whether the card has something new to show.
    pub(super) is_news: bool,
    /// Whether nobody is told of it: alerts of an incident that flaps came or went once more.
    pub(super) is_muted: bool,
    /// What people are told in so many words; without it they are told of the new phase, if there is one.
    pub(super) lines: Vec<String>,
    /// How often people were reminded of what waits for them.
    pub(super) reminders: u32,
}

impl Turn {
    pub(super) fn of(open: OpenIncident, rest: Option<Rest>, rules: Rules, now: DateTime<Utc>) -> Self {
        let before = if rest.is_some() { Phase::Resolved } else { open.phase() };
        let (facts, outgoing, lines) = (vec![], vec![], vec![]);
        Self { open, rest, rules, before, now, facts, outgoing, is_news: false, is_muted: false, lines, reminders: 0 }
    }

    pub(super) fn take(self, event: Event<()>) -> Outcome {
        match event {
            Event::Message(Content::Alerts(notification)) => self.alerts(&notification),
            Event::Message(Content::Event(event)) => self.task_event(event),
            Event::Message(Content::Announced(announced)) => self.announced(&announced),
            Event::Message(Content::Related(Related { told: Told::Move { order, of, .. }, .. })) => self.takes_over(&order, of),
            Event::Message(Content::Related(related)) => self.related(related.told),
            Event::Message(Content::Order(order)) => self.ordered(&order),
            // Nothing passed but a moment: there is no reason to remind people.
            Event::Timer(name) if name == LOOK || name == AUDIT => self.finish("looked at again"),
            Event::Timer(_) => self.deadline(),
            Event::Message(_) | Event::Outcome { .. } => Decision::unchanged("monitoring has no business with it"),
        }
    }

    pub(super) fn gap(&mut self, reason: String) {
        if !self.open.gaps.contains(&reason) && self.open.gaps.len() < GAPS_MAX {
            self.open.gaps.push(reason.clone());
            self.facts.push(What::Gap { reason });
            self.is_news = true;
        }
    }

    /// A deadline passed: of a step, of a rest, of what flapped, or of people's patience.
    fn deadline(mut self) -> Outcome {
        if self.rest.is_some() && self.open.is_held() {
            return self.fires_on();
        }
        if let Some(rest) = self.rest.take() {
            return self.ends(rest);
        }
        for spec in GRAPH {
            match self.open.workflow.overdue(spec, self.now) {
                None => {}
                Some(Overdue::TryAgain(attempt)) => {
                    self.facts.push(What::StepChanged {
                        step: spec.name.as_str().to_owned(),
                        how: format!("no answer; attempt {attempt}"),
                    });
                    self.start(spec, attempt);
                }
                Some(Overdue::GaveUp) => self.gave_up(spec.name, format!("{} did not answer in time", spec.name.agent())),
            }
        }
        if matches!(self.open.remedy, Remedy::Recovered { .. }) && self.open.workflow.next_deadline().is_none() {
            let reason = "recovery was verified, but alerts still fire".to_owned();
            self.open.remedy = Remedy::None { reason };
        }
        self.settle();
        self.look_after_acknowledgement();
        let is_acknowledged = self.open.attendance.acknowledged.is_some();
        if self.open.phase() == Phase::NeedsPeople && self.lines.is_empty() && !is_acknowledged {
            self.is_news = true;
            // Nothing passed but time: a card that is only edited reminds nobody.
            self.reminders = u32::from(self.facts.is_empty());
        }
        self.finish("a deadline passed")
    }

    /// What flapped, and has not changed for long enough, is taken as it is: over, or firing for good.
    fn settle(&mut self) {
        let now = self.now;
        let Some(flapping) = self.open.flapping.take_if(|flapping| now >= flapping.stable_at) else { return };
        self.open.swings.clear();
        let stable = told(self.rules.stable());
        if self.open.is_quiet() {
            return self.lines.push(format!("Stable for {stable} after it was {}.", flapping.sentence()));
        }
        self.lines.push(format!("Stable for {stable} after it was {}: it fires.", flapping.sentence()));
        if !matches!(self.open.remedy, Remedy::Asked { .. } | Remedy::Running) {
            self.begin_anew();
        }
    }

    /// Cause and remedy are looked for from the beginning; what was asked before is not waited for.
    pub(super) fn begin_anew(&mut self) {
        self.open.round += 1;
        self.open.remedy = Remedy::Unknown;
        self.open.diagnosis = None;
        self.open.is_withdrawn = false;
        for step in [StepName::Diagnose, StepName::Remediate] {
            self.open.workflow.end(step, StepState::Waiting);
        }
    }

    pub(super) fn start(&mut self, spec: &StepSpec<StepName>, attempt: u32) {
        let message_id = format!("{}/{}.{}.{attempt}", self.open.id, spec.name.as_str(), self.open.round);
        let errand = match (spec.name, &self.open.diagnosis) {
            (StepName::Diagnose, _) => Errand::Diagnose { workload: self.open.workload(), alerts: self.open.told_alerts() },
            (StepName::Announce, _) => Errand::Announce { bulletin: self.bulletin(self.open.phase()) },
            (StepName::Ticket, _) => Errand::Ticket { bulletin: self.bulletin(self.open.phase()) },
            (StepName::Remediate, Some(diagnosis)) => {
                Errand::Remediate { alerts: self.open.told_alerts(), diagnosis: diagnosis.clone() }
            }
            (StepName::Remediate, None) => return self.no_remedy("there is no diagnosis".to_owned()),
        };
        let request = self.open.request(spec.name, message_id, errand);
        self.open.workflow.start(spec, attempt, request.task(), self.now);
        self.outgoing.push(Outgoing::Request(request));
    }

    /// Comes to rest if it is over, and wakes up if it is not over any more; else goes on.
    pub(super) fn finish(mut self, why: &str) -> Outcome {
        self.hand_over();
        self.hush();
        if self.open.is_quiet() && self.open.flapping.is_none() {
            return match (self.rest.take(), self.open.workflow.running(StepName::Remediate)) {
                (Some(rest), _) => self.stays_at_rest(rest, why),
                (None, Some((task, heard))) => self.withdraw(task, heard),
                (None, None) => self.come_to_rest(),
            };
        }
        if self.rest.take().is_some() {
            let names = self.open.firing_names();
            self.reopen(if names.is_empty() { "its alerts come and go".to_owned() } else { format!("{names} fires again") });
        }
        self.go_on(why)
    }

    /// Starts what is ready, tells people what is new, and sets the next deadline.
    fn go_on(mut self, why: &str) -> Outcome {
        let first_bulletin = self.open.workflow.state(StepName::Announce) == &StepState::Waiting;
        for spec in self.open.workflow.ready(GRAPH) {
            if !self.may_start(spec.name) {
                continue;
            }
            if spec.name.agent() != Role::Communication {
                self.start(spec, 1);
            } else if !self.waits_for_plan() {
                self.open.bulletins = 1;
                self.start(spec, 1);
            }
        }
        let phase = self.open.phase();
        if phase != self.before {
            self.facts.push(What::PhaseChanged { phase, why: self.why() });
        }
        // A card that is there shows that nothing more will be told.
        let is_kept_quiet = self.is_muted || (self.open.is_hushed() && phase == self.before);
        if !first_bulletin && !is_kept_quiet && (phase != self.before || self.is_news || !self.lines.is_empty()) {
            self.tell();
        }
        let deadline = self.next_deadline(phase);
        self.decided(why, Some(deadline), None)
    }

    /// Nobody is told of what is hushed, and nothing is proposed for it; evidence is collected, which is gone later. What flaps is left alone.
    fn may_start(&self, step: StepName) -> bool {
        match step {
            StepName::Diagnose => self.open.flapping.is_none() && !self.open.is_undiagnosed(),
            StepName::Remediate => self.open.flapping.is_none() && !self.open.is_hushed(),
            StepName::Announce | StepName::Ticket => !self.open.is_hushed(),
        }
    }

    fn next_deadline(&self, phase: Phase) -> DateTime<Utc> {
        let steps = self.open.workflow.next_deadline();
        // A plan may be outdated before anybody heard of it: then the next diagnosis is what is waited for.
        let announce_by = self.open.announce_by.filter(|at| self.open.bulletins == 0 && *at > self.now);
        let stable_at = self.open.flapping.as_ref().map(|flapping| flapping.stable_at);
        let is_acknowledged = self.open.attendance.acknowledged.is_some();
        let remind = (phase == Phase::NeedsPeople && !is_acknowledged).then(|| self.now + REMIND_PEOPLE);
        let (hushed, attended) = (self.open.hushed_until(), self.open.attended_until());
        let nearest = [steps, announce_by, stable_at, remind, hushed, attended].into_iter().flatten().min();
        nearest.unwrap_or(self.now + REMIND_PEOPLE)
    }

    /// A plan usually comes within a moment of its cause. People then get one card that says everything and not one after the other,
    /// and Slack and Jira, which take about a message a second, are asked once.
    fn waits_for_plan(&mut self) -> bool {
        let is_planned = matches!(self.open.remedy, Remedy::Unknown) && self.open.workflow.running(StepName::Remediate).is_some();
        is_planned && self.now < *self.open.announce_by.get_or_insert(self.now + PLAN_SOON)
    }

    /// The incident as it shall be: at rest, or open.
    pub(super) fn decided(self, why: &str, deadline: Option<DateTime<Utc>>, rest: Option<Rest>) -> Outcome {
        let (id, open_key, open) = (self.open.id.to_string(), Some(self.open.key.0.clone()), Box::new(self.open));
        let incident = open.id.clone();
        let state = match rest {
            Some(rest) => Incident::Resting { open, rest },
            None => Incident::Open(open),
        };
        Decision {
            outgoing: self.outgoing,
            timers: vec![Timer { name: DEADLINE.to_owned(), at: deadline }],
            facts: self.facts.into_iter().map(|what| (incident.clone(), what)).collect(),
            ..Decision::put(Entity { id, open_key, state }, why)
        }
    }
}
