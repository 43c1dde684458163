//! What Slack sends when a person presses a button: <https://docs.slack.dev/reference/interaction-payloads/block_actions-payload>.
//!
//! Pure: from a genuine body to an answer of a person. Fields that we do not need are ignored, also the deprecated shared `token`; what
//! a message says is never believed, only what the button's value names is looked up.

pub(crate) mod form;
pub(crate) mod signature;

use incident::agent::PersonsAnswer;
use incident::approval::{Answer, Channel};
use incident::id::ApprovalId;
use incident::plan::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::config::SlackEdge;
use crate::problem::{Kind, Problem, Violation};
use crate::tenants::Tenant;

const APPROVE: &str = "paramedic_approve";
const REJECT: &str = "paramedic_reject";
/// A button has no text box.
const REASON: &str = "rejected in Slack";
/// Characters of a SHA-256 in hex.
const DIGEST_DIGITS: usize = 64;

/// The parts of a payload that matter here.
#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    api_app_id: Option<String>,
    #[serde(default)]
    team: Option<Named>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    trigger_id: Option<String>,
    #[serde(default)]
    response_url: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    team_id: Option<String>,
    #[serde(default)]
    is_bot: bool,
}

#[derive(Debug, Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    value: Option<String>,
}

/// An interaction, and where its person can be told something in private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// What the person did.
    pub interaction: Interaction,
    /// None if the payload names no address, or one that we do not post to.
    pub reply_to: Option<Url>,
}

/// What came of an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A person answers.
    Answer {
        /// Equal for every copy of one click.
        message_id: String,
        /// What they answered.
        answer: PersonsAnswer,
    },
    /// A click that cannot count: the person is told, and nobody else.
    Tell(&'static str),
    /// Nothing of ours.
    Ignore {
        /// Its type, for the log.
        kind: String,
    },
}

/// Reads a body whose signature was checked.
pub(crate) fn read(tenant: &Tenant, slack: &SlackEdge, body: &[u8]) -> Result<Click, Problem> {
    let malformed = |rule: String| Problem::new(Kind::Malformed, format!("form field \"payload\": {rule}"));
    let payload = form::only(body, "payload").map_err(|error| malformed(error.to_string()))?;
    let payload: Payload =
        serde_json::from_str(&payload).map_err(|error| malformed(format!("must be a payload in JSON: {error}")))?;
    check_origin(slack, &payload)?;
    let reply_to = payload.response_url.as_deref().and_then(|url| reply_to(slack, url));
    Ok(Click { interaction: interaction(tenant, payload)?, reply_to })
}

fn interaction(tenant: &Tenant, payload: Payload) -> Result<Interaction, Problem> {
    if payload.kind != "block_actions" {
        return Ok(Interaction::Ignore { kind: payload.kind });
    }
    // A press sends exactly one action; links and menus of ours, were there any, would be others.
    let mut ours = payload.actions.iter().filter(|action| [APPROVE, REJECT].contains(&action.action_id.as_str()));
    let Some(action) = ours.next() else { return Ok(Interaction::Ignore { kind: payload.kind }) };
    if ours.next().is_some() {
        return Ok(Interaction::Tell("Two answers at once: nothing was recorded. Press one button."));
    }
    let user = payload.user.as_ref().ok_or_else(|| missing("/user/id"))?;
    let trigger = payload.trigger_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| missing("/trigger_id"))?;
    if user.is_bot {
        return Ok(Interaction::Tell("Bots may not decide: nothing was recorded."));
    }
    let Some((approval, digest)) = action.value.as_deref().and_then(value) else {
        return Ok(Interaction::Tell("This button does not name a plan: nothing was recorded. Use the newest message."));
    };
    let Some(person) = tenant.slack_person(&user.id) else {
        return Ok(Interaction::Tell("You are not among the people who may decide: nothing was recorded."));
    };
    let answer = if action.action_id == APPROVE { Answer::Approve } else { Answer::Reject { reason: REASON.to_owned() } };
    let answer = PersonsAnswer { approval, digest: Some(digest), person, channel: Channel::Slack, client: None, answer };
    Ok(Interaction::Answer { message_id: format!("slack-{}", hex::encode(Sha256::digest(trigger))), answer })
}

/// Signed with the right secret, but by another app, or on behalf of another workspace.
fn check_origin(slack: &SlackEdge, payload: &Payload) -> Result<(), Problem> {
    let forbidden = |what: &'static str| Err(Problem::new(Kind::Forbidden, what));
    if slack.app_id.is_some() && slack.app_id != payload.api_app_id {
        return forbidden("api_app_id is not the app that this tenant is configured with");
    }
    let Some(team) = &slack.team_id else { return Ok(()) };
    let from = payload.team.as_ref().map(|team| &team.id);
    let of = payload.user.as_ref().and_then(|user| user.team_id.as_ref());
    if from.is_some_and(|from| from != team) || of.is_some_and(|of| of != team) || (from.is_none() && of.is_none()) {
        return forbidden("team is not the workspace that this tenant is configured with");
    }
    Ok(())
}

/// Where an answer may be posted: under the base that is configured, and nowhere else, whatever the payload says.
fn reply_to(slack: &SlackEdge, url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (is_plain && url.origin() == slack.replies_url.origin()).then_some(url)
}

fn missing(field: &str) -> Problem {
    Problem::invalid(vec![Violation { field: field.to_owned(), rule: "must be there".into(), name: "slack-field" }])
}

/// `v1.<approval>.<digest>`, as the card's buttons carry it.
fn value(text: &str) -> Option<(ApprovalId, Digest)> {
    let (approval, digest) = text.strip_prefix("v1.")?.split_once('.')?;
    Some((approval.parse().ok()?, digest_of(digest)?))
}

/// A digest of a plan as people and buttons name it.
pub(crate) fn digest_of(text: &str) -> Option<Digest> {
    let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && text.len() == DIGEST_DIGITS).then(|| Digest(text.to_owned()))
}

#[cfg(test)]
mod tests;
