//! Values with every field set, and what is hard to carry: odd ids, bytes, numbers, `null` as data.

use std::collections::BTreeMap;

use a2a::{
    APIKeySecurityScheme, AgentCapabilities, AgentCard, AgentCardSignature, AgentExtension, AgentInterface, AgentProvider,
    AgentSkill, Artifact, AuthenticationInfo, AuthorizationCodeOAuthFlow, CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, HTTPAuthSecurityScheme,
    ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse,
    Message, Metadata, MutualTlsSecurityScheme, OAuth2SecurityScheme, OAuthFlows, OpenIdConnectSecurityScheme, Part, PartContent,
    Role, SecurityRequirement, SecurityScheme, SendMessageConfiguration, SendMessageRequest, StreamResponse, StringList,
    SubscribeToTaskRequest, Task, TaskArtifactUpdateEvent, TaskPushNotificationConfig, TaskState, TaskStatus,
    TaskStatusUpdateEvent,
};
use serde_json::json;

/// An id that is hard to put into a path.
pub(crate) const TASK: &str = "t 1/ä%2F:cancel?&#";
/// An extension that the card declares.
pub(crate) const EXTENSION: &str = "https://example.org/ext/a/v1";

fn metadata() -> Metadata {
    let value = json!({"whole": 7, "part": -0.5, "text": "ü\n\"", "none": null, "deep": {"list": [true, [], {}]}});
    value.as_object().unwrap().clone().into_iter().collect()
}

fn parts() -> Vec<Part> {
    let odd = Part { metadata: metadata(), filename: Some("a b.txt".to_owned()), ..Part::text("") };
    let raw = Part { media_type: Some("image/png".to_owned()), ..Part::new(PartContent::Raw(vec![0, 159, 255])) };
    let url = Part::new(PartContent::Url("https://example.org/a?b=c".to_owned()));
    vec![Part::text("first\r\nsecond"), odd, raw, url, Part::data(json!(null)), Part::data(json!([1, {"a": "b"}]))]
}

pub(crate) fn message() -> Message {
    Message {
        context_id: Some("c-1".to_owned()),
        task_id: Some(TASK.to_owned()),
        metadata: metadata(),
        extensions: vec![EXTENSION.to_owned()],
        reference_task_ids: vec!["t-0".to_owned()],
        ..Message::new("m-1", Role::User, parts())
    }
}

fn status(state: TaskState) -> TaskStatus {
    let timestamp = Some("2026-11-26T08:09:10.123Z".parse().unwrap());
    TaskStatus { message: Some(Message::new("m-2", Role::Agent, vec![Part::text("on it")])), timestamp, ..TaskStatus::new(state) }
}

fn artifact() -> Artifact {
    Artifact {
        name: Some("report".to_owned()),
        description: Some("what was found".to_owned()),
        metadata: metadata(),
        extensions: vec![EXTENSION.to_owned()],
        ..Artifact::new("a-1", parts())
    }
}

pub(crate) fn task() -> Task {
    Task {
        context_id: Some("c-1".to_owned()),
        artifacts: vec![artifact()],
        history: vec![message()],
        metadata: metadata(),
        ..Task::new(TASK, status(TaskState::Working))
    }
}

pub(crate) fn events() -> Vec<StreamResponse> {
    let (task_id, context_id) = (TASK.to_owned(), "c-1".to_owned());
    let artifact = TaskArtifactUpdateEvent {
        task_id: task_id.clone(),
        context_id: context_id.clone(),
        artifact: artifact(),
        append: true,
        last_chunk: true,
        metadata: metadata(),
    };
    let status = TaskStatusUpdateEvent { task_id, context_id, status: status(TaskState::Completed), metadata: Metadata::new() };
    vec![StreamResponse::Task(task()), StreamResponse::ArtifactUpdate(artifact), StreamResponse::StatusUpdate(status)]
}

pub(crate) fn tasks() -> ListTasksResponse {
    let bare = Task::new("t-2", TaskStatus::new(TaskState::AuthRequired));
    ListTasksResponse { tasks: vec![task(), bare], next_page_token: String::new(), page_size: 50, total_size: 2 }
}

pub(crate) fn config() -> TaskPushNotificationConfig {
    TaskPushNotificationConfig {
        tenant: None,
        id: Some("p/1".to_owned()),
        task_id: Some(TASK.to_owned()),
        url: "https://example.org/hook".to_owned(),
        token: Some("t0ken".to_owned()),
        authentication: Some(AuthenticationInfo { scheme: "Bearer".to_owned(), credentials: Some("s3cret".to_owned()) }),
    }
}

pub(crate) fn configs() -> ListTaskPushNotificationConfigsResponse {
    ListTaskPushNotificationConfigsResponse { configs: vec![config()], next_page_token: Some("more".to_owned()) }
}

pub(crate) fn send() -> SendMessageRequest {
    let configuration = SendMessageConfiguration {
        accepted_output_modes: vec!["text/plain".to_owned()],
        task_push_notification_config: Some(TaskPushNotificationConfig { task_id: None, ..config() }),
        history_length: Some(0),
        return_immediately: true,
    };
    SendMessageRequest { configuration: Some(configuration), metadata: metadata(), ..SendMessageRequest::new(message()) }
}

pub(crate) fn get() -> GetTaskRequest {
    GetTaskRequest { tenant: None, id: TASK.to_owned(), history_length: Some(0) }
}

pub(crate) fn list() -> ListTasksRequest {
    ListTasksRequest {
        tenant: None,
        context_id: Some("c & 1".to_owned()),
        status: Some(TaskState::InputRequired),
        page_size: Some(7),
        page_token: Some("a+b/c=".to_owned()),
        history_length: Some(0),
        status_timestamp_after: Some("2026-11-26T08:09:10.120Z".parse().unwrap()),
        include_artifacts: Some(false),
    }
}

pub(crate) fn cancel() -> CancelTaskRequest {
    CancelTaskRequest { tenant: None, id: TASK.to_owned(), metadata: metadata() }
}

pub(crate) fn subscribe() -> SubscribeToTaskRequest {
    SubscribeToTaskRequest { tenant: None, id: TASK.to_owned() }
}

pub(crate) fn get_config() -> GetTaskPushNotificationConfigRequest {
    GetTaskPushNotificationConfigRequest { tenant: None, task_id: TASK.to_owned(), id: "p/1".to_owned() }
}

pub(crate) fn list_configs() -> ListTaskPushNotificationConfigsRequest {
    let page_token = Some("a+b/c=".to_owned());
    ListTaskPushNotificationConfigsRequest { tenant: None, task_id: TASK.to_owned(), page_size: Some(3), page_token }
}

pub(crate) fn delete_config() -> DeleteTaskPushNotificationConfigRequest {
    DeleteTaskPushNotificationConfigRequest { tenant: None, task_id: TASK.to_owned(), id: "p/1".to_owned() }
}

/// The public card; its one extension may be required.
pub(crate) fn card(is_required: bool) -> AgentCard {
    let extension = AgentExtension {
        uri: EXTENSION.to_owned(),
        description: Some("an extension".to_owned()),
        required: is_required,
        params: Some(Metadata::new()),
    };
    AgentCard {
        name: "scripted".to_owned(),
        description: "answers what it is told to".to_owned(),
        supported_interfaces: ["JSONRPC", "GRPC"].map(|binding| AgentInterface::new("https://example.org/a2a", binding)).to_vec(),
        provider: Some(AgentProvider { url: "https://example.org".to_owned(), organization: "Example".to_owned() }),
        version: "1.2.3".to_owned(),
        documentation_url: Some("https://example.org/docs".to_owned()),
        capabilities: AgentCapabilities {
            streaming: Some(true),
            push_notifications: Some(true),
            extensions: vec![extension],
            extended_agent_card: Some(false),
        },
        security_schemes: schemes(),
        security_requirements: vec![requirement()],
        default_input_modes: vec!["text/plain".to_owned()],
        default_output_modes: vec!["text/plain".to_owned()],
        skills: vec![skill()],
        signatures: vec![AgentCardSignature {
            protected: "e30".to_owned(),
            signature: "c2ln".to_owned(),
            header: Some(metadata()),
        }],
        icon_url: Some("https://example.org/icon.png".to_owned()),
    }
}

fn requirement() -> SecurityRequirement {
    let scopes = StringList { list: vec!["read".to_owned()] };
    SecurityRequirement { schemes: BTreeMap::from([("oauth".to_owned(), scopes), ("key".to_owned(), StringList::default())]) }
}

fn skill() -> AgentSkill {
    AgentSkill {
        id: "s".to_owned(),
        name: "skill".to_owned(),
        description: "does it".to_owned(),
        tags: vec!["tag".to_owned()],
        examples: vec!["do it".to_owned()],
        input_modes: vec!["text/plain".to_owned()],
        output_modes: vec!["application/json".to_owned()],
        security_requirements: vec![requirement()],
    }
}

fn schemes() -> BTreeMap<String, SecurityScheme> {
    let flow = AuthorizationCodeOAuthFlow {
        authorization_url: "https://example.org/authorize".to_owned(),
        token_url: "https://example.org/token".to_owned(),
        refresh_url: None,
        scopes: BTreeMap::from([("read".to_owned(), "reads".to_owned())]),
        pkce_required: true,
    };
    let text = |text: &str| text.to_owned();
    let some = |text: &str| Some(text.to_owned());
    BTreeMap::from([
        (
            text("key"),
            SecurityScheme::ApiKey(APIKeySecurityScheme {
                description: some("a key"),
                location: text("header"),
                name: text("X-Key"),
            }),
        ),
        (
            text("http"),
            SecurityScheme::HttpAuth(HTTPAuthSecurityScheme {
                description: None,
                scheme: text("Bearer"),
                bearer_format: some("JWT"),
            }),
        ),
        (
            text("oauth"),
            SecurityScheme::OAuth2(OAuth2SecurityScheme {
                description: None,
                flows: OAuthFlows::AuthorizationCode(flow),
                oauth2_metadata_url: some("https://example.org/meta"),
            }),
        ),
        (
            text("oidc"),
            SecurityScheme::OpenIdConnect(OpenIdConnectSecurityScheme {
                description: None,
                open_id_connect_url: text("https://example.org/oidc"),
            }),
        ),
        (text("mtls"), SecurityScheme::MutualTls(MutualTlsSecurityScheme { description: some("certificates") })),
    ])
}
