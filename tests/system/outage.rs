//! Parts that are away for a while, or were never there (P1, P9).

use anyhow::{Result, ensure};
use incident::fact::What;
use incident::task::Phase;
use testkit::fakes::Failure;

use crate::pipeline::{Ending, Options, Pipeline, until};

#[tokio::test]
async fn the_story_goes_on_after_the_bus_was_restarted() -> Result<()> {
    let mut pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    pipeline.card().await?;
    pipeline.restart_nats().await?;
    pipeline.approve_in_slack().await?;
    pipeline.restart_nats().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn readiness_names_the_part_that_is_away_and_the_process_lives() -> Result<()> {
    let mut pipeline = Pipeline::with(Options { channels: false, shops: vec![], ..Options::default() }).await?;
    let (status, text) = pipeline.page("/readyz").await?;
    ensure!(status == 200 && text.lines().count() == 12 && !text.contains("NOT"), "{status} {text}");
    pipeline.stop_nats().await?;
    until("503", async || {
        let (status, text) = pipeline.page("/readyz").await?;
        ensure!(status == 503, "{status} {text}");
        ensure!(text.contains("gateway nats: NOT reached") && text.contains("gateway postgres: reached"), "{text}");
        Ok(())
    })
    .await?;
    let (status, text) = pipeline.page("/healthz").await?;
    ensure!(status == 200, "nobody shall kill it for that: {status} {text}");
    pipeline.restart_nats().await?;
    pipeline.process.ready().await?;
    pipeline.process.stop().await
}

#[tokio::test]
async fn the_story_goes_on_after_the_database_was_restarted() -> Result<()> {
    let mut pipeline = Pipeline::with(Options { private_postgres: true, ..Options::default() }).await?;
    pipeline.break_shop().await?;
    pipeline.card().await?;
    pipeline.restart_postgres().await?;
    until("an approval by command", async || {
        let waiting = pipeline.waiting(&[]).await?;
        pipeline.process.says(&["approve", waiting.approval.as_str()]).await
    })
    .await?;
    pipeline.restart_postgres().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn the_story_goes_on_after_the_process_was_stopped_and_started() -> Result<()> {
    let mut pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    pipeline.card().await?;
    pipeline.process.stop().await?;
    pipeline.process.launch()?;
    pipeline.process.ready().await?;
    pipeline.approve_in_slack().await?;
    pipeline.process.stop().await?;
    pipeline.process.launch()?;
    pipeline.process.ready().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn what_slack_and_jira_are_owed_comes_when_they_are_back() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.slack.outage(Some(Failure::Status(503)));
    pipeline.jira.outage(Some(Failure::DropBeforeCommit));
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    pipeline.process.says(&["approve", waiting.approval.as_str()]).await?;
    pipeline.in_phase(Phase::Repairing).await?;
    ensure!(pipeline.slack.messages().is_empty() && pipeline.jira.issues().is_empty());
    pipeline.slack.outage(None);
    pipeline.jira.outage(None);
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.line("Resolved: resolved by the approved rollback").await?;
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn an_answer_of_slack_or_jira_that_gets_lost_makes_nothing_twice() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    for _ in 0..2 {
        pipeline.slack.fail_next("chat.postMessage", Failure::DropAfterCommit);
        pipeline.jira.fail_next("createIssue", Failure::DropAfterCommit);
    }
    pipeline.jira.fail_next("addComment", Failure::DropAfterCommit);
    pipeline.jira.fail_next("doTransition", Failure::DropAfterCommit);
    pipeline.break_shop().await?;
    pipeline.approve_in_slack().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn without_slack_and_jira_the_commands_do_and_the_gaps_are_told() -> Result<()> {
    let pipeline = Pipeline::with(Options { channels: false, ..Options::default() }).await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    pipeline.process.says(&["approve", waiting.approval.as_str()]).await?;
    pipeline.in_phase(Phase::Resolved).await?;
    for step in ["announce", "ticket"] {
        let tells =
            |what: &What| matches!(what, What::Gap { reason } if reason.starts_with(step) && reason.contains("not configured"));
        pipeline.recorded(&format!("the gap in {step}"), 1, tells).await?;
    }
    ensure!(pipeline.slack.calls().is_empty() && pipeline.jira.calls().is_empty());
    pipeline.settled(Ending::REPAIRED).await
}
