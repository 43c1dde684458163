//! Agent2Agent protocol 1.0.1 without IO: its data model, the rules for it, errors, task states, and what bindings share.
//!
//! This crate knows the protocol. It never reads a socket or a clock. What our agents mean by it is in `runtime::wire`, and what they
//! do about it in `incident`.

pub mod card;
pub mod error;
pub mod limits;
pub mod nats;
pub mod parameters;
pub mod read;
pub mod rpc;
pub mod service;
pub mod state;
pub mod types;
pub mod validate;

pub use error::{A2aError, ErrorKind, FieldViolation};
pub use read::{read, read_pairs, read_request, read_valid, read_value};
pub use rpc::Operation;
pub use service::{A2aService, Caller, EventStream};
pub use state::EventError;
pub use types::*;
pub use validate::{Validate, Violations};
