//! Push notifications: where they go to. That they arrive is shown once, not per binding.

use a2a::{
    A2aError, A2aService, AuthenticationInfo, DeleteTaskPushNotificationConfigRequest, GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest, TaskPushNotificationConfig,
};
use serde_json::{Value, json};

use super::{Side, push_to, refused};

pub(crate) async fn configurations_come_and_go<S: A2aService>(side: &Side<S>) -> Value {
    let task = side.task(side.message("tck-input-required")).await;
    let wanted = TaskPushNotificationConfig {
        id: Some("mine".to_owned()),
        task_id: Some(task.id.clone()),
        token: Some("a token".to_owned()),
        authentication: Some(AuthenticationInfo { scheme: "Bearer".to_owned(), credentials: Some("secret".to_owned()) }),
        ..push_to("http://127.0.0.1:9/hook")
    };
    let made = side.agent.create_push_config(&side.caller, wanted.clone()).await.unwrap();
    assert_eq!((&made.id, &made.task_id, &made.url), (&wanted.id, &wanted.task_id, &wanted.url));
    let got = get(side, &task.id).await.unwrap();
    assert_eq!(got, made);
    assert_eq!(list(side, &task.id).await, vec![made]);
    delete(side, &task.id).await.unwrap();
    delete(side, &task.id).await.expect("deleting again changes nothing");
    assert!(list(side, &task.id).await.is_empty());
    let gone = refused(get(side, &task.id).await);
    let nowhere = TaskPushNotificationConfig { url: "file:///etc/passwd".to_owned(), ..wanted };
    let nowhere = refused(side.agent.create_push_config(&side.caller, nowhere).await);
    json!([gone, nowhere])
}

async fn get<S: A2aService>(side: &Side<S>, task: &str) -> Result<TaskPushNotificationConfig, A2aError> {
    let request = GetTaskPushNotificationConfigRequest { tenant: None, task_id: task.to_owned(), id: "mine".to_owned() };
    side.agent.get_push_config(&side.caller, request).await
}

async fn list<S: A2aService>(side: &Side<S>, task: &str) -> Vec<TaskPushNotificationConfig> {
    let request =
        ListTaskPushNotificationConfigsRequest { tenant: None, task_id: task.to_owned(), page_size: None, page_token: None };
    side.agent.list_push_configs(&side.caller, request).await.unwrap().configs
}

async fn delete<S: A2aService>(side: &Side<S>, task: &str) -> Result<(), A2aError> {
    let request = DeleteTaskPushNotificationConfigRequest { tenant: None, task_id: task.to_owned(), id: "mine".to_owned() };
    side.agent.delete_push_config(&side.caller, request).await
}
