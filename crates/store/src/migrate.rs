//! Brings schemas, tables, logins and grants up to date. Runs with an administrator's address; services never do.

use std::str::FromStr as _;

use incident::task::Role;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::StoreError;

/// What every schema gets. Versions below 1000.
static SERVICE: Migrator = sqlx::migrate!("migrations/service");
/// What the ledger's schema gets besides. Versions from 1000.
static LEDGER: Migrator = sqlx::migrate!("migrations/ledger");
const PROVISION: &str = include_str!("sql/provision.sql");

/// Identifiers of Postgres are cut beyond this (NAMEDATALEN), so that two names could become one.
const LOGIN_BYTES_MAX: usize = 63;
/// Any number will do, if all who migrate use the same.
const LOCK_KEY: i64 = 0x7061_7261_6d65_6469;
/// Migrating waits this long for tables in use and for others who migrate; then the services go on as they were.
const LOCK_WAIT_MAX: &str = "30s";

/// Brings the database up to date: the schema of each role, its tables, its login with this password, and its grants. All of it in
/// one transaction; doing it again changes nothing. A login is named `<database>_<role>`, because logins are shared by all
/// databases of a server.
///
/// # Errors
/// If the address is none, or Postgres refuses: the administrator needs CREATEROLE and CREATE on the database.
pub async fn migrate(admin_url: &str, passwords: &[(Role, String)]) -> Result<(), StoreError> {
    let options = PgConnectOptions::from_str(admin_url).map_err(StoreError::Address)?;
    let mut connection = options.connect().await.map_err(|error| StoreError::Migrate(error.into()))?;
    let logins = passwords.iter().map(|(role, _)| login(&options, *role)).collect::<Result<Vec<_>, _>>()?;
    let done = migrate_all(&mut connection, passwords, &logins).await;
    // Closing politely is all that could fail here, and the transaction has ended.
    drop(connection.close().await);
    done.map_err(StoreError::Migrate)
}

/// The address of a role's own login, from the administrator's and the role's password.
///
/// # Errors
/// If the address is none.
pub fn role_url(admin_url: &str, role: Role, password: &str) -> Result<String, StoreError> {
    let options = PgConnectOptions::from_str(admin_url).map_err(StoreError::Address)?;
    let login = login(&options, role)?;
    Ok(options.username(&login).password(password).to_url_lossy().to_string())
}

/// The version that a role's schema must have for this program.
pub(crate) fn version_needed(role: Role) -> i64 {
    let last = |migrator: &Migrator| migrator.iter().map(|m| m.version).max().unwrap_or_default();
    if role == Role::Ledger { last(&LEDGER) } else { last(&SERVICE) }
}

fn login(admin: &PgConnectOptions, role: Role) -> Result<String, StoreError> {
    let database = admin.get_database().unwrap_or(admin.get_username());
    let login = format!("{database}_{role}");
    if login.len() > LOGIN_BYTES_MAX {
        return Err(StoreError::LongLogin { login, length_max: LOGIN_BYTES_MAX });
    }
    Ok(login)
}

async fn migrate_all(connection: &mut PgConnection, passwords: &[(Role, String)], logins: &[String]) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select set_config('lock_timeout', $1, true)").bind(LOCK_WAIT_MAX).execute(&mut *transaction).await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK_KEY).execute(&mut *transaction).await?;
    sqlx::raw_sql(PROVISION).execute(&mut *transaction).await?;
    for ((role, password), login) in passwords.iter().zip(logins) {
        let schema = role.as_str();
        let prepare = sqlx::query("select pg_temp.prepare($1, $2, $3)").bind(login).bind(schema).bind(password);
        prepare.execute(&mut *transaction).await?;
        sqlx::query("select set_config('search_path', $1, true)").bind(schema).execute(&mut *transaction).await?;
        apply(&SERVICE, &mut transaction).await?;
        if *role == Role::Ledger {
            apply(&LEDGER, &mut transaction).await?;
        }
        sqlx::query("select pg_temp.permit($1, $2)").bind(login).bind(schema).execute(&mut *transaction).await?;
    }
    // Last: the views must be there, whatever the order of the roles.
    let is_there: bool =
        sqlx::query_scalar("select to_regclass('ledger.incident_view') is not null").fetch_one(&mut *transaction).await?;
    let readers = passwords.iter().zip(logins).filter(|((role, _), _)| *role == Role::Gateway && is_there);
    for (_, login) in readers {
        sqlx::query("select pg_temp.permit_reader($1)").bind(login).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn apply(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut migrator = Migrator { migrations: migrations.migrations.clone(), ..Migrator::DEFAULT };
    migrator.dangerous_set_table_name("migration");
    // Both lists are kept in one table, and the whole is under our own lock.
    migrator.set_ignore_missing(true).set_locking(false);
    migrator.run_direct(None, connection, false).await
}
