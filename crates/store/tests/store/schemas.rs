//! Migrations and what each login may do.

use incident::task::Role;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use store::{Options, Store, StoreError, migrate, role_url};

use crate::bed::{bed, done, load, password, passwords, put};

/// SQLSTATE insufficient_privilege.
const FORBIDDEN: &str = "42501";

async fn refused(login: &mut PgConnection, sql: &str) {
    let error = login.execute(AssertSqlSafe(sql.to_owned())).await.expect_err(sql);
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned);
    assert_eq!(code.as_deref(), Some(FORBIDDEN), "{sql}: {error}");
}

async fn allowed(login: &mut PgConnection, sql: &str) {
    login.execute(AssertSqlSafe(sql.to_owned())).await.expect(sql);
}

#[tokio::test]
async fn migrating_again_keeps_everything() {
    let bed = bed().await;
    let store = bed.store(Role::Diagnostics).await;
    done(&store, &put("task_1", None, json!("kept"), None)).await;
    // Two at once, as when two replicas start.
    let (url, passwords) = (&bed.database.url, passwords());
    let (one, two) = tokio::join!(migrate(url, &passwords), migrate(url, &passwords));
    one.and(two).unwrap();
    assert_eq!(load(&store, "task_1", &[]).await.stored.unwrap().entity.state, json!("kept"));
    assert_eq!(load(&bed.store(Role::Diagnostics).await, "task_1", &[]).await.stored.unwrap().revision, 1);
}

#[tokio::test]
async fn a_schema_that_was_not_migrated_says_what_to_do() {
    let database = testkit::postgres_database().await.unwrap();
    let only = [(Role::Ledger, password(Role::Ledger))];
    let missing = Store::connect(&Options::new(&database.url, Role::Ledger)).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotMigrated { schema: "ledger", found: 0, .. }), "{missing:?}");
    migrate(&database.url, &only).await.unwrap();
    assert!(Store::connect(&Options::new(&database.url, Role::Ledger)).await.is_ok());
    let missing = Store::connect(&Options::new(&database.url, Role::Gateway)).await.unwrap_err();
    assert!(!missing.is_transient() && missing.to_string().contains("paramedic migrate"), "{missing}");
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one() {
    let bed = bed().await;
    let changed = [(Role::Gateway, "new".to_owned())];
    migrate(&bed.database.url, &changed).await.unwrap();
    let connect = |word: &str| {
        let options = Options::new(role_url(&bed.database.url, Role::Gateway, word).unwrap(), Role::Gateway);
        async move { Store::connect(&options).await }
    };
    assert!(connect("new").await.is_ok());
    let error = connect(&password(Role::Gateway)).await.unwrap_err();
    assert!(!error.is_transient(), "waiting does not help: {error:?}");
}

#[tokio::test]
async fn a_login_sees_its_own_schema_and_no_other() {
    let bed = bed().await;
    for role in Role::ALL {
        let mut login = bed.login(role).await;
        for table in ["entity", "inbox", "outbox", "timer", "a2a_task", "a2a_message", "a2a_event", "a2a_push", "a2a_holder"] {
            allowed(&mut login, &format!("select * from {role}.{table}")).await;
            for other in Role::ALL.into_iter().filter(|other| *other != role) {
                refused(&mut login, &format!("select * from {other}.{table}")).await;
                refused(&mut login, &format!("delete from {other}.{table}")).await;
            }
        }
    }
}

#[tokio::test]
async fn a_login_changes_rows_and_nothing_else() {
    let bed = bed().await;
    let mut login = bed.login(Role::Remediation).await;
    for sql in [
        "create table remediation.extra (a int)",
        "create table public.extra (a int)",
        "create temporary table extra (a int)",
        "create schema extra",
        "create role extra",
        "drop table remediation.entity",
        "alter table remediation.entity add column extra int",
        "create or replace function remediation.commit_decision() returns void language sql as ''",
        "truncate remediation.outbox",
        "delete from remediation.inbox",
        "delete from remediation.a2a_task",
        "delete from remediation.a2a_message",
        "update remediation.a2a_event set seq = seq",
        "update remediation.inbox set handled_at = handled_at",
        "delete from remediation.migration",
    ] {
        refused(&mut login, sql).await;
    }
}

#[tokio::test]
async fn the_chain_is_only_added_to_and_the_gateway_reads_the_views() {
    let bed = bed().await;
    let mut ledger = bed.login(Role::Ledger).await;
    for sql in [
        "update ledger.record set hash = ''",
        "delete from ledger.record",
        "truncate ledger.record",
        "delete from ledger.incident_summary",
    ] {
        refused(&mut ledger, sql).await;
    }
    let mut gateway = bed.login(Role::Gateway).await;
    allowed(&mut gateway, "select * from ledger.incident_view").await;
    allowed(&mut gateway, "select * from ledger.timeline_view").await;
    for sql in [
        "select * from ledger.record",
        "select * from ledger.incident_summary",
        "delete from ledger.incident_view",
        "update ledger.incident_view set title = ''",
    ] {
        refused(&mut gateway, sql).await;
    }
    let mut diagnostics = bed.login(Role::Diagnostics).await;
    refused(&mut diagnostics, "select * from ledger.incident_view").await;
}
