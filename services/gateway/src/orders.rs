//! `POST /v1/incidents/{id}/orders`: what a person wants of an incident, with the person's own token. The bus has it before it is answered;
//! what monitoring makes of it is read from the record, for a moment: usually it is there.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use bus::Publication;
use bus::subject::Subject;
use incident::fact::What;
use incident::id::{IncidentId, OrderId};
use incident::order::{Order, Want};
use runtime::{clock, telemetry};
use serde::Serialize;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::edge::{ANSWER_WITHIN, Edge, refuse, store_failed};
use crate::problem::{Kind, Problem, Violation};
use crate::tenants::Caller;
use crate::{body, incidents, json, webhook};

/// An order names at most 100 alerts, or says some sentences.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Between two looks for what came of it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Who sends the same key again means the same order, and is told what came of it
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Room for any client's random name.
const KEY_LENGTH_MAX: usize = 255;

/// What came of an order that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Done,
    /// It is on the bus, and will be done or refused; the incident's record will say which.
    Accepted,
}

/// An order that was not refused.
#[derive(Debug, Serialize)]
pub(crate) struct Given {
    order: OrderId,
    incident: IncidentId,
    state: Stage,
}

pub(crate) async fn give(
    State(edge): State<Arc<Edge>>,
    Path(incident): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Given>), Problem> {
    let caller = edge.caller(request.headers())?;
    let given = read_and_give(&edge, caller, &incident, request).await.map_err(|problem| refuse("api", problem))?;
    let status = if given.state == Stage::Done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(given)))
}

async fn read_and_give(edge: &Edge, caller: Caller<'_>, incident: &str, request: Request) -> Result<Given, Problem> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let (head, body) = request.into_parts();
    body::check_type(&head.headers, "application/json")?;
    let key = key(&head.headers)?;
    let want: Want = json::read(&body::read(body, BODY_BYTES_MAX).await?)?;
    check(caller, &want)?;
    let incident = incidents::find(edge, caller.tenant, incident).await?.incident;
    let (tenant, by) = (caller.tenant.id.clone(), caller.person.id.clone());
    let id = OrderId::derive(&[tenant.as_str(), by.as_str(), incident.as_str(), &key]);
    let order = Order { id, tenant, incident, by, want };
    let span = tracing::info_span!("order", tenant = %order.tenant, incident.id = %order.incident, order = %order.id, person = %order.by);
    publish(edge, &order, telemetry::traceparent(&span)).instrument(span.clone()).await?;
    answered(edge, order, deadline).instrument(span).await
}

/// The caller's name for the order; without one each call is another order.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        let random = clock::random_hex::<16>();
        return random.map_err(|_| Problem::new(Kind::Internal, "the operating system gives no random bytes"));
    };
    let fits = |key: &&str| (1..=KEY_LENGTH_MAX).contains(&key.len());
    let rule = || broken("Idempotency-Key", "must be 1 to 255 visible ASCII characters");
    key.to_str().ok().filter(fits).map(str::to_owned).ok_or_else(rule)
}

fn check(caller: Caller<'_>, want: &Want) -> Result<(), Problem> {
    want.check().map_err(|error| broken(format!("/{}", error.field), error.rule))?;
    match want {
        Want::Own { owner: Some(owner) } if !caller.tenant.knows(owner) => {
            Err(broken("/owner", "must be the id of one of the tenant's people"))
        }
        _ => Ok(()),
    }
}

fn broken(field: impl Into<String>, rule: &'static str) -> Problem {
    Problem::invalid(vec![Violation { field: field.into(), rule: rule.into(), name: "order" }])
}

async fn publish(edge: &Edge, order: &Order, trace: Option<String>) -> Result<(), Problem> {
    let body = serde_json::to_vec(order).map_err(|_| Problem::new(Kind::Internal, "the order cannot be written"))?;
    let subject = Subject::Orders { tenant: order.tenant.clone() }.to_string();
    let publication = Publication { subject, id: order.id.to_string(), trace, headers: vec![], body: body.into() };
    edge.parts.intake.submit(vec![publication]).await.map_err(webhook::not_taken)
}

/// What came of it, as the record has it by the deadline.
async fn answered(edge: &Edge, order: Order, deadline: Instant) -> Result<Given, Problem> {
    let Order { id, tenant, incident, by, want } = order;
    let given = |state| Given { order: id.clone(), incident: incident.clone(), state };
    while Instant::now() < deadline {
        let found = edge.parts.store.answer_to_order(&tenant, &incident, &id).await.map_err(|error| store_failed(&error))?;
        match found.map(|fact| fact.what) {
            Some(What::Ordered { what, .. } | What::OrderRefused { what, .. }) if what != want => {
                return Err(broken("Idempotency-Key", "was used for another order; a new order needs a new key"));
            }
            Some(What::Ordered { .. }) => {
                tracing::info!(person = %by, "an order is carried out");
                return Ok(given(Stage::Done));
            }
            Some(What::OrderRefused { why, .. }) => {
                tracing::info!(person = %by, why, "an order is refused");
                return Err(Problem::new(Kind::Conflict, why));
            }
            Some(_) | None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    tracing::warn!(person = %by, "an order is on the bus, and nothing came of it yet");
    Ok(given(Stage::Accepted))
}
