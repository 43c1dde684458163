//! Sending a message: blocking or not, once and again, with and without a task.

use a2a::{A2aService as _, ErrorKind, Message, Part, SendMessageResponse, TaskState};
use futures::future::join_all;

use crate::bed::{at_once, bed, caller, get, options, request, send, until};

#[tokio::test]
async fn a_message_becomes_a_task_that_is_answered_when_it_has_ended() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let mut request = request("echo");
    request.message.context_id = Some("our talk".to_owned());
    let sent = request.message.clone();
    let task = send(&engine, request).await.unwrap();
    assert_eq!((task.status.state, task.context_id.as_deref()), (TaskState::Completed, Some("our talk")));
    assert!(task.status.timestamp.is_some());
    assert_eq!((task.artifacts[0].artifact_id.as_str(), &task.artifacts[0].parts), ("answer", &sent.parts));
    let placed = Message { task_id: Some(task.id.clone()), ..sent };
    assert_eq!(task.history, [placed], "the message says where it belongs");
    assert_eq!(get(&engine, &task.id).await, task, "what was answered is what is stored");
}

#[tokio::test]
async fn a_client_that_does_not_wait_gets_the_task_as_it_begins() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("gate"))).await.unwrap();
    assert_eq!((task.status.state, task.history.len()), (TaskState::Submitted, 1));
    bed.called(1).await;
    bed.script.open_gate();
    until(&engine, &task.id, |task| task.status.state == TaskState::Completed).await;
}

#[tokio::test]
async fn waiting_ends_when_the_task_waits_for_somebody() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for (script, state) in [("ask", TaskState::InputRequired), ("approve", TaskState::AuthRequired)] {
        let task = send(&engine, request(script)).await.unwrap();
        assert_eq!(task.status.state, state);
        assert_eq!(task.status.message.is_some(), script == "ask");
    }
}

#[tokio::test]
async fn waiting_has_an_end() {
    let bed = bed().await;
    let engine = bed.engine_limited(|limits| limits.blocking_max = std::time::Duration::from_millis(200)).await;
    let task = send(&engine, request("gate")).await.unwrap();
    assert!(matches!(task.status.state, TaskState::Submitted | TaskState::Working));
}

#[tokio::test]
async fn only_as_much_history_as_was_asked_for() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for (length, expected) in [(None, 1), (Some(0), 0), (Some(1), 1), (Some(9), 1)] {
        let mut request = request("echo");
        let configuration = a2a::SendMessageConfiguration { history_length: length, ..Default::default() };
        request.configuration = Some(configuration);
        assert_eq!(send(&engine, request).await.unwrap().history.len(), expected, "{length:?}");
    }
}

#[tokio::test]
async fn the_same_message_again_is_the_same_task_also_after_a_restart() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let request = request("echo");
    let first = send(&engine, request.clone()).await.unwrap();
    assert_eq!(send(&engine, request.clone()).await.unwrap(), first);
    engine.stop().await;
    let engine = bed.engine().await;
    assert_eq!(send(&engine, request.clone()).await.unwrap(), first);
    assert_eq!(bed.script.calls().len(), 1);
    // Another id is another task, and the same id of another sender too.
    assert_ne!(send(&engine, self::request("echo")).await.unwrap().id, first.id);
    let other = crate::bed::named("acme", "bob");
    let SendMessageResponse::Task(task) = engine.send_message(&other, request).await.unwrap() else { panic!("a task") };
    assert_ne!(task.id, first.id);
}

#[tokio::test]
async fn many_copies_at_once_are_one_task() {
    let bed = bed().await;
    let (one, two) = (bed.engine().await, bed.engine().await);
    let request = request("echo");
    let all = (0..40).map(|n| send(if n % 2 == 0 { &one } else { &two }, request.clone()));
    let tasks: Vec<_> = join_all(all).await.into_iter().map(Result::unwrap).collect();
    assert!(tasks.iter().all(|task| task.id == tasks[0].id && task.status.state == TaskState::Completed), "{tasks:?}");
    assert_eq!(bed.script.calls().len(), 1);
}

#[tokio::test]
async fn a_message_id_names_one_message() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for script in ["echo", "hello"] {
        let mut request = request(script);
        engine.send_message(&caller(), request.clone()).await.unwrap();
        request.message.parts.push(Part::text("and more"));
        let error = engine.send_message(&caller(), request).await.unwrap_err();
        let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
        assert_eq!(violations[0].field, "message.messageId");
    }
}

#[tokio::test]
async fn an_answer_without_a_task_is_given_once_for_ever() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let request = request("hello");
    let mut replies = vec![];
    for _ in 0..2 {
        let answer = engine.send_message(&caller(), request.clone()).await.unwrap();
        let SendMessageResponse::Message(reply) = answer else { panic!("a task") };
        replies.push(reply);
    }
    assert!(replies[0].context_id.is_some());
    assert_eq!(replies[0], replies[1]);
    assert!(bed.script.calls().is_empty());
}

#[tokio::test]
async fn what_the_executor_does_not_admit_is_refused() {
    let bed = bed().await;
    let engine = bed.engine().await;
    assert_eq!(send(&engine, request("image")).await.unwrap_err().kind, ErrorKind::ContentTypeNotSupported);
    let mut invalid = request("echo");
    invalid.message.parts.clear();
    assert!(matches!(send(&engine, invalid).await.unwrap_err().kind, ErrorKind::InvalidParams { .. }));
    let mut from_agent = request("echo");
    from_agent.message.role = a2a::Role::Agent;
    assert!(matches!(send(&engine, from_agent).await.unwrap_err().kind, ErrorKind::InvalidParams { .. }));
}

#[tokio::test]
async fn work_that_fails_or_panics_makes_its_task_fail() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for script in ["fail", "panic"] {
        let task = send(&engine, request(script)).await.unwrap();
        assert_eq!((task.status.state, task.status.message.is_some()), (TaskState::Failed, true), "{script}");
    }
    assert_eq!(send(&engine, request("echo")).await.unwrap().status.state, TaskState::Completed, "nothing else broke");
}

#[tokio::test]
async fn work_may_go_on_outside_of_the_call() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("hand-over"))).await.unwrap();
    until(&engine, &task.id, |task| task.status.state == TaskState::Working).await;
    let updates = engine.updates("acme", &task.id).await.unwrap();
    updates.note("cursor", 7).unwrap();
    updates.report(TaskState::Completed).await.unwrap();
    updates.flush().await.unwrap();
    let done = get(&engine, &task.id).await;
    assert_eq!((done.status.state, &done.metadata["cursor"]), (TaskState::Completed, &7.into()));
    // The end is the end, here too.
    let late = updates.report(TaskState::Working).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::UnsupportedOperation);
    assert_eq!(engine.updates("acme", "nothing").await.unwrap_err().kind, ErrorKind::TaskNotFound);
}

#[tokio::test]
async fn many_messages_share_writes_and_every_one_of_them_is_stored() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let all = join_all((0..600).map(|_| send(&engine, request("echo")))).await;
    for task in all {
        let task = task.unwrap();
        assert_eq!(task.status.state, TaskState::Completed);
        assert_eq!(get(&engine, &task.id).await, task);
    }
    // A row says which transaction has written it last.
    let writes: i64 = sqlx::query_scalar("select count(distinct xmin::text) from gateway.a2a_task")
        .fetch_one(&mut bed.admin().await)
        .await
        .unwrap();
    assert!(writes < 200, "{writes} transactions have ended 600 tasks");
}

#[tokio::test]
async fn an_extension_that_the_card_requires_must_be_declared() {
    let bed = bed().await;
    let mut options = options();
    let extension = a2a::AgentExtension { uri: "urn:approval".to_owned(), required: true, ..Default::default() };
    options.card.capabilities.extensions.push(extension);
    let engine = bed.engine_with(options).await;
    assert_eq!(send(&engine, request("echo")).await.unwrap_err().kind, ErrorKind::ExtensionSupportRequired);
    let mut caller = caller();
    caller.extensions.insert("urn:approval".to_owned());
    engine.send_message(&caller, request("echo")).await.unwrap();
}
