//! A2A 1.0 over NATS: server and client of the binding `https://paramedic.dev/a2a/bindings/nats/v1`, which `schemas/a2a-nats.md`
//! specifies.
//!
//! [`serve`] puts any [`a2a::A2aService`] on NATS; [`NatsClient`] is one that lives elsewhere. This crate moves messages. It never
//! decides what becomes of a task, stores nothing but cards, and asks nobody but its arguments for the time.

mod address;
mod cards;
mod chunk;
mod client;
mod digest;
mod discover;
mod header;
mod method;
mod permissions;
mod server;
mod sign;
mod trust;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use address::{Address, AddressError, BINDING, QUEUE_GROUP};
pub use cards::{BUCKET, BucketError, ensure_bucket, get_card, put_card};
pub use client::{ClientOptions, NatsClient};
pub use discover::{Found, Replica, discover};
pub use permissions::{Permissions, agent_permissions, sender_permissions};
pub use server::{Cards, Limits, ServeError, ServeOptions, serve};
pub use sign::{KeyError, Signer};
pub use trust::Trust;

/// Tells the time, for signatures and for when a replica started.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How trace contexts get in and out of the process. The default does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Tracing {
    /// The W3C `traceparent` of what is going on now, for requests that are sent.
    pub current: fn() -> Option<String>,
    /// Makes the span of a request that came with this `traceparent` part of its trace.
    pub adopt: fn(&tracing::Span, &str),
}

impl Default for Tracing {
    fn default() -> Self {
        Self { current: || None, adopt: |_, _| {} }
    }
}
