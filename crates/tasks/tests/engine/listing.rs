//! Listings.

use std::collections::BTreeSet;

use a2a::{A2aService as _, ErrorKind, ListTasksRequest, ListTasksResponse, TaskState};
use tasks::Engine;

use crate::bed::{at_once, bed, caller, get, named, request, send, until};
use crate::script::Script;

async fn list(engine: &Engine<Script>, request: ListTasksRequest) -> ListTasksResponse {
    engine.list_tasks(&caller(), request).await.unwrap()
}

fn ids(response: &ListTasksResponse) -> Vec<&str> {
    response.tasks.iter().map(|task| task.id.as_str()).collect()
}

fn page(size: u32, token: &str) -> ListTasksRequest {
    let page_token = Some(token.to_owned()).filter(|token| !token.is_empty());
    ListTasksRequest { page_size: Some(size), page_token, ..ListTasksRequest::default() }
}

#[tokio::test]
async fn pages_hold_every_task_once_newest_first() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let mut expected = vec![];
    for _ in 0..7 {
        let task = send(&engine, request("echo")).await.unwrap();
        expected.push((task.status.timestamp, task.id));
    }
    expected.sort();
    expected.reverse();
    engine.send_message(&named("acme", "bob"), request("echo")).await.unwrap();
    let (mut seen, mut token, mut sizes) = (vec![], String::new(), vec![]);
    loop {
        let response = list(&engine, page(3, &token)).await;
        assert_eq!((response.total_size, response.page_size), (7, 3));
        seen.extend(response.tasks.iter().map(|task| (task.status.timestamp, task.id.clone())));
        sizes.push(response.tasks.len());
        token = response.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, sizes), (expected, vec![3, 3, 1]));
    // A page that is just full is the last one.
    assert_eq!(list(&engine, page(7, "")).await.next_page_token, "");
}

#[tokio::test]
async fn a_page_ends_after_so_many_bytes_and_the_next_one_goes_on() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.page_bytes_max = 5_000).await;
    for _ in 0..5 {
        let mut large = request("ask");
        large.message.parts.push(a2a::Part::text("x".repeat(4_000)));
        send(&engine, large).await.unwrap();
    }
    let (mut seen, mut token, mut sizes) = (BTreeSet::new(), String::new(), vec![]);
    loop {
        let response = list(&engine, page(5, &token)).await;
        assert_eq!((response.total_size, response.page_size), (5, 5));
        seen.extend(ids(&response).into_iter().map(str::to_owned));
        sizes.push(response.tasks.len());
        token = response.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), sizes), (5, vec![2, 2, 1]));
}

#[tokio::test]
async fn pages_stay_right_while_tasks_come_and_change() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let mut waiting = vec![];
    for _ in 0..6 {
        waiting.push(send(&engine, request("ask")).await.unwrap());
    }
    let first = list(&engine, page(2, "")).await;
    // One that was shown changes and one that was not, and another one comes: all three are at the front now.
    let (shown, hidden) = (first.tasks[0].clone(), waiting[0].clone());
    for task in [&shown, &hidden] {
        send(&engine, crate::bed::to(task, "echo")).await.unwrap();
    }
    send(&engine, request("echo")).await.unwrap();
    let mut seen: Vec<String> = ids(&first).into_iter().map(str::to_owned).collect();
    let mut token = first.next_page_token;
    while !token.is_empty() {
        let response = list(&engine, page(2, &token)).await;
        assert_eq!(response.total_size, 7);
        seen.extend(ids(&response).into_iter().map(str::to_owned));
        token = response.next_page_token;
    }
    let unchanged: Vec<_> = waiting.iter().rev().map(|task| task.id.clone()).filter(|id| *id != hidden.id).collect();
    assert_eq!(seen, unchanged, "nothing twice, and nothing that did not change is missing");
    let anew = list(&engine, page(3, "")).await;
    assert_eq!(ids(&anew).into_iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(ids(&anew)[1..].contains(&hidden.id.as_str()));
}

#[tokio::test]
async fn filters_choose_and_counts_follow_them() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let old = send(&engine, request("echo")).await.unwrap();
    let mut in_context = request("ask");
    in_context.message.context_id = Some("c".to_owned());
    let asked = send(&engine, in_context).await.unwrap();
    let begun = send(&engine, at_once(request("gate"))).await.unwrap();
    until(&engine, &begun.id, |task| task.status.state == TaskState::Working).await;
    let since = asked.status.timestamp;
    let of = |request: ListTasksRequest| list(&engine, request);
    let none = ListTasksRequest::default;

    let found = of(ListTasksRequest { context_id: Some("c".to_owned()), ..none() }).await;
    assert_eq!((ids(&found), found.total_size), (vec![asked.id.as_str()], 1));
    let found = of(ListTasksRequest { status: Some(TaskState::Completed), ..none() }).await;
    assert_eq!((ids(&found), found.total_size), (vec![old.id.as_str()], 1));
    let found = of(ListTasksRequest { status_timestamp_after: since, ..none() }).await;
    assert!(ids(&found).contains(&asked.id.as_str()), "the time itself counts");
    let found = of(ListTasksRequest { status_timestamp_after: since, status: Some(TaskState::Failed), ..none() }).await;
    assert_eq!((found.tasks.len(), found.total_size, found.next_page_token.as_str()), (0, 0, ""));
    assert_eq!(found.page_size, a2a::limits::PAGE_SIZE_DEFAULT);
}

#[tokio::test]
async fn a_listing_shows_as_much_as_was_asked_for() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, request("echo")).await.unwrap();
    let plain = list(&engine, ListTasksRequest::default()).await;
    assert!(plain.tasks[0].artifacts.is_empty() && plain.tasks[0].history.len() == 1);
    let whole = ListTasksRequest { include_artifacts: Some(true), history_length: Some(0), ..ListTasksRequest::default() };
    let whole = list(&engine, whole).await;
    assert_eq!((&whole.tasks[0].artifacts, whole.tasks[0].history.len()), (&task.artifacts, 0));
    // A task whose newest events stand beside its document is shown with them.
    let begun = send(&engine, at_once(request("hand-over"))).await.unwrap();
    let begun = until(&engine, &begun.id, |task| task.status.state == TaskState::Working).await;
    let first = list(&engine, page(1, "")).await;
    assert_eq!(first.tasks[0], get(&engine, &begun.id).await);
}

#[tokio::test]
async fn what_cannot_be_a_listing_is_refused() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for _ in 0..2 {
        send(&engine, request("echo")).await.unwrap();
    }
    let token = list(&engine, page(1, "")).await.next_page_token;
    let other = ListTasksRequest { context_id: Some("c".to_owned()), ..page(1, &token) };
    for wrong in [page(0, ""), page(101, ""), page(1, "nonsense"), other] {
        let error = engine.list_tasks(&caller(), wrong.clone()).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::InvalidParams { .. }), "{wrong:?}");
    }
    assert!(engine.list_tasks(&named("acme", "bob"), page(1, &token)).await.is_err());
}
