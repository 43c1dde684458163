use anyhow::Result;
use bus::{PublishError, User};
use incident::task::Role;

use crate::stage::{alert, connect, handle, next, password, publish, says, stage};

#[tokio::test]
async fn a_message_arrives_with_all_that_was_said() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let mut said = alert("digest-1");
    said.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    said.headers = vec![("ce-type".to_owned(), "paramedic.alerts.v1".to_owned())];
    publish(&gateway, std::slice::from_ref(&said)).await?;

    let monitoring = stage.bus(Role::Monitoring).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let heard = next(&mut deliveries).await?;
    assert_eq!((heard.subject.to_string(), heard.tenant.as_str()), (said.subject, "acme"));
    assert_eq!((heard.id.as_str(), heard.trace.clone(), &heard.body[..]), ("digest-1", said.trace, &said.body[..]));
    assert_eq!((heard.stream, heard.sequence, heard.attempt), ("ALERTS", 1, 1));
    assert_eq!(heard.header("ce-type"), Some("paramedic.alerts.v1"));
    assert_eq!(heard.header("no such: header"), None);
    let info = stage.stream("ALERTS").await?;
    assert_eq!(heard.published_at.timestamp(), info.state.last_timestamp.unix_timestamp());
    Ok(())
}

#[tokio::test]
async fn messages_keep_their_order_on_a_subject() -> Result<()> {
    let stage = stage().await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    let diagnostics = stage.bus(Role::Diagnostics).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let ids: Vec<String> = (0..3_000).map(|n| format!("event-{n}")).collect();
    let publications: Vec<_> = ids.iter().map(|id| says("a2a.acme.monitoring.event", id)).collect();
    let (published, heard) = tokio::join!(publish(&diagnostics, &publications), handle(&mut deliveries, ids.len()));
    published?;
    assert_eq!(heard?, ids);
    Ok(())
}

#[tokio::test]
async fn a_duplicate_is_a_success_and_adds_nothing_but_tenants_do_not_share_ids() -> Result<()> {
    let stage = stage().await?;
    let remediation = stage.bus(Role::Remediation).await?;
    let twice = [says("approval.acme.apr_1.requested", "x"), says("approval.acme.apr_1.requested", "x")];
    publish(&remediation, &twice).await?;
    publish(&remediation, &twice).await?;
    publish(&remediation, &[says("approval.other.apr_1.requested", "x")]).await?;
    stage.holds("APPROVALS", 2).await
}

#[tokio::test]
async fn each_publication_has_its_own_result() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let mut split_header = alert("split");
    split_header.headers = vec![("x".to_owned(), "1\r\nNats-Rollup: all".to_owned())];
    let mut huge = alert("huge");
    huge.body = vec![b'x'; bus::permissions::MESSAGE_BYTES_MAX + 1].into();
    let mut results = gateway.publish_all(&[alert("a"), split_header, huge, alert("b")]).await.into_iter();
    assert_eq!(results.next(), Some(Ok(())));
    assert!(matches!(results.next(), Some(Err(PublishError::Invalid { .. }))));
    assert!(matches!(results.next(), Some(Err(PublishError::TooLarge { .. }))));
    assert_eq!(results.next(), Some(Ok(())));
    stage.holds("ALERTS", 2).await
}

#[tokio::test]
async fn a_server_that_is_away_is_told_at_once_and_one_that_is_back_is_used_again() -> Result<()> {
    let mut stage = stage().await?;
    // Far more patient than this test: it must not be an acknowledgement that is waited for in vain.
    let password = Some(password(User::Role(Role::Gateway)).into());
    let settings = bus::Connect::new(stage.nats.url(), User::Role(Role::Gateway), password);
    let gateway = bus::Bus::connect(&bus::Connect { ack_within: 10 * crate::stage::DEADLINE, ..settings }).await?;
    stage.nats.server().kill().await?;
    testkit::eventually("the loss was noticed", crate::stage::DEADLINE, async || (!gateway.is_connected()).then_some(())).await?;
    let results = tokio::time::timeout(crate::stage::DEADLINE, gateway.publish_all(&[alert("a")])).await?;
    assert!(matches!(results.as_slice(), [Err(PublishError::Unavailable { .. })]), "{results:?}");
    stage.nats.server().restart().await?;
    testkit::eventually("publishing again", crate::stage::DEADLINE, async || publish(&gateway, &[alert("a")]).await.ok()).await?;
    stage.holds("ALERTS", 1).await
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_shows_no_password() -> Result<()> {
    let stage = stage().await?;
    let url = stage.nats.url().replace("nats://", "nats://gateway:some-wrong-password@");
    let settings = bus::Connect::new(url, User::Role(Role::Gateway), None);
    let error = bus::Bus::connect(&settings).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("some-wrong-password"));
    assert!(connect(&stage.nats.url(), User::Role(Role::Gateway)).await.is_ok());
    Ok(())
}
