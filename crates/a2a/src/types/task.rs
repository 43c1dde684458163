//! Tasks and how they stand (spec §4.1.1 to §4.1.3).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{or_default, text, time, unset, write_time};
use super::named::named;
use super::{Artifact, Message, Metadata};

/// `Task`: the unit of work (§4.1.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Made by the agent.
    pub id: String,
    /// Groups tasks.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "context_id")]
    pub context_id: Option<String>,
    /// How it stands.
    pub status: TaskStatus,
    /// What came of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub artifacts: Vec<Artifact>,
    /// What was said, oldest first, without what the status says now.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub history: Vec<Message>,
    /// For extensions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
}

impl Task {
    /// A task with nothing but what is REQUIRED.
    pub fn new(id: impl Into<String>, status: TaskStatus) -> Self {
        Self { id: id.into(), context_id: None, status, artifacts: vec![], history: vec![], metadata: Metadata::new() }
    }
}

/// `TaskStatus` (§4.1.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// In which state.
    pub state: TaskState,
    /// What the agent says of it.
    #[serde(default, skip_serializing_if = "unset")]
    pub message: Option<Message>,
    /// Since when. Written in milliseconds.
    #[serde(default, deserialize_with = "time", serialize_with = "write_time", skip_serializing_if = "unset")]
    pub timestamp: Option<DateTime<Utc>>,
}

impl TaskStatus {
    /// A status with nothing but what is REQUIRED.
    pub const fn new(state: TaskState) -> Self {
        Self { state, message: None, timestamp: None }
    }
}

named! {
    /// `TaskState` (§4.1.3).
    TaskState = "TASK_STATE_UNSPECIFIED" {
        /// Taken.
        Submitted = 1 "TASK_STATE_SUBMITTED",
        /// Worked on.
        Working = 2 "TASK_STATE_WORKING",
        /// Done.
        Completed = 3 "TASK_STATE_COMPLETED",
        /// Given up.
        Failed = 4 "TASK_STATE_FAILED",
        /// Taken back.
        Canceled = 5 "TASK_STATE_CANCELED",
        /// Waits for data.
        InputRequired = 6 "TASK_STATE_INPUT_REQUIRED",
        /// Not taken on, or refused.
        Rejected = 7 "TASK_STATE_REJECTED",
        /// Waits for approval or credentials (§7.6).
        AuthRequired = 8 "TASK_STATE_AUTH_REQUIRED",
    }
}
