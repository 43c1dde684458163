//! The edge on a real NATS and a real Postgres.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

mod agents;
mod alertmanager;
mod answers;
mod api;
mod bed;
mod connections;
mod health;
mod on_nats;
mod orders;
mod silences;
mod webhook;
