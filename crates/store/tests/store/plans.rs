//! What is read of tables that are full: plans are made while they are empty, and kept.

use std::time::Duration;

use incident::task::Role;
use serde_json::json;
use store::Store;
use testkit::eventually;

use crate::bed::{LEASE, at, bed, connections, done, effect, ended, fired, load, message, publication, put, seen, timer};

const SOON: Duration = Duration::from_secs(20);
/// Rows of others, each waiting for later.
const FILL: &str = "
    insert into monitoring.outbox (tenant, id, entity, kind, target, headers, body, trace, attempts, lease_until, created_at)
    select 'acme', 'other' || n || '/do', 'other' || n, 'effect', 'do', null, '{}', null, 1, 'infinity', now()
    from generate_series(1, 2000) n;
    insert into monitoring.timer (tenant, entity, name, due_at, lease_until)
    select 'acme', 'other' || n, 'wait', 'infinity', 'epoch' from generate_series(1, 2000) n;
    insert into monitoring.entity (tenant, id, open_key, open_digest, revision, state, updated_at)
    select 'acme', 'other' || n, 'key' || n, 'digest' || n, 1, '1', 'epoch' from generate_series(1, 2000) n;
    insert into monitoring.inbox (tenant, message_id, handled_at)
    select 'acme', 'other' || n, 'epoch' from generate_series(1, 2000) n;
    select pg_stat_reset()";
const READ: &str = "
    select (select sum(seq_tup_read)::bigint from pg_stat_user_tables where schemaname = 'monitoring'),
        (select sum(idx_tup_read)::bigint from pg_stat_user_indexes where schemaname = 'monitoring')";
/// Far above what one walk reads, far below what there is.
const ROWS_MAX: i64 = 200;

/// One of everything that happens to an entity.
async fn walk(store: &Store, id: &str) {
    let mut begin = put(id, None, json!(1), None);
    begin.handled = vec![seen(id)];
    begin.publications = vec![publication(&format!("{id}-told"))];
    begin.effects = vec![effect("do")];
    begin.timers = vec![timer("wait", Some(at(0)))];
    let owed = done(store, &begin).await;
    let leases: Vec<_> = owed.iter().map(store::OutboxRow::lease).collect();
    assert_eq!(store.renew(&leases, at(60)).await.unwrap().len(), 2);
    assert_eq!(store.delete_published(leases.get(..1).unwrap_or_default()).await.unwrap(), 1);
    assert_eq!(store.claim_timers(10, LEASE, at(1)).await.unwrap().len(), 1);
    assert_eq!(store.claim_outbox(10, LEASE, at(1)).await.unwrap(), []);
    let inputs = [message("cancel"), fired("wait", at(0)), ended("do")];
    assert_eq!(load(store, id, &inputs).await.handled, [false, false, false]);
    let mut end = put(id, None, json!(2), Some(1));
    end.handled = inputs.iter().skip(1).map(store::Handled::from).collect();
    done(store, &end).await;
}

#[tokio::test]
async fn what_others_wait_for_is_not_read() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    walk(&store, "first").await;
    let mut admin = bed.admin().await;
    sqlx::raw_sql(FILL).execute(&mut admin).await.unwrap();
    walk(&store, "second").await;
    // A connection has told what it read when it is gone.
    drop(store);
    let gone = async || (connections(&mut admin).await == 0).then_some(());
    eventually("the end of the connection", SOON, gone).await.unwrap();
    let (tables, indexes): (Option<i64>, Option<i64>) = sqlx::query_as(READ).fetch_one(&mut admin).await.unwrap();
    let read = tables.unwrap_or(0) + indexes.unwrap();
    assert!((1..ROWS_MAX).contains(&read), "{read} rows were read");
}
