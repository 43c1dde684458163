//! `/v1/approvals`: what waits for people, and their answers by command and API. Each answer comes with the person's own token; the
//! tenant is the token's.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use incident::agent::{Locator, PersonsAnswer};
use incident::agents::ballot::Ballot;
use incident::approval::{Answer, ApprovalRequest, Channel, Refusal};
use incident::handling::{Loaded, Stored};
use incident::id::{ApprovalId, IncidentId, PersonId, TenantId};
use incident::plan::{Digest, Plan};
use runtime::clock;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::edge::{ANSWER_WITHIN, Edge, refuse, store_failed};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem, Violation};
use crate::slack::digest_of;
use crate::tenants::{Caller, Tenant};
use crate::{body, json};

/// A decision with a reason.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A reason is a sentence or two: it stands on cards and in tickets.
const REASON_CHARS_MAX: usize = 1_000;
/// The reason of those who give none.
const NO_REASON: &str = "no reason given";
/// The command says with this header that it is the one who asks.
const CHANNEL: &str = "paramedic-channel";

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Approve,
    Reject,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    decision: Word,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// An answer that counts.
#[derive(Debug, Serialize)]
pub(crate) struct Counted {
    approval: ApprovalId,
    decision: Word,
    recorded: bool,
}

/// A request in a listing.
#[derive(Debug, Serialize)]
pub(crate) struct Waiting {
    approval: ApprovalId,
    incident: IncidentId,
    headline: String,
    risk: String,
    digest: Digest,
    /// How many different people must say yes.
    quorum: u8,
    /// Of these groups.
    groups: BTreeSet<String>,
    /// Who may answer, as the directory is now.
    may_answer: Vec<PersonId>,
    /// Who has said yes.
    agreed: BTreeSet<PersonId>,
    proposed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// A request, with all that would be done.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    #[serde(flatten)]
    waiting: Waiting,
    diff: Vec<String>,
    plan: Plan,
}

pub(crate) async fn decide(
    State(edge): State<Arc<Edge>>,
    Path(approval): Path<String>,
    request: Request,
) -> Result<Json<Counted>, Problem> {
    let (head, body) = request.into_parts();
    let caller = edge.caller(&head.headers)?;
    let decided = read_and_submit(&edge, caller, &approval, &head.headers, body).await;
    decided.map(Json).map_err(|problem| refuse("api", problem))
}

async fn read_and_submit(
    edge: &Edge,
    caller: Caller<'_>,
    approval: &str,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<Counted, Problem> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    body::check_type(headers, "application/json")?;
    let approval: ApprovalId = approval.parse().map_err(|_| nothing_waits())?;
    let body = body::read(body, BODY_BYTES_MAX).await?;
    let Given { decision, reason, digest } = json::read(&body)?;
    let answer = PersonsAnswer {
        approval: approval.clone(),
        digest: digest.as_deref().map(seen).transpose()?,
        person: caller.person.id.clone(),
        channel: channel(headers)?,
        client: None,
        answer: given(decision, reason)?,
    };
    // A fresh name each time: an answer that was refused may count later, when the person is in the group.
    let random =
        clock::random_hex::<16>().map_err(|_| Problem::new(Kind::Internal, "the operating system gives no random bytes"))?;
    match edge.submit(&caller.tenant.id, format!("api-{random}"), answer, deadline).await? {
        Ok(()) => Ok(Counted { approval, decision, recorded: true }),
        Err(refusal) => Err(refused(refusal)),
    }
}

fn invalid(field: &str, rule: impl Into<std::borrow::Cow<'static, str>>, name: &'static str) -> Problem {
    Problem::invalid(vec![Violation { field: field.to_owned(), rule: rule.into(), name }])
}

fn seen(digest: &str) -> Result<Digest, Problem> {
    digest_of(digest)
        .ok_or_else(|| invalid("/digest", "must be 64 lower-case hexadecimal digits, as the approval shows them", "digest"))
}

fn channel(headers: &HeaderMap) -> Result<Channel, Problem> {
    match headers.get(CHANNEL).map(|value| value.to_str()) {
        None | Some(Ok("api")) => Ok(Channel::Api),
        Some(Ok("cli")) => Ok(Channel::Cli),
        Some(_) => Err(invalid("Paramedic-Channel", "must be cli or api", "channel")),
    }
}

pub(crate) fn given(decision: Word, reason: Option<String>) -> Result<Answer, Problem> {
    let reason = reason.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if reason.as_ref().is_some_and(|text| text.chars().count() > REASON_CHARS_MAX) {
        return Err(invalid("/reason", format!("must have at most {REASON_CHARS_MAX} characters"), "reason-length"));
    }
    Ok(match decision {
        Word::Approve => Answer::Approve,
        Word::Reject => Answer::Reject { reason: reason.unwrap_or_else(|| NO_REASON.to_owned()) },
    })
}

/// Answered, replaced by a newer plan, taken back, another tenant's, or never there: all the same to who asks.
fn nothing_waits() -> Problem {
    Problem::new(Kind::NotFound, "no such approval waits for an answer; GET /v1/approvals lists those that do")
}

fn refused(refusal: Refusal) -> Problem {
    let kind = match refusal {
        Refusal::NotPending => return nothing_waits(),
        Refusal::NotAuthorised => Kind::Forbidden,
        Refusal::Expired => Kind::Gone,
        Refusal::BadSignature
        | Refusal::OtherRequest
        | Refusal::OtherPlan
        | Refusal::AnsweredAlready
        | Refusal::QuorumMissing
        | Refusal::PolicyChanged
        | Refusal::OtherTemplates => Kind::Conflict,
    };
    Problem::new(kind, refusal.to_string())
}

pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Path(approval): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Detail>, Problem> {
    let caller = edge.caller(&headers)?;
    let approval: ApprovalId = approval.parse().map_err(|_| nothing_waits())?;
    let (request, agreed) = open(&edge, &caller.tenant.id, &approval).await?.ok_or_else(nothing_waits)?;
    let waiting = waiting(caller.tenant, &request, agreed);
    let plan = request.plan;
    Ok(Json(Detail { waiting, diff: plan.diff.clone(), plan }))
}

/// One page of what waits, from the gateway's own memory: exact at this moment.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<Waiting>>, Problem> {
    let caller = edge.caller(&headers)?;
    let asked = page::read(query.as_deref(), &["limit", "cursor"]).map_err(|problem| refuse("api", problem))?;
    let after = asked.cursor(|text| Some(text.to_owned())).map_err(|problem| refuse("api", problem))?.unwrap_or_default();
    let open = edge.parts.store.open_entities::<Ballot>(&caller.tenant.id, &after, asked.limit).await;
    let open = open.map_err(|error| store_failed(&error))?;
    let is_full = open.len() >= usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let next = open.last().filter(|_| is_full).map(|stored| stored.entity.id.clone());
    let items = open.into_iter().filter_map(|stored| match stored.entity.state {
        Ballot::Open { request, agreed } => Some(waiting(caller.tenant, &request, agreed)),
        Ballot::Closed { .. } => None,
    });
    Ok(Json(Page { items: items.collect(), next }))
}

/// The request, and who has said yes, if it still waits.
pub(crate) async fn open(
    edge: &Edge,
    tenant: &TenantId,
    approval: &ApprovalId,
) -> Result<Option<(ApprovalRequest, BTreeSet<PersonId>)>, Problem> {
    let locator = Locator::Open(approval.to_string());
    let loaded = edge.parts.store.load::<Ballot, ()>(tenant, &locator, &[]).await;
    let Loaded { stored, .. } = loaded.map_err(|error| store_failed(&error))?;
    match stored.map(|Stored { entity, .. }| entity.state) {
        Some(Ballot::Open { request, agreed }) => Ok(Some((*request, agreed))),
        Some(Ballot::Closed { .. }) | None => Ok(None),
    }
}

fn waiting(tenant: &Tenant, request: &ApprovalRequest, agreed: BTreeSet<PersonId>) -> Waiting {
    let may = |person: &&crate::config::Person| !person.groups.is_disjoint(&request.needs.groups);
    Waiting {
        approval: request.approval.clone(),
        incident: request.plan.incident.clone(),
        headline: request.plan.headline(),
        risk: request.plan.risk.clone(),
        digest: request.digest.clone(),
        quorum: request.needs.quorum,
        groups: request.needs.groups.clone(),
        may_answer: tenant.people.iter().filter(may).map(|person| person.id.clone()).collect(),
        agreed,
        proposed_at: request.plan.proposed_at,
        expires_at: request.plan.expires_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        let name = |refusal| refused(refusal).names()[0];
        assert_eq!(name(Refusal::NotPending), "not-found");
        assert_eq!(name(Refusal::NotAuthorised), "forbidden");
        assert_eq!(name(Refusal::Expired), "gone");
        assert_eq!(name(Refusal::OtherPlan), "conflict");
        assert_eq!(name(Refusal::AnsweredAlready), "conflict");
    }

    #[test]
    fn decisions_are_read_strictly() {
        let read = |text: &str| json::read::<Given>(text.as_bytes());
        assert!(read(r#"{"decision": "approve"}"#).is_ok());
        assert!(read(r#"{"decision": "reject", "reason": "no", "digest": null}"#).is_ok());
        for bad in [r#"{"decision": "maybe"}"#, r#"{"decision": "approve", "force": true}"#, "{}", r#"{"decision": 1}"#] {
            assert_eq!(read(bad).unwrap_err().names(), ["type"], "{bad}");
        }
        assert_eq!(given(Word::Reject, Some("  ".to_owned())).unwrap(), Answer::Reject { reason: NO_REASON.to_owned() });
        assert_eq!(given(Word::Reject, Some("x".repeat(1_001))).unwrap_err().names(), ["reason-length"]);
        assert_eq!(seen("0123").unwrap_err().names(), ["digest"]);
    }
}
