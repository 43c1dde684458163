//! What every handler of the edge has at hand, and how failures of its parts are told.

use std::time::Duration;

use bus::Intake;
use incident::agent::{Content, Locator, PersonsAnswer};
use incident::agents::ballot::Ballot;
use incident::agents::gateway::Gateway;
use incident::approval::Refusal;
use incident::handling::Answer;
use incident::id::{ApprovalId, TenantId};
use runtime::{Handle, SubmitError};
use store::{Store, StoreError};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::agents::Agents;
use crate::body::Room;
use crate::problem::{Kind, Problem};
use crate::replies::Replies;
use crate::tenants::{Caller, Tenants};
use crate::{count, interactions, webhook};

/// When a part that does not answer may do so again.
pub(crate) const AGAIN_AFTER_S: u32 = 5;

/// From a person's call to its answer, whatever happens on the way: Slack shows an error after 3 s.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// How far a card may be ahead of its ballot.
const BALLOT_WITHIN: Duration = Duration::from_millis(1_500);
/// What is kept of the time for judging the answer after that.
const JUDGING_AT_LEAST: Duration = Duration::from_millis(750);
/// Between two looks for it.
const BALLOT_EVERY: Duration = Duration::from_millis(50);

/// The parts that the edge stands on.
pub struct Parts {
    /// Who may call.
    pub tenants: Tenants,
    /// The way to the bus.
    pub intake: Intake,
    /// Where people's answers are judged and recorded.
    pub ballots: Handle<Gateway>,
    /// The gateway's memory, and its view of the ledger.
    pub store: Store,
    /// The way back to people who clicked.
    pub replies: Replies,
    /// Our agents, for A2A clients.
    pub agents: Agents,
}

/// The parts, and how much of them is in use.
pub(crate) struct Edge {
    pub(crate) parts: Parts,
    pub(crate) webhooks: Room,
    pub(crate) clicks: Room,
}

impl Edge {
    pub(crate) fn new(parts: Parts) -> Self {
        let webhooks = Room::new(webhook::CALLS_MAX, webhook::BODIES_KIB_MAX);
        let clicks = Room::new(interactions::CALLS_MAX, interactions::BODIES_KIB_MAX);
        Self { parts, webhooks, clicks }
    }

    /// The person who calls, by their token.
    pub(crate) fn caller(&self, headers: &axum::http::HeaderMap) -> Result<Caller<'_>, Problem> {
        self.parts.tenants.caller(headers).ok_or_else(|| refuse("api", Problem::unauthorized()))
    }

    /// Has a person's answer judged, and recorded either way.
    ///
    /// Card and ballot come over different ways, and the card may be the faster one: an answer to a request that is not known yet
    /// waits a moment for it.
    pub(crate) async fn submit(
        &self,
        tenant: &TenantId,
        message_id: String,
        answer: PersonsAnswer,
        deadline: Instant,
    ) -> Result<Result<(), Refusal>, Problem> {
        let (approval, person) = (answer.approval.clone(), answer.person.to_string());
        let mut judged = self.judge(tenant, message_id.clone(), answer.clone(), deadline).await?;
        if matches!(judged, Err(Refusal::NotPending)) && self.opens_soon(tenant, &approval, deadline).await {
            // The first copy was handled, so this one needs a name of its own; copies of the call come to the first again.
            judged = self.judge(tenant, format!("{message_id}-again"), answer, deadline).await?;
        }
        match judged {
            Ok(why) => {
                tracing::info!(tenant = %tenant, %approval, person, why, "a person's answer was recorded");
                Ok(Ok(()))
            }
            Err(refusal) => {
                tracing::warn!(tenant = %tenant, %approval, person, why = %refusal, "a person's answer does not count");
                Ok(Err(refusal))
            }
        }
    }

    async fn judge(
        &self,
        tenant: &TenantId,
        message_id: String,
        answer: PersonsAnswer,
        deadline: Instant,
    ) -> Result<Result<String, Refusal>, Problem> {
        let span = tracing::info_span!("answer", tenant = %tenant, approval = %answer.approval, person = %answer.person);
        let content = Content::Answered(answer);
        let answered = self.parts.ballots.submit(tenant.clone(), message_id, content, deadline).instrument(span).await;
        match answered {
            Ok(Answer::Done { refused: None, why }) => Ok(Ok(why)),
            Ok(Answer::Done { refused: Some(refusal), .. }) => Ok(Err(refusal)),
            Err(SubmitError::Unavailable) => Err(unavailable("it could not be recorded; send it again")),
            // What was tried may yet have come to the disk, or may still.
            Ok(Answer::Retry) | Err(SubmitError::Unknown) => {
                Err(unavailable("it is not known whether it was recorded; look with `paramedic approvals`"))
            }
            Err(SubmitError::Misdirected) => Err(Problem::new(Kind::Internal, "the gateway does not take answers")),
        }
    }

    /// Whether a request that nothing is known of turns up.
    async fn opens_soon(&self, tenant: &TenantId, approval: &ApprovalId, deadline: Instant) -> bool {
        let locator = Locator::Open(approval.to_string());
        let now = Instant::now();
        let deadline = (now + BALLOT_WITHIN).min(deadline.checked_sub(JUDGING_AT_LEAST).unwrap_or(now));
        while Instant::now() < deadline {
            tokio::time::sleep(BALLOT_EVERY).await;
            let loaded = self.parts.store.load::<Ballot, ()>(tenant, &locator, &[]).await;
            if loaded.is_ok_and(|loaded| loaded.stored.is_some()) {
                return true;
            }
        }
        false
    }
}

/// A part does not answer.
pub(crate) fn unavailable(detail: &'static str) -> Problem {
    Problem::new(Kind::Unavailable, detail).retry_after(AGAIN_AFTER_S)
}

/// Counts what a caller did wrong, and passes it on.
pub(crate) fn refuse(surface: &'static str, problem: Problem) -> Problem {
    for name in problem.names() {
        count::REFUSED.with_label_values(&[surface, name]).inc();
    }
    problem
}

/// The store failed, which is logged here.
pub(crate) fn store_failed(error: &StoreError) -> Problem {
    if error.is_transient() {
        tracing::warn!(error = error as &dyn std::error::Error, "the store does not answer");
        return unavailable("the database does not answer; ask again");
    }
    tracing::error!(error = error as &dyn std::error::Error, "the store holds what cannot be read");
    Problem::new(Kind::Internal, "what is stored cannot be read; the log says more")
}
