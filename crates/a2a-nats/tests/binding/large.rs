//! Bodies above what the server takes in one message, both ways.

use std::time::Duration;

use a2a::{A2aService as _, Caller, ErrorKind, ListTasksRequest, Message, Operation, Part, Role, SendMessageRequest, TaskState};
use a2a_nats::{ClientOptions, Limits, NatsClient, ServeOptions};
use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::json;

use crate::proxy::{Fate, Proxy};
use crate::raw::{ask, header, headers, outcome};
use crate::script::{Instead, Script};
use crate::stage::{
    DEADLINE, Stage, artifact, caller, client_options, connect, rest, serve_options, stage_with, status, subscribe,
};

const MESSAGE_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 2 << 20;
/// For pieces that do not come.
const SHORT: Duration = Duration::from_millis(300);

/// A server that takes small messages only.
async fn small() -> Result<Stage> {
    stage_with(&format!("max_payload: {MESSAGE_BYTES_MAX}")).await
}

fn options() -> ServeOptions {
    waiting(DEADLINE)
}

/// Pieces may take so long.
fn waiting(piece_within: Duration) -> ServeOptions {
    let limits = Limits { body_bytes_max: BODY_BYTES_MAX, piece_within, ..Limits::default() };
    ServeOptions { limits, ..serve_options() }
}

fn large_message(id: &str, bytes: usize) -> SendMessageRequest {
    SendMessageRequest::new(Message::new(id, Role::User, vec![Part::text(format!("{id} ").repeat(bytes / (id.len() + 1)))]))
}

#[tokio::test]
async fn large_requests_of_many_senders_at_once_come_whole_and_large_answers_go_back() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    // Hashing takes its time in a debug build; nothing is to be sent twice because of that.
    let client = &stage.client_with(ClientOptions { heartbeat: DEADLINE, ..client_options() }).await?;
    let text = "answer ".repeat(100_000);
    let artifact = json!({"artifactId": "a1", "parts": [{"text": text}]});
    let task = json!({"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [artifact]});
    script.instead(Operation::SendMessage, Instead::Answer(json!({"task": task})));
    let ask = |n: usize| async move {
        let by = Caller { sender: format!("shop{}", n % 4), ..caller() };
        let answer = client.send_message(&by, large_message(&format!("m{n}"), 200_000 + 50_000 * n)).await?;
        anyhow::Ok(serde_json::to_value(answer)?)
    };
    for answer in try_join_all((0..12).map(ask)).await? {
        assert_eq!(answer["task"]["artifacts"][0]["parts"][0]["text"], text);
    }
    let calls = script.calls();
    assert_eq!(calls.len(), 12);
    for call in calls {
        let (id, said) = (&call.request["message"]["messageId"], &call.request["message"]["parts"][0]["text"]);
        let (id, said) = (id.as_str().context("an id")?, said.as_str().context("a text")?);
        assert!(said.len() > 190_000 && said.split_whitespace().all(|word| word == id), "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn large_events_are_frames_like_others() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve_with(&script, options()).await?;
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let client = NatsClient::connect(connect(&proxy.url()).await?, client_options()).await?;
    let mut lost = std::collections::BTreeSet::new();
    // Of every third event a piece is lost.
    proxy.decide(move |delivery| match delivery.header("A2A-Chunk-Id") {
        Some(id) if delivery.header("A2A-Chunk") == Some("2/4") && lost.insert(id.to_owned()) && lost.len() % 3 == 0 => {
            Fate::Drop
        }
        _ => Fate::Pass,
    });
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    let text = "x".repeat(200_000);
    (0..10).for_each(|n| script.tell("t1", artifact("t1", &format!("a{n}"), &text)));
    script.tell("t1", status("t1", TaskState::Completed));
    let heard = rest(&mut stream).await?;
    let artifacts = (0..10).map(|n| format!("artifact:a{n}"));
    let expected: Vec<String> =
        ["task:SUBMITTED:".to_owned()].into_iter().chain(artifacts).chain(["status:COMPLETED".to_owned()]).collect();
    assert_eq!(heard, expected);
    Ok(())
}

#[tokio::test]
async fn a_piece_that_is_lost_costs_a_repetition() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let _running = crate::stage::serve_on(connect(&proxy.url()).await?, &stage.connect().await?, &script, waiting(SHORT)).await?;
    let mut seen = 0;
    proxy.decide(move |delivery| {
        seen += usize::from(delivery.header("A2A-Chunk").is_some_and(|chunk| chunk.starts_with("2/")));
        if seen == 1 && delivery.header("A2A-Chunk").is_some_and(|chunk| chunk.starts_with("2/")) {
            Fate::Drop
        } else {
            Fate::Pass
        }
    });
    let client = stage.client().await?;
    client.send_message(&caller(), large_message("m1", 300_000)).await?;
    assert_eq!(script.calls().len(), 1, "what is incomplete does not reach the service");
    Ok(())
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent_whole() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    let _running = stage.serve_with(&script, options()).await?;
    let client = stage.client().await?;
    let refused = client.send_message(&caller(), large_message("m1", BODY_BYTES_MAX + 1_000)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ResourceExhausted { retry_after: None });
    assert_eq!(refused.metadata["bytesMax"], BODY_BYTES_MAX.to_string());

    let text = "x".repeat(BODY_BYTES_MAX);
    script.instead(Operation::ListTasks, Instead::Answer(json!({
        "tasks": [{"id": text, "status": {"state": "TASK_STATE_WORKING"}}], "nextPageToken": "", "pageSize": 1, "totalSize": 1,
    })));
    let failed = client.list_tasks(&caller(), ListTasksRequest::default()).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Internal);
    assert!(script.calls().len() == 1);
    Ok(())
}

/// A request in two pieces, the second as given.
async fn in_two(stage: &Stage, first: HeaderMap, second: Option<(&str, &str)>) -> Result<(String, String)> {
    let client = stage.connect().await?;
    let mut asked = ask(&client, first, r#"{"id":"#).await?;
    let go_on = asked.next().await?;
    if header(&go_on, "A2A-Status") == Some("continue") {
        if let Some((chunk, body)) = second {
            let mut headers = HeaderMap::new();
            headers.insert("A2A-Chunk", chunk);
            headers.insert("A2A-Chunk-Id", "b1");
            let to = go_on.reply.clone().context("a subject")?;
            client.publish_with_reply_and_headers(to, asked.inbox.clone(), headers, Bytes::from(body.to_owned())).await?;
        }
        return Ok(outcome(&asked.next().await?));
    }
    Ok(outcome(&go_on))
}

fn first(length: &str, chunk: &str) -> HeaderMap {
    let mut headers = headers("GetTask", br#"{"id":"t1"}"#);
    headers.insert("A2A-Chunk", chunk);
    headers.insert("A2A-Chunk-Id", "b1");
    headers.insert("A2A-Length", length);
    headers
}

#[tokio::test]
async fn pieces_that_do_not_come_are_waited_for_in_vain() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    let _running = stage.serve_with(&script, waiting(SHORT)).await?;
    for second in [None, Some(("2/3", r#""t1"}"#))] {
        let answered = in_two(&stage, first("11", "1/2"), second).await?;
        assert_eq!(answered, ("error".to_owned(), "UNAVAILABLE".to_owned()), "{second:?}");
    }
    assert!(script.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn pieces_that_make_no_request_are_refused() -> Result<()> {
    let stage = small().await?;
    let script = Script::new();
    let _running = stage.serve_with(&script, options()).await?;
    let rest = Some(("2/2", r#""t1"}"#));
    let table = [
        ("as it should be", first("11", "1/2"), rest, "TASK_NOT_FOUND"),
        ("another body than the digest says", first("11", "1/2"), Some(("2/2", r#""t2"}"#)), "INVALID_REQUEST"),
        ("longer than it says", first("11", "1/2"), Some(("2/2", r#""t1"} "#)), "RESOURCE_EXHAUSTED"),
        ("shorter than it says", first("12", "1/2"), rest, "INVALID_REQUEST"),
        ("no length", first("", "1/2"), rest, "INVALID_REQUEST"),
        ("the second piece first", first("11", "2/2"), rest, "INVALID_REQUEST"),
        ("far too many pieces", first("11", "1/100000"), rest, "INVALID_REQUEST"),
        ("far too long", first("99999999999", "1/2"), rest, "RESOURCE_EXHAUSTED"),
    ];
    for (case, headers, second, reason) in table {
        assert_eq!(in_two(&stage, headers, second).await?, ("error".to_owned(), reason.to_owned()), "{case}");
    }
    assert_eq!(script.calls().len(), 1, "only the first is a request");
    Ok(())
}
