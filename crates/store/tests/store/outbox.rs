//! What is owed is held by one process at a time, and comes back when that process dies.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use incident::task::Role;
use serde_json::{Value, json};
use store::{Lease, OutboxRow, Owed};

use crate::bed::{LEASE, Plain, at, bed, done, effect, publication, put, write};

fn ids(rows: &[OutboxRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

fn owing() -> Plain {
    Plain {
        publications: vec![publication("b"), publication("a")],
        effects: vec![effect("post"), effect("apply")],
        ..put("e", None, json!(1), None)
    }
}

#[tokio::test]
async fn new_rows_are_held_by_who_wrote_them() {
    let bed = bed().await;
    let store = bed.store(Role::Communication).await;
    let rows = done(&store, &owing()).await;
    assert_eq!(ids(&rows), ["b", "a", "e/post", "e/apply"]);
    assert!(rows.iter().all(|row| row.attempts == 1 && row.trace == owing().trace && row.entity == "e"));
    assert_eq!(store.claim_outbox(10, LEASE, at(29)).await.unwrap(), vec![]);

    let again = store.claim_outbox(10, LEASE, at(30)).await.unwrap();
    let second_try: Vec<_> = rows.into_iter().map(|row| OutboxRow { attempts: 2, ..row }).collect();
    assert_eq!(again, second_try, "in the order written, nothing lost on the way");
    assert_eq!(again[0].owed, Owed::Publication(publication("b")));
    assert_eq!(again[2].effect::<Value>().unwrap(), Some(("post", effect("post").body)));
    assert_eq!(again[0].effect::<Value>().unwrap(), None);
    assert_eq!(store.claim_outbox(10, LEASE, at(30)).await.unwrap(), vec![], "held again");
}

#[tokio::test]
async fn an_id_is_owed_once() {
    let bed = bed().await;
    let store = bed.store(Role::Communication).await;
    done(&store, &owing()).await;
    let mut again = owing();
    again.expected = Some(1);
    again.publications.push(publication("c"));
    assert_eq!(ids(&done(&store, &again).await), ["c"]);
    assert_eq!(store.backlog().await.unwrap().outbox, 5);
}

#[tokio::test]
async fn a_lease_ends_with_the_next_claim() {
    let bed = bed().await;
    let store = bed.store(Role::Communication).await;
    let mine: Vec<Lease> = done(&store, &owing()).await.iter().map(OutboxRow::lease).collect();
    assert_eq!(store.renew(&mine[..2], at(100)).await.unwrap(), mine[..2]);

    let theirs = store.claim_outbox(10, LEASE, at(50)).await.unwrap();
    assert_eq!(ids(&theirs), ["e/post", "e/apply"], "the renewed ones stay");
    assert_eq!(store.renew(&mine, at(200)).await.unwrap(), mine[..2], "the token is old");
    let theirs: Vec<Lease> = theirs.iter().map(OutboxRow::lease).collect();
    assert_eq!(store.renew(&theirs, at(60)).await.unwrap(), theirs);
    assert_eq!(store.claim_outbox(10, LEASE, at(60)).await.unwrap().len(), 2, "tried again when it was put off to");
}

#[tokio::test]
async fn published_is_gone_and_an_effect_waits_for_its_outcome() {
    let bed = bed().await;
    let store = bed.store(Role::Communication).await;
    let leases: Vec<Lease> = done(&store, &owing()).await.iter().map(OutboxRow::lease).collect();
    assert_eq!(store.delete_published(&leases).await.unwrap(), 2);
    assert_eq!(store.delete_published(&leases).await.unwrap(), 0);
    assert_eq!(ids(&store.claim_outbox(10, LEASE, at(30)).await.unwrap()), ["e/post", "e/apply"]);
}

#[tokio::test]
async fn eight_claimers_share_no_row() {
    const ROWS: usize = 200;
    let bed = bed().await;
    let store = bed.store(Role::Communication).await;
    let many = Plain { publications: (0..ROWS).map(|n| publication(&format!("p{n}"))).collect(), ..write("e") };
    assert_eq!(done(&store, &many).await.len(), ROWS);
    let claimers: Vec<_> = (0..8).map(|_| tokio::spawn(claim_all(store.clone()))).collect();
    let mut all = vec![];
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), ROWS);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), ROWS);
}

async fn claim_all(store: store::Store) -> Vec<String> {
    let mut mine = vec![];
    // `skip locked` may leave a claimer with nothing while others hold the rest: the others then have it.
    loop {
        let rows = store.claim_outbox(7, LEASE, at(0) + TimeDelta::from_std(LEASE).unwrap()).await.unwrap();
        if rows.is_empty() {
            return mine;
        }
        mine.extend(rows.into_iter().map(|row| row.id));
    }
}

#[tokio::test]
async fn a_row_that_is_claimed_at_that_moment_is_not_ours_any_more() {
    let bed = bed().await;
    let store = bed.store(Role::Monitoring).await;
    let mut begin = put("e", None, json!(1), None);
    begin.effects = vec![effect("do")];
    let leases: Vec<_> = done(&store, &begin).await.iter().map(store::OutboxRow::lease).collect();
    let mut end = put("e", None, json!(2), Some(1));
    end.handled = vec![store::Handled::Outcome { effect: "do".to_owned(), claim: 1 }];

    let mut other = bed.admin().await;
    sqlx::raw_sql("begin; update monitoring.outbox set attempts = 2").execute(&mut other).await.unwrap();
    let renewing = tokio::spawn({
        let store = store.clone();
        async move { store.renew(&leases, at(60)).await.unwrap() }
    });
    let ending = tokio::spawn(async move { store.commit(&end).await.unwrap() });
    let mut admin = bed.admin().await;
    let both_wait = async || {
        let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (sqlx::query_scalar::<_, i64>(count).fetch_one(&mut admin).await.unwrap() == 2).then_some(())
    };
    testkit::eventually("both to wait for the row", Duration::from_secs(20), both_wait).await.unwrap();
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    assert_eq!(renewing.await.unwrap(), []);
    assert_eq!(ending.await.unwrap(), store::Outcome::Lost);
}
