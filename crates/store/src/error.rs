//! What can go wrong with the store, and whether it passes by itself.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database address is not one.
    #[error("reading the database address: it must look like postgres://user:password@host:port/database")]
    Address(#[source] sqlx::Error),
    /// The name of the login would be too long for Postgres.
    #[error("naming the login {login:?}: Postgres allows {length_max} bytes; use a shorter database name")]
    LongLogin {
        /// The name.
        login: String,
        /// The limit.
        length_max: usize,
    },
    /// The schema is missing or older than this program.
    #[error("schema {schema:?} is at version {found}, this program needs {needed}: run `paramedic migrate`")]
    NotMigrated {
        /// Which schema.
        schema: &'static str,
        /// Its version; 0 if it has no tables.
        found: i64,
        /// What this program needs.
        needed: i64,
    },
    /// A schema could not be brought up to date.
    #[error("migrating the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A transaction failed.
    #[error("transaction {transaction}")]
    Transaction {
        /// Its name.
        transaction: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A value cannot be stored, however often it is tried.
    #[error("storing {what}: {reason}")]
    Unstorable {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored value is not what this program wrote, or a newer one wrote it.
    #[error("reading {what} of {row:?}: {reason}; it was written by another version, or changed by hand")]
    Unreadable {
        /// Which value.
        what: &'static str,
        /// Of which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Classes of SQLSTATE that pass by themselves: connection lost, resources short, server stopping or starting, lock or
/// serialization trouble (Postgres manual, appendix A).
const TRANSIENT_CLASSES: [&str; 4] = ["08", "53", "40", "57"];
/// Single codes that do too: lock not available, and read-only during a failover.
const TRANSIENT_CODES: [&str; 2] = ["55P03", "25006"];

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transaction { source, .. } | Self::Migrate(sqlx::migrate::MigrateError::Execute(source)) => {
                is_transient(source)
            }
            Self::Address(_)
            | Self::LongLogin { .. }
            | Self::NotMigrated { .. }
            | Self::Migrate(_)
            | Self::Unstorable { .. }
            | Self::Unreadable { .. } => false,
        }
    }

    /// Whether the statement took longer than it may: the same call may succeed later, and one with less to do is more likely to.
    pub fn is_cut_off(&self) -> bool {
        let Self::Transaction { source: sqlx::Error::Database(error), .. } = self else { return false };
        error.code().is_some_and(|code| code == CUT_OFF)
    }
}

/// SQLSTATE query_canceled: the statement took longer than it may.
const CUT_OFF: &str = "57014";

fn is_transient(error: &sqlx::Error) -> bool {
    use sqlx::Error;
    match error {
        // Protocol: the server went away in the middle of a message.
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::PoolTimedOut | Error::WorkerCrashed | Error::BeginFailed => {
            true
        }
        Error::Database(error) => error.code().is_some_and(|code| {
            TRANSIENT_CLASSES.iter().any(|class| code.starts_with(class)) || TRANSIENT_CODES.contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// SQLSTATE that `commit_decision` raises when the race was lost.
const LOST: &str = "PM001";
/// Index that is violated when another entity is open under the key.
const OPEN_INDEX: &str = "entity_open";

/// Whether the transaction was refused because somebody else was faster: then loading again helps.
pub(crate) fn lost_race(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    // 40001, 40P01: Postgres itself chose this transaction to give way.
    matches!(error.code().as_deref(), Some(LOST | "40001" | "40P01")) || error.constraint() == Some(OPEN_INDEX)
}
