//! The A2A 1.0 data model as far as Paramedic speaks it, in ProtoJSON: camelCase names, SCREAMING_SNAKE enums, no discriminators
//! (spec 1.0.1 §4). Unknown fields are ignored when reading; REQUIRED ones are always written.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Extension and caller data, keyed by extension URI or plain name.
pub type Metadata = BTreeMap<String, Value>;

/// `SendMessageRequest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessageRequest {
    /// Whose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// What is sent.
    pub message: Message,
    /// For the binding and extensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// `CancelTaskRequest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelTaskRequest {
    /// Whose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Which task.
    pub id: String,
    /// For the binding and extensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// `Message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Made by the sender; the idempotency key.
    pub message_id: String,
    /// Groups tasks: our incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// The task that it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Who speaks.
    pub role: Role,
    /// At least one.
    pub parts: Vec<Part>,
    /// For extensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// URIs of the extensions that are used in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

/// `Role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// The client's side.
    #[serde(rename = "ROLE_USER")]
    User,
    /// The agent's side.
    #[serde(rename = "ROLE_AGENT")]
    Agent,
}

/// `Part`: exactly one content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it holds.
    #[serde(flatten)]
    pub content: PartContent,
    /// Media type of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// The content of a part. Files are not taken by our agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PartContent {
    /// Text for people.
    Text(String),
    /// JSON for programs. Peers built on protobuf read every number as a double: integers above 2^53 go as text.
    Data(Value),
}

impl Part {
    /// Text for people.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: PartContent::Text(text.into()), media_type: None }
    }

    /// JSON for programs.
    pub fn data(data: Value) -> Self {
        Self { content: PartContent::Data(data), media_type: Some("application/json".to_owned()) }
    }
}

/// `Task`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Made by the agent.
    pub id: String,
    /// Our incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// How it stands.
    pub status: TaskStatus,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// For extensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// `TaskStatus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// In which state.
    pub state: TaskState,
    /// What the agent says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DateTime<Utc>>,
}

/// `TaskState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskState {
    /// Taken.
    #[serde(rename = "TASK_STATE_SUBMITTED")]
    Submitted,
    /// Worked on.
    #[serde(rename = "TASK_STATE_WORKING")]
    Working,
    /// Done.
    #[serde(rename = "TASK_STATE_COMPLETED")]
    Completed,
    /// Given up.
    #[serde(rename = "TASK_STATE_FAILED")]
    Failed,
    /// Taken back.
    #[serde(rename = "TASK_STATE_CANCELED")]
    Canceled,
    /// Waits for data.
    #[serde(rename = "TASK_STATE_INPUT_REQUIRED")]
    InputRequired,
    /// Not taken on, or refused.
    #[serde(rename = "TASK_STATE_REJECTED")]
    Rejected,
    /// Waits for approval (§7.6).
    #[serde(rename = "TASK_STATE_AUTH_REQUIRED")]
    AuthRequired,
}

/// `Artifact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Unique within the task.
    pub artifact_id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one.
    pub parts: Vec<Part>,
}

/// `StreamResponse`, of which our agents send whole tasks: a lost, doubled or late event then does no harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamResponse {
    /// The task as it is now.
    Task(Task),
}
