//! Streams: order, credit, heartbeats, ends.

use a2a::{A2aError, A2aService as _, ErrorKind, Operation, TaskState};
use a2a_nats::{ClientOptions, Limits, ServeOptions};
use anyhow::Result;
use futures::StreamExt as _;
use testkit::eventually;
use tokio::time::timeout;

use crate::raw::{ask, header, headers};
use crate::script::{Instead, Script};
use crate::stage::{
    BEAT, DEADLINE, artifact, caller, client_options, next, overhear, rest, serve_options, stage, status, subscribe,
};

const SUBSCRIBE: &str = r#"{"id":"t1"}"#;

fn subscribing(window: &str) -> async_nats::HeaderMap {
    let mut headers = headers("SubscribeToTask", SUBSCRIBE.as_bytes());
    headers.insert("A2A-Window", window);
    headers.insert("A2A-Heartbeat", BEAT.as_millis().to_string());
    headers
}

#[tokio::test]
async fn many_events_come_once_and_in_order_to_everybody() -> Result<()> {
    const EVENTS: usize = 500;
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let mut streams = vec![];
    for _ in 0..3 {
        streams.push(client.subscribe_to_task(&caller(), subscribe("t1")).await?);
    }
    for n in 0..EVENTS {
        script.tell("t1", artifact("t1", &format!("a{n}"), "x"));
    }
    script.tell("t1", status("t1", TaskState::Completed));
    let mut expected = vec!["task:SUBMITTED:".to_owned()];
    expected.extend((0..EVENTS).map(|n| format!("artifact:a{n}")));
    expected.push("status:COMPLETED".to_owned());
    for stream in &mut streams {
        assert_eq!(rest(stream).await?, expected);
    }
    eventually("the end of all streams", DEADLINE, async || (script.streams() == 0).then_some(())).await
}

#[tokio::test]
async fn an_agent_sends_no_more_than_the_client_has_room_for() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    for n in 0..20 {
        script.tell("t1", artifact("t1", &format!("a{n}"), "x"));
    }
    let client = stage.connect().await?;
    let mut asked = ask(&client, subscribing("4"), SUBSCRIBE).await?;
    let first = asked.next().await?;
    assert_eq!(header(&first, "A2A-Seq"), Some("1"));
    for n in 20..40 {
        script.tell("t1", artifact("t1", &format!("a{n}"), "x"));
    }
    for seq in 2..=4 {
        assert_eq!(header(&asked.next().await?, "A2A-Seq"), Some(seq.to_string().as_str()));
    }
    // Nothing more without credit, only the sign that the agent lives.
    let beat = asked.next().await?;
    assert_eq!((header(&beat, "A2A-Status"), header(&beat, "A2A-Seq")), (Some("heartbeat"), Some("4")));
    asked.say(&first, None).await?;
    assert_eq!(header(&asked.next_frame().await?, "A2A-Seq"), Some("5"));
    assert_eq!(script.streams(), 1);
    Ok(())
}

#[tokio::test]
async fn an_agent_gives_up_on_silence() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    let mut headers = subscribing("4");
    headers.insert("A2A-Heartbeat", "200");
    let mut asked = ask(&stage.connect().await?, headers, SUBSCRIBE).await?;
    assert_eq!(header(&asked.next().await?, "A2A-Seq"), Some("1"));
    eventually("the end of a stream whose client is silent", DEADLINE, async || (script.streams() == 0).then_some(())).await
}

#[tokio::test]
async fn frames_that_are_too_many_bytes_together_go_one_after_the_other() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let limits = Limits { window_bytes_max: 1_000, ..Limits::default() };
    let _running = stage.serve_with(&script, ServeOptions { limits, ..serve_options() }).await?;
    let client = stage.connect().await?;
    let mut asked = ask(&client, subscribing("32"), SUBSCRIBE).await?;
    let mut before = asked.next_frame().await?;
    // The last one is larger than all together may be.
    for (n, bytes) in [600, 600, 2_000].into_iter().enumerate() {
        script.tell("t1", artifact("t1", &format!("a{n}"), &"x".repeat(bytes)));
    }
    script.tell("t1", status("t1", TaskState::Completed));
    for seq in ["2", "3", "4"] {
        asked.say(&before, None).await?;
        let frame = asked.next_frame().await?;
        assert_eq!(header(&frame, "A2A-Seq"), Some(seq));
        // All that is out once more, and how far that is.
        asked.say(&before, Some("resume")).await?;
        assert_eq!(header(&asked.next_frame().await?, "A2A-Seq"), Some(seq));
        assert_eq!(header(&asked.next().await?, "A2A-Seq"), Some(seq), "nothing more until there is room");
        before = frame;
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_takes_its_time_loses_nothing_and_holds_the_agent_back() -> Result<()> {
    const EVENTS: usize = 100;
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    let beats = overhear(&stage, "_INBOX.>", ("A2A-Status", "heartbeat"), 4).await?;
    let client = stage.client_with(ClientOptions { window_frames: 4, ..client_options() }).await?;
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    for n in 0..EVENTS {
        script.tell("t1", artifact("t1", &format!("a{n}"), "x"));
    }
    script.tell("t1", status("t1", TaskState::Completed));
    // Longer than silence is allowed to be: the client answers for its reader.
    beats.all().await?;
    assert_eq!(script.streams(), 1, "the agent waits");
    let calls = script.calls().len();
    assert_eq!(rest(&mut stream).await?.len(), EVENTS + 2);
    assert_eq!(script.calls().len(), calls, "it was one stream all the time");
    Ok(())
}

#[tokio::test]
async fn dropping_a_stream_ends_it_at_the_agent() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    // Silence would end it later than this test is patient.
    let client = stage.client_with(ClientOptions { heartbeat: DEADLINE, ..client_options() }).await?;
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    assert_eq!(next(&mut stream).await?, "task:SUBMITTED:");
    assert_eq!(script.streams(), 1);
    drop(stream);
    eventually("the end of a dropped stream", DEADLINE, async || (script.streams() == 0).then_some(())).await
}

#[tokio::test]
async fn an_error_in_a_stream_is_its_last_word() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let error = A2aError::new(ErrorKind::Unauthenticated, "who are you?");
    script.instead(Operation::SubscribeToTask, Instead::Fail(error.clone()));
    assert_eq!(client.subscribe_to_task(&caller(), subscribe("t1")).await.err(), Some(error));
    script.instead(Operation::SubscribeToTask, Instead::Answer("t1".into()));
    script.instead(Operation::GetTask, Instead::Answer("t1".into()));
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    assert_eq!(next(&mut stream).await?, "task:SUBMITTED:");
    let frame = overhear(&stage, "_INBOX.>", ("Nats-Service-Error", "INTERNAL"), 1).await?;
    script.break_streams(A2aError::internal("it broke"));
    frame.all().await?;
    let last = timeout(DEADLINE, stream.next()).await?.unwrap();
    assert_eq!(last, Err(A2aError::internal("it broke")));
    assert!(timeout(DEADLINE, stream.next()).await?.is_none());
    Ok(())
}
