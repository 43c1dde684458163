//! Monitoring: one incident per correlation key, from its first alert to its end, and the workflow that works on it.

mod turn;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Content, Decision, Entity, Event, Locator, Misdirected, Outgoing};
use crate::alert::{Alert, AlertStatus, CorrelationKey, Notification, Severity};
use crate::approval::ApprovalRequest;
use crate::evidence::{Diagnosis, Verdict};
use crate::fact::What;
use crate::id::{IncidentId, TenantId};
use crate::task::{Errand, Phase, Role, TaskEvent, TaskRequest, TaskStatus};
use crate::workflow::{StepSpec, Workflow};
use crate::workload::Workload;
use turn::{Turn, take_back};

/// Alerts that are handed to other agents: enough to diagnose and verify, small enough for a message.
const ALERTS_TOLD_MAX: usize = 20;

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
    /// Alerts fire, or the repair is not verified yet.
    Open(Box<OpenIncident>),
    /// It is over.
    Closed {
        /// When.
        at: DateTime<Utc>,
        /// How it ended.
        outcome: String,
    },
}

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenIncident {
    id: IncidentId,
    tenant: TenantId,
    key: CorrelationKey,
    opened_at: DateTime<Utc>,
    alerts: BTreeMap<String, Alert>,
    workflow: Workflow<StepName>,
    /// Of diagnosis and remedy, from 1.
    round: u32,
    diagnosis: Option<Diagnosis>,
    remedy: Remedy,
    gaps: Vec<String>,
    bulletins: u32,
    /// Until then the first bulletin may wait for the plan.
    #[serde(default)]
    announce_by: Option<DateTime<Utc>>,
}

/// How the repair stands, as remediation told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "remedy", rename_all = "snake_case")]
enum Remedy {
    /// Nothing is known yet.
    Unknown,
    /// A plan waits for people.
    Asked { request: Box<ApprovalRequest> },
    /// It is being carried out.
    Running,
    /// It helped.
    Recovered { summary: String },
    /// There is none, or it did not help.
    None { reason: String },
}

/// Monitoring's behaviour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Monitoring;

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
            Content::Alerts(notification) => Ok(Locator::Open(notification.key.0.clone())),
            Content::Event(event) => Ok(Locator::Id(event.incident.to_string())),
            other => Err(other.misdirected(Role::Monitoring)),
        }
    }

    fn decide(&self, entity: Option<Entity<Incident>>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
        let open = match entity.map(|e| e.state) {
            None => None,
            Some(Incident::Open(open)) => Some(*open),
            Some(Incident::Closed { .. }) => return after_the_end(event),
        };
        match (event, open) {
            (Event::Message(Content::Alerts(notification)), Some(open)) => Turn::of(open, now).alerts(notification),
            (Event::Message(Content::Alerts(notification)), None) => open_incident(notification, now),
            (Event::Message(Content::Event(event)), Some(open)) => Turn::of(open, now).task_event(event),
            (Event::Timer(_), Some(open)) => Turn::of(open, now).deadline(),
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("there is no such incident"),
        }
    }
}

/// An incident that is over takes back what people are still asked for it: remediation was away when it ended.
fn after_the_end(event: Event<()>) -> Outcome {
    let unchanged = Decision::unchanged("the incident is over");
    match event {
        Event::Message(Content::Event(TaskEvent {
            status: TaskStatus::AuthRequired { .. },
            tenant,
            incident,
            task,
            number,
            ..
        })) => {
            let outgoing = vec![Outgoing::Cancel(take_back(&tenant, &incident, task, number))];
            Decision { outgoing, ..unchanged }
        }
        Event::Message(_) | Event::Timer(_) | Event::Outcome { .. } => unchanged,
    }
}

fn open_incident(notification: Notification, now: DateTime<Utc>) -> Outcome {
    if notification.alerts.iter().all(|alert| alert.status == AlertStatus::Resolved) {
        return Decision::unchanged("resolved alerts of no open incident");
    }
    let id = IncidentId::derive(&[notification.tenant.as_str(), &notification.key.0, &notification.message_id()]);
    let open = OpenIncident {
        id: id.clone(),
        tenant: notification.tenant.clone(),
        key: notification.key.clone(),
        opened_at: now,
        alerts: BTreeMap::new(),
        workflow: Workflow::new(GRAPH),
        round: 1,
        diagnosis: None,
        remedy: Remedy::Unknown,
        gaps: vec![],
        bulletins: 0,
        announce_by: None,
    };
    let mut turn = Turn::of(open, now);
    turn.attach(&notification);
    turn.facts.insert(0, What::Opened { title: turn.open.title(), severity: turn.open.severity() });
    turn.finish("a new incident")
}

impl OpenIncident {
    fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|alert| alert.status == AlertStatus::Firing)
    }

    /// Whether nothing is left to repair, and nothing of ours is under way.
    fn is_quiet(&self) -> bool {
        self.firing().next().is_none() && !matches!(self.remedy, Remedy::Running)
    }

    fn severity(&self) -> Severity {
        self.alerts.values().map(Alert::severity).max().unwrap_or(Severity::Warning)
    }

    fn workload(&self) -> Option<Workload> {
        self.firing().chain(self.alerts.values()).find_map(Alert::workload)
    }

    fn title(&self) -> String {
        let mut names: Vec<&str> = self.alerts.values().map(Alert::name).collect();
        names.dedup();
        let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
        names.truncate(3);
        match self.workload() {
            Some(workload) => format!("{}{more} on {}/{}", names.join(", "), workload.namespace, workload.name),
            None => format!("{}{more} ({})", names.join(", "), self.key.0),
        }
    }

    fn told_alerts(&self) -> Vec<Alert> {
        self.firing()
            .chain(self.alerts.values().filter(|a| a.status == AlertStatus::Resolved))
            .take(ALERTS_TOLD_MAX)
            .cloned()
            .collect()
    }

    fn phase(&self) -> Phase {
        match (&self.remedy, self.workflow.state(StepName::Diagnose)) {
            (Remedy::Asked { .. }, _) => Phase::AwaitingApproval,
            (Remedy::Running | Remedy::Recovered { .. }, _) => Phase::Repairing,
            (Remedy::None { .. }, _) => Phase::NeedsPeople,
            (Remedy::Unknown, state) if state.is_over() => Phase::Planning,
            (Remedy::Unknown, _) => Phase::Diagnosing,
        }
    }

    fn request(&self, name: StepName, message_id: String, errand: Errand) -> TaskRequest {
        let (tenant, incident) = (self.tenant.clone(), self.id.clone());
        TaskRequest { message_id, tenant, from: Role::Monitoring, to: name.agent(), incident, client: None, errand }
    }

    fn findings(&self) -> Vec<String> {
        match self.diagnosis.as_ref().map(|d| (&d.verdict, &d.evidence)) {
            None => vec![],
            Some((Verdict::Inconclusive { reason }, _)) => vec![format!("Cause not found: {reason}")],
            Some((Verdict::Hypothesis(found), evidence)) => {
                let mut lines = vec![format!("{} (confidence {} %)", found.summary, found.confidence_percent)];
                let cited = evidence.iter().filter(|e| found.cites.contains(&e.id));
                lines.extend(cited.map(|e| format!("{}: {}", e.id, e.finding.line())));
                lines
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::alert::tests::alert;
    use crate::task::Artifact;

    /// An incident at a moment, and what monitoring asks of others on the way there.
    struct Case {
        entity: Option<Entity<Incident>>,
        now: DateTime<Utc>,
        asked: Vec<TaskRequest>,
    }

    impl Case {
        fn decide(&mut self, event: Event<()>) {
            let decision = Monitoring.decide(self.entity.clone(), event, self.now);
            self.asked.extend(decision.outgoing.into_iter().filter_map(|outgoing| match outgoing {
                Outgoing::Request(request) => Some(request),
                _ => None,
            }));
            self.entity = decision.next.or(self.entity.take());
        }

        /// The newest request is answered.
        fn completes(&mut self, request: &TaskRequest, artifact: Artifact) {
            let TaskRequest { message_id, tenant, from, to, incident, .. } = request.clone();
            let status = TaskStatus::Completed { artifact };
            let event = TaskEvent { tenant, task: request.task(), message_id, incident, from: to, to: from, number: 1, status };
            self.decide(Event::Message(Content::Event(event)));
        }
    }

    #[test]
    fn people_who_have_an_incident_hear_of_it_again() {
        let tenant: TenantId = "acme".parse().unwrap();
        let alerts = vec![alert("HighErrorRatio", AlertStatus::Firing, 0)];
        let told = Notification::split(&tenant, "{}:{}", alerts, 0, &crate::alert::Correlation::default()).remove(0);
        let mut case = Case { entity: None, now: DateTime::UNIX_EPOCH, asked: vec![] };
        case.decide(Event::Message(Content::Alerts(told)));
        let diagnose = case.asked.remove(0);
        let verdict = Verdict::Inconclusive { reason: "nothing changed".to_owned() };
        let diagnosis = Diagnosis { verdict, evidence: vec![] };
        case.completes(&diagnose, Artifact::Diagnosis { diagnosis });
        for request in std::mem::take(&mut case.asked) {
            case.completes(&request, Artifact::Delivered { place: Some("there".to_owned()) });
        }
        case.asked.clear();
        case.now += TimeDelta::minutes(61);
        case.decide(Event::Timer("deadline".to_owned()));
        let news: Vec<Option<String>> = case
            .asked
            .iter()
            .map(|request| match &request.errand {
                Errand::Announce { bulletin } | Errand::Ticket { bulletin } => bulletin.news.clone(),
                Errand::Diagnose { .. } | Errand::Remediate { .. } => None,
            })
            .collect();
        assert_eq!(news.len(), 2, "chat and ticket");
        for news in news {
            assert!(news.clone().is_some_and(|news| news.starts_with("Reminder, still needs people")), "{news:?}");
        }
    }
}
