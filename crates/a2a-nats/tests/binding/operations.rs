//! Every operation and every error arrives as it was said.

use std::collections::BTreeSet;
use std::time::Duration;

use a2a::{
    A2aError, A2aService as _, AgentExtension, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, ErrorKind,
    FieldViolation, GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
    ListTaskPushNotificationConfigsRequest, ListTasksRequest, Operation, SendMessageResponse, TaskPushNotificationConfig,
    TaskState,
};
use anyhow::Result;
use serde_json::json;

use crate::raw::{ask, header, headers};
use crate::script::{Instead, Script, card};
use crate::stage::{artifact, caller, message, next, rest, stage, status, subscribe};

fn push_config() -> TaskPushNotificationConfig {
    let config = json!({"id": "p1", "taskId": "t1", "url": "https://example.org/hook", "token": "secret"});
    serde_json::from_value(config).unwrap()
}

#[tokio::test]
async fn every_operation_is_asked_and_answered_as_it_was_said() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let by = caller();

    let SendMessageResponse::Task(task) = client.send_message(&by, message("m1")).await? else { anyhow::bail!("a task") };
    assert_eq!(client.get_task(&by, GetTaskRequest { id: task.id.clone(), ..Default::default() }).await?, task);
    let listed = client.list_tasks(&by, ListTasksRequest::default()).await?;
    assert_eq!((listed.tasks, listed.total_size), (vec![task.clone()], 1));

    script.tell(&task.id, artifact(&task.id, "a1", "x"));
    let mut subscribed = client.subscribe_to_task(&by, subscribe(&task.id)).await?;
    assert_eq!(next(&mut subscribed).await?, "task:SUBMITTED:a1");
    let mut sent = client.send_streaming_message(&by, message("m2")).await?;
    assert_eq!(next(&mut sent).await?, "task:SUBMITTED:");
    script.tell("t2", status("t2", TaskState::Completed));
    assert_eq!(rest(&mut sent).await?, ["status:COMPLETED"]);
    let canceled = client.cancel_task(&by, CancelTaskRequest { id: task.id.clone(), ..Default::default() }).await?;
    assert_eq!(canceled.status.state, TaskState::Canceled);
    assert_eq!(rest(&mut subscribed).await?, ["status:CANCELED"]);

    assert_eq!(client.create_push_config(&by, push_config()).await?, push_config());
    let config = serde_json::to_value(push_config())?;
    script.instead(Operation::GetTaskPushNotificationConfig, Instead::Answer(config.clone()));
    let get = GetTaskPushNotificationConfigRequest { tenant: None, task_id: "t1".to_owned(), id: "p1".to_owned() };
    assert_eq!(client.get_push_config(&by, get).await?, push_config());
    script.instead(Operation::ListTaskPushNotificationConfigs, Instead::Answer(json!({"configs": [config]})));
    let list = ListTaskPushNotificationConfigsRequest { task_id: "t1".to_owned(), ..Default::default() };
    assert_eq!(client.list_push_configs(&by, list).await?.configs, [push_config()]);
    let delete = DeleteTaskPushNotificationConfigRequest { tenant: None, task_id: "t1".to_owned(), id: "p1".to_owned() };
    client.delete_push_config(&by, delete).await?;
    let extended = client.extended_card(&by, GetExtendedAgentCardRequest::default()).await?;
    assert_eq!(extended.description, "For friends.");
    assert_eq!((client.card(), client.fetch_card().await?), (card(), card()));

    let asked: BTreeSet<Operation> = script.calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(asked, BTreeSet::from(Operation::ALL));
    assert!(script.calls().iter().all(|call| call.caller == by), "the caller is who the subject says");
    Ok(())
}

#[tokio::test]
async fn every_error_arrives_with_all_that_it_says() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let violation = FieldViolation { field: "message.parts".to_owned(), description: "must not be empty".to_owned() };
    let kinds = [
        ErrorKind::TaskNotFound,
        ErrorKind::TaskNotCancelable,
        ErrorKind::PushNotificationNotSupported,
        ErrorKind::UnsupportedOperation,
        ErrorKind::ContentTypeNotSupported,
        ErrorKind::InvalidAgentResponse,
        ErrorKind::ExtendedAgentCardNotConfigured,
        ErrorKind::ExtensionSupportRequired,
        ErrorKind::VersionNotSupported,
        ErrorKind::InvalidRequest,
        ErrorKind::InvalidParams { violations: vec![violation] },
        ErrorKind::Internal,
        ErrorKind::Unauthenticated,
        ErrorKind::ResourceExhausted { retry_after: None },
        ErrorKind::ResourceExhausted { retry_after: Some(Duration::from_hours(1)) },
    ];
    for kind in kinds {
        let error = A2aError::new(kind, "said so").with("taskId", "t1");
        script.instead(Operation::GetTask, Instead::Fail(error.clone()));
        script.instead(Operation::SubscribeToTask, Instead::Fail(error.clone()));
        let get = GetTaskRequest { id: "t1".to_owned(), ..Default::default() };
        assert_eq!(client.get_task(&caller(), get).await, Err(error.clone()));
        assert_eq!(client.subscribe_to_task(&caller(), subscribe("t1")).await.err(), Some(error.clone()));

        let body = r#"{"id":"t1"}"#;
        let answer = ask(&stage.connect().await?, headers("GetTask", body.as_bytes()), body).await?.next().await?;
        assert_eq!(header(&answer, "Nats-Service-Error"), Some(error.codes().reason));
        assert_eq!(header(&answer, "Nats-Service-Error-Code"), Some(error.codes().http.to_string().as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn extensions_are_declared_demanded_and_named_in_the_answer() -> Result<()> {
    let stage = stage().await?;
    let mut card = card();
    let extension = |uri: &str, required| AgentExtension { uri: uri.to_owned(), required, ..AgentExtension::default() };
    card.capabilities.extensions = vec![extension("https://example.org/a", true), extension("https://example.org/b", false)];
    let script = Script::with_card(card);
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let refused = client.list_tasks(&caller(), ListTasksRequest::default()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ExtensionSupportRequired);

    let mut by = caller();
    by.extensions = ["https://example.org/a", "https://example.org/other"].map(str::to_owned).into();
    client.list_tasks(&by, ListTasksRequest::default()).await?;
    assert_eq!(script.calls()[0].caller.extensions, by.extensions);
    let mut headers = headers("ListTasks", b"{}");
    // Names of headers are compared without case.
    headers.insert("a2a-extensions", "https://example.org/a, https://example.org/other");
    let answer = ask(&stage.connect().await?, headers, "{}").await?.next().await?;
    assert_eq!(header(&answer, "A2A-Extensions"), Some("https://example.org/a"));
    Ok(())
}
