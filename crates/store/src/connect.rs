//! Connections of one service: few, bounded in every wait, and reopened by themselves after Postgres was away.

use std::str::FromStr as _;
use std::time::Duration;

use incident::task::Role;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::StoreError;
use crate::migrate::version_needed;
use crate::transaction::named;

/// How long a caller waits for a connection, also while Postgres is away: shorter than the bus waits for an answer.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);
/// A connection that slept longer than this is tried before use; a busy one is not, which saves a round trip on each commit.
const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(1);
/// An idle connection is closed after this.
const IDLE_MAX: Duration = Duration::from_mins(5);
/// Our statements take milliseconds; one that takes this long is stuck.
const STATEMENT_MS_MAX: &str = "5000";
/// Row locks are held for one commit; waiting longer means a stuck holder.
const LOCK_MS_MAX: &str = "3000";
/// A transaction left open by a stuck process must not hold its locks.
const IDLE_IN_TRANSACTION_MS_MAX: &str = "5000";

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
    pub(crate) pool: PgPool,
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
        let schema = options.role.as_str();
        let address = PgConnectOptions::from_str(&options.url)
            .map_err(StoreError::Address)?
            .application_name(&format!("paramedic-{schema}"))
            .options([
                ("search_path", schema),
                ("statement_timeout", STATEMENT_MS_MAX),
                ("lock_timeout", LOCK_MS_MAX),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS_MAX),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max.max(1))
            .acquire_timeout(ACQUIRE_MAX)
            .idle_timeout(IDLE_MAX)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE_UNTESTED_MAX {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(address);
        let store = Self { pool };
        store.check_version(options.role).await?;
        Ok(store)
    }

    async fn check_version(&self, role: Role) -> Result<(), StoreError> {
        let there: bool =
            named("schema-check", sqlx::query_scalar("select to_regclass('migration') is not null").fetch_one(&self.pool))
                .await?;
        let found = if there {
            named("schema-version", sqlx::query_scalar("select coalesce(max(version), 0) from migration").fetch_one(&self.pool))
                .await?
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
        named("ping", sqlx::query("select 1").execute(&self.pool)).await.map(drop)
    }

    /// Counts what is still to be done, for metrics and for tests that end.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let query = sqlx::query_as("select (select count(*) from outbox), (select count(*) from timer)");
        let (outbox, timers): (i64, i64) = named("backlog", query.fetch_one(&self.pool)).await?;
        Ok(Backlog { outbox: outbox.unsigned_abs(), timers: timers.unsigned_abs() })
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
