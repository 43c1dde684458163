//! What numbers at the end of a day do not tell: when people hear what, and what the end says.

use chrono::{DateTime, TimeDelta, Utc};
use incident::fact::{Fact, What};
use simulation::faults::{PROFILES, Profile, UNDISTURBED};
use simulation::run::{Case, Course};
use simulation::trace::Trace;

use crate::scenarios;

fn facts(scenario: &str, profile: Profile, seed: u64) -> Vec<Fact> {
    let scenario = scenarios().into_iter().find(|one| one.name == scenario).expect("a scenario of this name");
    let report = Case { scenario, profile, mutation: None }.play(Course::Seed(seed), Trace::off());
    assert_eq!(report.broken, None, "seed {seed}");
    report.facts
}

fn first<T>(facts: &[Fact], find: impl Fn(&What) -> Option<T>) -> Option<(DateTime<Utc>, T)> {
    facts.iter().find_map(|fact| Some((fact.at, find(&fact.what)?)))
}

fn opened(facts: &[Fact]) -> DateTime<Utc> {
    first(facts, |what| matches!(what, What::Opened { .. }).then_some(())).expect("an incident").0
}

/// What Slack was told first, and when.
fn first_card(facts: &[Fact]) -> (DateTime<Utc>, String) {
    let told = |what: &What| match what {
        What::Told { place, summary } if place.starts_with("Slack") => Some(summary.clone()),
        _ => None,
    };
    first(facts, told).expect("people are told")
}

#[test]
fn the_first_card_waits_for_the_plan_but_not_for_long() {
    let with_plan = facts("approved", UNDISTURBED, 0);
    let (at, card) = first_card(&with_plan);
    assert!(card.contains("Approve with: paramedic approve"), "one card says it all: {card}");
    assert!(at - opened(&with_plan) < TimeDelta::seconds(1));
    let without = facts("remediation-is-away", UNDISTURBED, 0);
    let (at, card) = first_card(&without);
    assert!(!card.contains("Approve with"), "{card}");
    assert!(at - opened(&without) < TimeDelta::seconds(5), "people are told soon");
}

#[test]
fn a_plan_that_is_outdated_before_the_first_card_is_waited_for_in_peace() {
    let facts = facts("diagnosed-too-early", UNDISTURBED, 0);
    let rounds =
        facts.iter().filter(|fact| matches!(&fact.what, What::StepChanged { how, .. } if how.starts_with("diagnosed anew")));
    assert_eq!(rounds.count(), 2, "it is tried a few times, then people have it");
    let (_, card) = first_card(&facts);
    assert!(card.starts_with("Needs people"), "{card}");
}

#[test]
fn an_end_says_what_was_done_even_if_a_yes_and_the_resolution_come_at_once() {
    let mut repaired = 0;
    let days = (0..200).flat_map(|seed| PROFILES.map(|profile| (seed, profile)));
    for (seed, profile) in days {
        let facts = facts("yes-and-resolved-at-once", profile, seed);
        let recovered = facts.iter().any(|fact| matches!(fact.what, What::Verified { recovered: true, .. }));
        let outcome = |what: &What| match what {
            What::Closed { outcome } => Some(outcome.starts_with("resolved by the approved rollback")),
            _ => None,
        };
        if let Some((_, told)) = first(&facts, outcome) {
            assert_eq!(recovered, told, "seed {seed}, {}", profile.name);
            repaired += usize::from(told);
        }
    }
    assert!((1..1_000).contains(&repaired), "both orders were tried: {repaired}");
}
