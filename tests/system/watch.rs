//! The metric watch on a real Prometheus: what jumps opens an incident, what falls back ends it, whatever happens to monitoring meanwhile;
//! and the rules that come with Paramedic, played over recorded weeks.

use anyhow::{Context as _, Result, ensure};
use incident::fact::What;
use incident::task::Phase;
use serde_json::{Value, json};

use crate::pipeline::{APPROVE, BAD, Ending, GOOD, Options, Pipeline, Who, until};

/// The share of failed requests, over as short a time as the scrapes allow.
const RULES: &str = r#"
rules:
  - name: FailuresUnusual
    summary: A larger share of requests fails than usual
    expr: >-
      sum by (namespace, service) (rate(http_requests_total{code="500"}[3s]))
      / sum by (namespace, service) (rate(http_requests_total[3s]))
    labels: { severity: critical }
    direction: up
    min_duration_s: 5
    min_change: 0.05
    seasonal: false
"#;
/// What the watch must know of the time before, at one point a second.
const SECONDS_KNOWN: &str = "count(count_over_time(http_requests_total[40s:1s]) >= 39)";

/// A pipeline that hears of nothing but its own watch, which has seen enough of the shop to know it.
async fn watched() -> Result<Box<Pipeline>> {
    let options = Options { alertmanagers: vec![], watch: Some(RULES), ..Options::default() };
    let pipeline = Pipeline::with(options).await?;
    let prometheus = pipeline.prometheus.as_ref().context("a Prometheus")?.url();
    let http = reqwest::Client::builder().no_proxy().build()?;
    until("a history", async || {
        let answer = http.get(format!("{prometheus}/api/v1/query")).query(&[("query", SECONDS_KNOWN)]).send().await?;
        let answer: Value = answer.json().await?;
        ensure!(answer.pointer("/data/result/0").is_some(), "not yet: {answer}");
        Ok(())
    })
    .await?;
    Ok(pipeline)
}

#[tokio::test]
async fn a_metric_that_jumps_is_an_incident_and_replicas_make_one_of_it() -> Result<()> {
    let pipeline = watched().await?;
    let replica = pipeline.process.replica("monitoring")?;
    pipeline.break_shop().await?;
    // The alert's expression is enough for the cause, the plan, and the proof of recovery.
    let waiting = pipeline.waiting(&[]).await?;
    let card = pipeline.card_of(&waiting.approval).await?;
    pipeline.press(&card, APPROVE, Who::Ana).await?;
    let incident = pipeline.in_phase(Phase::Resolved).await?;
    ensure!(incident.title.starts_with("FailuresUnusual on "), "{incident:?}");
    pipeline.recorded("one firing and one resolution", 2, |what| matches!(what, What::AlertChanged { .. })).await?;
    drop(replica);
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn what_ends_while_nobody_looks_ends_and_begins_no_second_time() -> Result<()> {
    let mut pipeline = watched().await?;
    pipeline.release(pipeline.namespace()?, BAD).await?;
    pipeline.waiting(&[]).await?;
    pipeline.process.kill9().await?;
    pipeline.release(pipeline.namespace()?, GOOD).await?;
    pipeline.process.launch()?;
    pipeline.process.ready().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.recorded("one firing and one resolution", 2, |what| matches!(what, What::AlertChanged { .. })).await?;
    pipeline.settled(Ending::UNTOUCHED).await
}

/// Five weeks of requests in steps of five minutes, with days and a little noise, and three hours without any in the last one.
fn recorded() -> Value {
    const STEP_S: i64 = 300;
    const STEPS: i64 = 5 * 7 * 24 * 3600 / STEP_S;
    const SILENT: std::ops::Range<i64> = STEPS - 600..STEPS - 564;
    let start = 1_699_833_600;
    let value = |n: i64| {
        let hour = n * STEP_S / 3600 % 24;
        let day = if (8..20).contains(&hour) { 400 } else { 150 };
        if SILENT.contains(&n) { 0 } else { day + (n * 7919) % 23 }
    };
    let values: Vec<Value> = (0..STEPS).map(|n| json!([start + n * STEP_S, value(n).to_string()])).collect();
    let series = json!({ "metric": { "namespace": "shop", "service": "checkout" }, "values": values });
    json!({ "status": "success", "data": { "resultType": "matrix", "result": [series] } })
}

#[test]
fn the_example_rule_fires_for_the_silence_in_recorded_weeks_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recorded.json");
    std::fs::write(&path, recorded().to_string()).unwrap();
    let test = ["watch", "test", "runbooks/watch/http.yaml", "--rule", "HttpRequestsUnusual", "--series", path.to_str().unwrap()];
    let played = crate::tidy::paramedic(&[&test[..], &["--output", "json"]].concat(), &[]);
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let told: Value = serde_json::from_slice(&played.stdout).unwrap();
    let episodes = told[0]["episodes"].as_array().unwrap();
    let known: Vec<&Value> = episodes.iter().filter(|one| one["fires_at"].as_str() > Some("2023-12-08")).collect();
    assert_eq!(known.len(), 1, "{told:#}");
    assert_eq!((known[0]["way"].as_str(), known[0]["because"].as_str()), (Some("down"), Some("back to usual")), "{told:#}");
    let printed = String::from_utf8(crate::tidy::paramedic(&test, &[]).stdout).unwrap();
    assert!(printed.contains("fires 2023-12-") && printed.contains("resolves 2023-12-"), "{printed}");
}
