//! Passes the agents' news on to the clients' tasks.

use std::time::Duration;

use a2a::{A2aError, ErrorKind, Message, StreamResponse, TaskState};
use incident::agents::gateway::Gateway;
use incident::task::{TaskEvent, TaskStatus};
use runtime::{Call, Fault, Perform, wire};
use serde_json::Value;
use tasks::{Update, Updates};
use tokio::sync::Mutex;

use super::Agents;
use super::forward::CANCELED;

/// Noted on a task: the number of the last event that it was told.
const TOLD: &str = "https://paramedic.dev/a2a/told";
/// As long as the task engine's database may be away.
const PATIENCE: Duration = Duration::from_hours(24);

/// Performs what the gateway's agent decides.
#[derive(Debug)]
pub struct Tell {
    agents: Agents,
    /// One at a time: two events of one task must not overtake each other.
    turn: Mutex<()>,
}

impl Tell {
    /// To the tasks of these engines.
    pub fn new(agents: Agents) -> Self {
        Self { agents, turn: Mutex::new(()) }
    }

    async fn tell(&self, event: &TaskEvent) -> Result<(), A2aError> {
        let engine = self.agents.of(event.from).ok_or_else(|| A2aError::task_not_found(&event.message_id))?;
        let updates = engine.updates(event.tenant.as_str(), &event.message_id).await?;
        let task = updates.task();
        let told = task.metadata.get(TOLD).and_then(Value::as_u64).unwrap_or_default();
        if task.status.state.is_terminal() || told >= u64::from(event.number) {
            return Ok(());
        }
        let is_canceled = task.metadata.contains_key(CANCELED);
        let wire = wire::event_to_a2a(event).map_err(|error| A2aError::internal(error.to_string()))?;
        let StreamResponse::Task(news) = wire else { return Err(A2aError::internal("an event that is no task")) };
        for artifact in news.artifacts {
            updates.report(artifact).await?;
        }
        let state = state(&event.status, is_canceled);
        let message = news.status.message.map(|said| own(&updates, said));
        updates.report(Update::Status { state, message, metadata: a2a::Metadata::new() }).await?;
        if !state.is_terminal() {
            updates.note(TOLD, event.number)?;
        }
        updates.flush().await
    }
}

/// The agent's words as the engine's message: the agents know the task under another name.
fn own(updates: &Updates, said: Message) -> Message {
    let message = updates.message(said.parts);
    Message { metadata: said.metadata, extensions: said.extensions, ..message }
}

const fn state(status: &TaskStatus, is_canceled: bool) -> TaskState {
    match status {
        TaskStatus::Working { .. } => TaskState::Working,
        TaskStatus::AuthRequired { .. } => TaskState::AuthRequired,
        TaskStatus::Completed { .. } => TaskState::Completed,
        TaskStatus::Failed { .. } | TaskStatus::Rejected { .. } | TaskStatus::Outdated { .. } if is_canceled => {
            TaskState::Canceled
        }
        TaskStatus::Failed { .. } => TaskState::Failed,
        TaskStatus::Rejected { .. } | TaskStatus::Outdated { .. } => TaskState::Rejected,
    }
}

impl Perform<Gateway> for Tell {
    async fn perform(&self, call: Call<TaskEvent>) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        let Err(error) = self.tell(&call.body).await else { return Ok(()) };
        match error.kind {
            ErrorKind::TaskNotFound => Err(Fault::never("no client has this task")),
            // It ended meanwhile, as by a cancellation: there is nobody left to tell.
            ErrorKind::UnsupportedOperation => Ok(()),
            ErrorKind::InvalidAgentResponse | ErrorKind::InvalidParams { .. } => Err(Fault::never(error)),
            _ => Err(Fault::again(error)),
        }
    }

    fn patience(&self, _: &TaskEvent) -> Duration {
        PATIENCE
    }
}
