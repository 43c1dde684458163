//! What agents answer and stream (spec §3.2 and §4.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{or_default, unset};
use super::oneof::oneof;
use super::{Artifact, Message, Metadata, Task, TaskStatus};

/// `TaskStatusUpdateEvent`: a task stands otherwise than before (§4.2.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatusUpdateEvent {
    /// Which task.
    #[serde(alias = "task_id")]
    pub task_id: String,
    /// The task's context.
    #[serde(alias = "context_id")]
    pub context_id: String,
    /// How it stands now.
    pub status: TaskStatus,
    /// For extensions; says something of the event, not of the task.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
}

/// `TaskArtifactUpdateEvent`: an artifact, or the next piece of one (§4.2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskArtifactUpdateEvent {
    /// Which task.
    #[serde(alias = "task_id")]
    pub task_id: String,
    /// The task's context.
    #[serde(alias = "context_id")]
    pub context_id: String,
    /// What came.
    pub artifact: Artifact,
    /// Goes on with the artifact of the same id, instead of replacing it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub append: bool,
    /// Nothing more comes for this artifact.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "last_chunk")]
    pub last_chunk: bool,
    /// For extensions; says something of the event, not of the artifact.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
}

/// `StreamResponse`: one element of a stream, and the body of a push notification (§3.2.3).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamResponse {
    /// The task as it is now.
    Task(Task),
    /// An answer without a task; then it is the stream's only element.
    Message(Message),
    /// The task stands otherwise.
    StatusUpdate(TaskStatusUpdateEvent),
    /// The task has an artifact, or more of one.
    ArtifactUpdate(TaskArtifactUpdateEvent),
}

oneof!(StreamResponse {
    Task(task, "task"): Task,
    Message(message, "message"): Message,
    StatusUpdate(status_update, "statusUpdate"): TaskStatusUpdateEvent,
    ArtifactUpdate(artifact_update, "artifactUpdate"): TaskArtifactUpdateEvent,
});

/// `SendMessageResponse` (§3.1.1).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SendMessageResponse {
    /// The task that was made or gone on with.
    Task(Task),
    /// An answer without a task.
    Message(Message),
}

oneof!(SendMessageResponse { Task(task, "task"): Task, Message(message, "message"): Message });

impl From<SendMessageResponse> for StreamResponse {
    fn from(response: SendMessageResponse) -> Self {
        match response {
            SendMessageResponse::Task(task) => Self::Task(task),
            SendMessageResponse::Message(message) => Self::Message(message),
        }
    }
}
