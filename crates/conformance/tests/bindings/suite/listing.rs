//! Lists of tasks.

use a2a::{A2aService, ListTasksRequest, Task, TaskState};
use serde_json::{Value, json};

use super::{Side, refused};

/// Tasks in one context; the last one waits for an answer.
async fn five<S: A2aService>(side: &Side<S>) -> (String, Vec<Task>) {
    let context = side.id("context");
    let mut tasks = vec![];
    for prefix in ["tck-artifact-text", "tck-complete-task", "tck-reject-task", "tck-complete-task", "tck-input-required"] {
        let mut message = side.message(prefix);
        message.context_id = Some(context.clone());
        tasks.push(side.task(message).await);
    }
    (context, tasks)
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

pub(crate) async fn pages_of_a_context<S: A2aService>(side: &Side<S>) -> Value {
    let (context, tasks) = five(side).await;
    let newest_first: Vec<_> = ids(&tasks).into_iter().rev().collect();
    let mut request = ListTasksRequest { context_id: Some(context), page_size: Some(2), ..ListTasksRequest::default() };
    let (mut listed, mut sizes) = (vec![], vec![]);
    loop {
        let page = side.agent.list_tasks(&side.caller, request.clone()).await.unwrap();
        assert_eq!((page.page_size, page.total_size), (2, 5));
        assert!(page.tasks.iter().all(|task| task.artifacts.is_empty()), "artifacts come only when asked for");
        sizes.push(page.tasks.len());
        listed.extend(page.tasks);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = Some(page.next_page_token);
    }
    assert_eq!(ids(&listed), newest_first);
    assert_eq!(sizes, [2, 2, 1]);
    request.page_token = Some("no token of yours".to_owned());
    let forged = refused(side.agent.list_tasks(&side.caller, request.clone()).await);
    let too_large = ListTasksRequest { page_size: Some(101), page_token: None, ..request };
    let too_large = refused(side.agent.list_tasks(&side.caller, too_large).await);
    assert_eq!(forged, json!({"reason": "INVALID_PARAMS", "fields": ["pageToken"]}));
    assert_eq!(too_large, json!({"reason": "INVALID_PARAMS", "fields": ["pageSize"]}));
    json!([sizes, forged, too_large])
}

pub(crate) async fn filters<S: A2aService>(side: &Side<S>) -> Value {
    let (context, tasks) = five(side).await;
    let all = ListTasksRequest { context_id: Some(context), ..ListTasksRequest::default() };
    let completed = ListTasksRequest { status: Some(TaskState::Completed), include_artifacts: Some(true), ..all.clone() };
    let page = side.agent.list_tasks(&side.caller, completed).await.unwrap();
    assert_eq!(ids(&page.tasks), [&tasks[3].id, &tasks[1].id, &tasks[0].id]);
    assert_eq!(page.tasks[2].artifacts, tasks[0].artifacts);
    let after = ListTasksRequest { status_timestamp_after: tasks[3].status.timestamp, history_length: Some(0), ..all };
    let page = side.agent.list_tasks(&side.caller, after).await.unwrap();
    assert!(ids(&page.tasks).contains(&tasks[4].id.as_str()), "the one after it");
    assert!(!ids(&page.tasks).contains(&tasks[0].id.as_str()), "not those long before it");
    assert!(page.tasks.iter().all(|task| task.history.is_empty()));
    json!(page.page_size)
}
