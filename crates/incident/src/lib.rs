//! The pure core of Paramedic: what alerts, incidents, evidence, plans, approvals and their rules *are*, and what follows from what.
//!
//! Nothing here waits, reads a clock, draws a random number, logs or touches the outside; the manifest proves it. All behaviour that
//! matters at 3 a.m. is in this crate, so that it can be run a million times in a test.

pub mod agent;
pub mod agents;
pub mod alert;
pub mod approval;
pub mod diagnosis;
pub mod evidence;
pub mod fact;
pub mod fallback;
pub mod handling;
pub mod heartbeat;
pub mod id;
pub mod matcher;
pub mod order;
pub mod plan;
pub mod promises;
pub mod record;
pub mod related;
pub mod route;
pub mod runbook;
pub mod silence;
pub mod storm;
pub mod task;
pub mod topology;
pub mod watch;
pub mod workflow;
pub mod workload;
