//! Answers other than a plain yes: no, none, from the wrong person, from too few.

use anyhow::{Result, ensure};
use incident::fact::What;
use incident::task::Phase;
use reqwest::Method;
use serde_json::json;

use crate::pipeline::{APPROVE, BAD, Ending, Options, Pipeline, REJECT, Who};

/// The incident says that people have it now, why, and nothing was changed.
async fn left_to_people(pipeline: Box<Pipeline>, why: &str) -> Result<()> {
    pipeline.in_phase(Phase::NeedsPeople).await?;
    pipeline
        .fact("the end of the remedy", |what| {
            matches!(what, What::RemedyEnded { summary } if summary.contains(why)).then_some(())
        })
        .await?;
    pipeline.line(&format!("Needs people: {why}")).await?;
    pipeline.nothing_waits().await?;
    ensure!(pipeline.image(pipeline.namespace()?).await? == BAD);
    pipeline.settled(Ending::UNTOUCHED).await
}

#[tokio::test]
async fn a_plan_rejected_in_slack_changes_nothing() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let card = pipeline.card().await?;
    let (_, answered) = pipeline.press(&card, REJECT, Who::Ben).await?;
    ensure!(answered.status == 200 && answered.body.is_empty(), "{answered:?}");
    left_to_people(pipeline, "ben rejected the plan: rejected in Slack").await
}

#[tokio::test]
async fn a_plan_rejected_by_command_changes_nothing_and_the_reason_is_kept() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    pipeline.process.says(&["reject", waiting.approval.as_str(), "--reason", "the sale has just begun"]).await?;
    let late = pipeline.process.run(&["approve", waiting.approval.as_str()]).await?;
    ensure!(!late.status.success(), "one no is enough, and a yes came after it");
    left_to_people(pipeline, "ana rejected the plan: the sale has just begun").await
}

#[tokio::test]
async fn a_plan_that_nobody_answers_is_denied_after_a_reminder() -> Result<()> {
    let options = Options { expires_s: 12, remind_s: 4, ..Options::default() };
    let pipeline = Pipeline::with(options).await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    let late = pipeline.slack.click(&pipeline.card().await?, APPROVE, Who::Ana.slack_user())?;
    pipeline.fact("a reminder", |what| matches!(what, What::Reminded { .. }).then_some(())).await?;
    pipeline.line("Reminder, still waiting for an answer").await?;
    pipeline.in_phase(Phase::NeedsPeople).await?;
    let (status, _) = pipeline
        .api(
            Who::Ana,
            Method::POST,
            &format!("/v1/approvals/{}/decisions", waiting.approval),
            Some(&json!({"decision": "approve"})),
        )
        .await?;
    ensure!(status == 404 || status == 410, "an answer after the end: {status}");
    let answered = late.post(&pipeline.interactions()).await?;
    pipeline.told_in_private(&answered, Who::Ana.slack_user(), "does not count").await?;
    pipeline.refusal("ana", "no longer waits").await?;
    left_to_people(pipeline, "nobody answered in time: denied").await
}

#[tokio::test]
async fn people_who_may_not_decide_change_nothing() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    let (card, path) = (pipeline.card().await?, format!("/v1/approvals/{}/decisions", waiting.approval));

    let (_, answered) = pipeline.press(&card, APPROVE, Who::Cleo).await?;
    pipeline.told_in_private(&answered, Who::Cleo.slack_user(), "may not decide").await?;
    pipeline.refusal("cleo", "may not decide").await?;
    let (status, body) = pipeline.api(Who::Cleo, Method::POST, &path, Some(&json!({"decision": "approve"}))).await?;
    ensure!(status == 403, "{status} {body}");
    let by_command = ["approve", waiting.approval.as_str(), "--token", Who::Cleo.token()];
    ensure!(!pipeline.process.run(&by_command).await?.status.success());

    let stranger = pipeline.slack.click(&card, APPROVE, "U0STRANGER")?.post(&pipeline.interactions()).await?;
    pipeline.told_in_private(&stranger, "U0STRANGER", "may not decide").await?;
    pipeline.refusal("slack-U0STRANGER", "may not decide").await?;
    let nobody = pipeline.process.run(&["approve", waiting.approval.as_str(), "--token", "token-of-nobody-at-all"]).await?;
    ensure!(!nobody.status.success());

    let same = pipeline.waiting(&[]).await?;
    ensure!(same.approval == waiting.approval, "the plan waits as before");
    ensure!(pipeline.votes().await?.is_empty(), "no vote may be on the bus");
    ensure!(pipeline.image(pipeline.namespace()?).await? == BAD);
    pipeline.settled(Ending::UNTOUCHED).await
}

#[tokio::test]
async fn two_people_must_agree_where_the_policy_says_so_and_one_twice_is_one() -> Result<()> {
    let pipeline = Pipeline::with(Options { approvers: 2, ..Options::default() }).await?;
    pipeline.break_shop().await?;
    let card = pipeline.card().await?;
    let (click, _) = pipeline.press(&card, APPROVE, Who::Ana).await?;
    let replayed = click.post(&pipeline.interactions()).await?;
    ensure!(replayed.status == 200, "Slack repeats what it got no answer to: {replayed:?}");
    let (_, again) = pipeline.press(&card, APPROVE, Who::Ana).await?;
    pipeline.told_in_private(&again, Who::Ana.slack_user(), "answered already").await?;
    pipeline.refusal("ana", "answered already").await?;
    pipeline.waiting(&[]).await?;
    ensure!(pipeline.image(pipeline.namespace()?).await? == BAD, "one person is not two");

    pipeline.press(&card, APPROVE, Who::Ben).await?;
    pipeline.in_phase(Phase::Resolved).await?;
    let voters: Vec<String> = pipeline.votes().await?.into_iter().map(|signed| signed.vote.person.to_string()).collect();
    ensure!(voters == ["ana", "ben"], "{voters:?}");
    pipeline.settled(Ending::REPAIRED).await
}
