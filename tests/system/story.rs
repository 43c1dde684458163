//! The whole story, from a bad release to a verified recovery.

use anyhow::{Context as _, Result, ensure};
use incident::fact::What;
use incident::plan::Plan;
use incident::task::{Phase, Role};
use serde_json::{Value, json};

use crate::pipeline::{Ending, GOOD, Pipeline};

#[tokio::test]
async fn a_bad_release_is_rolled_back_after_a_click_in_slack() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    pipeline.approve_in_slack().await?;
    let incident = pipeline.in_phase(Phase::Resolved).await?;
    ensure!(incident.title.contains("HighErrorRatio on shop-"), "{incident:?}");
    ensure!(incident.outcome.is_some_and(|outcome| outcome.starts_with("resolved by the approved rollback")));
    ensure!(pipeline.image(pipeline.namespace()?).await? == GOOD);

    let card = pipeline.slack.wait_for_message("a resolved card", crate::pipeline::SOON, |m| m.text.starts_with('✅')).await?;
    ensure!(!card.blocks.to_string().contains("paramedic_approve"), "a card that is over asks nothing: {card:?}");
    pipeline.line("Approved; the change is being made").await?;
    pipeline.line("Resolved: resolved by the approved rollback").await?;
    let done = |issue: &testkit::fakes::jira::Issue| issue.status.category == "done";
    let issue = pipeline.jira.wait_for_issue("a finished issue", crate::pipeline::SOON, done).await?;
    ensure!(issue.comments.iter().any(|comment| comment.text.contains("Resolved")), "{issue:?}");
    pipeline.settled(Ending::REPAIRED).await
}

/// What was shown to people, as JSON; and what is for machines only: log and metrics.
async fn read_by_programs(pipeline: &Pipeline, incident: &str) -> Result<()> {
    let process = &pipeline.process;
    let listed = process.reads(&["incident", "list"]).await?;
    ensure!(listed["items"][0]["incident"] == incident && listed["next"].is_null(), "{listed}");
    let open = process.reads(&["incident", "list", "--open"]).await?;
    ensure!(open["items"].as_array().is_some_and(Vec::is_empty), "{open}");
    let shown = process.reads(&["incident", "show", incident]).await?;
    ensure!(shown["incident"] == incident && shown["phase"] == "resolved", "{shown}");
    let timeline = process.reads(&["incident", "timeline", incident]).await?;
    let facts = timeline["items"].as_array().context("no facts")?;
    ensure!(facts.len() > 10 && facts.iter().all(|fact| fact["incident"] == incident), "{timeline}");
    let dead = process.administrator_reads(&["dead", "list"]).await?;
    ensure!(dead["items"].as_array().is_some_and(Vec::is_empty), "{dead}");

    for line in process.log_after(0).lines() {
        ensure!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "no JSON object: {line}");
    }
    let metrics = pipeline.metrics().await?;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Connectors) {
        let counted = format!("role=\"{role}\"");
        let is_it = |line: &str| line.starts_with("paramedic_handled_total{") && line.contains(&counted);
        ensure!(metrics.lines().any(is_it), "{role} counts nothing:\n{metrics}");
    }
    ensure!(metrics.contains("\nparamedic_provider_requests_total{"), "the connectors count nothing:\n{metrics}");
    Ok(())
}

/// Every listing goes on where it is told to.
async fn read_on(pipeline: &Pipeline, incident: &str) -> Result<()> {
    let seqs = async |arguments: &[&str]| -> Result<Vec<Value>> {
        let entries = pipeline.process.reads(&[&["incident", "timeline", incident], arguments].concat()).await?;
        Ok(entries["items"].as_array().into_iter().flatten().map(|entry| entry["seq"].clone()).collect())
    };
    let all = seqs(&[]).await?;
    let first = all.first().context("a timeline")?.to_string();
    ensure!(seqs(&["--after", &first]).await? == all[1..], "all but the first: {all:?}");
    let older = pipeline.process.reads(&["incident", "list", "--after", "9999999999999999.inc_1"]).await?;
    ensure!(older["items"][0]["incident"] == incident, "all incidents are older than that: {older}");
    Ok(())
}

#[tokio::test]
async fn a_bad_release_is_rolled_back_after_a_command() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    let id = waiting.approval.as_str();

    let listed = pipeline.process.says(&["approvals"]).await?;
    ensure!(listed.contains(id), "{listed}");
    let shown = pipeline.process.says(&["approvals", id]).await?;
    ensure!(shown.contains(&waiting.digest.0) && shown.contains("shop:v2-err30") && shown.contains(GOOD), "{shown}");
    let shown = pipeline.process.reads(&["approvals", id]).await?;
    ensure!(shown["approval"] == id && shown["digest"] == waiting.digest.0, "{shown}");
    ensure!(serde_json::from_value::<Plan>(shown["plan"].clone())? == waiting.plan, "{shown}");
    let listed = pipeline.process.reads(&["approvals"]).await?;
    ensure!(listed["items"][0]["approval"] == id && listed["next"].is_null(), "{listed}");
    let rest = pipeline.process.reads(&["approvals", "--after", id]).await?;
    ensure!(rest["items"] == json!([]), "after the only one there is none: {rest}");
    let wrong = pipeline.process.run(&["approve", id, "--digest", "0123"]).await?;
    ensure!(!wrong.status.success(), "a digest that is not the plan's was approved");
    pipeline.process.says(&["approve", id, "--digest", waiting.digest.short()]).await?;

    let incident = pipeline.in_phase(Phase::Resolved).await?;
    let timeline = pipeline.process.says(&["incident", "timeline", &incident.id]).await?;
    for said in [
        "incident opened: HighErrorRatio",
        "cause: Revision 2",
        "ana approved through the command line",
        "recovery verified",
        "closed:",
    ] {
        ensure!(timeline.contains(said), "{said:?} is not in the timeline:\n{timeline}");
    }
    read_by_programs(&pipeline, &incident.id).await?;
    read_on(&pipeline, &incident.id).await?;
    pipeline
        .fact("the cost of the card", |what| match what {
            What::Cost { item, .. } if item == "slack.card" => Some(()),
            _ => None,
        })
        .await?;
    pipeline.settled(Ending::REPAIRED).await
}
