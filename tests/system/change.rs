//! The world does not wait for approvals: what was approved is what runs (P4), and what does not help is taken back (P5).

use anyhow::{Result, ensure};
use chrono::TimeDelta;
use incident::fact::What;
use incident::task::Phase;

use crate::pipeline::{APPROVE, BAD, Ending, GOOD, Options, Pipeline, Who, until};

#[tokio::test]
async fn a_target_that_changed_is_refused_and_proposed_anew() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let first = pipeline.waiting(&[]).await?;
    let card = pipeline.card_of(&first.approval).await?;
    // Kubernetes cuts creation times to seconds; a fix that comes within the second of the trouble could have brought it.
    until("the next second", async || {
        ensure!(runtime::clock::now() > first.plan.proposed_at + TimeDelta::milliseconds(1_100));
        Ok(())
    })
    .await?;
    pipeline.release(pipeline.namespace()?, "shop:v3-err40").await?;
    pipeline.press(&card, APPROVE, Who::Ana).await?;
    pipeline
        .fact("the refusal of the changed target", |what| match what {
            What::RemedyEnded { summary } => summary.contains("the target changed").then_some(()),
            _ => None,
        })
        .await?;
    let second = pipeline.waiting(std::slice::from_ref(&first.approval)).await?;
    ensure!(second.digest != first.digest && second.plan.task != first.plan.task, "{second:?}");
    pipeline.recorded("a diagnosis of what runs now", 2, |what| matches!(what, What::Diagnosed { .. })).await?;
    ensure!(second.plan.headline().ends_with("from revision 3 to 1"), "the fix did not help, the one before is bad: {second:?}");
    ensure!(pipeline.image(pipeline.namespace()?).await? == "shop:v3-err40", "nothing was changed");

    let old = pipeline.process.run(&["approve", first.approval.as_str()]).await?;
    ensure!(!old.status.success(), "the old plan can still be approved");
    let card = pipeline.card_of(&second.approval).await?;
    pipeline.press(&card, APPROVE, Who::Ben).await?;
    pipeline.in_phase(Phase::Resolved).await?;
    ensure!(pipeline.image(pipeline.namespace()?).await? == GOOD);
    pipeline.settled(Ending::REPAIRED).await
}

/// People have it, the record and the thread say that the change was taken back and why, and what ran before runs again.
async fn taken_back(pipeline: Box<Pipeline>, reason: &str) -> Result<()> {
    pipeline.in_phase(Phase::NeedsPeople).await?;
    let undone = |what: &What| match what {
        What::Undone { summary, .. } => Some(summary.clone()),
        _ => None,
    };
    let why = pipeline.fact("the undo", undone).await?;
    ensure!(why.contains(reason) && why.contains("the change was taken back"), "{why}");
    pipeline.line("the change was taken back").await?;
    ensure!(pipeline.image(pipeline.namespace()?).await? == BAD);
    pipeline.settled(Ending { undone: 1, ..Ending::REPAIRED }).await
}

#[tokio::test]
async fn a_rollback_that_does_not_help_is_taken_back() -> Result<()> {
    let pipeline = Pipeline::with(Options { verify_deadline_s: 15, ..Options::default() }).await?;
    pipeline.break_shop().await?;
    pipeline.card().await?;
    // Requests of the same service fail elsewhere as well.
    pipeline.deploy_beside(pipeline.namespace()?, "canary", "shop:v9-err90").await?;
    pipeline.rolled_out(pipeline.namespace()?, "canary").await?;
    pipeline.approve_in_slack().await?;
    taken_back(pipeline, "the alert's expression still holds").await
}

#[tokio::test]
async fn a_rollback_to_a_revision_that_never_ran_is_taken_back() -> Result<()> {
    let pipeline = Pipeline::with(Options { image: "shop:v1-bad-crash", ..Options::default() }).await?;
    pipeline.break_shop().await?;
    pipeline.approve_in_slack().await?;
    taken_back(pipeline, "the rollout failed").await
}

#[tokio::test]
async fn a_plan_is_withdrawn_when_the_alerts_resolve_by_themselves() -> Result<()> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let card = pipeline.card().await?;
    let late = pipeline.slack.click(&card, APPROVE, Who::Ana.slack_user())?;
    pipeline.release(pipeline.namespace()?, "shop:v1").await?;
    let incident = pipeline.in_phase(Phase::Resolved).await?;
    ensure!(incident.outcome.is_some_and(|outcome| outcome == "alerts resolved before anything was changed"));
    pipeline.nothing_waits().await?;
    pipeline.line("Resolved: alerts resolved before anything was changed").await?;
    let answered = late.post(&pipeline.interactions()).await?;
    pipeline.told_in_private(&answered, Who::Ana.slack_user(), "no longer waits").await?;
    pipeline.refusal("ana", "no longer waits").await?;
    pipeline.settled(Ending::UNTOUCHED).await
}
