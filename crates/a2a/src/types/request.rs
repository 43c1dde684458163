//! What clients ask of tasks (spec §3.1 and §3.2).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{count, count_if_any, flag_if_any, or_default, text, time, unset, write_time};
use super::named::named_if_any;
use super::{Message, Metadata, Task, TaskPushNotificationConfig, TaskState};

/// `SendMessageRequest` (§3.2.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessageRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// What is sent.
    pub message: Message,
    /// How it is to be answered.
    #[serde(default, skip_serializing_if = "unset")]
    pub configuration: Option<SendMessageConfiguration>,
    /// For the binding and extensions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
}

impl SendMessageRequest {
    /// A request with nothing but what is REQUIRED.
    pub const fn new(message: Message) -> Self {
        Self { tenant: None, message, configuration: None, metadata: Metadata::new() }
    }
}

/// `SendMessageConfiguration` (§3.2.2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessageConfiguration {
    /// Media types that the client can read; empty means any.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "accepted_output_modes")]
    pub accepted_output_modes: Vec<String>,
    /// Where to tell of the task; its `task_id` is empty.
    #[serde(default, skip_serializing_if = "unset", alias = "task_push_notification_config")]
    pub task_push_notification_config: Option<TaskPushNotificationConfig>,
    /// At most so many of the newest messages in the answer; absent is no limit, 0 is none (§3.2.4).
    #[serde(default, deserialize_with = "count_if_any", skip_serializing_if = "unset", alias = "history_length")]
    pub history_length: Option<u32>,
    /// Answer at once, instead of when the task ends or waits for somebody.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "return_immediately")]
    pub return_immediately: bool,
}

/// `GetTaskRequest` (§3.1.3).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTaskRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Which task.
    pub id: String,
    /// At most so many of the newest messages; absent is no limit, 0 is none.
    #[serde(default, deserialize_with = "count_if_any", skip_serializing_if = "unset", alias = "history_length")]
    pub history_length: Option<u32>,
}

/// `ListTasksRequest` (§3.1.4). All filters that are set must fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTasksRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Only tasks of this context.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "context_id")]
    pub context_id: Option<String>,
    /// Only tasks in this state.
    #[serde(default, deserialize_with = "named_if_any", skip_serializing_if = "unset")]
    pub status: Option<TaskState>,
    /// At most so many tasks: 1 to 100, absent is 50.
    #[serde(default, deserialize_with = "count_if_any", skip_serializing_if = "unset", alias = "page_size")]
    pub page_size: Option<u32>,
    /// `next_page_token` of the page before.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "page_token")]
    pub page_token: Option<String>,
    /// At most so many of the newest messages of each task; absent is no limit, 0 is none.
    #[serde(default, deserialize_with = "count_if_any", skip_serializing_if = "unset", alias = "history_length")]
    pub history_length: Option<u32>,
    /// Only tasks whose status is not older.
    #[serde(
        default,
        deserialize_with = "time",
        serialize_with = "write_time",
        skip_serializing_if = "unset",
        alias = "status_timestamp_after"
    )]
    pub status_timestamp_after: Option<DateTime<Utc>>,
    /// With artifacts; they are left out else.
    #[serde(default, deserialize_with = "flag_if_any", skip_serializing_if = "unset", alias = "include_artifacts")]
    pub include_artifacts: Option<bool>,
}

/// `ListTasksResponse` (§3.1.4). The task whose status is newest comes first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTasksResponse {
    /// One page of them.
    pub tasks: Vec<Task>,
    /// Asks for the next page; empty on the last one.
    #[serde(alias = "next_page_token")]
    pub next_page_token: String,
    /// How many a page holds.
    #[serde(deserialize_with = "count", alias = "page_size")]
    pub page_size: u32,
    /// How many there are on all pages.
    #[serde(deserialize_with = "count", alias = "total_size")]
    pub total_size: u32,
}

/// `CancelTaskRequest` (§3.1.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelTaskRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Which task.
    pub id: String,
    /// For the binding and extensions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
}

/// `SubscribeToTaskRequest` (§3.1.6).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeToTaskRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Which task; it must not have ended.
    pub id: String,
}

/// `GetExtendedAgentCardRequest` (§3.1.11).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetExtendedAgentCardRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
}
