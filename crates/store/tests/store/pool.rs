//! How many connections there are, and who waits for one.

use std::time::Duration;

use incident::task::Role;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::{Options, Store};
use testkit::eventually;

use crate::bed::{Bed, bed, connections, done, load, put};

const SOON: Duration = Duration::from_secs(2);

/// A store with the entity "held" in it, and somebody who holds its row until they are dropped.
async fn held(bed: &Bed) -> (Store, PgConnection) {
    let store = bed.store(Role::Monitoring).await;
    done(&store, &put("held", None, json!(1), None)).await;
    let mut holder = bed.admin().await;
    sqlx::raw_sql("begin; select from monitoring.entity where id = 'held' for update").execute(&mut holder).await.unwrap();
    (store, holder)
}

#[tokio::test]
async fn one_after_the_other_use_one_connection() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    for n in 0..20 {
        done(&store, &put(&format!("e{n}"), None, json!(n), None)).await;
    }
    assert_eq!(connections(&mut bed.admin().await).await, 1);
}

#[tokio::test]
async fn nobody_waits_for_a_statement_that_takes_long() {
    let bed = bed().await;
    let (store, holder) = held(&bed).await;
    let write = put("held", None, json!(2), Some(1));
    let long = store.commit(&write);
    let others = async {
        let loaded = load(&store, "held", &[]).await;
        assert_eq!(loaded.stored.unwrap().entity.state, json!(1));
        holder.close().await.unwrap();
    };
    let (committed, ()) = tokio::join!(long, others);
    assert!(matches!(committed, Ok(store::Outcome::Done { .. })), "{committed:?}");
}

#[tokio::test]
async fn a_crowd_has_as_many_as_are_allowed() {
    let bed = bed().await;
    let (store, holder) = held(&bed).await;
    let commits: Vec<_> = (0..2 * Options::CONNECTIONS_MAX)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(&put("held", None, json!(n), Some(1))).await })
        })
        .collect();
    let mut admin = bed.admin().await;
    let full = async || (connections(&mut admin).await == i64::from(Options::CONNECTIONS_MAX)).then_some(());
    eventually("opening all connections", SOON, full).await.unwrap();
    holder.close().await.unwrap();
    let mut won = 0;
    for commit in commits {
        won += usize::from(matches!(commit.await.unwrap().unwrap(), store::Outcome::Done { .. }));
    }
    assert_eq!(won, 1);
    assert!(connections(&mut admin).await <= i64::from(Options::CONNECTIONS_MAX));
}
