//! What may arrive from outside, tried with anything at all: one module for each kind of input, whose `run` reads it with the product's
//! own readers, asserts what must be so whatever it is, and says whether it was taken. It never holds a reader of its own.
//!
//! Two things call `run`: libFuzzer (`make fuzz`, through `targets/`), which makes up inputs, and `tests/corpus.rs`, which plays every
//! input that is in `corpus/`. A property that is broken panics.

#![expect(clippy::panic, reason = "that is how libFuzzer learns that a property is broken")]

pub mod a2a;
pub mod config;
pub mod runbook;
pub mod slack;
pub mod webhook;

mod course;
mod fixture;
mod twice;

/// A kind of input, and what is done with it; true: it was taken.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them, by the names of their folders in `corpus/`.
pub const TARGETS: [Target; 5] =
    [("a2a", a2a::run), ("config", config::run), ("runbook", runbook::run), ("slack", slack::run), ("webhook", webhook::run)];
