//! The engine on a real Postgres.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

mod bed;
mod canceling;
mod following;
mod hook;
mod limits;
mod listing;
mod pushing;
mod recovery;
mod script;
mod sending;
mod stopping;
mod streams;
mod tenants;
