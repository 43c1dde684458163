//! Postgres is away for longer than people can wait: they get alerts as they came, once, and their incidents say so afterwards (P9).

use anyhow::{Context as _, Result, ensure};
use incident::fact::What;
use incident::task::{Phase, Role};
use serde_json::json;
use testkit::fakes::slack::Message;

use crate::pipeline::{FALLBACK, Options, Pipeline, SOON, TENANT, until};

/// One alert of a service that no cluster has.
fn webhook(alert: &str) -> serde_json::Value {
    let now = runtime::clock::now().to_rfc3339();
    json!({
        "version": "4", "groupKey": format!("{{}}:{{alertname={alert:?}}}"), "status": "firing", "receiver": "paramedic",
        "truncatedAlerts": 0, "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am.example:9093",
        "alerts": [{
            "status": "firing", "fingerprint": format!("{:0>16}", alert.len()), "startsAt": now, "endsAt": "0001-01-01T00:00:00Z",
            "labels": { "alertname": alert, "namespace": "payments", "service": "billing", "severity": "critical" },
            "annotations": { "summary": "Orders <wait>" }, "generatorURL": "",
        }],
    })
}

fn raw(pipeline: &Pipeline) -> Vec<Message> {
    pipeline.slack.messages().into_iter().filter(|message| message.channel == FALLBACK).collect()
}

#[tokio::test]
async fn alerts_are_announced_raw_while_postgres_is_away_and_absorbed_afterwards() -> Result<()> {
    let options = Options { apart: true, private_postgres: true, shops: vec![], alertmanagers: vec![], ..Options::default() };
    let mut pipeline = Pipeline::with(options).await?;
    pipeline.kill_postgres().await?;
    // A process that starts meanwhile does what one does that was there before.
    pipeline.process.kill9_role(Role::Communication).await?;
    pipeline.process.launch_role(Role::Communication)?;
    let (first, second) = (webhook("QueueGrows"), webhook("QueueGrowsFaster"));
    pipeline.accepts(TENANT, &first).await?;
    pipeline.accepts(TENANT, &first).await?;
    let is_raw = |message: &Message| message.channel == FALLBACK && message.text.contains("RAW ALERTS");
    let announced = pipeline.slack.wait_for_message("a raw announcement", SOON, is_raw).await?;
    ensure!(announced.text.contains("critical: QueueGrows on payments/billing: Orders &lt;wait&gt;"), "{announced:?}");
    ensure!(pipeline.slack.messages().len() == 1, "nothing else can be said: {:?}", pipeline.slack.messages());

    let ready = pipeline.process.is_ready(Role::Communication).await?;
    ensure!(!ready, "it is ready without a database");

    // Who comes after a process that died knows what it announced.
    pipeline.process.kill9_role(Role::Communication).await?;
    pipeline.accepts(TENANT, &first).await?;
    pipeline.accepts(TENANT, &second).await?;
    pipeline.restart_postgres().await?;
    pipeline.process.launch_role(Role::Communication)?;

    let incident = pipeline.in_phase(Phase::NeedsPeople).await?;
    ensure!(incident.title.contains("QueueGrows"), "{incident:?}");
    let says = |what: &What| matches!(what, What::Gap { reason } if reason.contains("announced as they came") && reason.contains(FALLBACK));
    pipeline.recorded("the announcement in the incident", 1, says).await?;
    let waited = |what: &What| matches!(what, What::Gap { reason } if reason.contains("could not be handled until"));
    pipeline.recorded("how long it waited", 1, waited).await?;
    let card = |message: &Message| message.channel != FALLBACK && message.blocks.to_string().contains("announced as they came");
    pipeline.slack.wait_for_message("a card that says so", SOON, card).await?;
    until("a raw announcement that is taken back", async || {
        let all = raw(&pipeline);
        ensure!(all.len() == 1, "one is enough: {all:?}");
        let text = &all.first().context("one")?.text;
        ensure!(text.contains("incidents have these alerts now"), "{text}");
        Ok(())
    })
    .await?;
    pipeline.settled(crate::pipeline::Ending::UNTOUCHED).await
}
