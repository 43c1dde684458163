//! What does not keep the rules is refused, with the error that says which.

use anyhow::Result;
use async_nats::HeaderMap;

use crate::raw::{ask, digest, header, headers, outcome};
use crate::script::Script;
use crate::stage::{DEADLINE, stage};

const BODY: &str = r#"{"id":"t1"}"#;

fn without(name: &str) -> HeaderMap {
    headers("GetTask", BODY.as_bytes())
        .iter()
        .filter(|(other, _)| other.to_string() != name)
        .map(|(name, values)| (name.clone(), values[0].clone()))
        .collect()
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = headers("GetTask", BODY.as_bytes());
    headers.insert(name, value);
    headers
}

#[tokio::test]
async fn requests_that_break_rules_are_refused_with_the_error_that_says_so() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.connect().await?;
    let table = [
        ("no version is 0.3", without("A2A-Version"), BODY, "VERSION_NOT_SUPPORTED"),
        ("an empty version, too", with("A2A-Version", ""), BODY, "VERSION_NOT_SUPPORTED"),
        ("another version", with("A2A-Version", "1.1"), BODY, "VERSION_NOT_SUPPORTED"),
        ("no method", without("A2A-Method"), BODY, "INVALID_REQUEST"),
        ("an unknown method", with("A2A-Method", "tasks/get"), BODY, "METHOD_NOT_FOUND"),
        ("no digest", without("A2A-Digest"), BODY, "INVALID_REQUEST"),
        ("the digest of another body", with("A2A-Digest", &digest(b"{}")), BODY, "INVALID_REQUEST"),
        ("no JSON", headers("GetTask", b"{"), "{", "PARSE_ERROR"),
        ("a missing field", headers("GetTask", b"{}"), "{}", "INVALID_PARAMS"),
        ("a broken rule", headers("GetTask", br#"{"id":""}"#), r#"{"id":""}"#, "INVALID_PARAMS"),
        ("no chunk id", with("A2A-Chunk", "1/2"), BODY, "INVALID_REQUEST"),
        ("nonsense for a chunk", with("A2A-Chunk", "2 of 3"), BODY, "INVALID_REQUEST"),
    ];
    for (case, headers, body, reason) in table {
        let answer = ask(&client, headers, body).await?.next().await?;
        assert_eq!(outcome(&answer), ("error".to_owned(), reason.to_owned()), "{case}");
        assert_eq!(header(&answer, "A2A-Digest"), Some(digest(&answer.payload).as_str()), "{case}");
    }
    assert!(script.calls().is_empty(), "nothing of this reaches the service");
    Ok(())
}

#[tokio::test]
async fn a_body_that_names_another_tenant_is_refused() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.connect().await?;
    for (tenant, expected) in [("other", ("error", "INVALID_PARAMS")), ("acme", ("error", "TASK_NOT_FOUND"))] {
        let body = format!(r#"{{"tenant":"{tenant}","id":"t1"}}"#);
        let answer = ask(&client, headers("GetTask", body.as_bytes()), body).await?.next().await?;
        assert_eq!(outcome(&answer), (expected.0.to_owned(), expected.1.to_owned()));
    }
    assert_eq!(script.calls().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_sender_whose_name_is_no_token_is_refused() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.connect().await?;
    let mut answers = client.subscribe("_INBOX.1").await?;
    let headers = headers("GetTask", BODY.as_bytes());
    client.publish_with_reply_and_headers("a2a.acme.script.rpc.a:b", "_INBOX.1", headers, BODY.into()).await?;
    let answer = tokio::time::timeout(DEADLINE, futures::StreamExt::next(&mut answers)).await?.unwrap();
    assert_eq!(outcome(&answer).1, "INVALID_REQUEST");
    assert!(script.calls().is_empty());
    Ok(())
}

/// Whoever may ask an agent could else make it write into a bucket, or ask another agent in its name.
#[tokio::test]
async fn an_agent_answers_nowhere_but_in_inboxes() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.connect().await?;
    let mut elsewhere = client.subscribe("a2a.acme.other.rpc.script").await?;
    let (headers, subject) = (headers("GetTask", BODY.as_bytes()), "a2a.acme.script.rpc.shop");
    client.publish_with_reply_and_headers(subject, "a2a.acme.other.rpc.script", headers.clone(), BODY.into()).await?;
    client.publish_with_headers(subject, headers.clone(), BODY.into()).await?;
    // A third one, whose answer shows that the other two are over.
    ask(&client, headers, BODY).await?.next().await?;
    assert_eq!(script.calls().len(), 1);
    let heard = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut elsewhere));
    assert!(heard.is_none(), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn cards_and_statistics_are_there_without_a_body() -> Result<()> {
    let stage = stage().await?;
    let _running = stage.serve(&Script::new()).await?;
    let client = stage.connect().await?;
    for method in ["GetAgentCard", "GetExtendedAgentCard"] {
        let answer = ask(&client, headers(method, b""), "").await?.next().await?;
        assert_eq!(header(&answer, "A2A-Status"), Some("ok"), "{method}");
    }
    let stats = tokio::time::timeout(DEADLINE, client.request("$SRV.STATS.a2a-acme", "".into())).await??;
    let stats: serde_json::Value = serde_json::from_slice(&stats.payload)?;
    assert_eq!(stats["endpoints"][0]["num_requests"], 2);
    Ok(())
}
