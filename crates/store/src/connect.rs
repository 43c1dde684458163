//! Connections of one service: few, bounded in every wait, and reopened by themselves after Postgres was away.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use incident::task::Role;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tracing::Instrument as _;

use crate::StoreError;
use crate::migrate::version_needed;
use crate::pool::Pool;

/// Our statements take milliseconds; one that takes this long is stuck.
const STATEMENT_MS_MAX: &str = "5000";
/// Row locks are held for one commit; waiting longer means a stuck holder.
const LOCK_MS_MAX: &str = "3000";
/// A transaction left open by a stuck process must not hold its locks.
const IDLE_IN_TRANSACTION_MS_MAX: &str = "5000";

const IS_DUE: &str = "
    select exists (select from timer where due_at <= $1 and lease_until <= $1) or exists (select from outbox where lease_until <= $1)";

/// How to connect. Not printable: the address has a password in it.
pub struct Options {
    /// `postgres://login:password@host:port/database`; see [`crate::role_url`].
    pub url: String,
    /// Whose schema.
    pub role: Role,
    /// How many connections at most.
    pub connections_max: u32,
}

impl Options {
    /// Two cores commit no faster on more connections than this; seven services share Postgres' usual 100.
    pub const CONNECTIONS_MAX: u32 = 8;

    /// With the default number of connections.
    pub fn new(url: impl Into<String>, role: Role) -> Self {
        Self { url: url.into(), role, connections_max: Self::CONNECTIONS_MAX }
    }
}

/// The memory of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
}

/// What is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Outbox rows.
    pub outbox: u64,
    /// Timers, due or not.
    pub timers: u64,
}

impl Store {
    /// Connects and checks that the schema is there.
    ///
    /// # Errors
    /// If the address is none, Postgres cannot be reached (transient), or the schema was not migrated.
    pub async fn connect(options: &Options) -> Result<Self, StoreError> {
        let store = Self::open(options)?;
        store.check(options.role).await?;
        Ok(store)
    }

    /// The same for a Postgres that may be away: nothing is asked of it yet, so [`Store::check`] is owed before anything else.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let schema = options.role.as_str();
        let address = PgConnectOptions::from_str(&options.url)
            .map_err(StoreError::Address)?
            .application_name(&format!("paramedic-{schema}"))
            .options([
                ("search_path", schema),
                ("statement_timeout", STATEMENT_MS_MAX),
                ("lock_timeout", LOCK_MS_MAX),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS_MAX),
                ("plan_cache_mode", "force_generic_plan"),
                // Plans are made while the tables are small, and kept: then reading all of one looks cheap.
                ("enable_seqscan", "off"),
                // What cannot be read in another way is given a price above which Postgres would compile it.
                ("jit", "off"),
            ]);
        Ok(Self { pool: Pool::open(address, options.connections_max) })
    }

    /// Checks that a role's schema is there.
    ///
    /// # Errors
    /// If Postgres cannot be reached (transient), or the schema was not migrated.
    pub async fn check(&self, role: Role) -> Result<(), StoreError> {
        let there = sqlx::query_scalar("select to_regclass('migration') is not null");
        let there: bool = self.run("schema-check", async |c| there.fetch_one(c).await).await?;
        let found = if there {
            let version = sqlx::query_scalar("select coalesce(max(version), 0) from migration");
            self.run("schema-version", async |c| version.fetch_one(c).await).await?
        } else {
            0
        };
        let needed = version_needed(role);
        if found < needed { Err(StoreError::NotMigrated { schema: role.as_str(), found, needed }) } else { Ok(()) }
    }

    /// Asks Postgres for nothing, for readiness.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run("ping", async |c| sqlx::query("select 1").execute(c).await).await.map(drop)
    }

    /// Counts what is still to be done, for metrics and for tests that end.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let query = sqlx::query_as("select (select count(*) from outbox), (select count(*) from timer)");
        let (outbox, timers): (i64, i64) = self.run("backlog", async |c| query.fetch_one(c).await).await?;
        Ok(Backlog { outbox: outbox.unsigned_abs(), timers: timers.unsigned_abs() })
    }

    /// Whether a timer is due at `now`, or an outbox row free: mostly not, and asking this is cheaper than claiming nothing twice.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn is_due(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(IS_DUE).bind(now);
        self.run("is-due", async |c| query.fetch_one(c).await).await
    }

    /// Closes connections that a busy time has left behind.
    pub fn close_idle(&self) {
        self.pool.close_idle();
    }

    /// Runs a transaction under its name, on a connection of its own.
    pub(crate) async fn run<T>(
        &self,
        transaction: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let span = tracing::debug_span!("transaction", transaction);
        self.pool.run(work).instrument(span).await.map_err(|source| StoreError::Transaction { transaction, source })
    }
}
