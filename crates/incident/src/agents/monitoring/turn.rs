//! One decision of monitoring in the making: what happened is taken in, then the incident closes, or what is ready starts, people are
//! told what is new, and the next deadline is set.

use chrono::{DateTime, TimeDelta, Utc};

use super::{GRAPH, Incident, OpenIncident, Outcome, Remedy, StepName};
use crate::agent::{Decision, Entity, Outgoing, Timer};
use crate::alert::{AlertStatus, Notification};
use crate::evidence::Verdict;
use crate::fact::What;
use crate::id::{IncidentId, TaskId, TenantId};
use crate::task::{Artifact, Ask, Bulletin, Errand, Phase, Role, TaskCancel, TaskEvent, TaskStatus};
use crate::workflow::{Overdue, StepSpec, StepState};

/// Alerts of one incident; the rest is counted in a gap and resolved with them. Bounds the state that every commit writes.
const ALERTS_MAX: usize = 500;
/// How often the cause is looked for anew because its target changed, before people take over.
const ROUNDS_MAX: u32 = 3;
/// Gaps kept for people to read.
const GAPS_MAX: usize = 20;
/// An incident that waits for people is announced anew after this time, so that nobody forgets it.
const REMIND_PEOPLE: TimeDelta = TimeDelta::minutes(60);
/// Remediation answers a cancellation at once. If it is away, the incident does not wait for it; what it still asks for later is taken
/// back then.
const WITHDRAWN_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// How long the first bulletin waits for the plan. Nobody reads a card sooner; a cluster that answers slower shall not keep people from
/// knowing.
const PLAN_SOON: TimeDelta = TimeDelta::seconds(2);
const DEADLINE: &str = "deadline";

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

/// One decision in the making.
pub(super) struct Turn {
    pub(super) open: OpenIncident,
    pub(super) before: Phase,
    pub(super) now: DateTime<Utc>,
    pub(super) facts: Vec<What>,
    pub(super) outgoing: Vec<Outgoing>,
    /// Whether the card has something new to show.
    pub(super) is_news: bool,
    /// How often people were reminded of what waits for them.
    pub(super) reminders: u32,
}

impl Turn {
    pub(super) fn of(open: OpenIncident, now: DateTime<Utc>) -> Self {
        let before = open.phase();
        Self { open, before, now, facts: vec![], outgoing: vec![], is_news: false, reminders: 0 }
    }

    pub(super) fn attach(&mut self, notification: &Notification) {
        for alert in &notification.alerts {
            let known = self.open.alerts.get(&alert.fingerprint);
            let is_new = known.is_none_or(|known| alert.supersedes(known));
            let has_room = known.is_some() || self.open.alerts.len() < ALERTS_MAX;
            if !is_new || (known.is_none() && alert.status == AlertStatus::Resolved) {
                continue;
            }
            if !has_room {
                self.gap(format!("more than {ALERTS_MAX} alerts: the rest is not listed"));
                continue;
            }
            let (name, firing) = (alert.name().to_owned(), alert.status == AlertStatus::Firing);
            self.facts.push(What::AlertChanged { alert: name, fingerprint: alert.fingerprint.clone(), firing });
            self.open.alerts.insert(alert.fingerprint.clone(), alert.clone());
            self.is_news = true;
        }
        if notification.truncated_alerts > 0 {
            self.gap("Alertmanager left alerts out of a group (max_alerts)".to_owned());
        }
    }

    pub(super) fn gap(&mut self, reason: String) {
        if !self.open.gaps.contains(&reason) && self.open.gaps.len() < GAPS_MAX {
            self.open.gaps.push(reason.clone());
            self.facts.push(What::Gap { reason });
            self.is_news = true;
        }
    }

    pub(super) fn alerts(mut self, notification: Notification) -> Outcome {
        self.attach(&notification);
        if !self.is_news {
            return Decision::unchanged("known already");
        }
        self.finish("alerts changed")
    }

    pub(super) fn task_event(mut self, event: TaskEvent) -> Outcome {
        let Some(name) = self.open.workflow.step_of(&event.task) else { return self.stray_event(event) };
        let Some(spec) = GRAPH.iter().find(|spec| spec.name == name) else { return Decision::unchanged("no such step") };
        if event.from != name.agent() {
            return Decision::unchanged(format!("{} speaks of a task of {}", event.from, name.agent()));
        }
        if !self.open.workflow.hear(name, event.number, self.now + TimeDelta::seconds(spec.timeout_s)) {
            return Decision::unchanged("old news of the task");
        }
        match event.status {
            TaskStatus::Working { note } => self.working(name, note),
            TaskStatus::AuthRequired { request, reminders } => {
                self.is_news = true;
                self.reminders = reminders;
                self.open.remedy = Remedy::Asked { request };
            }
            TaskStatus::Completed { artifact } => {
                self.open.workflow.end(name, StepState::Done);
                self.completed(name, artifact);
            }
            // A plan that nothing needs any more was turned down before anything was changed: no reason to call people.
            TaskStatus::Rejected { reason } if name == StepName::Remediate && self.open.is_quiet() => {
                self.open.workflow.end(name, StepState::GaveUp { reason });
            }
            TaskStatus::Failed { reason } | TaskStatus::Rejected { reason } => self.gave_up(name, reason),
            TaskStatus::Outdated { reason } => self.outdated(name, reason),
        }
        self.finish("a task moved on")
    }

    /// Bulletins after the first are not steps; all that matters of them is whether they failed.
    pub(super) fn stray_event(mut self, event: TaskEvent) -> Outcome {
        match event.status {
            TaskStatus::Failed { reason } | TaskStatus::Rejected { reason } if event.from == Role::Communication => {
                self.gap(reason);
                // Announcing that announcing failed would go round in circles: the gap is shown with the next real news.
                self.is_news = false;
                self.finish("people could not be told")
            }
            _ => Decision::unchanged("a task that no step waits for"),
        }
    }

    pub(super) fn working(&mut self, name: StepName, note: String) {
        if name == StepName::Remediate && !matches!(self.open.remedy, Remedy::Unknown) {
            self.open.remedy = Remedy::Running;
        }
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: note });
    }

    pub(super) fn completed(&mut self, name: StepName, artifact: Artifact) {
        match artifact {
            Artifact::Diagnosis { diagnosis } => {
                self.facts.push(What::Diagnosed { diagnosis: diagnosis.clone() });
                if let Verdict::Inconclusive { reason } = &diagnosis.verdict {
                    self.no_remedy(format!("the cause was not found: {reason}"));
                }
                self.open.diagnosis = Some(diagnosis);
                self.is_news = true;
            }
            Artifact::Recovery { summary } => self.open.remedy = Remedy::Recovered { summary },
            Artifact::Delivered { place: Some(place) } => {
                self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("see {place}") });
            }
            Artifact::Delivered { place: None } => {
                self.gap(format!(
                    "{}: not configured; see the log, or `paramedic incident timeline {}`",
                    name.as_str(),
                    self.open.id
                ));
            }
        }
    }

    pub(super) fn gave_up(&mut self, name: StepName, reason: String) {
        self.open.workflow.end(name, StepState::GaveUp { reason: reason.clone() });
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("gave up: {reason}") });
        match name {
            StepName::Diagnose => self.no_remedy(format!("the diagnosis failed: {reason}")),
            StepName::Remediate => self.no_remedy(reason),
            StepName::Announce | StepName::Ticket => self.gap(reason),
        }
    }

    /// The workload is not what was diagnosed: the remedy would be for yesterday's trouble. The cause is looked for again.
    pub(super) fn outdated(&mut self, name: StepName, reason: String) {
        if name != StepName::Remediate || self.open.round >= ROUNDS_MAX {
            return self.gave_up(name, reason);
        }
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("diagnosed anew: {reason}") });
        self.open.round += 1;
        self.open.remedy = Remedy::Unknown;
        self.open.diagnosis = None;
        for step in [StepName::Diagnose, StepName::Remediate] {
            self.open.workflow.end(step, StepState::Waiting);
        }
    }

    pub(super) fn no_remedy(&mut self, reason: String) {
        self.open.workflow.end(StepName::Remediate, StepState::GaveUp { reason: reason.clone() });
        self.open.remedy = Remedy::None { reason };
    }

    pub(super) fn deadline(mut self) -> Outcome {
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
        if self.open.phase() == Phase::NeedsPeople {
            self.is_news = true;
            // Nothing passed but time: a card that is only edited reminds nobody.
            self.reminders = u32::from(self.facts.is_empty());
        }
        self.finish("a deadline passed")
    }

    pub(super) fn start(&mut self, spec: &StepSpec<StepName>, attempt: u32) {
        let message_id = format!("{}/{}.{}.{attempt}", self.open.id, spec.name.as_str(), self.open.round);
        let errand = match (spec.name, &self.open.diagnosis) {
            (StepName::Diagnose, _) => Errand::Diagnose { workload: self.open.workload(), alerts: self.open.told_alerts() },
            (StepName::Announce, _) => Errand::Announce { bulletin: self.bulletin() },
            (StepName::Ticket, _) => Errand::Ticket { bulletin: self.bulletin() },
            (StepName::Remediate, Some(diagnosis)) => {
                Errand::Remediate { alerts: self.open.told_alerts(), diagnosis: diagnosis.clone() }
            }
            (StepName::Remediate, None) => return self.no_remedy("there is no diagnosis".to_owned()),
        };
        let request = self.open.request(spec.name, message_id, errand);
        self.open.workflow.start(spec, attempt, request.task(), self.now);
        self.outgoing.push(Outgoing::Request(request));
    }

    pub(super) fn bulletin(&self) -> Bulletin {
        let open = &self.open;
        let phase = open.phase();
        let ask = match &open.remedy {
            Remedy::Asked { request } => Some(Ask { request: (**request).clone() }),
            _ => None,
        };
        Bulletin {
            number: open.bulletins,
            title: open.title(),
            severity: open.severity(),
            phase,
            news: (phase != self.before || open.bulletins <= 1 || self.reminders > 0).then(|| self.news(phase)),
            findings: open.findings(),
            ask,
            gaps: open.gaps.clone(),
            opened_at: open.opened_at,
        }
    }

    /// Why the incident is where it is, for the record.
    pub(super) fn why(&self) -> String {
        match &self.open.remedy {
            Remedy::Asked { request } => format!("{} ({})", request.plan.headline(), request.approval),
            Remedy::Running => "approved; the change is being made and verified".to_owned(),
            Remedy::Recovered { summary } => summary.clone(),
            Remedy::None { reason } => reason.clone(),
            Remedy::Unknown => self.open.title(),
        }
    }

    /// The same for people in the thread.
    pub(super) fn news(&self, phase: Phase) -> String {
        match &self.open.remedy {
            Remedy::Asked { request } => {
                let still = if self.reminders > 0 { "Reminder, still waiting for an answer: " } else { "" };
                format!("{still}{}. Approve with: paramedic approve {}", request.plan.headline(), request.approval)
            }
            Remedy::Running => "Approved; the change is being made and verified.".to_owned(),
            Remedy::Recovered { summary } => summary.clone(),
            Remedy::None { reason } if self.reminders > 0 => format!("Reminder, still needs people: {reason}"),
            Remedy::None { reason } => format!("Needs people: {reason}"),
            Remedy::Unknown => format!("Incident {}: {}", phase.label(), self.open.title()),
        }
    }

    /// Closes if it is over; else starts what is ready, tells people what is new, and sets the next deadline.
    pub(super) fn finish(mut self, why: &str) -> Outcome {
        if self.open.is_quiet() {
            return match self.open.workflow.running(StepName::Remediate) {
                Some((task, heard)) => self.withdraw(task, heard),
                None => self.close(),
            };
        }
        let first_bulletin = self.open.workflow.state(StepName::Announce) == &StepState::Waiting;
        for spec in self.open.workflow.ready(GRAPH) {
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
        if !first_bulletin && (phase != self.before || self.is_news) {
            self.tell();
        }
        let deadline = match (self.open.workflow.next_deadline(), phase) {
            (Some(step), Phase::NeedsPeople) => step.min(self.now + REMIND_PEOPLE),
            (Some(step), _) => step,
            (None, _) => self.now + REMIND_PEOPLE,
        };
        // A plan may be outdated before anybody heard of it: then the next diagnosis is what is waited for.
        let announce_by = self.open.announce_by.filter(|at| self.open.bulletins == 0 && *at > self.now);
        let deadline = announce_by.map_or(deadline, |at| at.min(deadline));
        self.decided(why, Some(deadline), None)
    }

    /// A plan usually comes within a moment of its cause. People then get one card that says everything and not one after the other,
    /// and Slack and Jira, which take about a message a second, are asked once.
    fn waits_for_plan(&mut self) -> bool {
        let is_planned = matches!(self.open.remedy, Remedy::Unknown) && self.open.workflow.running(StepName::Remediate).is_some();
        is_planned && self.now < *self.open.announce_by.get_or_insert(self.now + PLAN_SOON)
    }

    /// A later bulletin, to chat and ticket.
    pub(super) fn tell(&mut self) {
        self.open.bulletins += 1;
        let bulletin = self.bulletin();
        let id = |kind: &str| format!("{}/{kind}.b{}", self.open.id, bulletin.number);
        let announce = self.open.request(StepName::Announce, id("announce"), Errand::Announce { bulletin: bulletin.clone() });
        let ticket = self.open.request(StepName::Ticket, id("ticket"), Errand::Ticket { bulletin: bulletin.clone() });
        self.outgoing.extend([Outgoing::Request(announce), Outgoing::Request(ticket)]);
    }

    /// What remediation was asked for is not needed any more. The incident ends with its answer and not before, because an approval may
    /// have been quicker: then the change is made, and people hear what came of it.
    pub(super) fn withdraw(mut self, task: TaskId, heard: u32) -> Outcome {
        self.open.workflow.hasten(StepName::Remediate, self.now + WITHDRAWN_WITHIN);
        let deadline = self.open.workflow.next_deadline();
        self.outgoing.push(Outgoing::Cancel(take_back(&self.open.tenant, &self.open.id, task, heard)));
        self.decided("no alert fires any more: the plan is taken back", deadline, None)
    }

    pub(super) fn close(mut self) -> Outcome {
        let outcome = match &self.open.remedy {
            Remedy::Recovered { summary } => format!("resolved by the approved rollback: {summary}"),
            Remedy::None { reason } => format!("alerts resolved without a repair of ours ({reason})"),
            Remedy::Unknown | Remedy::Asked { .. } | Remedy::Running => "alerts resolved before anything was changed".to_owned(),
        };
        // People who never heard of it need not hear that it is over; the record has it.
        let was_announced = self.open.bulletins > 0;
        self.open.bulletins += 1;
        let last = Bulletin { phase: Phase::Resolved, ask: None, news: Some(format!("Resolved: {outcome}")), ..self.bulletin() };
        if was_announced {
            let id = |kind: &str| format!("{}/{kind}.b{}", self.open.id, last.number);
            let announce = self.open.request(StepName::Announce, id("announce"), Errand::Announce { bulletin: last.clone() });
            let ticket = self.open.request(StepName::Ticket, id("ticket"), Errand::Ticket { bulletin: last.clone() });
            self.outgoing.extend([Outgoing::Request(announce), Outgoing::Request(ticket)]);
        }
        self.facts.push(What::PhaseChanged { phase: Phase::Resolved, why: "no alert fires any more".to_owned() });
        self.facts.push(What::Closed { outcome: outcome.clone() });
        self.decided("no alert fires any more", None, Some(outcome))
    }

    pub(super) fn decided(self, why: &str, deadline: Option<DateTime<Utc>>, outcome: Option<String>) -> Outcome {
        let incident = self.open.id.clone();
        let id = incident.to_string();
        let entity = match outcome {
            Some(outcome) => Entity { id, open_key: None, state: Incident::Closed { at: self.now, outcome } },
            None => Entity { id, open_key: Some(self.open.key.0.clone()), state: Incident::Open(Box::new(self.open)) },
        };
        Decision {
            outgoing: self.outgoing,
            timers: vec![Timer { name: DEADLINE.to_owned(), at: deadline }],
            facts: self.facts.into_iter().map(|what| (incident.clone(), what)).collect(),
            ..Decision::put(entity, why)
        }
    }
}
