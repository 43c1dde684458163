//! JetStream for every service: typed subjects, streams and their consumers, who may do what, publishing with an acknowledgement,
//! the gateway's intake, deliveries with verdicts, and dead letters.
//!
//! The bus knows bytes, subjects and headers. It must never know what a body means (that is `a2a` and `runtime`), never touch the
//! store, and never say "published" before JetStream said so. Everything may arrive twice; the reader's inbox makes that harmless.

mod connection;
mod consume;
pub mod dead;
mod delivery;
mod header;
mod held;
mod intake;
pub mod permissions;
mod publish;
pub mod stream;
pub mod subject;
mod trim;
pub mod waiting;

pub use connection::{Bus, Connect, ConnectError, Health, User};
pub use consume::{Deliveries, DeliveriesError};
pub use delivery::{AnswerError, Delivery, Verdict};
pub use intake::{Intake, IntakeError, IntakeWorker};
pub use publish::{Publication, PublishError};
pub use stream::{EnsureError, Settings, ensure};
