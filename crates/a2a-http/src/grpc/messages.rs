//! Every message of the proto, field by field. What is listed here is complete by construction: a field that either side gains or
//! loses does not compile.

#![expect(deprecated, reason = "old cards declare OAuth flows that new ones must not")]

use a2a::FieldViolation;
use a2a_pb::proto as pb;

use super::field::{Field, refuse, within};

/// Says that a message has these fields on both sides, and may be REQUIRED, optional, in a list or in a map.
macro_rules! message {
    ($ours:ident = $theirs:ident { $($field:ident),* $(,)? }) => {
        impl Field<pb::$theirs> for a2a::$ours {
            fn write(self) -> pb::$theirs {
                let Self { $($field),* } = self;
                pb::$theirs { $($field: Field::write($field)),* }
            }

            fn read(value: pb::$theirs) -> Result<Self, FieldViolation> {
                let pb::$theirs { $($field),* } = value;
                Ok(Self { $($field: Field::read($field).map_err(within(stringify!($field)))?),* })
            }
        }
        required!($ours = $theirs);
    };
    ($name:ident { $($field:ident),* $(,)? }) => { message!($name = $name { $($field),* }); };
}

/// A REQUIRED message: protobuf lets it be absent, A2A does not.
macro_rules! required {
    ($ours:ident = $theirs:ident) => {
        impl Field<Option<pb::$theirs>> for a2a::$ours {
            fn write(self) -> Option<pb::$theirs> {
                Some(self.write())
            }

            fn read(value: Option<pb::$theirs>) -> Result<Self, FieldViolation> {
                value.map_or_else(|| Err(refuse("is required")), Self::read)
            }
        }
    };
}

/// A message that is nothing but a oneof.
macro_rules! oneof {
    ($name:ident.$field:ident: $module:ident::$content:ident { $($ours:ident = $theirs:ident),+ $(,)? }) => {
        impl Field<pb::$name> for a2a::$name {
            fn write(self) -> pb::$name {
                let content = match self { $(Self::$ours(value) => pb::$module::$content::$theirs(value.write())),+ };
                pb::$name { $field: Some(content) }
            }

            fn read(value: pb::$name) -> Result<Self, FieldViolation> {
                match value.$field {
                    $(Some(pb::$module::$content::$theirs(value)) => Field::read(value).map(Self::$ours),)+
                    None => Err(refuse(concat!("must hold one of", $(" ", stringify!($ours)),+))),
                }
            }
        }
        required!($name = $name);
    };
}

message!(Task { id, context_id, status, artifacts, history, metadata });
message!(TaskStatus { state, message, timestamp });
message!(Message { message_id, context_id, task_id, role, parts, metadata, extensions, reference_task_ids });
message!(Artifact { artifact_id, name, description, parts, metadata, extensions });
message!(TaskStatusUpdateEvent { task_id, context_id, status, metadata });
message!(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk, metadata });

oneof!(StreamResponse.payload: stream_response::Payload {
    Task = Task,
    Message = Message,
    StatusUpdate = StatusUpdate,
    ArtifactUpdate = ArtifactUpdate,
});
oneof!(SendMessageResponse.payload: send_message_response::Payload { Task = Task, Message = Message });

message!(SendMessageRequest { tenant, message, configuration, metadata });
message!(SendMessageConfiguration { accepted_output_modes, task_push_notification_config, history_length, return_immediately });
message!(GetTaskRequest { tenant, id, history_length });
message!(ListTasksRequest {
    tenant,
    context_id,
    status,
    page_size,
    page_token,
    history_length,
    status_timestamp_after,
    include_artifacts,
});
message!(ListTasksResponse { tasks, next_page_token, page_size, total_size });
message!(CancelTaskRequest { tenant, id, metadata });
message!(SubscribeToTaskRequest { tenant, id });
message!(GetExtendedAgentCardRequest { tenant });

message!(TaskPushNotificationConfig { tenant, id, task_id, url, token, authentication });
message!(AuthenticationInfo { scheme, credentials });
message!(GetTaskPushNotificationConfigRequest { tenant, task_id, id });
message!(DeleteTaskPushNotificationConfigRequest { tenant, task_id, id });
message!(ListTaskPushNotificationConfigsRequest { tenant, task_id, page_size, page_token });
message!(ListTaskPushNotificationConfigsResponse { configs, next_page_token });

message!(AgentCard {
    name,
    description,
    supported_interfaces,
    provider,
    version,
    documentation_url,
    capabilities,
    security_schemes,
    security_requirements,
    default_input_modes,
    default_output_modes,
    skills,
    signatures,
    icon_url,
});
message!(AgentInterface { url, protocol_binding, tenant, protocol_version });
message!(AgentProvider { url, organization });
message!(AgentCapabilities { streaming, push_notifications, extensions, extended_agent_card });
message!(AgentExtension { uri, description, required, params });
message!(AgentSkill { id, name, description, tags, examples, input_modes, output_modes, security_requirements });
message!(AgentCardSignature { protected, signature, header });

message!(SecurityRequirement { schemes });
message!(StringList { list });
message!(APIKeySecurityScheme = ApiKeySecurityScheme { description, location, name });
message!(HTTPAuthSecurityScheme = HttpAuthSecurityScheme { description, scheme, bearer_format });
message!(OAuth2SecurityScheme { description, flows, oauth2_metadata_url });
message!(OpenIdConnectSecurityScheme { description, open_id_connect_url });
message!(MutualTlsSecurityScheme { description });
oneof!(SecurityScheme.scheme: security_scheme::Scheme {
    ApiKey = ApiKeySecurityScheme,
    HttpAuth = HttpAuthSecurityScheme,
    OAuth2 = Oauth2SecurityScheme,
    OpenIdConnect = OpenIdConnectSecurityScheme,
    MutualTls = MtlsSecurityScheme,
});

message!(AuthorizationCodeOAuthFlow { authorization_url, token_url, refresh_url, scopes, pkce_required });
message!(ClientCredentialsOAuthFlow { token_url, refresh_url, scopes });
message!(DeviceCodeOAuthFlow { device_authorization_url, token_url, refresh_url, scopes });
message!(ImplicitOAuthFlow { authorization_url, refresh_url, scopes });
message!(PasswordOAuthFlow { token_url, refresh_url, scopes });
oneof!(OAuthFlows.flow: o_auth_flows::Flow {
    AuthorizationCode = AuthorizationCode,
    ClientCredentials = ClientCredentials,
    Implicit = Implicit,
    Password = Password,
    DeviceCode = DeviceCode,
});

/// The content is a oneof beside other fields.
impl Field<pb::Part> for a2a::Part {
    fn write(self) -> pb::Part {
        use a2a::PartContent;
        use pb::part::Content;
        let content = match self.content {
            PartContent::Text(text) => Content::Text(text),
            PartContent::Raw(bytes) => Content::Raw(bytes),
            PartContent::Url(url) => Content::Url(url),
            PartContent::Data(data) => Content::Data(data.write()),
        };
        pb::Part {
            content: Some(content),
            metadata: self.metadata.write(),
            filename: self.filename.write(),
            media_type: self.media_type.write(),
        }
    }

    fn read(value: pb::Part) -> Result<Self, FieldViolation> {
        use a2a::PartContent;
        use pb::part::Content;
        let content = match value.content {
            Some(Content::Text(text)) => PartContent::Text(text),
            Some(Content::Raw(bytes)) => PartContent::Raw(bytes),
            Some(Content::Url(url)) => PartContent::Url(url),
            Some(Content::Data(data)) => PartContent::Data(Field::read(data).map_err(within("data"))?),
            None => return Err(refuse("must hold one of text, raw, url, data")),
        };
        Ok(Self {
            content,
            metadata: Field::read(value.metadata).map_err(within("metadata"))?,
            filename: Field::read(value.filename)?,
            media_type: Field::read(value.media_type)?,
        })
    }
}
