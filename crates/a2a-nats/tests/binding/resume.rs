//! A stream goes on whatever happens between the two: nothing is missing, nothing comes twice or out of order.

use a2a::{A2aError, A2aService as _, ErrorKind, EventStream, Operation, TaskState};
use a2a_nats::{ClientOptions, NatsClient};
use anyhow::Result;
use testkit::eventually;

use crate::proxy::{Fate, Proxy};
use crate::script::Script;
use crate::stage::{
    DEADLINE, Stage, artifact, caller, client_options, connect, message, next, overhear, rest, serve_on, serve_options, stage,
    status, subscribe,
};

const EVENTS: usize = 60;

/// A reader behind a bad network.
async fn behind(stage: &Stage) -> Result<(Proxy, NatsClient)> {
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let client = NatsClient::connect(connect(&proxy.url()).await?, client_options()).await?;
    Ok((proxy, client))
}

fn tell(script: &Script, numbers: std::ops::Range<usize>) {
    numbers.for_each(|n| script.tell("t1", artifact("t1", &format!("a{n}"), "x")));
}

/// All artifacts one by one, then the end.
fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("artifact:a{n}")).chain(["status:COMPLETED".to_owned()]).collect()
}

async fn begun(script: &Script, client: &NatsClient) -> Result<EventStream> {
    script.begin("t1");
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    assert_eq!(next(&mut stream).await?, "task:SUBMITTED:");
    Ok(stream)
}

fn subscriptions(script: &Script) -> usize {
    script.calls().iter().filter(|call| call.operation == Operation::SubscribeToTask).count()
}

#[tokio::test]
async fn frames_that_are_lost_doubled_or_spoiled_come_once_and_in_order() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let (proxy, client) = behind(&stage).await?;
    let mut spoiled = std::collections::BTreeSet::new();
    proxy.decide(move |delivery| match delivery.frame() {
        // What is sent again after a loss passes.
        Some(frame) if frame % 7 == 3 && spoiled.insert(frame) => Fate::Drop,
        Some(frame) if frame % 7 == 4 => Fate::Double,
        Some(frame) if frame % 7 == 5 && spoiled.insert(frame) => Fate::Spoil,
        _ => Fate::Pass,
    });
    let mut stream = begun(&script, &client).await?;
    tell(&script, 0..EVENTS);
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, expected(0..EVENTS));
    assert_eq!(subscriptions(&script), 1, "the replica itself sends them again");
    Ok(())
}

#[tokio::test]
async fn the_first_and_the_last_frame_may_be_lost_as_well() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let (proxy, client) = behind(&stage).await?;
    let mut lost = std::collections::BTreeSet::new();
    proxy.decide(move |delivery| {
        let is_end = delivery.header("A2A-Status") == Some("end");
        let is_lost = (is_end || delivery.frame() == Some(1)) && lost.insert(is_end);
        if is_lost { Fate::Drop } else { Fate::Pass }
    });
    let mut stream = begun(&script, &client).await?;
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, expected(0..0));
    assert_eq!(subscriptions(&script), 1);
    Ok(())
}

#[tokio::test]
async fn the_clients_connection_may_be_cut() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let (proxy, client) = behind(&stage).await?;
    let mut stream = begun(&script, &client).await?;
    for round in 0..3 {
        tell(&script, round * 10..round * 10 + 5);
        proxy.cut();
        tell(&script, round * 10 + 5..round * 10 + 10);
    }
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, expected(0..30));
    assert_eq!(subscriptions(&script), 1);
    Ok(())
}

#[tokio::test]
async fn the_agents_connection_may_be_cut() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let _running = serve_on(connect(&proxy.url()).await?, &stage.connect().await?, &script, serve_options()).await?;
    let client = stage.client().await?;
    let mut stream = begun(&script, &client).await?;
    tell(&script, 0..5);
    assert_eq!(next(&mut stream).await?, "artifact:a0");
    proxy.cut();
    tell(&script, 5..10);
    script.tell("t1", status("t1", TaskState::Completed));
    let heard = rest(&mut stream).await?;
    assert!(is_whole(&heard, 10), "{heard:?}");
    Ok(())
}

/// Single events up to some point, from there perhaps one whole task instead of those that were missed, then single events again.
fn is_whole(heard: &[String], events: usize) -> bool {
    let mut known = 1;
    let mut state = "SUBMITTED";
    for event in heard {
        if let Some(number) = event.strip_prefix("artifact:a") {
            if number.parse() != Ok(known) {
                return false;
            }
            known += 1;
        } else if let Some((now, artifacts)) = event.strip_prefix("task:").and_then(|rest| rest.split_once(':')) {
            let all: Vec<String> = (0..artifacts.split('+').count()).map(|n| format!("a{n}")).collect();
            if artifacts != all.join("+") || all.len() < known {
                return false;
            }
            (known, state) = (all.len(), if now == "COMPLETED" { "COMPLETED" } else { "SUBMITTED" });
        } else if event == "status:COMPLETED" && state == "SUBMITTED" {
            state = "COMPLETED";
        } else {
            return false;
        }
    }
    known == events && state == "COMPLETED"
}

#[tokio::test]
async fn the_nats_server_may_be_killed() -> Result<()> {
    let mut stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let mut stream = begun(&script, &client).await?;
    tell(&script, 0..5);
    assert_eq!(next(&mut stream).await?, "artifact:a0");
    stage.nats.server().kill().await?;
    tell(&script, 5..10);
    stage.nats.server().restart().await?;
    tell(&script, 10..15);
    script.tell("t1", status("t1", TaskState::Completed));
    let heard = rest(&mut stream).await?;
    assert!(is_whole(&heard, 15), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn another_replica_goes_on_where_one_stopped_or_died() -> Result<()> {
    let stage = stage().await?;
    // Replicas of one agent see the same tasks.
    let script = Script::new();
    let mut running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let mut stream = begun(&script, &client).await?;
    for round in 0..4 {
        script.tell("t1", artifact("t1", &format!("a{}", 2 * round), "x"));
        assert_eq!(next(&mut stream).await?, format!("artifact:a{}", 2 * round));
        let before = running;
        if round % 2 == 0 {
            running = stage.serve(&script).await?;
            before.stopped().await?;
        } else {
            before.crash().await?;
            running = stage.serve(&script).await?;
        }
        let what = format!("subscription {}", round + 2);
        eventually(&what, DEADLINE, async || (subscriptions(&script) == round + 2).then_some(())).await?;
        script.tell("t1", artifact("t1", &format!("a{}", 2 * round + 1), "x"));
        // The task was known as it was, so it is not told again.
        assert_eq!(next(&mut stream).await?, format!("artifact:a{}", 2 * round + 1));
    }
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, ["status:COMPLETED"]);
    running.stopped().await
}

#[tokio::test]
async fn what_happened_while_nobody_served_is_told_as_the_whole_task() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let running = stage.serve(&script).await?;
    let client = stage.client().await?;
    let mut stream = begun(&script, &client).await?;
    running.crash().await?;
    tell(&script, 0..2);
    let running = stage.serve(&script).await?;
    assert_eq!(next(&mut stream).await?, "task:SUBMITTED:a0+a1");
    running.crash().await?;
    tell(&script, 2..3);
    script.tell("t1", status("t1", TaskState::Completed));
    let _running = stage.serve(&script).await?;
    // It cannot be subscribed to any more; how it ended is told all the same.
    assert_eq!(rest(&mut stream).await?, ["task:COMPLETED:a0+a1+a2"]);
    Ok(())
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_is_sent_again_and_is_one_task() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let (proxy, client) = behind(&stage).await?;
    let mut lost = 0;
    proxy.decide(move |delivery| {
        lost += usize::from(delivery.header("A2A-Status") == Some("ok"));
        if (1..=2).contains(&lost) && delivery.header("A2A-Status") == Some("ok") { Fate::Drop } else { Fate::Pass }
    });
    let by = caller();
    client.send_message(&by, message("m1")).await?;
    let mut stream = client.send_streaming_message(&by, message("m2")).await?;
    assert_eq!(next(&mut stream).await?, "task:SUBMITTED:");
    assert_eq!(script.tasks(), ["t1", "t2"]);
    assert_eq!(script.calls().iter().filter(|call| call.operation == Operation::SendMessage).count(), 3);
    Ok(())
}

#[tokio::test]
async fn a_reader_hears_when_a_stream_cannot_go_on() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let running = stage.serve(&script).await?;
    let resume_within = std::time::Duration::from_millis(500);
    let client = stage.client_with(ClientOptions { resume_within, ..client_options() }).await?;
    let mut stream = begun(&script, &client).await?;
    running.crash().await?;
    let error = rest(&mut stream).await.unwrap_err();
    assert!(error.downcast_ref::<A2aError>().is_some_and(|error| error.kind == ErrorKind::Unavailable), "{error:?}");
    Ok(())
}

/// As it does while it stops, or while its store is away.
#[tokio::test]
async fn a_stream_goes_on_when_the_service_is_unavailable_for_a_while() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let handed_over = overhear(&stage, "_INBOX.>", ("A2A-Status", "resume"), 3).await?;
    let client = stage.client().await?;
    let mut stream = begun(&script, &client).await?;
    tell(&script, 0..2);
    assert_eq!(next(&mut stream).await?, "artifact:a0");
    script.break_streams(A2aError::unavailable("the store does not answer"));
    tell(&script, 2..4);
    handed_over.all().await?;
    script.mend_streams();
    tell(&script, 4..6);
    script.tell("t1", status("t1", TaskState::Completed));
    let heard = rest(&mut stream).await?;
    assert!(is_whole(&heard, 6), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn a_reader_hears_when_the_service_stays_unavailable() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let resume_within = std::time::Duration::from_millis(500);
    let client = stage.client_with(ClientOptions { resume_within, ..client_options() }).await?;
    let mut stream = begun(&script, &client).await?;
    script.break_streams(A2aError::unavailable("the store does not answer"));
    let error = rest(&mut stream).await.unwrap_err();
    assert!(error.downcast_ref::<A2aError>().is_some_and(|error| error.kind == ErrorKind::Unavailable), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_spoiled_on_its_way_is_asked_for_again() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve(&script).await?;
    let (proxy, client) = behind(&stage).await?;
    let mut answers = 0;
    proxy.decide(move |delivery| {
        answers += usize::from(delivery.header("A2A-Status") == Some("ok"));
        if answers == 1 { Fate::Spoil } else { Fate::Pass }
    });
    client.send_message(&caller(), message("m1")).await?;
    assert_eq!((script.calls().len(), script.tasks().len()), (2, 1));
    Ok(())
}

/// A request that comes twice opens two streams to one inbox.
#[tokio::test]
async fn requests_that_are_doubled_on_their_way_do_no_harm() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let _running = serve_on(connect(&proxy.url()).await?, &stage.connect().await?, &script, serve_options()).await?;
    let client = stage.client().await?;
    proxy.decide(|delivery| if delivery.header("A2A-Method").is_some() { Fate::Double } else { Fate::Pass });
    client.send_message(&caller(), message("m1")).await?;
    let mut stream = begun(&script, &client).await?;
    tell(&script, 0..EVENTS);
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, expected(0..EVENTS));
    assert_eq!((subscriptions(&script), script.tasks()), (2, vec!["t1".to_owned()]));
    eventually("the end of the stream nobody listens to", DEADLINE, async || (script.streams() == 0).then_some(())).await
}
