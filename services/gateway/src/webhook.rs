//! `POST /v1/alertmanager/{tenant}`: accepted means kept (P1). A 2xx is given only after the bus has stored what was sent; whatever
//! else happens is answered so that Alertmanager sends it again, or says what is wrong with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use bus::subject::{Subject, shard_of};
use bus::{IntakeError, Publication};
use runtime::{clock, telemetry};
use serde::Serialize;
use tracing::Instrument as _;

use crate::edge::{AGAIN_AFTER_S, Edge, refuse};
use crate::problem::{Kind, Problem};
use crate::tenants::Tenant;
use crate::{alertmanager, body, count};

/// What one call may have: thousands of long alerts.
pub(crate) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Calls under way: some batches of the bus, and far more than Alertmanagers have groups due at one moment.
pub(crate) const CALLS_MAX: usize = 1_024;
/// KiB of bodies under way: what memory they may take, times about three while they are read and written.
pub(crate) const BODIES_KIB_MAX: usize = 32 * 1024;

const TRACEPARENT: &str = "traceparent";
/// `00-<32 hex>-<16 hex>-<2 hex>`: <https://www.w3.org/TR/trace-context/#traceparent-header>.
const TRACEPARENT_PARTS: [usize; 4] = [2, 32, 16, 2];

/// What was accepted.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    /// Alerts.
    accepted: usize,
    /// Messages that they became, one for each correlation key.
    messages: usize,
}

pub(crate) async fn receive(
    State(edge): State<Arc<Edge>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<Json<Accepted>, Problem> {
    let refuse = |problem| refuse("alertmanager", problem);
    let known = edge.parts.tenants.webhook(&tenant, request.headers());
    let Some(tenant) = known else { return Err(refuse(Problem::unauthorized())) };
    let incoming = traceparent(request.headers());
    // For traces alone, which ask for it: in logs it would only say again what the line says, at a cost for every call.
    let span = tracing::debug_span!("webhook", tenant = %tenant.id);
    telemetry::continue_trace(&span, incoming.as_deref());
    let trace = telemetry::traceparent(&span).or(incoming);
    let taken = take(&edge, tenant, request, trace).instrument(span.clone()).await;
    taken.map(Json).map_err(|problem| {
        span.in_scope(|| tracing::warn!(tenant = %tenant.id, why = problem.detail(), "a webhook was not accepted"));
        refuse(problem)
    })
}

async fn take(edge: &Edge, tenant: &Tenant, request: Request, trace: Option<String>) -> Result<Accepted, Problem> {
    body::check_type(request.headers(), "application/json")?;
    let _room = edge.webhooks.take(request.body(), BODY_BYTES_MAX)?;
    let body = whole(request.into_body(), body::READ_MAX).await?;
    let written = alertmanager::read(tenant.sorting(), &body, clock::now())?;
    drop(body);
    let alerts: usize = written.iter().map(|written| written.notification.alerts.len()).sum();
    let publications: Vec<Publication> = written.into_iter().map(|written| publication(written, trace.clone())).collect();
    let messages = publications.len();
    submit(edge, publications).await?;
    count::ALERTS.with_label_values(&[tenant.id.as_str()]).inc_by(u64::try_from(alerts).unwrap_or_default());
    Ok(Accepted { accepted: alerts, messages })
}

/// The whole body. Alertmanager sends again what was answered 5xx and nothing else, so a body that was too slow is answered so: the
/// network may be quicker next time.
async fn whole(body: Body, within: Duration) -> Result<Bytes, Problem> {
    let come_again = |problem: Problem| {
        let was_slow = problem.is(Kind::TooSlow);
        if was_slow { Problem::new(Kind::Busy, problem.detail().to_owned()).retry_after(AGAIN_AFTER_S) } else { problem }
    };
    body::read_within(body, BODY_BYTES_MAX, within).await.map_err(come_again)
}

fn publication(written: alertmanager::Written, trace: Option<String>) -> Publication {
    let notification = &written.notification;
    let subject = Subject::Alerts { tenant: notification.tenant.clone(), shard: shard_of(&notification.key.0) };
    Publication { subject: subject.to_string(), id: notification.message_id(), trace, headers: vec![], body: written.body.into() }
}

async fn submit(edge: &Edge, publications: Vec<Publication>) -> Result<(), Problem> {
    let began = Instant::now();
    let result = edge.parts.intake.submit(publications).await;
    let label = if result.is_ok() { "done" } else { "refused" };
    count::INTAKE_SECONDS.with_label_values(&[label]).observe(began.elapsed().as_secs_f64());
    result.map_err(not_taken)
}

/// The bus did not take what was published.
pub(crate) fn not_taken(error: IntakeError) -> Problem {
    match error {
        IntakeError::Unfit { reason } => Problem::new(Kind::Invalid, format!("the bus can never take this: {reason}")),
        // Part of it may be stored all the same; sent again it has the same ids.
        error @ (IntakeError::Full { .. } | IntakeError::Unavailable { .. }) => {
            Problem::new(Kind::Unavailable, error.to_string()).retry_after(AGAIN_AFTER_S)
        }
    }
}

/// The caller's trace, if it is one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').collect();
    let fits = parts.iter().map(|part| part.len()).eq(TRACEPARENT_PARTS) && parts.iter().all(|part| is_hex(part));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::HeaderValue;
    use axum::response::IntoResponse as _;
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_slow_body_may_come_again_and_a_large_one_may_not() {
        let slow = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
        let large = Body::from(vec![b'x'; BODY_BYTES_MAX + 1]);
        for (body, status, again) in [(slow, 503, true), (large, 413, false)] {
            let answered = whole(body, Duration::from_millis(200)).await.unwrap_err().into_response();
            assert_eq!((answered.status().as_u16(), answered.headers().contains_key("retry-after")), (status, again));
        }
    }

    #[test]
    fn only_a_whole_traceparent_is_taken_over() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let taken = |text: &str| {
            traceparent(&HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), HeaderValue::from_str(text).unwrap())]))
        };
        assert_eq!(taken(good).as_deref(), Some(good));
        for bad in ["", "00", &good.to_uppercase(), &format!("{good}-more"), &good.replace("4bf9", "zzzz")] {
            assert_eq!(taken(bad), None, "{bad}");
        }
    }
}
