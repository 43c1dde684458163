//! Hands a client's work to the agent on the bus. What the agent makes of it comes back as events (see `tell`).

use std::time::Duration;

use a2a::{A2aError, Caller, SendMessageRequest, Task};
use bus::Bus;
use incident::agent::Outgoing;
use incident::id::{IncidentId, TenantId};
use incident::task::{Errand, Role, TaskCancel, TaskRequest};
use tasks::{Admission, Executor, Updates, Work};

use super::errand;

/// Noted on a task when its client has asked to cancel it: an agent that gives up then was told to.
pub(super) const CANCELED: &str = "https://paramedic.dev/a2a/canceled";

/// Between two tries to reach a bus that is away. A task whose agent was never asked must not fail for that: its message id is spent.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The way to one agent.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) agent: Role,
    pub(super) bus: Bus,
}

impl Executor for Forward {
    async fn execute(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        let request = Outgoing::Request(self.request(&work)?);
        // Asking twice is asking once. When this process stops, the task is begun anew by whoever takes it over.
        while self.say(&request).await.is_err() {
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = updates.stopped() => return Ok(()),
            }
        }
        Ok(())
    }

    async fn cancel(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        if self.agent == Role::Communication {
            return Err(A2aError::task_not_cancelable(&work.task.id));
        }
        updates.note(CANCELED, true)?;
        updates.flush().await?;
        let request = self.request(&work)?;
        let task = request.task();
        let cancel = TaskCancel {
            message_id: format!("{}/cancel", request.message_id),
            tenant: request.tenant,
            from: Role::Gateway,
            to: self.agent,
            task,
            reason: "the client took it back".to_owned(),
        };
        self.say(&Outgoing::Cancel(cancel)).await
    }

    fn admit(&self, _caller: &Caller, request: &SendMessageRequest, task: Option<&Task>) -> Result<Admission, A2aError> {
        if task.is_some() {
            return Err(A2aError::unsupported_operation(
                "the agent asks nothing of its clients; answers to a plan that waits go to the agent at /a2a/approvals",
            ));
        }
        let errand = errand::read(&request.message)?;
        if !self.runs(&errand) {
            return Err(A2aError::invalid_field("message.parts", "must hold an errand of one of the agent's skills"));
        }
        errand::check(&errand)?;
        Ok(Admission::Task)
    }
}

impl Forward {
    const fn runs(&self, errand: &Errand) -> bool {
        match errand {
            Errand::Diagnose { .. } => matches!(self.agent, Role::Diagnostics),
            Errand::Remediate { .. } => matches!(self.agent, Role::Remediation),
            Errand::Announce { .. } | Errand::Ticket { .. } => matches!(self.agent, Role::Communication),
        }
    }

    fn request(&self, work: &Work) -> Result<TaskRequest, A2aError> {
        let tenant: TenantId = work.caller.tenant.parse().map_err(|_| A2aError::internal("the tenant has no usable name"))?;
        let context = work.task.context_id.as_deref().unwrap_or_default();
        // The first message: no other makes work (see `admit`).
        let message = work.task.history.first().unwrap_or(&work.message);
        Ok(TaskRequest {
            // The engine's task, so that events find back to it.
            message_id: work.task.id.clone(),
            incident: incident_of(&tenant, &work.caller.sender, context),
            tenant,
            from: Role::Gateway,
            to: self.agent,
            client: Some(work.caller.sender.clone()),
            errand: errand::read(message)?,
        })
    }

    async fn say(&self, outgoing: &Outgoing) -> Result<(), A2aError> {
        let trace = runtime::telemetry::traceparent(&tracing::Span::current());
        runtime::say(&self.bus, outgoing, trace.as_deref()).await.map_err(|error| {
            tracing::warn!(agent = %self.agent, error = &error as &dyn std::error::Error, "work could not be handed on");
            A2aError::unavailable("the agent cannot be reached; try again")
        })
    }
}

/// A context of a client as an incident of its own: no client reaches into another's, or into those that monitoring opened.
fn incident_of(tenant: &TenantId, sender: &str, context: &str) -> IncidentId {
    IncidentId::derive(&["a2a", tenant.as_str(), sender, context])
}
