//! Limits, deadlines, stopping.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use a2a::{A2aService as _, Caller, ErrorKind, GetTaskRequest, ListTasksRequest, Operation, SendMessageResponse, TaskState};
use a2a_nats::{ClientOptions, Limits, ServeOptions, Tracing};
use anyhow::Result;
use async_nats::jetstream;
use testkit::eventually;

use crate::raw::{ask, ask_at, header, headers, outcome};
use crate::script::{Instead, Script};
use crate::stage::{DEADLINE, address, caller, client_options, message, overhear, rest, serve_options, stage, status, subscribe};

fn limited(limits: Limits) -> ServeOptions {
    ServeOptions { limits, ..serve_options() }
}

async fn called(script: &Arc<Script>, times: usize) -> Result<()> {
    let what = format!("call {times} of the service");
    eventually(&what, DEADLINE, async || (script.calls().len() == times).then_some(())).await
}

#[tokio::test]
async fn a_busy_agent_says_when_to_come_again_and_clients_do() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let retry_after = Duration::from_millis(50);
    let limits = Limits { operations_max: 2, operations_per_sender_max: 1, retry_after, ..Limits::default() };
    let _running = stage.serve_with(&script, limited(limits)).await?;
    let client = stage.client().await?;
    script.instead(Operation::ListTasks, Instead::Wait);
    let raw = stage.connect().await?;
    let mut first = ask(&raw, headers("ListTasks", b"{}"), "{}").await?;
    called(&script, 1).await?;

    let refused = ask(&raw, headers("ListTasks", b"{}"), "{}").await?.next().await?;
    assert_eq!(outcome(&refused), ("error".to_owned(), "RESOURCE_EXHAUSTED".to_owned()));
    let body: serde_json::Value = serde_json::from_slice(&refused.payload)?;
    assert_eq!(body["data"][1]["retryDelay"], "0.050000000s");
    // One sender keeps nobody else out, all together do.
    let mut second = ask_at(&raw, &address(), "other", headers("ListTasks", b"{}"), "{}").await?;
    called(&script, 2).await?;
    let refused = ask_at(&raw, &address(), "third", headers("ListTasks", b"{}"), "{}").await?.next().await?;
    assert_eq!(outcome(&refused).1, "RESOURCE_EXHAUSTED");

    let refusal = overhear(&stage, "_INBOX.>", ("Nats-Service-Error", "RESOURCE_EXHAUSTED"), 1).await?;
    let persistent = tokio::spawn(async move { client.list_tasks(&caller(), ListTasksRequest::default()).await });
    refusal.all().await?;
    script.as_usual(Operation::ListTasks);
    for asked in [&mut first, &mut second] {
        assert_eq!(header(&asked.next_frame().await?, "A2A-Status"), Some("ok"));
    }
    assert_eq!(persistent.await??.total_size, 0);
    Ok(())
}

#[tokio::test]
async fn deadlines_end_waiting_on_both_sides() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    script.instead(Operation::ListTasks, Instead::Wait);
    let mut headers = headers("ListTasks", b"{}");
    headers.insert("A2A-Timeout", "200");
    let answer = ask(&stage.connect().await?, headers, "{}").await?.next().await?;
    assert_eq!(outcome(&answer), ("error".to_owned(), "UNAVAILABLE".to_owned()));

    let client = stage.client_with(ClientOptions { deadline: Duration::from_secs(2), ..client_options() }).await?;
    let late = client.list_tasks(&caller(), ListTasksRequest::default()).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::Unavailable);
    Ok(())
}

#[tokio::test]
async fn a_long_operation_is_waited_for_as_long_as_the_agent_is_heard_of() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    script.instead(Operation::SendMessage, Instead::Wait);
    let sent = tokio::spawn(async move { client.send_message(&caller(), message("m1")).await });
    called(&script, 1).await?;
    // Longer than silence would be borne.
    overhear(&stage, "_INBOX.>", ("A2A-Status", "heartbeat"), 4).await?.all().await?;
    assert_eq!(script.calls().len(), 1, "nothing was sent again");
    script.as_usual(Operation::SendMessage);
    assert!(matches!(sent.await??, SendMessageResponse::Task(task) if task.id == "t1"));
    Ok(())
}

#[tokio::test]
async fn nobody_is_waited_for_as_long_as_a_restart_takes() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let absent_max = Duration::from_millis(500);
    let client = {
        let _running = stage.serve(&script).await?;
        stage.client_with(ClientOptions { absent_max, ..client_options() }).await?
    };
    let running = stage.serve(&script).await?;
    running.stopped().await?;
    let refused = client.list_tasks(&caller(), ListTasksRequest::default()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);

    let patient = stage.connect().await?;
    let options = ClientOptions { absent_max: DEADLINE, ..client_options() };
    let connecting = tokio::spawn(a2a_nats::NatsClient::connect(patient, options));
    let _running = stage.serve(&script).await?;
    connecting.await??.list_tasks(&caller(), ListTasksRequest::default()).await?;
    Ok(())
}

#[tokio::test]
async fn a_stopping_agent_ends_what_it_has_begun_and_takes_nothing_new() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let mut running = stage.serve(&script).await?;
    let client = stage.client().await?;
    script.instead(Operation::SendMessage, Instead::Wait);
    let sent = tokio::spawn(async move { client.send_message(&caller(), message("m1")).await });
    called(&script, 1).await?;
    running.stop();
    let raw = stage.connect().await?;
    eventually("a request to nobody", DEADLINE, async || {
        let mut asked = ask(&raw, headers("GetAgentCard", b""), "").await.ok()?;
        let answer = asked.next().await.ok()?;
        (answer.status == Some(async_nats::StatusCode::NO_RESPONDERS)).then_some(())
    })
    .await?;
    script.as_usual(Operation::SendMessage);
    assert!(matches!(sent.await??, SendMessageResponse::Task(_)));
    running.stopped().await
}

#[tokio::test]
async fn what_does_not_end_in_time_is_told_so_and_may_go_elsewhere() -> Result<()> {
    let stage = stage().await?;
    let (script, other) = (Script::new(), Script::new());
    let limits = Limits { drain_within: Duration::from_millis(100), ..Limits::default() };
    let running = stage.serve_with(&script, limited(limits)).await?;
    let client = stage.client().await?;
    script.instead(Operation::SendMessage, Instead::Wait);
    let sent = tokio::spawn(async move { client.send_message(&caller(), message("m1")).await });
    called(&script, 1).await?;
    let stopped = tokio::spawn(running.stopped());
    let _other = stage.serve(&other).await?;
    assert!(matches!(sent.await??, SendMessageResponse::Task(_)));
    assert_eq!(other.calls()[0].request["message"]["messageId"], "m1", "the same message id");
    stopped.await?
}

#[tokio::test]
async fn every_tenant_has_subjects_and_callers_of_its_own() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let tenants = vec!["acme".to_owned(), "rival".to_owned()];
    let _running = stage.serve_with(&script, ServeOptions { tenants, ..serve_options() }).await?;
    let client = stage.client().await?;
    for tenant in ["acme", "rival"] {
        let by = Caller { tenant: tenant.to_owned(), ..caller() };
        client.list_tasks(&by, ListTasksRequest::default()).await?;
        assert_eq!(script.calls().last().unwrap().caller, by);
    }
    Ok(())
}

/// Such a stream answers before the agent does, with its own acknowledgement.
#[tokio::test]
async fn a_stream_of_jetstream_that_takes_the_subjects_does_no_harm() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    let config = jetstream::stream::Config { name: "ALL".to_owned(), subjects: vec!["a2a.>".to_owned()], ..Default::default() };
    jetstream::new(stage.connect().await?).create_stream(config).await?;
    let client = stage.client().await?;
    assert_eq!(client.list_tasks(&caller(), ListTasksRequest::default()).await?.total_size, 1);
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, ["task:SUBMITTED:", "status:COMPLETED"]);
    Ok(())
}

static ADOPTED: Mutex<Vec<String>> = Mutex::new(vec![]);

#[tokio::test]
async fn trace_contexts_travel_with_requests() -> Result<()> {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let stage = stage().await?;
    let adopt = |_: &tracing::Span, traceparent: &str| ADOPTED.lock().unwrap().push(traceparent.to_owned());
    let options = ServeOptions { tracing: Tracing { adopt, ..Tracing::default() }, ..serve_options() };
    let _running = stage.serve_with(&Script::new(), options).await?;
    let tracing = Tracing { current: || Some(TRACEPARENT.to_owned()), ..Tracing::default() };
    stage.client_with(ClientOptions { tracing, ..client_options() }).await?;
    assert_eq!(*ADOPTED.lock().unwrap(), [TRACEPARENT]);
    Ok(())
}

#[tokio::test]
async fn replicas_share_the_work() -> Result<()> {
    let stage = stage().await?;
    let (one, other) = (Script::new(), Script::new());
    let (_one, _other) = (stage.serve(&one).await?, stage.serve(&other).await?);
    let client = stage.client().await?;
    for n in 0..64 {
        let get = GetTaskRequest { id: format!("t{n}"), ..GetTaskRequest::default() };
        assert_eq!(client.get_task(&caller(), get).await.unwrap_err().kind, ErrorKind::TaskNotFound);
    }
    let (one, other) = (one.calls().len(), other.calls().len());
    assert_eq!(one + other, 64, "each request is taken once");
    assert!(one > 5 && other > 5, "{one} and {other}");
    Ok(())
}
