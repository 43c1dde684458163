//! The end of an incident: what is not needed any more is taken back, people are told, it rests for a while, and is forgotten but for what
//! may still be told of it late.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::raw;
use super::around::Rules;
use super::early::Start;
use super::lifecycle::told;
use super::open::Remedy;
use super::orders::{OVERRULED_FOR, refused, too_late};
use super::turn::{DEADLINE, Turn};
use super::{Incident, Outcome, StepName};
use crate::agent::{Content, Decision, Entity, Event, Outgoing, Timer};
use crate::fact::What;
use crate::id::{IncidentId, TaskId, TenantId};
use crate::related::{Related, Told};
use crate::task::{Phase, Role, TaskCancel, TaskEvent, TaskStatus};
use crate::workflow::StepState;

/// Remediation answers a cancellation at once. If it is away, the incident does not wait for it; what it still asks for later is taken
/// back then.
const WITHDRAWN_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// What people are told who want something of such an incident.
const OVER: &str = "the incident is over for good: its alerts would open a new one";

/// An incident that is over, and may be opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rest {
    /// Since when.
    since: DateTime<Utc>,
    /// Until when.
    until: DateTime<Utc>,
    /// How it ended.
    outcome: String,
}

/// Takes back what remediation works on. A cancellation that overtook its request found no task, so each event that was heard since
/// gives a new one.
pub(super) fn take_back(tenant: &TenantId, incident: &IncidentId, task: TaskId, heard: u32) -> TaskCancel {
    TaskCancel {
        message_id: format!("{incident}/cancel.{task}.{heard}"),
        tenant: tenant.clone(),
        from: Role::Monitoring,
        to: Role::Remediation,
        task,
        reason: "no alert fires any more".to_owned(),
    }
}

impl Turn {
    /// What remediation was asked for is not needed any more. The incident ends with its answer and not before, because an approval may
    /// have been quicker: then the change is made, and people hear what came of it.
    pub(super) fn withdraw(mut self, task: TaskId, heard: u32) -> Outcome {
        self.open.is_withdrawn = true;
        self.open.workflow.hasten(StepName::Remediate, self.now + WITHDRAWN_WITHIN);
        let deadline = self.open.workflow.next_deadline();
        self.outgoing.push(Outgoing::Cancel(take_back(&self.open.tenant, &self.open.id, task, heard)));
        self.decided("no alert fires any more: the plan is taken back", deadline, None)
    }

    /// It is over, as far as can be known now.
    pub(super) fn come_to_rest(mut self) -> Outcome {
        let overruled = self.open.overruled.as_ref().map(|overruled| overruled.outcome(&self.open.alerts));
        let outcome = match &self.open.remedy {
            _ if overruled.is_some() => overruled.unwrap_or_default(),
            _ if self.open.alerts.is_empty() => "its alerts belong to another incident now".to_owned(),
            Remedy::Recovered { summary } => format!("resolved by the approved rollback: {summary}"),
            Remedy::None { reason } => format!("alerts resolved without a repair of ours ({reason})"),
            Remedy::Unknown | Remedy::Asked { .. } | Remedy::Running => "alerts resolved before anything was changed".to_owned(),
        };
        self.stop_steps();
        self.leave();
        // People who never heard of it need not hear that it is over; the record has it.
        if self.open.bulletins > 0 {
            self.lines.push(format!("Resolved: {outcome}"));
            self.tell_in(Phase::Resolved);
        }
        self.facts.push(What::PhaseChanged { phase: Phase::Resolved, why: "no alert fires any more".to_owned() });
        self.facts.push(What::Closed { outcome: outcome.clone() });
        if self.forget_acknowledgement() {
            self.attended("it is over".to_owned());
        }
        let until = self.now + if self.open.is_held() { OVERRULED_FOR } else { self.rules.reopen() };
        let rest = Rest { since: self.now, until, outcome };
        self.decided("no alert fires any more", Some(until), Some(rest))
    }

    /// Nothing is waited for any more. What failed to reach people is said as a gap when it is heard.
    fn stop_steps(&mut self) {
        let reason = "no alert fires any more".to_owned();
        for step in [StepName::Diagnose, StepName::Remediate] {
            if !self.open.workflow.state(step).is_over() {
                self.open.workflow.end(step, StepState::GaveUp { reason: reason.clone() });
            }
        }
        for step in [StepName::Announce, StepName::Ticket] {
            if self.open.workflow.running(step).is_some() {
                self.open.workflow.end(step, StepState::Done);
            }
        }
    }

    /// Something became known that does not open it again.
    pub(super) fn stays_at_rest(self, rest: Rest, why: &str) -> Outcome {
        let until = rest.until;
        self.decided(why, Some(until), Some(rest))
    }

    /// It was not over. What was found out before may be the reason: it is looked for anew, unless it flaps.
    pub(super) fn reopen(&mut self, why: String) {
        self.open.overruled = None;
        self.lines.insert(0, format!("Opened again: {why}."));
        self.facts.push(What::Reopened { why });
        self.open.outdated = 0;
        self.open.announce_by = None;
        self.open.remedy = Remedy::Unknown;
        self.enter();
        if self.open.flapping.is_none() {
            self.begin_anew();
        }
    }

    /// A person said that it is over while its alerts fired, and they still do.
    pub(super) fn fires_on(mut self) -> Outcome {
        let by = self.open.overruled.take().map(|overruled| overruled.by.to_string()).unwrap_or_default();
        self.rest = None;
        self.reopen(format!("{} still fires, {} after {by} resolved it", self.open.firing_names(), told(OVERRULED_FOR)));
        self.finish("what a person resolved still fires")
    }

    /// It has rested for long enough: whoever comes now is another incident.
    pub(super) fn ends(self, rest: Rest) -> Outcome {
        let episodes = self.open.alerts.into_iter().map(|(fingerprint, alert)| (fingerprint, alert.starts_at)).collect();
        let state = Incident::Closed { at: rest.since, outcome: rest.outcome, episodes };
        let entity = Entity { id: self.open.id.to_string(), open_key: None, state };
        let timers = vec![Timer { name: DEADLINE.to_owned(), at: None }];
        Decision { timers, ..Decision::put(entity, "it stayed resolved") }
    }
}

/// An incident that is over for good takes back what people are still asked for it: remediation was away when it ended. That people had
/// its alerts raw is recorded. An alert that it does not know is the beginning of another.
pub(super) fn after_the_end(
    id: String,
    (ended_at, episodes): (DateTime<Utc>, BTreeMap<String, DateTime<Utc>>),
    event: Event<()>,
    rules: impl Fn(&TenantId) -> Rules,
    now: DateTime<Utc>,
) -> Outcome {
    match event {
        Event::Message(Content::Event(event)) => {
            Decision { outgoing: asks_in_vain(&event).into_iter().collect(), ..Decision::unchanged("the incident is over") }
        }
        Event::Message(Content::Announced(announced)) => {
            let gap = id.parse().map(|incident| (incident, What::Gap { reason: raw(&announced) }));
            Decision { facts: gap.into_iter().collect(), ..Decision::unchanged("announced before it could be handled") }
        }
        Event::Message(Content::Alerts(mut notification)) => {
            let is_old = |fingerprint: &str, at| episodes.get(fingerprint).is_some_and(|known| at <= *known);
            notification.alerts.retain(|alert| !is_old(&alert.fingerprint, alert.starts_at));
            if notification.alerts.is_empty() {
                return Decision::unchanged("known of the incident that is over");
            }
            let rules = rules(&notification.tenant);
            let follows = (now - ended_at <= rules.follow()).then(|| id.parse().ok()).flatten();
            Start::of(&notification, follows).begin(notification, rules, now)
        }
        Event::Message(Content::Order(order)) => too_late(&order, OVER),
        Event::Message(Content::Related(Related { told: Told::Move { order, .. }, .. })) => refused(&order, OVER),
        Event::Message(_) | Event::Timer(_) | Event::Outcome { .. } => Decision::unchanged("the incident is over"),
    }
}

/// Takes back what people are asked by a task that nobody waits for.
pub(super) fn asks_in_vain(event: &TaskEvent) -> Option<Outgoing> {
    match &event.status {
        TaskStatus::AuthRequired { .. } => {
            let TaskEvent { tenant, incident, task, number, .. } = event;
            Some(Outgoing::Cancel(take_back(tenant, incident, task.clone(), *number)))
        }
        TaskStatus::Working { .. }
        | TaskStatus::Completed { .. }
        | TaskStatus::Failed { .. }
        | TaskStatus::Rejected { .. }
        | TaskStatus::Outdated { .. } => None,
    }
}
