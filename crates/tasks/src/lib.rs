//! The durable task engine of A2A: the operations of the protocol over tables in Postgres, for an [`Executor`] that does the work.
//!
//! Whatever a client or a stream is told was committed before. What is decided about a task is decided by pure functions ([`case`],
//! `change`, `message`, `page`); the rest is shell around them. Nothing here knows a binding, or what the work is about; time and
//! chance are handed in.

mod case;
mod change;
mod core;
mod engine;
mod execution;
mod executor;
mod keeper;
mod limits;
mod live;
mod media;
mod message;
mod page;
mod push;
mod queue;
mod registry;
mod sending;
mod service;
mod subscription;
mod surroundings;
mod updates;
mod writer;

pub use engine::{Engine, ExtendedCard, Options, StartError};
pub use executor::{Admission, Executor, Work};
pub use limits::Limits;
pub use push::{PushOptions, PushSigner, SignerError, Targets};
pub use subscription::{Numbered, NumberedStream};
pub use surroundings::Surroundings;
pub use updates::{Update, Updates};
