//! Commands that ask a running Paramedic, or look at its files.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod incidents;
pub(crate) mod listing;
mod orders;
pub(crate) mod plan;
pub(crate) mod runbook;
pub(crate) mod schemas;
pub(crate) mod silences;
pub(crate) mod watch;
