use anyhow::Result;
use bus::dead::{self, DeadError};
use bus::{Bus, Deliveries, Verdict};
use incident::task::Role;

use crate::stage::{DEADLINE, Stage, alert, next, publish, says, stage};

async fn reject(deliveries: &mut Deliveries, reason: &str) -> Result<()> {
    Ok(next(deliveries).await?.answer(Verdict::Reject(reason.to_owned())).await?)
}

/// An alert that was rejected: its bus, its deliveries, and the number of its dead letter.
async fn dead_alert(stage: &Stage) -> Result<(Bus, Deliveries, u64)> {
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut said = alert("a");
    said.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    said.headers = vec![("ce-type".to_owned(), "x".to_owned())];
    publish(&gateway, &[said]).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    reject(&mut deliveries, "no such\r\ntenant").await?;
    let page = dead::list(&stage.admin, 0, 10).await?;
    let [letter] = page.letters.as_slice() else { anyhow::bail!("not one letter: {page:?}") };
    assert_eq!(page.next, None);
    Ok((monitoring, deliveries, letter.sequence))
}

#[tokio::test]
async fn a_rejected_message_is_kept_with_its_reason() -> Result<()> {
    let stage = stage().await?;
    let (_monitoring, _deliveries, number) = dead_alert(&stage).await?;
    let letter = dead::show(&stage.admin, number).await?;
    assert_eq!((letter.role, letter.reason.as_str(), letter.attempts), (Role::Monitoring, "no such  tenant", 1));
    assert_eq!((letter.subject.as_str(), letter.id.as_deref()), ("alerts.acme.3", Some("a")));
    assert_eq!((letter.stream.as_str(), letter.stream_sequence, &letter.body[..]), ("ALERTS", 1, &b"body of a"[..]));
    stage.holds("ALERTS", 0).await
}

#[tokio::test]
async fn a_replayed_letter_is_said_again_under_a_new_id() -> Result<()> {
    let stage = stage().await?;
    let (_monitoring, mut deliveries, number) = dead_alert(&stage).await?;
    let id = dead::replay(&stage.admin, number).await?;
    let again = next(&mut deliveries).await?;
    assert_eq!(again.id, id);
    assert!(id.starts_with("a~replay-"), "{id}");
    assert_eq!((again.subject.to_string().as_str(), &again.body[..]), ("alerts.acme.3", &b"body of a"[..]));
    assert_eq!(again.header("ce-type"), Some("x"));
    assert_eq!(again.trace.as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_eq!(again.header("Paramedic-Dead-Reason"), None);
    assert!(dead::list(&stage.admin, 0, 10).await?.letters.is_empty());
    assert!(matches!(dead::replay(&stage.admin, number).await, Err(DeadError::Missing { .. })));
    Ok(())
}

#[tokio::test]
async fn letters_are_listed_in_pages_and_dropped_one_by_one() -> Result<()> {
    let stage = stage().await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let diagnostics = stage.bus(Role::Diagnostics).await?;
    let requests: Vec<_> = (0..5).map(|n| says("a2a.acme.diagnostics.request", &format!("r{n}"))).collect();
    publish(&monitoring, &requests).await?;
    let mut deliveries = diagnostics.deliveries(Role::Diagnostics)?;
    for n in 0..5 {
        reject(&mut deliveries, &format!("reason {n}")).await?;
    }
    let mut from = 0;
    let mut reasons = Vec::new();
    loop {
        let page = dead::list(&stage.admin, from, 2).await?;
        assert!(page.letters.len() <= 2);
        reasons.extend(page.letters.into_iter().map(|letter| letter.reason));
        let Some(next) = page.next else { break };
        from = next;
    }
    assert_eq!(reasons, (0..5).map(|n| format!("reason {n}")).collect::<Vec<_>>());
    dead::drop(&stage.admin, 2).await?;
    assert!(matches!(dead::drop(&stage.admin, 2).await, Err(DeadError::Missing { sequence: 2 })));
    assert!(matches!(dead::show(&stage.admin, 2).await, Err(DeadError::Missing { sequence: 2 })));
    stage.holds("DEAD", 4).await
}

#[tokio::test]
async fn what_nobody_can_read_becomes_a_letter_by_itself() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    publish(&gateway, &[says("alerts.acme.99", "no such shard"), alert("good")]).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    assert_eq!(next(&mut deliveries).await?.id, "good");
    let letter = testkit::eventually("a dead letter", DEADLINE, async || {
        dead::list(&stage.admin, 0, 1).await.ok()?.letters.into_iter().next()
    })
    .await?;
    assert!(letter.reason.contains("shard"), "{}", letter.reason);
    Ok(())
}

#[tokio::test]
async fn a_letter_that_finds_no_room_leaves_the_message_where_it_was() -> Result<()> {
    let small = bus::Settings { dead_bytes_max: 1_000, ..bus::Settings::default() };
    let stage = crate::stage::stage_with(&small).await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut large = alert("large");
    large.body = vec![b'x'; 2_000].into();
    publish(&gateway, &[large]).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let answered = next(&mut deliveries).await?.answer(Verdict::Reject("x".to_owned())).await;
    assert!(matches!(answered, Err(bus::AnswerError::DeadLetter { .. })), "{answered:?}");
    assert_eq!(next(&mut deliveries).await?.id, "large");
    stage.holds("ALERTS", 1).await
}
