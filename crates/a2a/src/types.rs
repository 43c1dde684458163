//! The data model of A2A 1.0.1 (spec §4) in ProtoJSON: camelCase names, SCREAMING_SNAKE enums, no discriminators.
//!
//! A field that is not REQUIRED and has no value is left out; REQUIRED ones are always written. Reading also takes the proto's own
//! snake_case names, and refuses an object that lacks a REQUIRED field. Whether values keep the rules is asked in [`crate::validate`].
//! A field is an `Option` where it may be absent; empty text in a field without presence reads as absent.

mod card;
mod event;
pub(crate) mod field;
mod message;
mod named;
mod oauth;
mod oneof;
mod push;
mod request;
mod security;
mod task;

use std::collections::BTreeMap;

use serde_json::Value;

pub use card::{AgentCapabilities, AgentCard, AgentCardSignature, AgentExtension, AgentInterface, AgentProvider, AgentSkill};
pub use event::{SendMessageResponse, StreamResponse, TaskArtifactUpdateEvent, TaskStatusUpdateEvent};
pub use message::{Artifact, Message, Part, PartContent, Role};
pub use oauth::{
    AuthorizationCodeOAuthFlow, ClientCredentialsOAuthFlow, DeviceCodeOAuthFlow, ImplicitOAuthFlow, OAuthFlows,
    PasswordOAuthFlow, Scopes,
};
pub use push::{
    AuthenticationInfo, DeleteTaskPushNotificationConfigRequest, GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse, TaskPushNotificationConfig,
};
pub use request::{
    CancelTaskRequest, GetExtendedAgentCardRequest, GetTaskRequest, ListTasksRequest, ListTasksResponse,
    SendMessageConfiguration, SendMessageRequest, SubscribeToTaskRequest,
};
pub use security::{
    APIKeySecurityScheme, HTTPAuthSecurityScheme, MutualTlsSecurityScheme, OAuth2SecurityScheme, OpenIdConnectSecurityScheme,
    SecurityRequirement, SecurityScheme, StringList,
};
pub use task::{Task, TaskState, TaskStatus};

/// Extension and caller data, keyed by extension URI or plain name. Integers stay integers here, but peers that are built on protobuf
/// read every number as a double: those above 2^53 go as text.
pub type Metadata = BTreeMap<String, Value>;

#[cfg(test)]
mod tests;
