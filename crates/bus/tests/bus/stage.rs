//! A server with all users and streams, and the few things every test does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use bus::{Bus, Connect, Deliveries, Delivery, Publication, Settings, User, Verdict};
use futures::StreamExt as _;
use incident::task::Role;

/// Far longer than anything here takes, on a machine that compiles at the same time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) nats: testkit::Nats,
    pub(crate) admin: Bus,
}

pub(crate) fn password(user: User) -> String {
    format!("password-of-{user}-0123456789")
}

pub(crate) async fn stage() -> Result<Stage> {
    stage_with(&Settings::default()).await
}

pub(crate) async fn stage_with(settings: &Settings) -> Result<Stage> {
    let passwords: BTreeMap<_, _> = User::all().map(|user| (user, password(user).into())).collect();
    stage_on(&bus::permissions::render(&passwords, &[])?, settings).await
}

/// On a server that is configured like this; without users in it, everybody may do everything.
pub(crate) async fn stage_on(configuration: &str, settings: &Settings) -> Result<Stage> {
    let nats = testkit::nats(configuration).await?;
    let admin = connect(&nats.url(), User::Admin).await?;
    bus::ensure(&admin, settings).await?;
    Ok(Stage { nats, admin })
}

pub(crate) async fn connect(url: &str, user: User) -> Result<Bus> {
    Ok(Bus::connect(&Connect::new(url, user, Some(password(user).into()))).await?)
}

impl Stage {
    pub(crate) async fn bus(&self, role: Role) -> Result<Bus> {
        connect(&self.nats.url(), User::Role(role)).await
    }

    /// What the server itself says, past our own code.
    pub(crate) async fn stream(&self, name: &str) -> Result<jetstream::stream::Info> {
        let options = async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), password(User::Admin));
        let context = jetstream::new(options.connect(self.nats.url()).await?);
        Ok(context.get_stream(name).await?.get_info().await?)
    }

    /// Waits until a stream holds so many messages.
    pub(crate) async fn holds(&self, name: &str, messages: u64) -> Result<()> {
        let what = format!("{messages} messages on {name}");
        testkit::eventually(&what, DEADLINE, async || {
            let info = self.stream(name).await.ok()?;
            (info.state.messages == messages).then_some(())
        })
        .await
    }
}

pub(crate) fn alert(id: &str) -> Publication {
    says("alerts.acme.3", id)
}

pub(crate) fn says(subject: &str, id: &str) -> Publication {
    let body = format!("body of {id}").into();
    Publication { subject: subject.to_owned(), id: id.to_owned(), trace: None, headers: vec![], body }
}

pub(crate) async fn publish(bus: &Bus, publications: &[Publication]) -> Result<()> {
    for result in bus.publish_all(publications).await {
        result?;
    }
    Ok(())
}

pub(crate) async fn next(deliveries: &mut Deliveries) -> Result<Delivery> {
    let next = tokio::time::timeout(DEADLINE, deliveries.next()).await.context("no delivery came")?;
    next.context("deliveries ended")
}

/// Takes so many, says "done" to each, and gives their ids in the order in which they came.
pub(crate) async fn handle(deliveries: &mut Deliveries, count: usize) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(deliveries).await?;
        ids.push(delivery.id.clone());
        delivery.answer(Verdict::Done).await?;
    }
    Ok(ids)
}

/// Says "done" to whatever comes and notes its id; returns only if nothing comes for long.
pub(crate) async fn handle_all(deliveries: &mut Deliveries, heard: &mut BTreeSet<String>) -> Result<()> {
    loop {
        let delivery = next(deliveries).await?;
        heard.insert(delivery.id.clone());
        delivery.answer(Verdict::Done).await?;
    }
}
