//! Agent2Agent protocol 1.0: its data model and how it rides on NATS.
//!
//! This crate knows the protocol; what our agents mean by it is in `runtime::wire`, and what they do about it in `incident`.

pub mod nats;
mod types;

pub use types::{
    Artifact, CancelTaskRequest, Message, Metadata, Part, PartContent, Role, SendMessageRequest, StreamResponse, Task, TaskState,
    TaskStatus,
};
