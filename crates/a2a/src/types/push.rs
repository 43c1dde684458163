//! Push notifications: where an agent tells of a task (spec §4.3 and §3.1.7 to §3.1.10).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{count_above_zero, or_default, text, unset};

/// `TaskPushNotificationConfig`, which is also the request that makes one (§4.3.1).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskPushNotificationConfig {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Unique within the task; made by the agent if absent.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub id: Option<String>,
    /// Of which task; absent in a `SendMessageConfiguration`.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "task_id")]
    pub task_id: Option<String>,
    /// Where to post.
    pub url: String,
    /// Lets the receiver check that it asked for this.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub token: Option<String>,
    /// What the receiver wants to see as `Authorization`.
    #[serde(default, skip_serializing_if = "unset")]
    pub authentication: Option<AuthenticationInfo>,
}

/// Stands for a secret where requests are printed: in logs and test failures.
fn redacted(secret: Option<&String>) -> Option<&'static str> {
    secret.map(|_| "[redacted]")
}

impl fmt::Debug for TaskPushNotificationConfig {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { tenant, id, task_id, url, token, authentication } = self;
        let mut out = out.debug_struct("TaskPushNotificationConfig");
        out.field("tenant", tenant).field("id", id).field("task_id", task_id).field("url", url);
        out.field("token", &redacted(token.as_ref())).field("authentication", authentication).finish()
    }
}

/// `AuthenticationInfo` (§4.3.2).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationInfo {
    /// Scheme of RFC 9110, as `Bearer`; case does not matter.
    pub scheme: String,
    /// A secret, in the form that the scheme has.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub credentials: Option<String>,
}

impl fmt::Debug for AuthenticationInfo {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { scheme, credentials } = self;
        out.debug_struct("AuthenticationInfo")
            .field("scheme", scheme)
            .field("credentials", &redacted(credentials.as_ref()))
            .finish()
    }
}

/// `GetTaskPushNotificationConfigRequest` (§3.1.8).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetTaskPushNotificationConfigRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Of which task.
    #[serde(alias = "task_id")]
    pub task_id: String,
    /// Which one.
    pub id: String,
}

/// `ListTaskPushNotificationConfigsRequest` (§3.1.9).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTaskPushNotificationConfigsRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Of which task.
    #[serde(alias = "task_id")]
    pub task_id: String,
    /// At most so many; absent or 0 leaves it to the agent.
    #[serde(default, deserialize_with = "count_above_zero", skip_serializing_if = "unset", alias = "page_size")]
    pub page_size: Option<u32>,
    /// `next_page_token` of the page before.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "page_token")]
    pub page_token: Option<String>,
}

/// `ListTaskPushNotificationConfigsResponse` (§3.1.9).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTaskPushNotificationConfigsResponse {
    /// One page of them.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub configs: Vec<TaskPushNotificationConfig>,
    /// Asks for the next page; absent on the last one.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "next_page_token")]
    pub next_page_token: Option<String>,
}

/// `DeleteTaskPushNotificationConfigRequest` (§3.1.10).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteTaskPushNotificationConfigRequest {
    /// Whose.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Of which task.
    #[serde(alias = "task_id")]
    pub task_id: String,
    /// Which one.
    pub id: String,
}
