use std::collections::BTreeSet;

use anyhow::Result;
use bus::{Bus, Intake, IntakeError, Publication, Settings, Verdict};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use incident::task::Role;
use tokio::task::JoinSet;

use crate::stage::{DEADLINE, Stage, alert, handle, next, stage, stage_on, stage_with};

/// Runs the intake for as long as the set lives.
fn start(bus: &Bus) -> (Intake, JoinSet<()>) {
    let (intake, worker) = bus.intake();
    let mut running = JoinSet::new();
    running.spawn(worker.run());
    (intake, running)
}

/// Takes everything that is on ALERTS: ids, and whether each came in a batch.
async fn drain(stage: &Stage) -> Result<Vec<(String, bool)>> {
    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let mut all = Vec::new();
    for _ in 0..stage.stream("ALERTS").await?.state.messages {
        let delivery = next(&mut deliveries).await?;
        all.push((delivery.id.clone(), delivery.header("Nats-Batch-Id").is_some()));
        delivery.answer(Verdict::Done).await?;
    }
    stage.holds("ALERTS", 0).await?;
    Ok(all)
}

#[tokio::test]
async fn a_lone_request_goes_plainly_and_many_share_batches() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    intake.submit(vec![alert("lone")]).await?;
    assert_eq!(drain(&stage).await?, [("lone".to_owned(), false)]);

    let ids: BTreeSet<String> = (0..400).map(|n| format!("{n}")).collect();
    for result in join_all(ids.iter().map(|id| intake.submit(vec![alert(id)]))).await {
        result?;
    }
    let all = drain(&stage).await?;
    assert_eq!(all.len(), ids.len());
    assert_eq!(all.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>(), ids);
    let batched = all.iter().filter(|(_, in_batch)| *in_batch).count();
    assert!(batched > 300, "{batched} of 400 came in batches");
    Ok(())
}

#[tokio::test]
async fn a_request_of_many_messages_keeps_their_order() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let ids: Vec<String> = (0..1_300).map(|n| format!("{n:04}")).collect();
    intake.submit(ids.iter().map(|id| alert(id)).collect()).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    assert_eq!(handle(&mut monitoring.deliveries(Role::Monitoring)?, ids.len()).await?, ids);
    Ok(())
}

#[tokio::test]
async fn large_notifications_are_taken_and_too_large_ones_refused() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let of_size = |id: &str, bytes: usize| Publication { body: vec![b'x'; bytes].into(), ..alert(id) };
    let four: Vec<_> = (0..6).map(|n| of_size(&format!("{n}"), 4 << 20)).collect();
    for result in join_all(four.into_iter().map(|one| intake.submit(vec![one]))).await {
        result?;
    }
    stage.holds("ALERTS", 6).await?;
    let refused = intake.submit(vec![of_size("huge", bus::permissions::MESSAGE_BYTES_MAX + 1)]).await;
    assert!(matches!(refused, Err(IntakeError::Unfit { .. })), "{refused:?}");
    let endless = (0..20).map(|n| intake.submit(vec![of_size(&format!("e{n}"), 7 << 20)]));
    let results = join_all(endless).await;
    assert!(results.iter().any(|result| matches!(result, Err(IntakeError::Full { .. }))), "memory is not bounded");
    Ok(())
}

#[tokio::test]
async fn a_message_just_below_what_the_server_takes_shares_its_batch() -> Result<()> {
    let stage = stage_on("max_payload: 256KB", &Settings::default()).await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let large = Publication { body: vec![b'x'; 250 << 10].into(), ..alert("large") };
    intake.submit((0..11).map(|n| alert(&n.to_string())).chain([large]).chain([alert("last")]).collect()).await?;
    let all = drain(&stage).await?;
    assert_eq!(all.len(), 13);
    assert!(all.iter().all(|(_, in_batch)| *in_batch), "the batch was abandoned: {all:?}");
    let larger = Publication { body: vec![b'x'; 257 << 10].into(), ..alert("larger") };
    let refused = intake.submit((0..11).map(|n| alert(&n.to_string())).chain([larger]).collect()).await;
    assert!(matches!(refused, Err(IntakeError::Unfit { .. })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn one_bad_message_does_not_refuse_the_others_in_its_batch() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let mut calls: Vec<Publication> = (0..40).map(|n| alert(&n.to_string())).collect();
    calls[20].headers = vec![("x".to_owned(), "a\nb".to_owned())];
    let results = join_all(calls.into_iter().map(|one| intake.submit(vec![one]))).await;
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(matches!(result, Err(IntakeError::Unfit { .. })), n == 20, "{n}: {result:?}");
        assert_eq!(result.is_ok(), n != 20);
    }
    let ids: BTreeSet<String> = drain(&stage).await?.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 39);
    Ok(())
}

#[tokio::test]
async fn a_full_stream_refuses_and_takes_again_when_there_is_room() -> Result<()> {
    let small = Settings { alerts_bytes_max: 256 << 10, ..Settings::default() };
    let stage = stage_with(&small).await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let mut taken = 0;
    let refused = loop {
        // Batches at first, single messages where a batch no longer fits.
        let many = (0..if taken < 150 { 20 } else { 1 })
            .map(|n| intake.submit(vec![Publication { body: vec![b'x'; 1_000].into(), ..alert(&format!("{taken}-{n}")) }]));
        let results = join_all(many).await;
        taken += results.iter().filter(|result| result.is_ok()).count();
        if let Some(Err(error)) = results.into_iter().find(Result::is_err) {
            break error;
        }
    };
    assert!(matches!(refused, IntakeError::Full { .. }), "{refused:?}");
    assert!(taken > 150, "{taken}");
    let batch = join_all(
        (0..20).map(|n| intake.submit(vec![Publication { body: vec![b'x'; 20_000].into(), ..alert(&format!("late-{n}")) }])),
    )
    .await;
    assert!(batch.iter().all(|result| matches!(result, Err(IntakeError::Full { .. }))), "{batch:?}");
    assert_eq!(drain(&stage).await?.len(), taken);
    intake.submit(vec![alert("room again")]).await?;
    Ok(())
}

/// Calls that go on until told otherwise; gives the ids that were promised.
async fn call(intake: Intake, caller: usize, stop: tokio::sync::watch::Receiver<bool>) -> Vec<String> {
    let mut promised = Vec::new();
    let mut n = 0;
    while !*stop.borrow() {
        let id = format!("{caller}-{n}");
        n += 1;
        if intake.submit(vec![alert(&id)]).await.is_ok() {
            promised.push(id);
        } else {
            tokio::task::yield_now().await;
        }
    }
    promised
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_is_there_after_the_server_was_killed() -> Result<()> {
    let mut stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    let (stopper, stop) = tokio::sync::watch::channel(false);
    let mut callers: FuturesUnordered<_> =
        (0..64).map(|caller| tokio::spawn(call(intake.clone(), caller, stop.clone()))).collect();
    for kills in 1..=3_u64 {
        testkit::eventually("the stream grew", DEADLINE, async || {
            (stage.stream("ALERTS").await.ok()?.state.messages > kills * 500).then_some(())
        })
        .await?;
        stage.nats.server().kill().await?;
        stage.nats.server().restart().await?;
    }
    testkit::eventually("calls succeed again", DEADLINE, async || intake.submit(vec![alert("after")]).await.ok()).await?;
    stopper.send_replace(true);
    let mut promised = BTreeSet::from(["after".to_owned()]);
    while let Some(ids) = callers.next().await {
        promised.extend(ids?);
    }
    let stored: BTreeSet<String> = drain(&stage).await?.into_iter().map(|(id, _)| id).collect();
    let lost: Vec<_> = promised.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} promised were lost: {lost:?}", lost.len(), promised.len());
    assert!(promised.len() > 1_000, "{}", promised.len());
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_is_said_to_be_unavailable() -> Result<()> {
    let mut stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let (intake, _running) = start(&gateway);
    stage.nats.server().kill().await?;
    let many = join_all((0..20).map(|n| {
        let intake = intake.clone();
        async move { intake.submit(vec![alert(&n.to_string())]).await }
    }))
    .await;
    assert!(many.iter().all(|result| matches!(result, Err(IntakeError::Unavailable { .. }))), "{many:?}");
    Ok(())
}
