//! Answers that nobody gave: each changes nothing, and is recorded (P3).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use incident::approval::{Answer, Channel, SignedVote, Vote};
use incident::plan::Digest;
use incident::task::{Phase, Role};
use reqwest::Method;
use serde_json::json;

use crate::pipeline::{APPROVE, BAD, Ending, Pipeline, Rogue, TENANT, Waiting, Who, signing_key, until};

/// Five minutes are what Slack's own libraries allow.
const TOO_OLD: Duration = Duration::from_mins(6);
/// A key that is not the gateway's.
const OTHER_SEED: [u8; 32] = [7; 32];

async fn asked() -> Result<(Box<Pipeline>, Waiting)> {
    let pipeline = Pipeline::start().await?;
    pipeline.break_shop().await?;
    let waiting = pipeline.waiting(&[]).await?;
    Ok((pipeline, waiting))
}

/// The plan waits as if nothing had been said.
async fn untouched(pipeline: Box<Pipeline>, waiting: &Waiting, dead: u64) -> Result<()> {
    let same = pipeline.waiting(&[]).await?;
    ensure!(same.approval == waiting.approval && same.digest == waiting.digest, "another plan waits");
    pipeline.in_phase(Phase::AwaitingApproval).await?;
    ensure!(pipeline.image(pipeline.namespace()?).await? == BAD);
    pipeline.settled(Ending { dead, ..Ending::UNTOUCHED }).await
}

/// A yes to the plan, in Ana's name, made now.
fn yes(waiting: &Waiting) -> Result<Vote> {
    Ok(Vote {
        tenant: TENANT.parse()?,
        approval: waiting.approval.clone(),
        task: waiting.plan.task.clone(),
        digest: waiting.digest.clone(),
        answer: Answer::Approve,
        person: Who::Ana.id().parse()?,
        channel: Channel::Slack,
        decided_at: waiting.plan.proposed_at,
    })
}

#[tokio::test]
async fn a_click_that_slack_did_not_sign_changes_nothing() -> Result<()> {
    let (pipeline, waiting) = asked().await?;
    let click = pipeline.slack.click(&pipeline.card().await?, APPROVE, Who::Ana.slack_user())?;
    let cleo = pipeline.slack.click(&pipeline.card().await?, APPROVE, Who::Cleo.slack_user())?;
    let as_ana = cleo.altered(|payload| payload["user"]["id"] = json!(Who::Ana.slack_user()));
    for forged in [click.forged()?, click.aged(TOO_OLD)?, as_ana] {
        let answered = forged.post(&pipeline.interactions()).await?;
        ensure!(answered.status == 401, "{answered:?}");
    }
    for (field, value) in [("/api_app_id", "A0OTHER"), ("/team/id", "T0OTHER")] {
        let foreign = click.with_payload(|payload| {
            if let Some(place) = payload.pointer_mut(field) {
                *place = json!(value);
            }
        });
        let answered = foreign?.post(&pipeline.interactions()).await?;
        ensure!(answered.status == 403, "{field}: {answered:?}");
    }
    let metrics = pipeline.metrics().await?;
    let refused = metrics.lines().filter(|line| line.contains("refused") && line.contains("surface=\"slack\"")).count();
    ensure!(refused > 0, "refused clicks are counted:\n{metrics}");
    untouched(pipeline, &waiting, 0).await
}

#[tokio::test]
async fn a_yes_to_another_digest_changes_nothing() -> Result<()> {
    let (pipeline, waiting) = asked().await?;
    let path = format!("/v1/approvals/{}/decisions", waiting.approval);
    let other = json!({ "decision": "approve", "digest": Digest::of(b"another plan") });
    let (status, body) = pipeline.api(Who::Ana, Method::POST, &path, Some(&other)).await?;
    ensure!(status == 409, "{status} {body}");
    pipeline.refusal("ana", "another plan").await?;
    let card = pipeline.card().await?;
    let button = format!("v1.{}.{}", waiting.approval, Digest::of(b"another plan").0);
    let click = pipeline.slack.click(&card, APPROVE, Who::Ana.slack_user())?;
    let pressed = click.with_payload(|payload| payload["actions"][0]["value"] = json!(button))?;
    let answered = pressed.post(&pipeline.interactions()).await?;
    pipeline.told_in_private(&answered, Who::Ana.slack_user(), "another plan").await?;
    untouched(pipeline, &waiting, 0).await
}

#[tokio::test]
async fn a_click_that_is_replayed_counts_once() -> Result<()> {
    let (pipeline, _) = asked().await?;
    let click = pipeline.approve_in_slack().await?;
    ensure!(click.post(&pipeline.interactions()).await?.status == 200, "a copy of what was counted is no news");
    pipeline.in_phase(Phase::Resolved).await?;
    ensure!(click.post(&pipeline.interactions()).await?.status == 200);
    ensure!(click.aged(TOO_OLD)?.post(&pipeline.interactions()).await?.status == 401);
    ensure!(pipeline.votes().await?.len() == 1, "one click is one vote");
    pipeline.settled(Ending::REPAIRED).await
}

#[tokio::test]
async fn a_vote_signed_with_another_key_changes_nothing() -> Result<()> {
    let (pipeline, waiting) = asked().await?;
    let forged = SignedVote::sign(yes(&waiting)?, &SigningKey::from_bytes(&OTHER_SEED))?;
    let mut gateway = Rogue::connect(&pipeline, Role::Gateway).await?;
    ensure!(gateway.votes(&forged, "forged-1").await?.is_none(), "the gateway's user may publish");
    pipeline.refusal("ana", "the signature is not the gateway's").await?;
    untouched(pipeline, &waiting, 1).await
}

/// The only dead letter, as the command shows it.
async fn the_dead_letter(pipeline: &Pipeline, known: Option<u64>) -> Result<u64> {
    until("a dead letter", async || {
        let listed = pipeline.process.administrator_reads(&["dead", "list"]).await?;
        let (letters, more) = (listed["items"].as_array().context("no items")?, &listed["next"]);
        ensure!(letters.len() == 1 && more.is_null(), "{listed}");
        let number = listed["items"][0]["sequence"].as_u64().context("no number")?;
        ensure!(Some(number) != known, "the one that was replayed is still there");
        Ok(number)
    })
    .await
}

#[tokio::test]
async fn a_genuine_signature_under_another_digest_changes_nothing() -> Result<()> {
    let (pipeline, waiting) = asked().await?;
    let other = Vote { digest: Digest::of(b"another plan"), ..yes(&waiting)? };
    let signed = SignedVote::sign(other, &signing_key()?)?;
    let mut gateway = Rogue::connect(&pipeline, Role::Gateway).await?;
    ensure!(gateway.votes(&signed, "genuine-but-other").await?.is_none(), "the gateway's user may publish");
    pipeline.refusal("ana", "another plan").await?;

    // Sent again by a person who thinks that it should have counted, it is refused again.
    let number = the_dead_letter(&pipeline, None).await?;
    let shown = pipeline.process.administrator_reads(&["dead", "show", &number.to_string()]).await?;
    ensure!(shown["role"] == "remediation" && shown["id"] == "genuine-but-other", "{shown}");
    ensure!(shown["reason"].as_str().is_some_and(|reason| reason.contains("another plan")), "{shown}");
    let body = shown["body"].as_str().context("no body")?;
    ensure!(serde_json::from_str::<SignedVote>(body)? == signed, "{body}");
    let replayed = pipeline.process.administrator_reads(&["dead", "replay", &number.to_string()]).await?;
    ensure!(replayed["replayed"] == number && replayed["id"].is_string(), "{replayed}");
    the_dead_letter(&pipeline, Some(number)).await?;
    untouched(pipeline, &waiting, 1).await
}

#[tokio::test]
async fn a_vote_from_another_user_of_the_bus_is_refused_by_the_server() -> Result<()> {
    let (pipeline, waiting) = asked().await?;
    let forged = SignedVote::sign(yes(&waiting)?, &SigningKey::from_bytes(&OTHER_SEED))?;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Gateway) {
        let mut rogue = Rogue::connect(&pipeline, role).await?;
        let complaint = rogue.votes(&forged, &format!("forged-by-{role}")).await?;
        let complaint = complaint.with_context(|| format!("{role} may publish a decision"))?;
        ensure!(complaint.to_lowercase().contains("permissions violation"), "{complaint}");
    }
    ensure!(pipeline.votes().await?.is_empty(), "a vote is on the bus");
    untouched(pipeline, &waiting, 0).await
}

#[tokio::test]
async fn a_genuine_vote_said_again_changes_nothing() -> Result<()> {
    let (pipeline, _) = asked().await?;
    pipeline.approve_in_slack().await?;
    let genuine =
        until("the vote on the bus", async || pipeline.votes().await?.into_iter().next().context("no vote yet")).await?;
    let mut gateway = Rogue::connect(&pipeline, Role::Gateway).await?;
    gateway.votes(&genuine, "replayed-while-it-runs").await?;
    pipeline.refusal("ana", "no longer waits").await?;
    pipeline.in_phase(Phase::Resolved).await?;
    gateway.votes(&genuine, "replayed-after-the-end").await?;
    pipeline.settled(Ending { dead: 2, ..Ending::REPAIRED }).await
}
