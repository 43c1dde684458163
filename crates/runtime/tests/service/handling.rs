//! Once, whatever comes twice, late, broken, or in the middle of an outage.

use std::sync::Arc;
use std::time::Duration;

use crate::bed::{Bed, Doer, SOON};
use testkit::eventually;
use tokio::sync::Notify;

#[tokio::test]
async fn a_request_that_comes_twice_has_one_effect() {
    let bed = Bed::new().await;
    let doer = Doer::default();
    let life = bed.start(doer.clone()).await;
    for n in 0..20 {
        bed.ask(&format!("m{n}"), 1).await;
        bed.ask(&format!("m{n}"), 2).await;
    }
    let mut told = bed.told(20).await;
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20, "each once: {told:?}");
    bed.settled().await;
    assert_eq!(bed.events().await, 20);
    assert!(doer.tries.lock().unwrap().values().all(|tries| *tries == 1));
    life.finish().await.unwrap();
}

#[tokio::test]
async fn a_storm_of_effects_that_take_their_time_stops_nobody() {
    let bed = Bed::new().await;
    let storm: Vec<String> = (0..400).map(|n| format!("m{n}")).collect();
    for message in &storm {
        bed.ask(message, 1).await;
    }
    let life = bed.start(Doer { takes: Duration::from_millis(30), ..Doer::default() }).await;
    let mut told: Vec<String> = bed.told(storm.len()).await.into_iter().map(|(id, _)| id).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), storm.len());
    bed.settled().await;
    life.finish().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_stops_nobody() {
    let bed = Bed::new().await;
    let life = bed.start(Doer::default()).await;
    bed.put("broken".to_owned(), vec![], b"{".to_vec()).await;
    bed.ask("good", 1).await;
    assert_eq!(bed.told(1).await, [("good".to_owned(), "done at attempt 1".to_owned())]);
    let letters = async || {
        let page = bus::dead::list(&bed.admin, 0, 10).await.ok()?;
        page.letters.into_iter().next()
    };
    let letter = eventually("a dead letter", SOON, letters).await.unwrap();
    assert!(letter.reason.contains("A2A-Version"), "{}", letter.reason);
    life.finish().await.unwrap();
}

#[tokio::test]
async fn an_effect_that_fails_is_tried_again_and_knows_it() {
    let bed = Bed::new().await;
    let life = bed.start(Doer { failures: 2, ..Doer::default() }).await;
    bed.ask("m", 1).await;
    assert_eq!(bed.told(1).await, [("m".to_owned(), "done at attempt 3".to_owned())]);
    life.finish().await.unwrap();
}

#[tokio::test]
async fn what_a_stopped_process_held_is_taken_over() {
    let bed = Bed::new().await;
    let stuck = Doer { hangs: true, ..Doer::default() };
    let first = bed.start(stuck.clone()).await;
    bed.ask("m", 1).await;
    eventually("the first try", SOON, async || stuck.tries.lock().unwrap().get("m").copied()).await.unwrap();
    first.finish().await.unwrap();
    let second = bed.start(Doer::default()).await;
    let told = bed.told(1).await;
    assert_ne!(told, [("m".to_owned(), "done at attempt 1".to_owned())], "the second process knows that it was tried before");
    second.finish().await.unwrap();
}

#[tokio::test]
async fn a_backlog_goes_as_fast_as_the_bus_takes_it() {
    let bed = Bed::new().await;
    // At one sweep a tick this would take minutes.
    bed.leave_behind(15_000).await;
    let life = bed.start(Doer::default()).await;
    bed.settled().await;
    life.finish().await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_committed_meanwhile_counts() {
    let bed = Bed::new().await;
    let gate = Arc::new(Notify::new());
    let slow = Doer { gate: Some(gate.clone()), ..Doer::default() };
    let life = bed.start(slow.clone()).await;
    bed.ask("m", 1).await;
    eventually("the first try", SOON, async || slow.tries.lock().unwrap().get("m").copied()).await.unwrap();
    // The service still knows the state that it committed itself.
    bed.end_elsewhere("m").await;
    gate.notify_one();
    bed.settled().await;
    assert_eq!(bed.events().await, 0, "the outcome was decided upon by what is stored");
    life.finish().await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_has_begun_is_not_begun_again() {
    let bed = Bed::new().await;
    bed.end_elsewhere("m").await;
    let doer = Doer::default();
    let life = bed.start(doer.clone()).await;
    bed.ask("m", 1).await;
    bed.ask("n", 1).await;
    assert_eq!(bed.told(1).await, [("n".to_owned(), "done at attempt 1".to_owned())]);
    bed.settled().await;
    bed.handled(2).await;
    assert_eq!(doer.tries.lock().unwrap().keys().collect::<Vec<_>>(), ["n"], "the commit found out");
    life.finish().await.unwrap();
}

#[tokio::test]
async fn a_lease_is_kept_while_its_holder_lives() {
    let bed = Bed::new().await;
    let stuck = Doer { hangs: true, ..Doer::default() };
    let first = bed.start(stuck.clone()).await;
    bed.ask("m", 1).await;
    eventually("the first try", SOON, async || stuck.tries.lock().unwrap().get("m").copied()).await.unwrap();
    let other = Doer::default();
    let second = bed.start(other.clone()).await;
    // The other process is busy with other things meanwhile, for several leases.
    for n in 0..10 {
        bed.ask(&format!("n{n}"), 1).await;
        tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await.unwrap_err();
    }
    assert!(!other.tries.lock().unwrap().contains_key("m"), "a live holder keeps its effect");
    first.stop();
    second.finish().await.unwrap();
    first.finish().await.unwrap();
}

#[tokio::test]
async fn a_bus_that_was_away_gets_what_is_owed() {
    let mut bed = Bed::new().await;
    let life = bed.start(Doer { failures: 1, ..Doer::default() }).await;
    for n in 0..5 {
        bed.ask(&format!("m{n}"), 1).await;
    }
    bed.nats.server().kill().await.unwrap();
    bed.nats.server().restart().await.unwrap();
    let mut told = bed.told(5).await;
    told.sort();
    assert_eq!(told.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["m0", "m1", "m2", "m3", "m4"]);
    bed.settled().await;
    life.finish().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_nothing_is_set_going_again_and_told() {
    let bed = Bed::new().await;
    let stuck = Doer { hangs: true, ..Doer::default() };
    let first = bed.start(stuck.clone()).await;
    bed.ask("m", 1).await;
    eventually("the first try", SOON, async || stuck.tries.lock().unwrap().get("m").copied()).await.unwrap();
    first.finish().await.unwrap();
    bed.lose_what_is_owed().await;
    let before = set_going();
    let second = bed.start(Doer::default()).await;
    assert_eq!(bed.told(1).await, [("m".to_owned(), "done at attempt 1".to_owned())]);
    assert!(set_going() > before);
    let told = async || Some(bed.facts().await).filter(|kinds| kinds.contains(&"set_going".to_owned()));
    eventually("a fact that says so", SOON, told).await.unwrap();
    bed.settled().await;
    second.finish().await.unwrap();
}

fn set_going() -> u64 {
    runtime::metrics::SET_GOING.with_label_values(&["diagnostics"]).get()
}
