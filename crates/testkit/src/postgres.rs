//! A PostgreSQL database of the test's own, on a shared server where there is one.

use anyhow::{Context, Result};
use local::Server;
use local::postgres::Durability;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Folder, programs};

/// Where `testbed` says how to reach the shared server as superuser.
pub const POSTGRES_VARIABLE: &str = "TESTBED_POSTGRES_URL";
/// Tests run side by side, each with several roles and pools.
const CONNECTIONS_MAX: &str = "400";

/// An empty database; its roles are those of the whole server, so their names must not clash between tests.
pub struct Database {
    /// With a superuser's rights.
    pub url: String,
    _private: Option<PrivatePostgres>,
}

/// A server of the test's own. Dropping it kills it.
pub struct PrivatePostgres {
    running: local::postgres::Postgres,
    _folder: Folder,
}

/// A fresh database on the shared server, or on a private one that lives as long as the result.
pub async fn postgres_database() -> Result<Database> {
    if let Some(url) = std::env::var_os(POSTGRES_VARIABLE) {
        let url = url.into_string().ok().context("the testbed's PostgreSQL URL is not text")?;
        return Ok(Database { url: fresh(&url).await?, _private: None });
    }
    let private = private_postgres().await?;
    Ok(Database { url: fresh(&private.url()).await?, _private: Some(private) })
}

/// Starts a server for tests that stop or restart it.
pub async fn private_postgres() -> Result<PrivatePostgres> {
    let folder = Folder::new()?;
    let running = start(&folder).await?;
    Ok(PrivatePostgres { running, _folder: folder })
}

async fn start(folder: &Folder) -> Result<local::postgres::Postgres> {
    let (environment, progress) = programs();
    let options = local::postgres::Options {
        programs: local::install::postgres(&environment, &progress).await?,
        dir: folder.join("postgres"),
        port: None,
        // A crash of the processes still loses nothing, and no test pulls the plug of the machine.
        durability: Durability::Volatile,
        settings: vec![("max_connections".into(), CONNECTIONS_MAX.into())],
    };
    local::postgres::Postgres::start(options).await.context("starting PostgreSQL for tests")
}

impl PrivatePostgres {
    /// The superuser's URL of the database `postgres`.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// The process: stop, kill, restart on the same port and data.
    pub fn server(&mut self) -> &mut Server {
        &mut self.running.server
    }
}

/// Creates a database beside the one that `url` names.
async fn fresh(url: &str) -> Result<String> {
    let (server, _) = url.rsplit_once('/').context("a PostgreSQL URL names a database")?;
    let random = getrandom::u64().context("asking for random bytes")?;
    let name = format!("test_{random:016x}");
    let mut connection = PgConnection::connect(url).await.context("connecting to the tests' PostgreSQL")?;
    // template0 is the one that nobody is ever connected to, so that tests can copy it at the same time.
    let create = AssertSqlSafe(format!("create database {name} template template0"));
    sqlx::raw_sql(create).execute(&mut connection).await.context("creating a test's database")?;
    connection.close().await.context("leaving the tests' PostgreSQL")?;
    Ok(format!("{server}/{name}"))
}
