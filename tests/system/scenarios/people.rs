//! People, and those who would like to be. Who is not answered calls again.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use incident::approval::{Answer, Channel, SignedVote, Vote};
use incident::plan::Digest;
use incident::task::Role;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use simulation::scenario::{Answers, How, Place, Says};

use super::play::{CALL_AGAIN, Due, Play};
use crate::pipeline::{APPROVE, REJECT, Rogue, Waiting, Who, signing_key};

/// A key that is not the gateway's.
const OTHER_SEED: [u8; 32] = [7; 32];
/// A member of the workspace whom Paramedic does not know.
const STRANGER: &str = "U0STRANGER";

#[derive(Deserialize)]
struct Page {
    items: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    approval: incident::id::ApprovalId,
}

impl Play<'_> {
    /// What the API shows to who looks now; nothing if it does not answer.
    pub(super) async fn look_for_plans(&mut self) {
        for tenant in self.pipeline.tenants() {
            let Ok(page) = self.get::<Page>(tenant, "/v1/approvals").await else { continue };
            for Named { approval } in page.items {
                if self.asked.iter().any(|known| known.approval == approval) {
                    continue;
                }
                let path = format!("/v1/approvals/{approval}");
                let Ok(waiting) = self.get::<Waiting>(tenant, &path).await else { continue };
                if self.shops.values().any(|namespace| *namespace == waiting.plan.target.workload.namespace) {
                    self.asked.push(waiting);
                }
            }
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, tenant: &str, path: &str) -> Result<T> {
        let url = format!("{}{path}", self.pipeline.process.gateway);
        let answer = self.http.get(url).bearer_auth(Who::Ana.token_at(tenant)).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Ana silences all alerts of a workload, by the command; again a little later if that fails.
    pub(super) async fn silences(&mut self, workload: Place, until: DateTime<Utc>) -> Result<()> {
        let (service, namespace) = (&workload.name, self.namespace(&workload)?);
        let matchers = [format!("service=\"{service}\""), format!("namespace=\"{namespace}\"")];
        let (token, ends) = (Who::Ana.token_at(&workload.tenant), until.to_rfc3339());
        let mut command = vec!["silence", "add", "--token", &token, "--until", &ends, "--reason", "it is known"];
        command.extend(matchers.iter().map(String::as_str));
        let output = self.pipeline.process.run(&command).await?;
        if !output.status.success() {
            eprintln!("   {}", String::from_utf8_lossy(&output.stderr));
            self.later(CALL_AGAIN, Due::Silences(workload, until));
        }
        Ok(())
    }

    /// Somebody answers the n-th plan, or else the newest; there may be none.
    pub(super) async fn answer(&mut self, answers: Answers, nth: Option<u32>) -> Result<()> {
        let place = nth.and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
        let waiting = place.map_or_else(|| self.asked.last(), |n| self.asked.get(n)).cloned();
        let Some(waiting) = waiting else { return Ok(()) };
        let is_heard = match (answers.how, known(&answers.who)) {
            (How::Plainly, Some(who)) => self.decides(&waiting, &waiting.digest, who, answers.says).await,
            (How::WrongDigest, Some(who)) => self.decides(&waiting, &Digest::of(b"another plan"), who, answers.says).await,
            (How::Plainly, None) => self.clicks(&waiting, answers.says).await?,
            (How::WrongDigest, None) => bail!("a stranger answers plainly: {answers:?}"),
            (how, who) => {
                let who = who.with_context(|| format!("{} has no vote that could be forged", answers.who))?;
                self.votes(&waiting, how, who, answers.says).await?
            }
        };
        if !is_heard {
            self.later(CALL_AGAIN, Due::Answers(answers, nth));
        }
        Ok(())
    }

    /// By the API. Whether there was an answer.
    async fn decides(&self, waiting: &Waiting, digest: &Digest, who: Who, says: Says) -> bool {
        let body = match says {
            Says::Approve => json!({ "decision": "approve", "digest": digest }),
            Says::Reject => json!({ "decision": "reject", "digest": digest, "reason": "not now" }),
        };
        let url = format!("{}/v1/approvals/{}/decisions", self.pipeline.process.gateway, waiting.approval);
        let token = who.token_at(waiting.plan.tenant.as_str());
        let answer = self.http.post(url).bearer_auth(token).json(&body).send().await;
        answer.is_ok_and(|answer| !answer.status().is_server_error() && answer.status() != StatusCode::TOO_MANY_REQUESTS)
    }

    /// A stranger clicks, once there is a card.
    async fn clicks(&self, waiting: &Waiting, says: Says) -> Result<bool> {
        let value = format!("v1.{}.", waiting.approval);
        let Some(card) = self.pipeline.slack.messages().into_iter().find(|message| message.blocks.to_string().contains(&value))
        else {
            return Ok(false);
        };
        let button = match says {
            Says::Approve => APPROVE,
            Says::Reject => REJECT,
        };
        let click = self.pipeline.slack.click(&card, button, STRANGER)?;
        Ok(click.post(&self.pipeline.interactions()).await.is_ok_and(|answered| answered.status < 500))
    }

    /// A vote on the bus, past the gateway. Whether there was one to say again.
    async fn votes(&mut self, waiting: &Waiting, how: How, who: Who, says: Says) -> Result<bool> {
        let vote = Vote {
            tenant: waiting.plan.tenant.clone(),
            approval: waiting.approval.clone(),
            task: waiting.plan.task.clone(),
            digest: waiting.digest.clone(),
            answer: match says {
                Says::Approve => Answer::Approve,
                Says::Reject => Answer::Reject { reason: "not now".to_owned() },
            },
            person: who.id().parse()?,
            channel: Channel::Slack,
            decided_at: waiting.plan.proposed_at,
        };
        let signed = match how {
            How::OtherPlan => SignedVote::sign(Vote { digest: Digest::of(b"another plan"), ..vote }, &signing_key()?)?,
            How::Forged => SignedVote::sign(vote, &SigningKey::from_bytes(&OTHER_SEED))?,
            How::Altered => {
                let mut signed = SignedVote::sign(Vote { person: Who::Cleo.id().parse()?, ..vote.clone() }, &signing_key()?)?;
                signed.vote.person = vote.person;
                signed
            }
            How::Replayed => match self.pipeline.votes().await?.pop() {
                Some(newest) => newest,
                None => return Ok(false),
            },
            How::Plainly | How::WrongDigest => bail!("{how:?} is no vote past the gateway"),
        };
        self.votes += 1;
        let id = format!("{}-{}", self.scenario.name, self.votes);
        let refused: Option<String> = Rogue::connect(self.pipeline, Role::Gateway).await?.votes(&signed, &id).await?;
        anyhow::ensure!(refused.is_none(), "the gateway's user may publish votes: {refused:?}");
        Ok(true)
    }
}

/// `eve` is known and may not decide.
fn known(who: &str) -> Option<Who> {
    match who {
        "ana" => Some(Who::Ana),
        "ben" => Some(Who::Ben),
        "eve" => Some(Who::Cleo),
        _ => None,
    }
}
