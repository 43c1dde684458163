//! What one sender takes of an agent's memory and time is bounded, so that it keeps nobody else out.

use std::time::Duration;

use a2a_nats::{Limits, ServeOptions};
use anyhow::{Context as _, Result};
use async_nats::{Client, HeaderMap};
use testkit::eventually;

use crate::raw::{Asked, ask, ask_at, header, headers, outcome};
use crate::script::Script;
use crate::stage::{DEADLINE, address, serve_options, stage};

const MIB: usize = 1 << 20;
const SUBSCRIBE: &str = r#"{"id":"t1"}"#;
/// Nothing here waits for so long.
const NEVER: Duration = Duration::from_hours(1);

fn limited(limits: Limits) -> ServeOptions {
    ServeOptions { limits, ..serve_options() }
}

/// The first of two pieces.
fn first_piece(length: usize) -> HeaderMap {
    let mut headers = headers("GetTask", SUBSCRIBE.as_bytes());
    headers.insert("A2A-Chunk", "1/3");
    headers.insert("A2A-Chunk-Id", "b1");
    headers.insert("A2A-Length", length.to_string());
    headers
}

async fn begin(client: &Client, sender: &str, length: usize) -> Result<(Asked, String)> {
    let mut asked = ask_at(client, &address(), sender, first_piece(length), "{").await?;
    let answer = asked.next().await?;
    let said = match header(&answer, "A2A-Status") {
        Some("continue") => "continue".to_owned(),
        _ => outcome(&answer).1,
    };
    Ok((asked, said))
}

#[tokio::test]
async fn bytes_that_one_sender_announces_keep_no_other_out() -> Result<()> {
    let stage = stage().await?;
    let limits = Limits {
        body_bytes_max: 2 * MIB,
        requests_bytes_max: 8 * MIB,
        requests_bytes_per_sender_max: 3 * MIB,
        piece_within: NEVER,
        ..Limits::default()
    };
    let _running = stage.serve_with(&Script::new(), limited(limits)).await?;
    let client = stage.connect().await?;
    let mut said = vec![];
    let mut open = vec![];
    for _ in 0..5 {
        let (asked, answer) = begin(&client, "greedy", 2 * MIB).await?;
        open.push(asked);
        said.push(answer);
    }
    assert_eq!(said[0], "continue");
    assert!(said[1..].iter().all(|said| said == "RESOURCE_EXHAUSTED"), "{said:?}");
    assert_eq!(begin(&client, "modest", 2 * MIB).await?.1, "continue");
    Ok(())
}

/// What came already, and what means nothing, is no reason to wait longer.
#[tokio::test]
async fn only_new_pieces_give_a_request_more_time() -> Result<()> {
    let stage = stage().await?;
    let limits = Limits { piece_within: Duration::from_millis(500), ..Limits::default() };
    let _running = stage.serve_with(&Script::new(), limited(limits)).await?;
    let client = stage.connect().await?;
    let mut asked = ask(&client, first_piece(9), "{").await?;
    let go_on = asked.next().await?;
    let control = go_on.reply.clone().context("a subject")?;
    let mut again = HeaderMap::new();
    again.insert("A2A-Chunk", "1/3");
    again.insert("A2A-Chunk-Id", "b1");
    let inbox = asked.inbox.clone();
    let mut every = tokio::time::interval(Duration::from_millis(50));
    let talking = async {
        loop {
            every.tick().await;
            client.publish_with_reply(control.clone(), inbox.clone(), "".into()).await?;
            client.publish_with_reply_and_headers(control.clone(), inbox.clone(), again.clone(), "{".into()).await?;
        }
    };
    let answer = tokio::select! {
        ended = talking => return ended,
        answer = asked.next() => answer?,
    };
    assert_eq!(outcome(&answer).1, "UNAVAILABLE");
    Ok(())
}

#[tokio::test]
async fn a_request_in_pieces_has_no_more_time_than_its_sender_waits() -> Result<()> {
    let stage = stage().await?;
    let limits = Limits { piece_within: NEVER, ..Limits::default() };
    let _running = stage.serve_with(&Script::new(), limited(limits)).await?;
    let mut headers = first_piece(9);
    headers.insert("A2A-Timeout", "200");
    let mut asked = ask(&stage.connect().await?, headers, "{").await?;
    assert_eq!(header(&asked.next().await?, "A2A-Status"), Some("continue"));
    assert_eq!(outcome(&asked.next().await?).1, "UNAVAILABLE");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_open_holds_none_of_the_bytes_of_its_request() -> Result<()> {
    const STREAMS: usize = 8;
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    // Room for one of them at a time.
    let body = format!(r#"{{"id":"t1","padding":"{}"}}"#, "x".repeat(MIB / 2));
    let limits = Limits { requests_bytes_per_sender_max: MIB * 3 / 4, ..Limits::default() };
    let _running = stage.serve_with(&script, limited(limits)).await?;
    let client = stage.connect().await?;
    let mut open = vec![];
    for _ in 0..STREAMS {
        let mut asked = ask(&client, headers("SubscribeToTask", body.as_bytes()), body.clone()).await?;
        let frame = asked.next().await?;
        assert_eq!((header(&frame, "A2A-Status"), header(&frame, "A2A-Seq")), (Some("ok"), Some("1")));
        open.push(asked);
    }
    eventually("all streams", DEADLINE, async || (script.streams() == STREAMS).then_some(())).await
}
