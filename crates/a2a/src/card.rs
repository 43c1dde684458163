//! Agent cards: what can be asked of them, and their signatures (spec §8).

mod canonical;
mod key;
mod signature;

pub use canonical::canonical;
pub use key::{KeyError, SignKey, VerifyKey};
pub use signature::{CardError, sign, verify};

use crate::parameters::VERSION;
use crate::types::{AgentCard, AgentExtension, AgentInterface};

/// Where a card is published (§8.2).
pub const WELL_KNOWN_PATH: &str = "/.well-known/agent-card.json";
/// `protocol_binding` of JSON-RPC over HTTP.
pub const JSON_RPC: &str = "JSONRPC";
/// `protocol_binding` of gRPC.
pub const GRPC: &str = "GRPC";
/// `protocol_binding` of HTTP with JSON.
pub const HTTP_JSON: &str = "HTTP+JSON";

impl AgentCard {
    /// The first interface of this binding that speaks our version; the agent prefers earlier ones (§8.3).
    pub fn interface(&self, binding: &str) -> Option<&AgentInterface> {
        let is_ours = |interface: &&AgentInterface| {
            let is_binding = interface.protocol_binding.eq_ignore_ascii_case(binding);
            is_binding && crate::parameters::check_version(Some(&interface.protocol_version)).is_ok()
        };
        self.supported_interfaces.iter().find(is_ours)
    }

    /// What the card says of an extension.
    pub fn extension(&self, uri: &str) -> Option<&AgentExtension> {
        self.capabilities.extensions.iter().find(|extension| extension.uri == uri)
    }

    /// Whether streams are to be had.
    pub fn is_streaming(&self) -> bool {
        self.capabilities.streaming == Some(true)
    }

    /// Whether events can be posted.
    pub fn is_pushing(&self) -> bool {
        self.capabilities.push_notifications == Some(true)
    }

    /// Whether there is more of the card for authenticated callers.
    pub fn is_extended(&self) -> bool {
        self.capabilities.extended_agent_card == Some(true)
    }
}

impl AgentInterface {
    /// An interface of our version.
    pub fn new(url: impl Into<String>, binding: impl Into<String>) -> Self {
        Self { url: url.into(), protocol_binding: binding.into(), tenant: None, protocol_version: VERSION.to_owned() }
    }
}

#[cfg(test)]
mod tests;
