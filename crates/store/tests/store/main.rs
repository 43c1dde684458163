//! The store on a real Postgres.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod audit;
mod bed;
mod commits;
mod faults;
mod ledger;
mod outbox;
mod plans;
mod pool;
mod schemas;
mod tasks;
mod timers;
