//! An agent for conformance tests of A2A: what it does is said by the prefix of the message that it is sent.
//!
//! `paramedic a2a conformance-agent` serves it on all bindings, over the same engine as our own agents. It does no work, and must hold
//! nothing of value: everybody may call it. The suite of behaviours that runs over every binding is in this crate's tests.

mod agent;
mod host;
mod script;

pub use agent::{ConformanceAgent, card, extended_card};
pub use host::{AGENT, ANYBODY, Host, HostError, TENANT, serve};
