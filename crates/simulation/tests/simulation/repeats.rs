//! A seed plays the same day every time, and a failure can be made short enough to read.

use simulation::faults::{PROFILES, Site};
use simulation::mutation::Mutation;
use simulation::run::{Case, Course, first_failure};
use simulation::shrink::shrink;
use simulation::trace::Trace;

use crate::scenarios;

#[test]
fn a_seed_plays_the_same_day_every_time() {
    let scenarios = scenarios();
    let mut digests = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let play = || Case::of_seed(&scenarios, seed, None).unwrap().play(Course::Seed(seed), Trace::on());
        let (first, again) = (play(), play());
        assert_eq!(first.trace.lines(), again.trace.lines(), "seed {seed}");
        assert_eq!((first.trace.digest(), first.steps), (again.trace.digest(), again.steps), "seed {seed}");
        digests.insert(first.trace.digest());
    }
    assert_eq!(digests.len(), 30, "seeds differ");
}

#[test]
fn a_schedule_plays_the_day_of_its_seed() {
    let scenarios = scenarios();
    for seed in 0..30 {
        let case = Case::of_seed(&scenarios, seed, None).unwrap();
        let seeded = case.play(Course::Seed(seed), Trace::on());
        let schedule = seeded.deviations.iter().map(|choice| (choice.key, choice.value)).collect();
        let again = case.play(Course::Schedule(schedule), Trace::on());
        assert_eq!(seeded.trace.lines(), again.trace.lines(), "seed {seed}");
    }
}

#[test]
fn everything_that_may_go_wrong_does() {
    let scenarios = scenarios();
    let mut missing: Vec<Site> = Site::ALL.to_vec();
    for seed in 0..500 {
        let report = Case::of_seed(&scenarios, seed, None).unwrap().play(Course::Seed(seed), Trace::off());
        missing.retain(|site| !report.deviations.iter().any(|choice| choice.what.starts_with(site.label())));
    }
    assert_eq!(missing, vec![]);
    let listed = |site: &Site| PROFILES.iter().any(|profile| profile.odds(*site).0 > 0);
    assert!(Site::ALL.iter().all(listed));
}

#[test]
fn a_failure_is_made_short_enough_to_read() {
    let failure = first_failure(&scenarios(), 0..2_000, Some(Mutation::CalledWithoutKey)).expect("it is noticed");
    let short = shrink(&failure);
    assert_eq!(short.broken.promise, failure.broken.promise);
    assert!(short.deviations.len() <= 5 && short.deviations.len() <= failure.deviations.len(), "{short}");
    assert!(short.case.scenario.happens.len() <= 4, "{short}");
    let text = format!("{failure}{short}");
    assert!(text.contains(&format!("make sim SEEDS=1 SEED={}", failure.seed)) && text.contains("is posted"), "{text}");
}
