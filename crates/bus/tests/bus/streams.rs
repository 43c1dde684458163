use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::stream::DiscardPolicy;
use bus::stream::{CONSUMERS, Stream};
use bus::{Settings, User, Verdict};
use incident::task::Role;

use crate::stage::{alert, connect, next, password, publish, stage};

#[tokio::test]
async fn streams_are_bounded_and_refuse_rather_than_forget() -> Result<()> {
    let stage = stage().await?;
    for stream in Stream::ALL {
        let info = stage.stream(stream.name()).await?;
        assert_eq!(info.config.discard, DiscardPolicy::New, "{}", stream.name());
        assert!(info.config.max_bytes > 0 && info.config.max_messages > 0, "{}", stream.name());
        let consumers = CONSUMERS.iter().filter(|consumer| consumer.stream == stream).count();
        assert_eq!(info.state.consumer_count, consumers, "{}", stream.name());
    }
    Ok(())
}

#[tokio::test]
async fn setting_up_again_changes_limits_and_keeps_messages() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    publish(&gateway, &[alert("a")]).await?;
    let larger = Settings { alerts_bytes_max: 600 << 20, ..Settings::default() };
    bus::ensure(&stage.admin, &larger).await?;
    bus::ensure(&stage.admin, &larger).await?;
    let info = stage.stream("ALERTS").await?;
    assert_eq!((info.config.max_bytes, info.state.messages), (600 << 20, 1));
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_elects_its_leaders_is_waited_for() -> Result<()> {
    let passwords: BTreeMap<_, _> = User::all().map(|user| (user, password(user).into())).collect();
    let mut nats = testkit::nats_cluster(&bus::permissions::render(&passwords, &[])?).await?;
    let admin = connect(&nats.url(), User::Admin).await?;
    for node in ["node-2", "node-3"] {
        nats.node(node)?.stop().await?;
    }
    let settings = Settings { replicas: 3, ..Settings::default() };
    let returns = async {
        // Longer than one request waits for its answer, and than the node that is left takes to see that it is alone.
        tokio::time::sleep(Duration::from_secs(6)).await;
        for node in ["node-2", "node-3"] {
            nats.node(node)?.restart().await?;
        }
        Ok(())
    };
    let (ensured, returned) = tokio::join!(bus::ensure(&admin, &settings), returns);
    returned.and(ensured.map_err(Into::into))
}

#[tokio::test]
async fn handled_alerts_make_room_and_waiting_ones_stay() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let monitoring = stage.bus(Role::Monitoring).await?;
    publish(&gateway, &["a", "b", "c", "d"].map(alert)).await?;
    let mut deliveries = monitoring.deliveries(Role::Monitoring)?;
    let first = next(&mut deliveries).await?;
    let second = next(&mut deliveries).await?;
    let third = next(&mut deliveries).await?;
    third.answer(Verdict::Done).await?;
    first.answer(Verdict::Done).await?;
    // "b" is not handled: it and what came after it stay.
    stage.holds("ALERTS", 3).await?;
    second.answer(Verdict::Done).await?;
    stage.holds("ALERTS", 1).await?;
    assert_eq!(next(&mut deliveries).await?.id, "d");
    Ok(())
}

#[tokio::test]
async fn a_role_cannot_set_up_streams() -> Result<()> {
    let stage = stage().await?;
    let gateway = stage.bus(Role::Gateway).await?;
    let error = bus::ensure(&gateway, &Settings::default()).await.unwrap_err();
    assert!(error.to_string().contains("stream ALERTS"), "{error}");
    Ok(())
}
