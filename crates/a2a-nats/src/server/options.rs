//! What a server is told, and its bounds.

use std::time::Duration;

use crate::sign::Signer;
use crate::trust::Trust;
use crate::{Clock, Tracing};

/// What becomes of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cards {
    /// It goes into the bucket `A2A_CARDS`, which must be there, before anything is served. Sign it first (`a2a::card::sign`).
    Publish,
    /// It is only told to who asks the agent.
    Keep,
}

/// How to serve.
#[derive(Clone)]
pub struct ServeOptions {
    /// Whose agent this is; each tenant has subjects of its own.
    pub tenants: Vec<String>,
    /// Its name in subjects.
    pub agent: String,
    /// Names this process among the agent's replicas. By default nobody else has the name.
    pub replica: Option<String>,
    /// What becomes of the card.
    pub cards: Cards,
    /// Signs answers.
    pub signer: Option<Signer>,
    /// Whose signed requests are believed; owners are `<tenant>.<sender>`.
    pub trust: Trust,
    /// Bounds.
    pub limits: Limits,
    /// Tells the time.
    pub clock: Clock,
    /// Trace contexts.
    pub tracing: Tracing,
}

impl ServeOptions {
    /// For one tenant, unsigned, with the usual limits.
    pub fn new(tenant: impl Into<String>, agent: impl Into<String>, clock: Clock) -> Self {
        Self {
            tenants: vec![tenant.into()],
            agent: agent.into(),
            replica: None,
            cards: Cards::Keep,
            signer: None,
            trust: Trust::nobody(),
            limits: Limits::default(),
            clock,
            tracing: Tracing::default(),
        }
    }
}

/// Bounds of one replica.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Operations at once, without streams. Each holds a request's body and a task of the runtime.
    pub operations_max: usize,
    /// Operations of one sender at once: one of them cannot keep the others out.
    pub operations_per_sender_max: usize,
    /// Streams at once, with those whose last frame is not acknowledged.
    pub streams_max: usize,
    /// Streams of one sender at once.
    pub streams_per_sender_max: usize,
    /// When a sender that was refused for one of these may come again.
    pub retry_after: Duration,
    /// Frames of one stream that are not acknowledged, if the client does not want fewer. They are kept, to be sent again.
    pub window_frames_max: usize,
    /// Their bytes; a single frame may have more.
    pub window_bytes_max: usize,
    /// Bytes of one request or answer, in however many pieces.
    pub body_bytes_max: usize,
    /// Bytes of all requests that the service has not yet answered or made a stream of, also of those whose pieces are still coming. Not
    /// less than `body_bytes_max`.
    pub requests_bytes_max: usize,
    /// Those of one sender. Not less than `body_bytes_max`.
    pub requests_bytes_per_sender_max: usize,
    /// How long the next piece of a request may take.
    pub piece_within: Duration,
    /// How long an operation may take if the sender does not say. Longer than a service waits for a task before it answers how that
    /// stands: else the same message would be a task on other bindings and an error here.
    pub deadline_default: Duration,
    /// How long it may take, whatever the sender says.
    pub deadline_max: Duration,
    /// How often streams are heard of, if the client does not say.
    pub heartbeat: Duration,
    /// How long running operations have when the server stops.
    pub drain_within: Duration,
    /// How often the replica says on `a2a.<tenant>.<agent>.alive` that it lives.
    pub alive_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations_max: 256,
            operations_per_sender_max: 64,
            streams_max: 1_024,
            streams_per_sender_max: 128,
            retry_after: Duration::from_secs(1),
            window_frames_max: 32,
            window_bytes_max: 8 << 20,
            body_bytes_max: 32 << 20,
            requests_bytes_max: 256 << 20,
            requests_bytes_per_sender_max: 64 << 20,
            piece_within: Duration::from_secs(10),
            deadline_default: Duration::from_mins(1),
            deadline_max: Duration::from_mins(10),
            heartbeat: Duration::from_secs(5),
            drain_within: Duration::from_secs(10),
            alive_every: Duration::from_secs(10),
        }
    }
}

/// A sender may ask to be told sooner or later, within reason.
pub(crate) const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// So that a stream nobody listens to does not stay for long.
pub(crate) const HEARTBEAT_MAX: Duration = Duration::from_mins(1);
/// So many heartbeats without a sign of the other side, and it is gone.
pub(crate) const SILENT_BEATS_MAX: u32 = 3;
