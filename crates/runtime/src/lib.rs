//! The process shell around the pure core: configuration, telemetry, lifecycle, and the one loop that every service runs.
//!
//! It carries out what `incident::handling` says and what agents decide; it decides nothing itself.

mod audit;
mod beside;
pub mod clock;
pub mod config;
mod core;
pub mod health;
mod lanes;
pub mod lifecycle;
pub mod metrics;
mod outgoing;
mod perform;
mod recent;
mod relay;
mod room;
pub mod secret;
mod service;
mod sweep;
pub mod telemetry;
pub mod wire;

pub use outgoing::{SayError, say};
pub use perform::{Call, Fault, NoEffects, Perform, chain};
pub use service::{Context, Handle, SubmitError, serve, start};
