//! Messages to tasks that are there.

use a2a::{A2aService as _, ErrorKind, Role, TaskState};

use crate::bed::{at_once, bed, caller, get, request, send, to, until};
use crate::script::text_of;

#[tokio::test]
async fn an_answer_goes_on_with_a_task_that_asked() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let answered = send(&engine, to(&asked, "echo")).await.unwrap();
    assert_eq!((&answered.id, answered.status.state), (&asked.id, TaskState::Completed));
    assert_eq!(answered.context_id, asked.context_id);
    let said: Vec<_> = answered.history.iter().map(|message| (message.role, text_of(message))).collect();
    let expected = [(Role::User, "ask"), (Role::Agent, "which one?"), (Role::User, "echo")];
    let expected = expected.map(|(role, text)| (role, text.to_owned()));
    assert_eq!(said, expected, "a question becomes history when it is answered");
    assert_eq!(get(&engine, &asked.id).await, answered);
}

#[tokio::test]
async fn the_same_answer_again_changes_nothing_even_after_the_end() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let answer = to(&asked, "echo");
    let first = send(&engine, answer.clone()).await.unwrap();
    assert_eq!(send(&engine, answer.clone()).await.unwrap(), first);
    engine.stop().await;
    let engine = bed.engine().await;
    assert_eq!(send(&engine, answer.clone()).await.unwrap(), first);
    let mut other = answer;
    other.message.extensions.push("urn:x".to_owned());
    assert!(matches!(send(&engine, other).await.unwrap_err().kind, ErrorKind::InvalidParams { .. }));
}

#[tokio::test]
async fn a_message_must_fit_its_task() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let mut elsewhere = to(&asked, "echo");
    elsewhere.message.context_id = Some("elsewhere".to_owned());
    let error = send(&engine, elsewhere).await.unwrap_err();
    let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
    assert_eq!(violations[0].field, "message.contextId");
    let mut here = to(&asked, "echo");
    here.message.context_id.clone_from(&asked.context_id);
    let done = send(&engine, here).await.unwrap();
    assert_eq!(send(&engine, to(&done, "echo")).await.unwrap_err().kind, ErrorKind::UnsupportedOperation);
    let mut unknown = to(&done, "echo");
    unknown.message.task_id = Some("made up".to_owned());
    assert_eq!(send(&engine, unknown).await.unwrap_err().kind, ErrorKind::TaskNotFound);
    // The context alone begins another task in it.
    let mut next = request("echo");
    next.message.context_id.clone_from(&asked.context_id);
    let next = send(&engine, next).await.unwrap();
    assert!(next.id != asked.id && next.context_id == asked.context_id);
}

#[tokio::test]
async fn messages_to_a_task_that_works_are_worked_on_in_order() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("gate"))).await.unwrap();
    bed.called(1).await;
    for _ in 0..2 {
        let more = send(&engine, at_once(to(&task, "hand-over"))).await.unwrap();
        assert_eq!(more.status.state, TaskState::Working);
    }
    let last = send(&engine, at_once(to(&task, "ask"))).await.unwrap();
    assert_eq!(last.history.len(), 4);
    assert_eq!(bed.script.calls().len(), 1, "one call at a time");
    // Canceling ends all of it.
    let canceled = a2a::CancelTaskRequest { id: task.id.clone(), ..Default::default() };
    engine.cancel_task(&caller(), canceled).await.unwrap();
    let task = get(&engine, &task.id).await;
    assert_eq!((task.status.state, task.history.len()), (TaskState::Canceled, 4));
    assert_eq!(bed.script.calls().len(), 1);
}

#[tokio::test]
async fn the_next_call_begins_when_the_one_before_has_returned() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let task = send(&engine, at_once(request("gate"))).await.unwrap();
    bed.called(1).await;
    let task = send(&engine, at_once(to(&task, "ask"))).await.unwrap();
    // `gate` would end the task; what comes after the end is dropped.
    bed.script.open_gate();
    let ended = until(&engine, &task.id, |task| task.status.state.is_terminal()).await;
    assert_eq!(ended.status.state, TaskState::Completed);
    assert_eq!(bed.script.calls().len(), 1);

    let task = send(&engine, at_once(request("hand-over"))).await.unwrap();
    bed.called(2).await;
    let asked = send(&engine, to(&task, "ask")).await.unwrap();
    assert_eq!(asked.status.state, TaskState::InputRequired);
    assert_eq!(bed.script.calls()[1..], [("hand-over".to_owned(), 1), ("ask".to_owned(), 1)]);
}

#[tokio::test]
async fn a_failure_over_an_answer_is_told_though_the_task_still_waits() {
    let bed = bed().await;
    let engine = bed.engine().await;
    for (first, state) in [("ask", TaskState::InputRequired), ("approve", TaskState::AuthRequired)] {
        for script in ["silent fail", "silent panic"] {
            let waiting = send(&engine, request(first)).await.unwrap();
            assert_eq!(waiting.status.state, state);
            let failed = send(&engine, to(&waiting, script)).await.unwrap();
            assert_eq!(failed.status.state, TaskState::Failed, "{first}, {script}");
        }
    }
}

#[tokio::test]
async fn a_call_that_waits_for_approval_makes_room_for_the_message_that_brings_it() {
    let bed = bed().await;
    let engine = bed.engine().await;
    let waiting = send(&engine, request("approve")).await.unwrap();
    assert_eq!(waiting.status.state, TaskState::AuthRequired);
    let done = send(&engine, to(&waiting, "echo")).await.unwrap();
    assert_eq!(done.status.state, TaskState::Completed);
    assert_eq!(bed.script.calls().len(), 2);
}

#[tokio::test]
async fn a_message_may_come_to_another_process_than_the_one_that_works() {
    let bed = bed().await;
    let (one, two) = (bed.engine().await, bed.engine().await);
    let asked = send(&one, request("ask")).await.unwrap();
    let done = send(&two, to(&asked, "echo")).await.unwrap();
    assert_eq!(done.status.state, TaskState::Completed);
    assert_eq!(get(&one, &asked.id).await, done);

    // While the first one still works, it is the one to go on.
    let task = send(&one, at_once(request("hand-over"))).await.unwrap();
    until(&one, &task.id, |task| task.status.state == TaskState::Working).await;
    let asked = send(&two, to(&task, "ask")).await.unwrap();
    assert_eq!(asked.status.state, TaskState::InputRequired);
}
