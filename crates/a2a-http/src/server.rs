//! The server's side: one router that answers JSON-RPC, HTTP+JSON and gRPC for one agent.
//!
//! It finds out who calls and what is asked, keeps the limits, and writes answers. What the operations do is the service's matter.

mod auth;
mod body;
mod card;
mod events;
mod grpc;
mod host;
mod http_json;
mod json;
mod json_rpc;
mod path;
mod refusal;
mod senders;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, A2aService};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use futures::FutureExt as _;
use tracing::{Instrument as _, Span};

pub use auth::{Authenticate, BearerTokens, Open, bearer};
pub use card::{CARD_MAX_AGE, CardOptions, card_route};

use host::Host;
use refusal::Binding;

/// One request's body. Files that are larger go by URL; tonic takes as much by default.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Until a request's body is there. Callers stand in the same data centre, or behind a proxy that buffers.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Memory for requests under way, in KiB: 64 of the largest bodies, or 32,768 blocking sends that wait.
pub const REQUESTS_KIB_MAX: usize = 256 << 10;
/// Until an operation answers that does not wait for the agent's work: the database answers in milliseconds or is down.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// One message of gRPC that goes out. Answers over JSON have no such bound, since the service bounds what a task holds.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Streams open at once. Each holds a connection or a part of one, and a place in the service's queues. Some agents share a listener,
/// which takes [`crate::serve::CONNECTIONS_MAX`] connections: streams leave some of them to others.
pub const STREAMS_MAX: usize = 512;
/// Operations under way of one sender. A send that waits for its task holds a connection meanwhile.
pub const SENDER_OPERATIONS_MAX: usize = 256;
/// Streams open at once of one sender.
pub const SENDER_STREAMS_MAX: usize = 128;
/// Memory for requests under way of one sender, in KiB: a quarter of all.
pub const SENDER_KIB_MAX: usize = REQUESTS_KIB_MAX / 4;
/// Between two signs of life on a silent stream: proxies cut connections that are silent for 30 s or 60 s.
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Limits of one agent's router. The defaults are the constants beside it; others are for tests and for small machines.
#[derive(Debug, Clone)]
pub struct Options {
    /// See [`BODY_BYTES_MAX`].
    pub body_bytes_max: usize,
    /// See [`BODY_WITHIN`].
    pub body_within: Duration,
    /// See [`REQUESTS_KIB_MAX`].
    pub requests_kib_max: usize,
    /// See [`ANSWER_WITHIN`].
    pub answer_within: Duration,
    /// See [`STREAMS_MAX`].
    pub streams_max: usize,
    /// See [`SENDER_OPERATIONS_MAX`].
    pub sender_operations_max: usize,
    /// See [`SENDER_STREAMS_MAX`].
    pub sender_streams_max: usize,
    /// See [`SENDER_KIB_MAX`].
    pub sender_kib_max: usize,
    /// See [`KEEP_ALIVE_EVERY`].
    pub keep_alive_every: Duration,
    /// Makes the span of a request a child of the one that its W3C `traceparent` names. Without it, every request begins a trace.
    pub continue_trace: fn(&Span, Option<&str>),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            body_within: BODY_WITHIN,
            requests_kib_max: REQUESTS_KIB_MAX,
            answer_within: ANSWER_WITHIN,
            streams_max: STREAMS_MAX,
            sender_operations_max: SENDER_OPERATIONS_MAX,
            sender_streams_max: SENDER_STREAMS_MAX,
            sender_kib_max: SENDER_KIB_MAX,
            keep_alive_every: KEEP_ALIVE_EVERY,
            continue_trace: |_, _| {},
        }
    }
}

/// All operations of one agent over JSON-RPC (POST to the prefix), HTTP+JSON and gRPC (below it).
///
/// Below a prefix it is hung in with `nest_service`, which also takes the prefix with a trailing slash; at the root with `merge`. gRPC's
/// paths are fixed, so clients other than ours find it at the root only: there an agent needs a port or a host name of its own.
///
/// The public card is read once, for the extensions that it requires.
pub fn router<S: A2aService, A: Authenticate>(service: Arc<S>, doors: A, options: Options) -> Router {
    let host = Arc::new(Host::new(service, doors, options));
    let answer = move |request: Request| answer(host.clone(), request);
    Router::new().route("/", any(answer.clone())).route("/{*path}", any(answer))
}

/// Answers one request. Whatever goes wrong is told as the request's binding tells errors.
async fn answer<S: A2aService, A: Authenticate>(host: Arc<Host<S, A>>, request: Request) -> Response {
    let binding = Binding::of(&request);
    let span = tracing::info_span!("a2a", binding = binding.as_str(), operation = tracing::field::Empty);
    let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    (host.options.continue_trace)(&span, parent);
    let answering = async {
        match binding {
            Binding::JsonRpc => json_rpc::answer(&host, request).await,
            Binding::HttpJson => http_json::answer(&host, request).await,
            Binding::Grpc => grpc::answer(host, request).await,
        }
    };
    let answered = AssertUnwindSafe(answering).catch_unwind().instrument(span).await;
    answered.unwrap_or_else(|_| {
        // The panic itself was reported where it happened, with its place.
        tracing::error!("a request could not be answered: its handler panicked");
        binding.refuse(&A2aError::internal("something is wrong here; the log says more"))
    })
}
