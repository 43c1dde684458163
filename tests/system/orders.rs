//! People say what they want of incidents, and it is done, once, and remembered.

use anyhow::{Context as _, Result, ensure};
use chrono::{TimeDelta, Utc};
use incident::fact::What;
use incident::task::Phase;
use serde_json::{Value, json};

use crate::pipeline::{Ending, Incident, Options, Pipeline, until};

/// Alerts about services that no cluster has, as Prometheus tells an Alertmanager.
#[expect(clippy::disallowed_methods, reason = "the alert's own time, which a Prometheus would give")]
fn alert(name: &str, service: &str, is_firing: bool) -> Value {
    let now = Utc::now();
    json!({
        "labels": { "alertname": name, "namespace": "payments", "service": service, "severity": "warning" },
        "annotations": {},
        "startsAt": (now - TimeDelta::minutes(1)).to_rfc3339(),
        "endsAt": if is_firing { now + TimeDelta::minutes(5) } else { now }.to_rfc3339(),
    })
}

async fn tell(pipeline: &Pipeline, alerts: &[Value]) -> Result<()> {
    let url = format!("{}/api/v2/alerts", pipeline.alertmanagers.first().context("an Alertmanager")?.url());
    let http = reqwest::Client::builder().no_proxy().build()?;
    http.post(url).json(alerts).send().await?.error_for_status()?;
    Ok(())
}

/// The incident whose title has this in it, once it is in this phase.
async fn about(pipeline: &Pipeline, title: &str, phase: Phase) -> Result<Incident> {
    until(&format!("an incident about {title} that is {}", phase.label()), async || {
        let all = pipeline.incidents().await?;
        let found = all.iter().find(|incident| incident.title.contains(title) && incident.phase == phase);
        found.cloned().with_context(|| format!("{all:?}"))
    })
    .await
}

/// What a command says that must fail.
async fn is_told(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    let output = pipeline.process.run(arguments).await?;
    ensure!(!output.status.success(), "{arguments:?} succeeds");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn ordered(pipeline: &Pipeline, incident: &Incident) -> Result<usize> {
    let facts = pipeline.facts(&incident.id).await?;
    Ok(facts.iter().filter(|what| matches!(what, What::Ordered { .. })).count())
}

#[tokio::test]
async fn people_have_their_way_with_incidents_even_if_everything_dies_meanwhile() -> Result<()> {
    let options = Options { shops: vec![], alertmanagers: vec![None], ..Options::default() };
    let mut pipeline = Pipeline::with(options).await?;
    tell(&pipeline, &[alert("QueueGrows", "billing", true), alert("DiskFull", "vault", true)]).await?;
    let billing = about(&pipeline, "billing", Phase::NeedsPeople).await?;
    let vault = about(&pipeline, "vault", Phase::NeedsPeople).await?;
    let order = |verb: &'static str, of: &Incident, more: &[&'static str]| {
        let mut all = vec!["incident", verb];
        all.extend(more);
        (all, of.id.clone())
    };
    let says = async |pipeline: &Pipeline, (arguments, id): (Vec<&'static str>, String)| {
        pipeline.process.says(&[&arguments[..], &[&id]].concat()).await
    };

    let said = says(&pipeline, order("ack", &billing, &["--minutes", "30"])).await?;
    ensure!(said.contains("you acknowledged it for 30 minutes"), "{said}");
    says(&pipeline, order("own", &billing, &[])).await?;
    let shown = pipeline.process.reads(&["incident", "show", &billing.id]).await?;
    ensure!(shown["owner"] == "ana" && shown["acknowledged"]["by"] == "ana", "{shown}");
    pipeline.line("Acknowledged by ana until").await?;

    // The same order under the same name is one, however often and whatever dies in between.
    let note = ["incident", "note", &billing.id, "the vendor knows", "--idempotency-key", "note-1"];
    pipeline.process.says(&note).await?;
    pipeline.process.kill9().await?;
    pipeline.process.launch()?;
    pipeline.process.ready().await?;
    pipeline.process.says(&note).await?;
    ensure!(ordered(&pipeline, &billing).await? == 3, "{:?}", pipeline.facts(&billing.id).await?);

    // What fires cannot be resolved by mistake.
    let why = is_told(&pipeline, &["incident", "resolve", &billing.id, "--reason", "a drill"]).await?;
    ensure!(why.contains("its alerts still fire (QueueGrows)"), "{why}");
    let why = is_told(&pipeline, &["incident", "attach", &billing.id, "NoSuchAlert", "--to", &vault.id]).await?;
    ensure!(why.contains("it has no alert NoSuchAlert"), "{why}");

    // Both are one: what was the vault's is billing's, and so is what comes later.
    pipeline.process.says(&["incident", "merge", &vault.id, "--into", &billing.id]).await?;
    let merged = about(&pipeline, "vault", Phase::Resolved).await?;
    ensure!(merged.outcome.as_ref().is_some_and(|outcome| outcome.contains("belong to another incident")), "{merged:?}");
    tell(&pipeline, &[alert("DiskSlow", "vault", true)]).await?;
    until("all alerts in one incident", async || {
        let facts = pipeline.facts(&billing.id).await?;
        let has =
            |name: &str| facts.iter().any(|what| matches!(what, What::AlertChanged { alert, firing: true, .. } if alert == name));
        ensure!(["QueueGrows", "DiskFull", "DiskSlow"].into_iter().all(has), "{facts:?}");
        Ok(())
    })
    .await?;

    says(&pipeline, order("resolve", &billing, &["--while-firing", "--reason", "a drill"])).await?;
    let ended = about(&pipeline, "billing", Phase::Resolved).await?;
    ensure!(ended.outcome.as_ref().is_some_and(|outcome| outcome.contains("resolved by ana, while")), "{ended:?}");
    pipeline.line("Resolved: resolved by ana").await?;
    pipeline.settled(Ending { incidents: 2, ..Ending::UNTOUCHED }).await
}
