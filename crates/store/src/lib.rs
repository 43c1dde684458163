//! The memory of every service, in Postgres: entities guarded by revisions, inbox, outbox, timers, the audit chain and what is read
//! from it.
//!
//! Each service has its own schema and login ([`migrate`]); the same SQL serves all, because a connection sees its own schema only.
//! Every transaction has a name, which stands in spans and errors.
//!
//! Nothing here decides, publishes, performs an effect or reads a clock: the loop in `runtime` does the first three, and time is an
//! argument.

pub mod a2a;
mod audit;
mod commit;
mod connect;
mod error;
mod ledger;
mod limits;
mod load;
mod migrate;
mod outbox;
mod pool;
mod record;
mod timer;

pub use audit::{AuditPlace, Audited};
pub use commit::{Handled, Outcome, Write};
pub use connect::{Backlog, Options, Store};
pub use error::StoreError;
pub use ledger::{After, IncidentQuery, IncidentState, IncidentSummary};
pub use migrate::{migrate, role_url};
pub use outbox::{Lease, OutboxRow, Owed, Publication};
pub use timer::DueTimer;
