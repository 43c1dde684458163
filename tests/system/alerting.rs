//! Alertmanagers as they are deployed: three versions, and twins that each send everything.

use anyhow::{Context as _, Result, ensure};
use chrono::{TimeDelta, Utc};
use incident::fact::What;
use incident::task::Phase;
use serde_json::{Value, json};
use testkit::Suite;

use crate::pipeline::{Ending, Options, Pipeline};

/// An alert of a rule about a service that no cluster has.
#[expect(clippy::disallowed_methods, reason = "the alert's own time, which a Prometheus would give")]
fn alert(is_firing: bool) -> Value {
    let now = Utc::now();
    let ends = if is_firing { now + TimeDelta::minutes(5) } else { now };
    json!([{
        "labels": { "alertname": "QueueGrows", "namespace": "payments", "service": "billing", "severity": "warning" },
        "annotations": { "summary": "Orders wait" },
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=queue_length+%3E+100&g0.tab=1",
        "startsAt": (now - TimeDelta::minutes(1)).to_rfc3339(),
        "endsAt": ends.to_rfc3339(),
    }])
}

async fn fires_and_resolves(suite: Suite) -> Result<()> {
    let options = Options { shops: vec![], alertmanagers: vec![Some(suite)], ..Options::default() };
    let pipeline = Pipeline::with(options).await?;
    let url = format!("{}/api/v2/alerts", pipeline.alertmanagers.first().context("an Alertmanager")?.url());
    let send = async |is_firing: bool| -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        http.post(&url).json(&alert(is_firing)).send().await?.error_for_status()?;
        Ok(())
    };
    send(true).await?;
    let incident = pipeline.in_phase(Phase::NeedsPeople).await?;
    ensure!(incident.title == "QueueGrows on payments/billing", "{incident:?}");
    send(false).await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::UNTOUCHED).await
}

#[tokio::test]
async fn alertmanager_0_25_opens_and_closes_an_incident() -> Result<()> {
    fires_and_resolves(Suite::Bookworm).await
}

#[tokio::test]
async fn alertmanager_0_28_opens_and_closes_an_incident() -> Result<()> {
    fires_and_resolves(Suite::Trixie).await
}

#[tokio::test]
async fn alertmanager_0_33_opens_and_closes_an_incident() -> Result<()> {
    fires_and_resolves(Suite::Forky).await
}

#[tokio::test]
async fn twins_that_send_the_same_make_one_incident() -> Result<()> {
    let pipeline = Pipeline::with(Options { alertmanagers: vec![None, None], ..Options::default() }).await?;
    pipeline.break_shop().await?;
    pipeline.approve_in_slack().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    for alertmanager in &pipeline.alertmanagers {
        let sent = pipeline.sent(alertmanager).await?;
        ensure!(sent >= 2.0, "each twin sent both, this one {sent}");
    }
    pipeline.recorded("one firing and one resolution", 2, |what| matches!(what, What::AlertChanged { .. })).await?;
    pipeline.settled(Ending::REPAIRED).await
}
