//! The three bindings on a loopback listener, with an agent behind them that answers what it is told to.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod alike;
mod bed;
mod card;
mod codes;
mod connections;
mod doors;
mod grpc;
mod http_json;
mod json_rpc;
mod limits;
mod samples;
mod service;
mod streams;
