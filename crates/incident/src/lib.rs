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
pub mod handling;
pub mod id;
pub mod plan;
pub mod promises;
pub mod record;
pub mod runbook;
pub mod task;
pub mod workflow;
pub mod workload;
