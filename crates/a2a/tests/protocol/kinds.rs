//! Every message of the protocol, with what can be done to it without knowing its type.

use std::fmt::Debug;

use a2a::{A2aError, Validate};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One message.
pub(crate) struct Kind {
    /// As the proto calls it.
    pub(crate) name: &'static str,
    /// Reads it, and writes it again.
    pub(crate) again: fn(Value) -> Result<Value, A2aError>,
    /// Reads bytes of others, and checks them.
    pub(crate) read_valid: fn(&[u8]) -> Result<(), A2aError>,
    /// Its published shape.
    pub(crate) schema: fn() -> Schema,
}

fn again<T: DeserializeOwned + Serialize + PartialEq + Debug>(value: Value) -> Result<Value, A2aError> {
    let first: T = a2a::read_value(value)?;
    let written = serde_json::to_value(&first).unwrap();
    let second: T = a2a::read_value(written.clone()).unwrap();
    assert_eq!(first, second, "{written}");
    let third: T = a2a::read(&serde_json::to_vec(&first).unwrap()).unwrap();
    assert_eq!(first, third, "{written}");
    Ok(written)
}

fn read_valid<T: DeserializeOwned + Validate>(json: &[u8]) -> Result<(), A2aError> {
    a2a::read_valid::<T>(json).map(drop)
}

fn schema<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

macro_rules! kinds {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub(crate) const KINDS: &[Kind] = &[$(Kind {
            name: stringify!($name),
            again: again::<a2a::$name>,
            read_valid: read_valid::<a2a::$name>,
            schema: schema::<a2a::$name>,
        }),+];
    };
}

kinds![
    APIKeySecurityScheme,
    AgentCapabilities,
    AgentCard,
    AgentCardSignature,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
    Artifact,
    AuthenticationInfo,
    AuthorizationCodeOAuthFlow,
    CancelTaskRequest,
    ClientCredentialsOAuthFlow,
    DeleteTaskPushNotificationConfigRequest,
    DeviceCodeOAuthFlow,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    HTTPAuthSecurityScheme,
    ImplicitOAuthFlow,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    MutualTlsSecurityScheme,
    OAuth2SecurityScheme,
    OAuthFlows,
    OpenIdConnectSecurityScheme,
    Part,
    PasswordOAuthFlow,
    SecurityRequirement,
    SecurityScheme,
    SendMessageConfiguration,
    SendMessageRequest,
    SendMessageResponse,
    StreamResponse,
    StringList,
    SubscribeToTaskRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskStatus,
    TaskStatusUpdateEvent,
];

/// The one of this name.
pub(crate) fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("{name} is in the proto, but not here"))
}
