//! Tenants and owners know nothing of each other: what is not theirs looks as if it were not there.

use a2a::{
    A2aService as _, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetTaskPushNotificationConfigRequest,
    GetTaskRequest, ListTaskPushNotificationConfigsRequest, ListTasksRequest, SubscribeToTaskRequest, TaskPushNotificationConfig,
};

use crate::bed::{AGENT, bed, caller, named, options, request, send, to};

#[tokio::test]
async fn what_is_not_ones_own_looks_as_if_it_were_not_there() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, request("ask")).await.unwrap();
    let config = TaskPushNotificationConfig {
        id: Some("p".to_owned()),
        task_id: Some(task.id.clone()),
        url: "http://127.0.0.1:1/".to_owned(),
        ..TaskPushNotificationConfig::default()
    };
    engine.create_push_config(&caller(), config.clone()).await.unwrap();
    for stranger in [named("acme", "bob"), named("other", "ada")] {
        let (id, p) = (task.id.clone(), "p".to_owned());
        let mut errors = vec![];
        let get = GetTaskRequest { id: id.clone(), ..GetTaskRequest::default() };
        errors.push(engine.get_task(&stranger, get).await.unwrap_err());
        let cancel = CancelTaskRequest { id: id.clone(), ..CancelTaskRequest::default() };
        errors.push(engine.cancel_task(&stranger, cancel).await.unwrap_err());
        let subscribe = SubscribeToTaskRequest { id: id.clone(), ..SubscribeToTaskRequest::default() };
        errors.push(engine.subscribe_to_task(&stranger, subscribe).await.err().unwrap());
        errors.push(Box::pin(engine.send_message(&stranger, to(&task, "echo"))).await.unwrap_err());
        errors.push(engine.create_push_config(&stranger, config.clone()).await.unwrap_err());
        let get = GetTaskPushNotificationConfigRequest { tenant: None, task_id: id.clone(), id: p.clone() };
        errors.push(engine.get_push_config(&stranger, get).await.map(drop).unwrap_err());
        let list = ListTaskPushNotificationConfigsRequest { task_id: id.clone(), ..Default::default() };
        errors.push(engine.list_push_configs(&stranger, list).await.map(drop).unwrap_err());
        let delete = DeleteTaskPushNotificationConfigRequest { tenant: None, task_id: id.clone(), id: p };
        errors.push(engine.delete_push_config(&stranger, delete).await.unwrap_err());
        let nothing = GetTaskRequest { id: "made up".to_owned(), ..GetTaskRequest::default() };
        let missing = engine.get_task(&stranger, nothing).await.unwrap_err();
        for error in errors {
            let expected = missing.clone().with("taskId", id.clone());
            assert_eq!(error, expected, "not a word more than about a task that is not there");
        }
        let listed = engine.list_tasks(&stranger, ListTasksRequest::default()).await.unwrap();
        assert_eq!((listed.tasks.len(), listed.total_size), (0, 0));
    }
}

#[tokio::test]
async fn engines_of_other_agents_share_tables_and_nothing_else() {
    let bed = bed().await;
    let one = bed.engine().await;
    let mut options = options();
    options.agent = format!("not {AGENT}");
    let other = bed.engine_with(options).await;
    let request = request("ask");
    let task = send(&one, request.clone()).await.unwrap();
    let same = send(&other, request).await.unwrap();
    assert_ne!(task.id, same.id);
    let get = GetTaskRequest { id: task.id, ..GetTaskRequest::default() };
    assert!(other.get_task(&caller(), get).await.is_err());
}
