//! From what an agent says to what the outbox keeps: subject, headers, body, and the id that makes sending it twice harmless.

use a2a::nats::Method;
use bus::subject::{Subject, shard_of};
use bus::{Bus, PublishError};
use incident::agent::Outgoing;
use incident::approval::ApprovalRequest;
use incident::fact::Fact;
use serde::Serialize;
use store::{Publication, StoreError};

use crate::wire;

/// A message that could not be said.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// It cannot be written.
    #[error("writing the message")]
    Write(#[source] StoreError),
    /// The bus did not take it; say it again.
    #[error("saying it on the bus")]
    Publish(#[source] PublishError),
}

/// Says a message at once, for callers that remember by themselves what they owe. Saying it twice is saying it once.
///
/// # Errors
/// If it is not on the stream, as far as is known.
pub async fn say(bus: &Bus, outgoing: &Outgoing, trace: Option<&str>) -> Result<(), SayError> {
    let Publication { id, subject, headers, body } = message(outgoing, trace).map_err(SayError::Write)?;
    let publication = bus::Publication { subject, id, trace: trace.map(str::to_owned), headers, body: body.into() };
    let mut said = bus.publish_all(&[publication]).await;
    said.pop().unwrap_or(Ok(())).map_err(SayError::Publish)
}

/// A message of an agent. `trace` is that of the commit which sends it.
pub(crate) fn message(message: &Outgoing, trace: Option<&str>) -> Result<Publication, StoreError> {
    match message {
        Outgoing::Request(request) => {
            let subject = Subject::Request { tenant: request.tenant.clone(), agent: request.to };
            let body = json("request", &wire::request_to_a2a(request).map_err(|error| unstorable("request", &error))?)?;
            Ok(publication(format!("request/{}", request.message_id), &subject, wire::a2a_headers(Method::SendMessage), body))
        }
        Outgoing::Cancel(cancel) => {
            let subject = Subject::Request { tenant: cancel.tenant.clone(), agent: cancel.to };
            let body = json("cancellation", &wire::cancel_to_a2a(cancel))?;
            Ok(publication(format!("cancel/{}", cancel.message_id), &subject, wire::a2a_headers(Method::CancelTask), body))
        }
        Outgoing::Event(event) => {
            let subject = Subject::Event { tenant: event.tenant.clone(), caller: event.to };
            let body = json("event", &wire::event_to_a2a(event).map_err(|error| unstorable("event", &error))?)?;
            let id = format!("event/{}.{}", event.task, event.number);
            Ok(publication(id, &subject, wire::a2a_headers(Method::SendMessage), body))
        }
        Outgoing::ApprovalRequested(request) => {
            let subject = Subject::ApprovalRequested { tenant: request.plan.tenant.clone(), approval: request.approval.clone() };
            let request = ApprovalRequest { trace: trace.map(str::to_owned), ..(**request).clone() };
            Ok(publication(format!("requested/{}", request.approval), &subject, vec![], json("approval request", &request)?))
        }
        Outgoing::ApprovalClosed(closed) => {
            let subject = Subject::ApprovalClosed { tenant: closed.tenant.clone(), approval: closed.approval.clone() };
            Ok(publication(format!("closed/{}", closed.approval), &subject, vec![], json("closed approval", closed)?))
        }
        Outgoing::Voted(signed) => {
            let vote = &signed.vote;
            let subject = Subject::ApprovalDecided { tenant: vote.tenant.clone(), approval: vote.approval.clone() };
            Ok(publication(format!("decided/{}/{}", vote.approval, vote.person), &subject, vec![], json("vote", signed)?))
        }
        Outgoing::Related(related) => {
            let subject = Subject::Related { tenant: related.tenant.clone() };
            Ok(publication(format!("related/{}", related.message_id), &subject, vec![], json("relation", related)?))
        }
        Outgoing::Silences { tenant, silences } => {
            let subject = Subject::Silences { tenant: tenant.clone() };
            Ok(publication(format!("silences/{}", silences.number), &subject, vec![], json("silences", silences)?))
        }
        Outgoing::Alerts(notification) => {
            let shard = shard_of(&notification.key.0);
            let subject = Subject::Alerts { tenant: notification.tenant.clone(), shard };
            Ok(publication(notification.message_id(), &subject, vec![], json("notification", notification)?))
        }
    }
}

/// A fact, with the attributes of a CloudEvent (spec 1.0.2, NATS binding) in its headers.
pub(crate) fn fact(fact: &Fact) -> Result<Publication, StoreError> {
    let subject =
        Subject::Fact { tenant: fact.tenant.clone(), incident: fact.incident.clone(), kind: fact.what.kind().to_owned() };
    let header = |name: &str, value: String| (format!("ce-{name}"), value);
    let headers = vec![
        header("specversion", "1.0".to_owned()),
        header("id", fact.id.clone()),
        header("source", format!("/paramedic/{}", fact.by)),
        header("type", format!("paramedic.{}.v1", fact.what.kind())),
        header("subject", fact.incident.to_string()),
        header("time", fact.at.to_rfc3339()),
    ];
    Ok(publication(fact.id.clone(), &subject, headers, json("fact", fact)?))
}

fn publication(id: String, subject: &Subject, headers: Vec<(String, String)>, body: Vec<u8>) -> Publication {
    Publication { id, subject: subject.to_string(), headers, body }
}

fn json(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| unstorable(what, &error))
}

fn unstorable(what: &'static str, error: &serde_json::Error) -> StoreError {
    StoreError::Unstorable { what, reason: error.to_string() }
}
