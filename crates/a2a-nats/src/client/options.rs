//! What a client is told, and its bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use a2a::card::VerifyKey;

use crate::address::Address;
use crate::sign::Signer;
use crate::trust::Trust;
use crate::{Clock, Tracing};

/// How to ask.
#[derive(Clone)]
pub struct ClientOptions {
    /// Whom.
    pub address: Address,
    /// As whom: the token that the connection's user may speak as.
    pub sender: String,
    /// How long an operation may take in all, with what is sent again.
    pub deadline: Duration,
    /// How long to try while nobody serves the agent: a restart is over sooner.
    pub absent_max: Duration,
    /// How often to hear that the agent is still at it. Three of these without a word, and it counts as gone.
    pub heartbeat: Duration,
    /// Frames that may be under way, or wait for the reader of a stream.
    pub window_frames: usize,
    /// How long a stream may be interrupted before its reader hears of it.
    pub resume_within: Duration,
    /// Bytes of one answer or frame.
    pub body_bytes_max: usize,
    /// Signs requests.
    pub signer: Option<Signer>,
    /// Whose signed answers are believed; the owner is `<tenant>.<agent>`.
    pub trust: Trust,
    /// Keys for the card, by `kid`; none: the card is taken as it is.
    pub card_keys: BTreeMap<String, VerifyKey>,
    /// Tells the time.
    pub clock: Clock,
    /// Trace contexts.
    pub tracing: Tracing,
}

impl ClientOptions {
    /// Unsigned, with the usual patience.
    pub fn new(address: Address, sender: impl Into<String>, clock: Clock) -> Self {
        Self {
            address,
            sender: sender.into(),
            deadline: Duration::from_mins(1),
            absent_max: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            window_frames: 32,
            resume_within: Duration::from_mins(1),
            body_bytes_max: 32 << 20,
            signer: None,
            trust: Trust::nobody(),
            card_keys: BTreeMap::new(),
            clock,
            tracing: Tracing::default(),
        }
    }
}
