//! Mistakes of the shell, each made on purpose: the simulation must notice within so many seeds, and name the promise that breaks.

use std::ops::Range;

use simulation::mutation::Mutation;
use simulation::run::first_failure;

use crate::scenarios;

/// A mistake, the scenarios on which it can show (none: on any), the seeds among which it does, and the promises that it may break first.
type Noticed = (Mutation, &'static [&'static str], Range<u64>, &'static [&'static str]);

const NOTICED: [Noticed; 9] = [
    (Mutation::InboxUnchecked, &[], 0..20, &["P2", "P11"]),
    (Mutation::RevisionUnchecked, &[], 0..20, &["P2", "P6", "P11"]),
    (Mutation::AckBeforeCommit, &[], 0..20, &["P1"]),
    (Mutation::ResentAsNew, &[], 0..20, &["P2", "P11"]),
    (Mutation::CalledWithoutKey, &[], 0..20, &["P2"]),
    // Two processes must have one timer, for which one of them must stand still for long between two steps.
    (Mutation::TimerUnchecked, &["unanswered"], 0..2_000, &["P2"]),
    // The same for an effect.
    (Mutation::LeaseUnchecked, &[], 0..4_000, &["P2"]),
    (Mutation::TimersLost, &[], 0..20, &["P6"]),
    (Mutation::ApprovalNotConsumed, &[], 0..200, &["P2", "P3"]),
];

fn is_noticed(mutation: Mutation) {
    let (_, only, seeds, promises) =
        NOTICED.into_iter().find(|(listed, ..)| *listed == mutation).expect("a line for each mistake");
    let mut scenarios = scenarios();
    scenarios.retain(|scenario| only.is_empty() || only.contains(&scenario.name.as_str()));
    let failure = first_failure(&scenarios, seeds.clone(), Some(mutation));
    let failure = failure.unwrap_or_else(|| panic!("{mutation:?} is not noticed within the seeds {seeds:?}"));
    assert!(promises.contains(&failure.broken.promise), "{mutation:?}: {failure}");
}

macro_rules! each {
    ($($name:ident: $mutation:ident,)*) => {
        $(#[test] fn $name() { is_noticed(Mutation::$mutation); })*
        #[test]
        fn every_mistake_is_made() {
            let made = [$(Mutation::$mutation),*];
            assert_eq!(made, Mutation::ALL);
        }
    };
}

each! {
    a_message_that_is_handled_twice: InboxUnchecked,
    a_state_that_is_written_over_a_newer_one: RevisionUnchecked,
    an_acknowledgement_before_the_commit: AckBeforeCommit,
    a_message_that_is_sent_again_as_a_new_one: ResentAsNew,
    a_call_that_is_made_again_without_its_key: CalledWithoutKey,
    a_timer_that_fires_though_it_was_moved: TimerUnchecked,
    a_timer_that_is_not_set: TimersLost,
    an_effect_that_is_performed_by_who_lost_it: LeaseUnchecked,
    a_yes_that_counts_more_than_once: ApprovalNotConsumed,
}
