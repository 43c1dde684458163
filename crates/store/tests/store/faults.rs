//! Postgres goes away and comes back.

use std::time::Duration;

use incident::task::Role;
use serde_json::json;
use store::{Outcome, Store, StoreError, migrate};
use testkit::eventually;

use crate::bed::{connect, load, message, passwords, publication, put, seen, tenant};

const RECOVERY_MAX: Duration = Duration::from_secs(30);
const MESSAGES: usize = 300;

#[tokio::test]
async fn counting_goes_on_over_a_restart_and_a_crash() {
    let mut postgres = testkit::private_postgres().await.unwrap();
    migrate(&postgres.url(), &passwords()).await.unwrap();
    let store = connect(&postgres.url(), Role::Monitoring).await;
    let count = || count_all(store.clone());
    tokio::join!(count(), count(), count(), count(), cut(&mut postgres, &store));
    assert_eq!(counted(&store).await.unwrap(), MESSAGES as u64, "each message once, whatever was cut off");
    assert_eq!(store.backlog().await.unwrap().outbox, MESSAGES as u64);
}

/// Restarts Postgres, then crashes it, while others count.
async fn cut(postgres: &mut testkit::PrivatePostgres, store: &Store) {
    let reached = async |count: u64| {
        let look = async || (counted(store).await.ok()? >= count).then_some(());
        eventually("counting", RECOVERY_MAX, look).await.unwrap();
    };
    reached(20).await;
    postgres.server().restart().await.unwrap();
    reached(100).await;
    postgres.server().kill().await.unwrap();
    let down = store.ping().await.unwrap_err();
    assert!(down.is_transient(), "{down:?}");
    postgres.server().restart().await.unwrap();
    reached(MESSAGES as u64).await;
}

async fn counted(store: &Store) -> Result<u64, StoreError> {
    let locator = incident::agent::Locator::Id("counter".to_owned());
    let loaded = store.load::<u64, ()>(&tenant(), &locator, &[]).await?;
    Ok(loaded.stored.map_or(0, |stored| stored.entity.state))
}

/// Counts every message, however often it takes: an error that passes is tried again.
async fn count_all(store: Store) {
    for n in 0..MESSAGES {
        let id = format!("m{n}");
        let count = async || match count_one(&store, &id).await {
            Ok(Outcome::Done { .. }) => Some(()),
            Ok(Outcome::Lost) => None,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                None
            }
        };
        eventually("counting one", RECOVERY_MAX, count).await.unwrap();
    }
}

async fn count_one(store: &Store, id: &str) -> Result<Outcome, StoreError> {
    let locator = incident::agent::Locator::Id("counter".to_owned());
    let loaded = store.load::<u64, ()>(&tenant(), &locator, &[message(id)]).await?;
    if loaded.handled == [true] {
        return Ok(Outcome::Done { owed: vec![], state_bytes: 0 });
    }
    let (count, revision) = loaded.stored.map_or((0, None), |stored| (stored.entity.state, Some(stored.revision)));
    let mut write = put("counter", None, json!(count + 1), revision);
    write.handled = vec![seen(id)];
    write.publications = vec![publication(&format!("counted {count}"))];
    store.commit(&write).await
}

#[tokio::test]
async fn a_lost_connection_shows_as_something_that_passes() {
    let mut postgres = testkit::private_postgres().await.unwrap();
    migrate(&postgres.url(), &passwords()).await.unwrap();
    let store = connect(&postgres.url(), Role::Monitoring).await;
    postgres.server().stop().await.unwrap();
    let error = store.commit(&put("e", None, json!(1), None)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let error = migrate(&postgres.url(), &passwords()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    postgres.server().restart().await.unwrap();
    let look = async || store.ping().await.ok();
    eventually("reconnecting", RECOVERY_MAX, look).await.unwrap();
    assert_eq!(load(&store, "e", &[]).await.stored, None);
}
