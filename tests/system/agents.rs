//! Other agents: they give ours work over HTTP and NATS, and bring a person's decision.

use anyhow::{Context as _, Result, ensure};
use incident::fact::What;
use incident::task::Phase;
use serde_json::{Value, json};

use crate::pipeline::{BOT, Ending, GOOD, Pipeline, TENANT, VOICE};

const EXTENSION: &str = "https://paramedic.dev/a2a/ext/approval/v1";

/// The diagnosis that a task ended with.
fn diagnosis(task: &Value) -> Result<&Value> {
    ensure!(task["status"]["state"] == "TASK_STATE_COMPLETED", "{task}");
    task.pointer("/artifacts/0/parts/0/data/diagnosis").with_context(|| format!("no diagnosis: {task}"))
}

#[tokio::test]
async fn other_agents_ask_for_a_diagnosis_and_bring_the_decision() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;

    let errand = json!({"skill": "diagnose", "workload": waiting.plan.target.workload, "alerts": []}).to_string();
    let (http, nats) = (pipeline.process.agent("diagnostics"), format!("{}/a2a.{TENANT}.diagnostics", pipeline.nats.url()));
    for (agent, message) in [(&http, "over-http"), (&nats, "over-nats")] {
        let send = ["send", agent, "--sender", "bot", "--message-id", message, "--data", &errand];
        let task = pipeline.process.calls(BOT, &send).await?;
        let evidence = diagnosis(&task)?["evidence"].as_array().context("no evidence")?;
        ensure!(evidence.iter().any(|one| one["finding"]["kind"] == "revision"), "{task}");
        let again = pipeline.process.calls(BOT, &send).await?;
        ensure!(again == task, "asked twice is asked once: {again}");
        let id = task["id"].as_str().context("no id")?;
        ensure!(pipeline.process.calls(BOT, &["get", agent, id, "--sender", "bot"]).await? == task);
    }
    let all = pipeline.process.calls(BOT, &["list", &http]).await?;
    ensure!(all.as_array().is_some_and(|tasks| tasks.len() == 2), "both are the bot's, whichever way they came: {all}");

    let approvals = pipeline.process.agent("approvals");
    let decision =
        json!({EXTENSION: {"approval": waiting.approval, "digest": waiting.digest, "decision": "approve"}}).to_string();
    let send = ["send", &approvals, "seen and approved", "--metadata", &decision, "--extension", EXTENSION];
    ensure!(pipeline.process.calls(BOT, &send).await.is_err(), "the bot speaks for nobody");
    let counted = pipeline.process.calls(VOICE, &send).await?;
    ensure!(counted["parts"][0]["data"]["recorded"] == true, "{counted}");

    let incident = pipeline.in_phase(Phase::Resolved).await?;
    ensure!(incident.outcome.is_some_and(|outcome| outcome.starts_with("resolved by the approved rollback")));
    ensure!(pipeline.image(pipeline.namespace()?).await? == GOOD);
    pipeline
        .fact("whose yes it was", |what| matches!(what, What::Voted { person, .. } if person.as_str() == "ana").then_some(()))
        .await?;
    pipeline.settled(Ending::REPAIRED).await
}
