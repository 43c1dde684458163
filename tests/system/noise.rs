//! Very much happens at once: people get one notice of it, and when it is over what still fires, the worst first.

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use incident::fact::What;
use incident::promises::world;
use incident::storm::StormRules;
use serde_json::{Value, json};
use testkit::fakes::slack::Message;

use crate::pipeline::{Options, Pipeline, SOON, TENANT, until};

/// An alert of a service that no cluster has.
#[derive(Debug, Clone)]
struct Trouble {
    service: &'static str,
    severity: &'static str,
    since: DateTime<Utc>,
}

impl Trouble {
    fn new(service: &'static str, severity: &'static str) -> Self {
        Self { service, severity, since: runtime::clock::now() }
    }

    async fn tell(&self, pipeline: &Pipeline, is_over: bool) -> Result<()> {
        let Self { service, severity, since } = self;
        let status = if is_over { "resolved" } else { "firing" };
        let ends_at = if is_over { runtime::clock::now().to_rfc3339() } else { "0001-01-01T00:00:00Z".to_owned() };
        let labels = json!({ "alertname": "QueueGrows", "namespace": "payments", "service": service, "severity": severity });
        let body: Value = json!({
            "version": "4", "groupKey": format!("{{}}:{{service={service:?}}}"), "status": status, "receiver": "paramedic",
            "truncatedAlerts": 0, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://am.example:9093",
            "alerts": [{
                "status": status, "fingerprint": incident::id::fingerprint(&[service]), "startsAt": since.to_rfc3339(),
                "endsAt": ends_at, "labels": labels, "annotations": {}, "generatorURL": "",
            }],
        });
        pipeline.accepts(TENANT, &body).await
    }
}

fn is_card_of(message: &Message, service: &str) -> bool {
    message.thread_ts.is_none() && message.text.contains(&format!("payments/{service}"))
}

/// Where in the channel the card of a service is.
fn place(messages: &[Message], service: &str) -> Option<usize> {
    messages.iter().position(|message| is_card_of(message, service))
}

fn notices(messages: &[Message]) -> Vec<&Message> {
    let key = |message: &Message| message.metadata.pointer("/event_payload/key").and_then(Value::as_str).map(str::to_owned);
    let is_one = |message: &&Message| message.thread_ts.is_none() && key(message).is_some_and(|key| key.starts_with("desk/"));
    messages.iter().filter(is_one).collect()
}

#[tokio::test]
async fn a_storm_is_told_once_and_then_the_worst_first() -> Result<()> {
    let storm = Some(StormRules { opened: 3, within_s: 60, calm_s: 10 });
    let mut pipeline = Pipeline::with(Options { shops: vec![], alertmanagers: vec![], storm, ..Options::default() }).await?;
    let before = ["cart", "search"].map(|service| Trouble::new(service, "critical"));
    for trouble in &before {
        trouble.tell(&pipeline, false).await?;
        pipeline.slack.wait_for_message("a card as usual", SOON, |message| is_card_of(message, trouble.service)).await?;
    }
    // The one that is too many is told by itself or after the storm, depending on who is quicker.
    let too_many = Trouble::new("logins", "critical");
    too_many.tell(&pipeline, false).await?;
    until("a notice of a storm", async || {
        ensure!(!notices(&pipeline.slack.messages()).is_empty(), "there is none");
        Ok(())
    })
    .await?;
    let (last, first) = (["mail", "offers"].map(|service| Trouble::new(service, "info")), ["orders", "stock"]);
    let first = first.map(|service| Trouble::new(service, "critical"));
    // They have their turns between the others, too, and so keep them apart.
    let passing = ["images", "offices", "parcels", "prices", "reviews", "taxes"].map(|service| Trouble::new(service, "warning"));
    for trouble in last.iter().chain(&first).chain(&passing) {
        trouble.tell(&pipeline, false).await?;
    }
    for trouble in &passing {
        trouble.tell(&pipeline, true).await?;
    }
    until("a card for each that still fires", async || {
        let messages = pipeline.slack.messages();
        let all = last
            .iter()
            .chain(&first)
            .chain([&too_many])
            .map(|trouble| place(&messages, trouble.service).context(trouble.service));
        all.collect::<Result<Vec<_>>>().map(drop)
    })
    .await?;
    let messages = pipeline.slack.messages();
    ensure!(notices(&messages).len() == 1, "not one notice: {messages:#?}");
    for (bad, less) in first.iter().flat_map(|bad| last.iter().map(move |less| (bad, less))) {
        let (one, other) = (place(&messages, bad.service), place(&messages, less.service));
        ensure!(one < other, "{} comes after {}: {messages:#?}", bad.service, less.service);
    }
    for trouble in before.iter().chain([&too_many]).chain(&first).chain(&last) {
        trouble.tell(&pipeline, true).await?;
    }
    until("the end of all of them", async || {
        pipeline.is_idle().await?;
        let facts = pipeline.left(&[], &std::collections::BTreeSet::new()).await?.all_facts();
        let unfinished = world::every_incident_ended(&facts);
        ensure!(unfinished.is_empty(), "{unfinished:?}");
        let closed = facts.iter().filter(|fact| matches!(fact.what, What::Closed { .. })).count();
        let storm = 1;
        let all = before.len() + 1 + last.len() + first.len() + passing.len() + storm;
        ensure!(closed == all, "{closed} are recorded to their end, not {all}");
        Ok(())
    })
    .await?;
    let messages = pipeline.slack.messages();
    let told = passing.iter().find(|trouble| place(&messages, trouble.service).is_some());
    ensure!(told.is_none(), "{told:?} was over when the storm was, and was told all the same");
    pipeline.promises_kept(&pipeline.left(&[], &std::collections::BTreeSet::new()).await?).await?;
    pipeline.records_are_whole().await?;
    pipeline.process.stop().await
}
