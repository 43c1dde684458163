//! The behaviour of each service: one pure function each.

pub mod ballot;
pub mod communication;
pub mod diagnostics;
pub mod gateway;
pub mod ledger;
pub mod monitoring;
pub mod remediation;
pub mod silences;
