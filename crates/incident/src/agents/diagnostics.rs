//! Diagnostics: looks once at everything it can see, then says what follows, by rules.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AUDIT, Agent, Content, Decision, Effect, Entity, Event, Failure, Locator, Misdirected, Outgoing};
use crate::alert::Alert;
use crate::diagnosis::conclude;
use crate::evidence::{Diagnosis, Evidence};
use crate::id::IncidentId;
use crate::task::{Artifact, Errand, Role, TaskEvent, TaskRequest, TaskStatus};
use crate::workload::Workload;

/// One diagnosis, by where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "diagnosing", rename_all = "snake_case")]
pub enum Diagnosing {
    /// Evidence is being collected for this request.
    Collecting {
        /// The request.
        request: Box<TaskRequest>,
    },
    /// Over.
    Ended,
}

/// Collect evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collect {
    /// What the alerts point at, if they do.
    pub workload: Option<Workload>,
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// Diagnostics' behaviour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Diagnostician;

impl Agent for Diagnostician {
    type State = Diagnosing;
    type Effect = Collect;
    type Outcome = Vec<Evidence>;

    fn role(&self) -> Role {
        Role::Diagnostics
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Request(request) => Ok(Locator::Id(request.task().to_string())),
            Content::Cancel(cancel) => Ok(Locator::Id(cancel.task.to_string())),
            other => Err(other.misdirected(Role::Diagnostics)),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        matches!(content, Content::Request(_))
    }

    fn incident(&self, state: &Diagnosing) -> Option<IncidentId> {
        match state {
            Diagnosing::Collecting { request } => Some(request.incident.clone()),
            Diagnosing::Ended => None,
        }
    }

    fn decide(
        &self,
        entity: Option<Entity<Diagnosing>>,
        event: Event<Vec<Evidence>>,
        _now: DateTime<Utc>,
    ) -> Decision<Diagnosing, Collect> {
        match (event, entity.map(|e| e.state)) {
            (Event::Message(Content::Request(request)), None) => begin(request),
            (Event::Timer(name), Some(Diagnosing::Collecting { request })) if name == AUDIT => begin(*request),
            (Event::Outcome { result, .. }, Some(Diagnosing::Collecting { request })) => end(&request, result),
            (Event::Message(Content::Cancel(_)), Some(Diagnosing::Collecting { request })) => {
                end(&request, Err(Failure { reason: "taken back".to_owned() }))
            }
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("nothing waits for this"),
        }
    }
}

fn begin(request: TaskRequest) -> Decision<Diagnosing, Collect> {
    let Errand::Diagnose { workload, alerts } = request.errand.clone() else {
        return end(&request, Err(Failure { reason: "diagnostics has no such skill".to_owned() }));
    };
    let id = request.task().to_string();
    let effects = vec![Effect { name: "collect".to_owned(), body: Collect { workload, alerts } }];
    let state = Diagnosing::Collecting { request: Box::new(request) };
    Decision { effects, ..Decision::put(Entity { open_key: Some(id.clone()), id, state }, "evidence is collected") }
}

fn end(request: &TaskRequest, result: Result<Vec<Evidence>, Failure>) -> Decision<Diagnosing, Collect> {
    let alerts: &[Alert] = match &request.errand {
        Errand::Diagnose { alerts, .. } => alerts,
        Errand::Remediate { .. } | Errand::Announce { .. } | Errand::Ticket { .. } => &[],
    };
    let status = match result {
        Ok(evidence) => {
            let diagnosis = Diagnosis { verdict: conclude(&evidence, alerts), evidence };
            TaskStatus::Completed { artifact: Artifact::Diagnosis { diagnosis } }
        }
        Err(Failure { reason }) => TaskStatus::Failed { reason },
    };
    let task = request.task();
    let event = TaskEvent {
        tenant: request.tenant.clone(),
        task: task.clone(),
        message_id: request.message_id.clone(),
        incident: request.incident.clone(),
        from: Role::Diagnostics,
        to: request.from,
        number: 1,
        status,
    };
    let entity = Entity { id: task.to_string(), open_key: None, state: Diagnosing::Ended };
    Decision { outgoing: vec![Outgoing::Event(event)], ..Decision::put(entity, "the diagnosis is made") }
}
