use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::limits::{
    ARTIFACTS_MAX, CREDENTIALS_CHARS_MAX, EXTENSIONS_MAX, ID_CHARS_MAX, JSON_DEPTH_MAX, METADATA_BYTES_MAX, PARTS_MAX,
    REFERENCES_MAX, URL_CHARS_MAX,
};
use crate::types::{
    AgentCard, AgentInterface, Artifact, AuthenticationInfo, ListTasksRequest, Message, Part, Role, SendMessageConfiguration,
    SendMessageRequest, Task, TaskPushNotificationConfig, TaskState, TaskStatus,
};

/// The fields that break rules.
fn broken(value: &impl Validate) -> Vec<String> {
    match value.validate().map_err(|error| error.kind) {
        Ok(()) => vec![],
        Err(ErrorKind::InvalidParams { violations }) => violations.into_iter().map(|violation| violation.field).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

fn message() -> Message {
    Message::new("m-1", Role::User, vec![Part::text("hello")])
}

fn nested(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn a_good_message_breaks_no_rule() {
    assert_eq!(broken(&message()), Vec::<String>::new());
}

/// A field, and what breaks its rule; the text is too long for an id.
type Change = (&'static str, fn(&mut Message, &str));

#[test]
fn every_rule_of_a_message() {
    let long = "x".repeat(ID_CHARS_MAX + 1);
    let changes: [Change; 12] = [
        ("messageId", |message, _| message.message_id.clear()),
        ("messageId", |message, long| message.message_id = long.to_owned()),
        ("messageId", |message, _| message.message_id = "a\nb".to_owned()),
        ("contextId", |message, long| message.context_id = Some(long.to_owned())),
        ("taskId", |message, _| message.task_id = Some("\u{0}".to_owned())),
        ("parts", |message, _| message.parts.clear()),
        ("parts", |message, _| message.parts = vec![Part::text(""); PARTS_MAX + 1]),
        ("extensions[1]", |message, _| message.extensions = vec!["urn:a:b".to_owned(), "approval".to_owned()]),
        ("extensions", |message, _| message.extensions = vec!["urn:a:b".to_owned(); EXTENSIONS_MAX + 1]),
        ("referenceTaskIds[0]", |message, _| message.reference_task_ids = vec![String::new()]),
        ("referenceTaskIds", |message, _| message.reference_task_ids = vec!["t".to_owned(); REFERENCES_MAX + 1]),
        ("metadata", |message, _| {
            message.metadata.insert("key".to_owned(), Value::from("x".repeat(METADATA_BYTES_MAX)));
        }),
    ];
    for (field, change) in changes {
        let mut message = message();
        change(&mut message, &long);
        assert_eq!(broken(&message), [field]);
        let request = SendMessageRequest::new(message);
        assert_eq!(broken(&request), [format!("message.{field}")]);
    }
}

#[test]
fn limits_are_reached_before_they_are_crossed() {
    let mut message = message();
    message.message_id = "ü".repeat(ID_CHARS_MAX);
    message.parts = vec![Part::text(""); PARTS_MAX];
    message.metadata.insert("deep".to_owned(), nested(JSON_DEPTH_MAX - 1));
    assert_eq!(broken(&message), Vec::<String>::new());
    message.metadata.insert("deep".to_owned(), nested(JSON_DEPTH_MAX));
    assert_eq!(broken(&message), ["metadata"]);
}

#[test]
fn rules_of_parts() {
    let url = |url: &str| broken(&Part::new(crate::PartContent::Url(url.to_owned())));
    assert_eq!(url("https://example.org/a.pdf"), Vec::<String>::new());
    for wrong in ["", "a.pdf", "/a.pdf", "//example.org/a.pdf"] {
        assert_eq!(url(wrong), ["url"], "{wrong}");
    }
    assert_eq!(url(&format!("https://example.org/{}", "a".repeat(URL_CHARS_MAX))), ["url"]);
    assert_eq!(broken(&Part::data(nested(JSON_DEPTH_MAX + 1))), ["data"]);
    let large = crate::limits::CONTENT_BYTES_MAX + 1;
    assert_eq!(broken(&Part::text("x".repeat(large))), ["text"]);
    assert_eq!(broken(&Part::new(crate::PartContent::Raw(vec![0; large]))), ["raw"]);
}

#[test]
fn rules_of_push_configurations() {
    let config = |url: &str| TaskPushNotificationConfig { url: url.to_owned(), ..TaskPushNotificationConfig::default() };
    for good in ["https://example.org", "http://127.0.0.1:8080/hook?a=b"] {
        assert_eq!(broken(&config(good)), Vec::<String>::new(), "{good}");
    }
    for wrong in ["", "example.org/hook", "ftp://example.org", "https://", "https://user:pw@example.org", "javascript:alert(1)"] {
        assert_eq!(broken(&config(wrong)), ["url"], "{wrong}");
    }
    let with = |token: &str, scheme: &str, credentials: &str| {
        let authentication = AuthenticationInfo { scheme: scheme.to_owned(), credentials: Some(credentials.to_owned()) };
        let (token, authentication) = (Some(token.to_owned()), Some(authentication));
        broken(&TaskPushNotificationConfig { token, authentication, ..config("https://example.org") })
    };
    assert_eq!(with("t", "Bearer", "abc"), Vec::<String>::new());
    assert_eq!(with("t\r\nX-Evil: 1", "Bearer", "a"), ["token"]);
    assert_eq!(with("t", "", "abc"), ["authentication.scheme"]);
    assert_eq!(with("t", "Bearer x", "abc"), ["authentication.scheme"]);
    assert_eq!(with("t", "Bearer", "a\nb"), ["authentication.credentials"]);
    assert_eq!(with("t", "Bearer", &"a".repeat(CREDENTIALS_CHARS_MAX + 1)), ["authentication.credentials"]);
    let configuration =
        SendMessageConfiguration { task_push_notification_config: Some(config("x")), ..SendMessageConfiguration::default() };
    assert_eq!(broken(&configuration), ["taskPushNotificationConfig.url"]);
}

#[test]
fn pages_hold_1_to_100() {
    let size = |size| broken(&ListTasksRequest { page_size: Some(size), ..ListTasksRequest::default() });
    assert_eq!((size(1), size(100)), (vec![], vec![]));
    assert_eq!((size(0), size(101)), (vec!["pageSize".to_owned()], vec!["pageSize".to_owned()]));
}

#[test]
fn rules_of_tasks() {
    let mut task = Task::new("t-1", TaskStatus::new(TaskState::Working));
    task.artifacts = vec![Artifact::new("a", vec![Part::text("x")]); 2];
    assert_eq!(broken(&task), ["artifacts"]);
    task.artifacts = vec![Artifact::new("a", vec![])];
    task.status.message = Some(Message::new("", Role::Agent, vec![]));
    assert_eq!(broken(&task), ["status.message.messageId", "status.message.parts", "artifacts[0].parts"]);
    task.artifacts = (0..=ARTIFACTS_MAX).map(|n| Artifact::new(n.to_string(), vec![Part::text("x")])).collect();
    task.status = TaskStatus { timestamp: Some(DateTime::<Utc>::MAX_UTC), ..TaskStatus::new(TaskState::Working) };
    assert_eq!(broken(&task), ["status.timestamp", "artifacts"]);
}

#[test]
fn rules_of_cards() {
    let card = json!({
        "name": "a", "description": "b", "version": "1", "capabilities": {"extensions": [{"uri": "urn:x:y"}]},
        "supportedInterfaces": [{"url": "nats://n/a", "protocolBinding": "https://x.y/nats", "protocolVersion": "1.0"}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "securitySchemes": {"key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}}},
        "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        "skills": [{"id": "s", "name": "s", "description": "s", "tags": ["s"]}],
    });
    let with = |pointer: &str, value: Value| {
        let mut card = card.clone();
        *card.pointer_mut(pointer).unwrap() = value;
        broken(&crate::read_value::<AgentCard>(card).unwrap())
    };
    assert_eq!(with("/name", json!("good")), Vec::<String>::new());
    for (pointer, value, field) in [
        ("/name", json!(""), "name"),
        ("/supportedInterfaces", json!([]), "supportedInterfaces"),
        ("/supportedInterfaces/0/url", json!("here"), "supportedInterfaces[0].url"),
        ("/skills/0/tags", json!([]), "skills[0].tags"),
        ("/defaultInputModes/0", json!(""), "defaultInputModes[0]"),
        ("/capabilities/extensions/0/uri", json!("x"), "capabilities.extensions[0].uri"),
        ("/securityRequirements/0/schemes", json!({"oauth": {}}), "securityRequirements[0].schemes"),
        (
            "/securitySchemes/key/apiKeySecurityScheme/location",
            json!("body"),
            "securitySchemes.key.apiKeySecurityScheme.location",
        ),
    ] {
        assert_eq!(with(pointer, value), [field]);
    }
}

#[test]
fn only_grpc_is_served_at_host_and_port() {
    let interface = |binding: &str, url: &str| broken(&AgentInterface::new(url, binding));
    for good in ["agent.example:443", "127.0.0.1:50051", "[::1]:50051", "https://agent.example/a2a"] {
        assert_eq!(interface("GRPC", good), Vec::<String>::new(), "{good}");
    }
    for wrong in ["", "agent.example", ":443", "agent.example:https", "agent.example:443/a2a", "me@agent.example:443"] {
        assert_eq!(interface("GRPC", wrong), ["url"], "{wrong}");
    }
    assert_eq!(interface("JSONRPC", "127.0.0.1:50051"), ["url"]);
}

#[test]
fn only_so_many_violations_are_reported() {
    let message = Message::new("m", Role::User, vec![Part::new(crate::PartContent::Url(String::new())); PARTS_MAX]);
    let fields = broken(&message);
    assert_eq!(fields.len(), VIOLATIONS_MAX);
    assert_eq!(fields.iter().collect::<BTreeSet<_>>().len(), VIOLATIONS_MAX);
}
