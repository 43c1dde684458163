use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use bus::Verdict;
use futures::StreamExt as _;
use incident::task::Role;

use crate::stage::{DEADLINE, alert, handle, handle_all, next, publish, says, stage};

/// The consumer's ack wait, and time for the server to act on it.
const LONGER_THAN_ACK_WAIT: Duration = Duration::from_secs(8);

#[tokio::test]
async fn done_is_the_end_of_an_alert() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    publish(&gateway, &[alert("a"), alert("b")]).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    assert_eq!(handle(&mut deliveries, 2).await?, ["a", "b"]);
    stage.holds("ALERTS", 0).await
}

#[tokio::test]
async fn a_role_takes_from_all_its_streams_and_only_what_is_its_own() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let remediation = stage.bus(Role::Remediation).await?;
    publish(&gateway, &[says("approval.acme.apr_1.decided", "vote")]).await?;
    publish(&remediation, &[says("approval.acme.apr_1.requested", "plan"), says("approval.acme.apr_1.closed", "closed")]).await?;
    publish(&monitoring, &[says("a2a.acme.diagnostics.request", "diagnose"), says("a2a.acme.remediation.request", "remediate")])
        .await?;

    let mut deliveries = remediation.deliveries(Role::Remediation)?;
    let mut ids = handle(&mut deliveries, 2).await?;
    ids.sort();
    assert_eq!(ids, ["remediate", "vote"]);
    assert_eq!(handle(&mut gateway.deliveries(Role::Gateway)?, 2).await?, ["plan", "closed"]);
    assert!(stage.bus(Role::Connectors).await?.deliveries(Role::Connectors).is_err());
    Ok(())
}

#[tokio::test]
async fn not_now_means_again_and_later() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    publish(&gateway, &[alert("a")]).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let began = std::time::Instant::now();
    let wait = Duration::from_millis(300);
    next(&mut deliveries).await?.answer(Verdict::Retry(wait)).await?;
    let again = next(&mut deliveries).await?;
    assert_eq!((again.id.as_str(), again.attempt), ("a", 2));
    assert!(began.elapsed() >= wait);
    again.answer(Verdict::Done).await?;
    stage.holds("ALERTS", 0).await
}

#[tokio::test]
async fn what_is_held_stays_ours_and_what_is_dropped_goes_to_another() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let one = stage.bus(Role::Monitoring).await?;
    let mut ours = one.deliveries(Role::Monitoring)?;
    publish(&gateway, &[alert("a")]).await?;
    let held = next(&mut ours).await?;

    let other = stage.bus(Role::Monitoring).await?;
    let mut theirs = other.deliveries(Role::Monitoring)?;
    let stolen = tokio::time::timeout(LONGER_THAN_ACK_WAIT, theirs.next()).await;
    assert!(stolen.is_err(), "a message in work was delivered to another process: {stolen:?}");

    drop((held, ours));
    let again = next(&mut theirs).await?;
    assert_eq!((again.id.as_str(), again.attempt), ("a", 2));
    Ok(())
}

#[tokio::test]
async fn a_message_without_an_id_of_ours_has_the_same_one_every_time() -> Result<()> {
    let stage = stage().await?;
    let options =
        async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), crate::stage::password(bus::User::Admin));
    let client = options.connect(stage.nats.url()).await?;
    client.publish("alerts.acme.1", "by hand".into()).await?;
    client.flush().await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let first = next(&mut deliveries).await?;
    let id = first.id.clone();
    assert!(id.starts_with("ALERTS/1/"), "{id}");
    first.answer(Verdict::Retry(Duration::ZERO)).await?;
    assert_eq!(next(&mut deliveries).await?.id, id);
    Ok(())
}

#[tokio::test]
async fn deliveries_go_on_after_the_server_was_killed() -> Result<()> {
    let mut stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    publish(&gateway, &[alert("before")]).await?;
    assert_eq!(handle(&mut deliveries, 1).await?, ["before"]);
    assert!(monitoring.health().is_good(), "{:?}", monitoring.health());

    stage.nats.server().kill().await?;
    testkit::eventually("the loss was noticed", DEADLINE, async || (!monitoring.health().connected).then_some(())).await?;
    stage.nats.server().restart().await?;

    testkit::eventually("publishing again", DEADLINE, async || publish(&gateway, &[alert("after")]).await.ok()).await?;
    // The acknowledgement of "before" may have been lost with the server. Then it comes again, before "after" or when the server's wait
    // is over, for the inbox to know.
    let mut heard = BTreeSet::new();
    tokio::select! {
        empty = stage.holds("ALERTS", 0) => empty?,
        failed = handle_all(&mut deliveries, &mut heard) => failed?,
    }
    assert!(heard.contains("after"), "{heard:?}");
    testkit::eventually("health", DEADLINE, async || monitoring.health().is_good().then_some(())).await
}

#[tokio::test]
async fn a_slow_reader_gets_everything_once_while_it_is_slow() -> Result<()> {
    let stage = stage().await?;
    let ledger = stage.bus(Role::Ledger).await?;
    let ids: Vec<String> = (0..600).map(|n| format!("fact-{n}")).collect();
    let publications: Vec<_> = ids.iter().map(|id| says("fact.acme.inc_1.opened", id)).collect();
    publish(&ledger, &publications).await?;
    let mut deliveries = ledger.deliveries(Role::Ledger)?;
    // All are in hand before the first is answered, as when a commit takes its time.
    let mut in_hand = Vec::new();
    for _ in &ids {
        in_hand.push(next(&mut deliveries).await?);
    }
    let heard: Vec<String> = in_hand.iter().map(|delivery| delivery.id.clone()).collect();
    assert_eq!(heard, ids);
    assert!(in_hand.iter().all(|delivery| delivery.attempt == 1));
    for delivery in in_hand {
        delivery.answer(Verdict::Done).await?;
    }
    Ok(())
}
