//! `POST /v1/slack/{tenant}/interactions`: buttons. Recorded first, acknowledged then, within Slack's 3 s; what it sets off happens
//! later and elsewhere. Nothing here touches the message: who pressed in vain is told in private.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use runtime::clock;
use tokio::time::Instant;

use crate::body;
use crate::config::SlackEdge;
use crate::edge::{ANSWER_WITHIN, Edge, refuse};
use crate::problem::{Kind, Problem};
use crate::slack::{self, Click, Interaction, signature};
use crate::tenants::Tenant;

/// A payload repeats the message (up to 50 blocks) or a view (250 kB), percent-encoded.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Slack sends a body at once; whoever sends it slower than this must not hold a place for long.
const BODY_WITHIN: Duration = Duration::from_millis(1_500);
/// Calls under way: far more than people click at one moment.
pub(crate) const CALLS_MAX: usize = 256;
/// KiB of bodies under way: they are held before it is known who sent them.
pub(crate) const BODIES_KIB_MAX: usize = 32 * 1024;

pub(crate) async fn receive(
    State(edge): State<Arc<Edge>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let refuse = |problem| refuse("slack", problem);
    let (head, body) = request.into_parts();
    // Anybody may post here. What is wrong without its body is refused without reading that.
    let claim = signature::claim(&head.headers, clock::now()).map_err(unsigned)?;
    body::check_type(&head.headers, "application/x-www-form-urlencoded").map_err(refuse)?;
    let _room = edge.clicks.take(&body, BODY_BYTES_MAX).map_err(refuse)?;
    let body = body::read_within(body, BODY_BYTES_MAX, BODY_WITHIN).await.map_err(refuse)?;
    let tenant = edge.parts.tenants.named(&tenant);
    let slack = tenant.and_then(|tenant| Some((tenant, tenant.slack.as_ref()?)));
    // Where there is no tenant, or none with Slack, the same work is done for the same answer.
    let secret = slack.map_or("", |(_, slack)| slack.signing_secret.reveal());
    let genuine = claim.verify(secret, &body);
    let Some((tenant, slack)) = slack else { return Err(unauthorized("slack-unknown")) };
    genuine.map_err(unsigned)?;
    answer(&edge, tenant, slack, &body, deadline).await.map_err(|problem| {
        tracing::warn!(tenant = %tenant.id, why = problem.detail(), "an interaction was not accepted");
        refuse(problem)
    })
}

fn unsigned(why: signature::Unsigned) -> Problem {
    unauthorized(why.name())
}

fn unauthorized(rule: &'static str) -> Problem {
    crate::count::REFUSED.with_label_values(&["slack", rule]).inc();
    Problem::new(Kind::Unauthorized, "not signed by the Slack app of a tenant, or not just now")
}

/// The acknowledgement is empty: Slack shows nobody what it says.
async fn answer(edge: &Edge, tenant: &Tenant, slack: &SlackEdge, body: &[u8], deadline: Instant) -> Result<StatusCode, Problem> {
    let Click { interaction, reply_to } = slack::read(tenant, slack, body)?;
    let tell = |text: String| edge.parts.replies.send(&tenant.id, reply_to.as_ref(), text);
    match interaction {
        Interaction::Ignore { kind } => {
            tracing::info!(tenant = %tenant.id, kind, "an interaction of no button of ours: nothing done");
        }
        Interaction::Tell(text) => {
            tracing::warn!(tenant = %tenant.id, why = text, "a click that cannot count");
            tell(text.to_owned());
        }
        Interaction::Answer { message_id, answer } => match edge.submit(&tenant.id, message_id, answer, deadline).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => tell(format!("Your answer does not count: {refusal}.")),
            Err(problem) => {
                // Slack shows that something went wrong, and this says what.
                tell(format!("Your answer: {}.", problem.detail()));
                return Err(problem);
            }
        },
    }
    Ok(StatusCode::OK)
}
