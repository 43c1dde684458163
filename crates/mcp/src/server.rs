//! The HTTP surface a connector is served on: `/mcp/{connector}`.
//!
//! Owns who may call (bearer token, `Host`, `Origin`), how large and how long a call may be, and
//! the frame around every tool: span, deadline, metrics. It never looks into arguments.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::handler::server::wrapper::Json;
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::wire::{META_BUDGET_MS, META_TRACEPARENT};
use crate::{ToolFault, metrics};

/// A Slack message with 50 blocks of 3,000 characters is 150 KiB; nothing we send is larger.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A token shorter than this can be guessed.
const BEARER_BYTES_MIN: usize = 16;

/// How long a tool may work when its caller names no budget: enough to look for what an earlier
/// attempt left, until it is certain that it left nothing.
const TOOL_TIME_DEFAULT: Duration = Duration::from_secs(20);

/// How long a tool may work at all; a longer wait belongs to the caller's retries.
const TOOL_TIME_MAX: Duration = Duration::from_secs(30);

/// The whole HTTP request, a little longer than the longest tool, so that the tool's own typed
/// answer comes first.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(35);

/// Kept back from the caller's budget for writing the answer and for the way home: a tenth of it,
/// within these. Less, and on a busy machine the caller gives up just before the typed answer.
const ANSWER_MARGIN_MIN: Duration = Duration::from_millis(50);
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(500);

/// Joins a span to the trace named by a W3C `traceparent`; the process that owns telemetry
/// supplies it.
pub type JoinTrace = fn(&tracing::Span, &str);

/// Who may call the connectors of this process, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// The bearer token every caller presents, at least 16 bytes.
    pub token: SecretString,
    /// Allowed `Host` headers; loopback names only unless set, against DNS rebinding.
    #[serde(default = "loopback")]
    pub hosts: Vec<String>,
    /// Allowed `Origin` headers. None unless set: agents send none, and a browser page has no
    /// business here.
    #[serde(default)]
    pub origins: Vec<String>,
}

fn loopback() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec()
}

/// Why a connector could not be put on the wire.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The bearer token is too short to protect anything.
    #[error("connectors' token has fewer than {BEARER_BYTES_MIN} bytes: set a longer random one")]
    WeakToken,
}

/// Puts `connector` on `/mcp/{name}`, for MCP clients of either wire version (2026-07-28 without
/// a handshake, older ones with `initialize`), always without sessions. `stop` ends open streams.
pub fn mount<S>(name: &str, connector: S, surface: &Surface, stop: CancellationToken) -> Result<axum::Router, ServeError>
where
    S: ServerHandler + Send + Sync + 'static,
{
    if surface.token.expose_secret().len() < BEARER_BYTES_MIN {
        return Err(ServeError::WeakToken);
    }
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(surface.hosts.clone())
        .with_allowed_origins(surface.origins.clone())
        .enforce_origin_validation()
        .with_max_request_body_bytes(REQUEST_BYTES_MAX)
        .with_cancellation_token(stop);
    let connector = Arc::new(connector);
    let service =
        StreamableHttpService::new(move || Ok(Arc::clone(&connector)), Arc::new(LocalSessionManager::default()), config);
    let token = surface.token.clone();
    Ok(axum::Router::new()
        .route_service(&format!("/mcp/{name}"), service)
        .layer(axum::middleware::from_fn_with_state(token, guard)))
}

/// Lets a request with the right bearer token through, for a bounded time.
async fn guard(State(token): State<SecretString>, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .map(|(_, token)| token);
    let Some(presented) = presented else {
        return unauthorized("Bearer realm=\"paramedic connectors\"");
    };
    if !bool::from(presented.ct_eq(token.expose_secret().as_bytes())) {
        return unauthorized("Bearer realm=\"paramedic connectors\", error=\"invalid_token\"");
    }
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem(StatusCode::GATEWAY_TIMEOUT, "the tool took longer than it may"),
    }
}

fn unauthorized(challenge: &'static str) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "send the connectors' token as Authorization: Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// An RFC 9457 problem document.
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = HeaderValue::from_static("application/problem+json");
    (status, [(CONTENT_TYPE, kind)], body.to_string()).into_response()
}

/// The frame around every tool call: a span joined to the caller's trace, the time the tool may
/// take, and a count of how it ended.
///
/// `work` gets the instant by which it must have answered; it honours it itself, since only it
/// knows whether an effect is under way.
pub async fn answer<T, F>(
    call: ToolCall<'_>,
    context: &RequestContext<RoleServer>,
    work: impl FnOnce(Instant) -> F,
) -> Result<Json<T>, ToolFault>
where
    F: Future<Output = Result<T, ToolFault>>,
{
    let started = Instant::now();
    let span = tracing::info_span!("mcp.tool", mcp.connector = call.connector, mcp.tool = call.tool, otel.kind = "server",);
    if let (Some(join), Some(parent)) = (call.join_trace, context.meta.get(META_TRACEPARENT).and_then(|value| value.as_str())) {
        join(&span, parent);
    }
    let deadline = started + budget(context.meta.get(META_BUDGET_MS));
    let result = work(deadline).instrument(span.clone()).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(fault) => {
            span.in_scope(|| tracing::warn!(error = %fault, "tool call failed"));
            fault.kind.as_str()
        }
    };
    metrics::count_call(call.connector, call.tool, outcome, started.elapsed());
    result.map(Json)
}

/// Which tool of which connector is called.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    /// The connector's name, as in its path.
    pub connector: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// How to join the caller's trace, where telemetry is on.
    pub join_trace: Option<JoinTrace>,
}

fn budget(asked: Option<&serde_json::Value>) -> Duration {
    let Some(ms) = asked.and_then(serde_json::Value::as_u64) else {
        return TOOL_TIME_DEFAULT;
    };
    let asked = Duration::from_millis(ms);
    let margin = (asked / 10).clamp(ANSWER_MARGIN_MIN, ANSWER_MARGIN_MAX);
    asked.saturating_sub(margin).min(TOOL_TIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::{TOOL_TIME_DEFAULT, TOOL_TIME_MAX, budget};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_callers_budget_is_honoured_within_our_own() {
        for (asked, allowed) in [
            (None, TOOL_TIME_DEFAULT),
            (Some(json!(1000)), Duration::from_millis(900)),
            (Some(json!(20_000)), Duration::from_millis(19_500)),
            (Some(json!(10)), Duration::ZERO),
            (Some(json!(u64::MAX)), TOOL_TIME_MAX),
            (Some(json!("soon")), TOOL_TIME_DEFAULT),
            (Some(json!(-4)), TOOL_TIME_DEFAULT),
        ] {
            assert_eq!(budget(asked.as_ref()), allowed, "{asked:?}");
        }
    }
}
