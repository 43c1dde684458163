//! Playing days: one that is chosen, or the one that a seed picks.

use std::fmt;
use std::ops::Range;

use incident::fact::Fact;
use incident::promises::Broken;

use crate::choices::{Choice, Choices, Schedule, pick};
use crate::expected::Seen;
use crate::faults::{PROFILES, Profile, UNDISTURBED};
use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::{Ended, World};

/// What a broken expectation of a scenario is called beside P1 to P12.
pub const SCENARIO: &str = "scenario";

/// A day, and what may go wrong besides.
#[derive(Debug, Clone)]
pub struct Case {
    /// What happens.
    pub scenario: Scenario,
    /// What may go wrong.
    pub profile: Profile,
    /// A mistake on purpose.
    pub mutation: Option<Mutation>,
}

/// What goes wrong by chance.
#[derive(Debug, Clone)]
pub enum Course {
    /// What the seed says.
    Seed(u64),
    /// These deviations.
    Schedule(Schedule),
}

/// How a day went.
#[derive(Debug)]
pub struct Report {
    /// The first promise, or expectation of the scenario, that broke.
    pub broken: Option<Broken>,
    /// What went wrong by chance.
    pub deviations: Vec<Choice>,
    /// What the agents told, by incident and in the order of the commits.
    pub facts: Vec<Fact>,
    /// What happened, if it was asked for.
    pub trace: Trace,
    /// Steps taken.
    pub steps: usize,
}

impl Case {
    /// The day that a seed picks.
    pub fn of_seed(scenarios: &[Scenario], seed: u64, mutation: Option<Mutation>) -> Option<Self> {
        let scenario = scenarios.get(pick(seed, "scenario", scenarios.len()))?.clone();
        let profile = PROFILES.get(pick(seed, "profile", PROFILES.len())).copied().unwrap_or(UNDISTURBED);
        Some(Self { scenario, profile, mutation })
    }

    /// Plays it.
    pub fn play(&self, course: Course, trace: Trace) -> Report {
        let choices = match course {
            Course::Seed(seed) => Choices::of_seed(seed),
            Course::Schedule(schedule) => Choices::of_schedule(schedule),
        };
        let ended = World::new(&self.scenario, choices, self.profile, (self.mutation, trace)).run();
        let witness = &ended.env.witness;
        let seen = Seen {
            facts: witness.facts.values().flatten().collect(),
            deeds: witness.deeds.iter().collect(),
            dead_letters: ended.env.log.dead.len(),
        };
        let mut missed = self.scenario.always.unmet(&seen);
        if self.profile == UNDISTURBED {
            missed.extend(self.scenario.undisturbed.unmet(&seen));
        }
        let expectation = || (!missed.is_empty()).then(|| Broken { promise: SCENARIO, why: missed.join(", ") });
        let broken = ended.broken.clone().or_else(expectation);
        let Ended { env, steps, .. } = ended;
        Report { broken, deviations: env.choices.taken().to_vec(), facts: env.witness.all_facts(), trace: env.trace, steps }
    }
}

/// A seed whose day broke something.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Its day.
    pub case: Case,
    /// What broke.
    pub broken: Broken,
    /// What had gone wrong by chance.
    pub deviations: Vec<Choice>,
}

/// Plays the days of these seeds until one breaks something.
pub fn first_failure(scenarios: &[Scenario], seeds: Range<u64>, mutation: Option<Mutation>) -> Option<Failure> {
    seeds.into_iter().find_map(|seed| failure(scenarios, seed, mutation))
}

/// What the day of this seed breaks, if anything.
pub fn failure(scenarios: &[Scenario], seed: u64, mutation: Option<Mutation>) -> Option<Failure> {
    let case = Case::of_seed(scenarios, seed, mutation)?;
    let Report { broken, deviations, .. } = case.play(Course::Seed(seed), Trace::off());
    Some(Failure { seed, case, broken: broken?, deviations })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, case, broken, .. } = self;
        let (scenario, profile) = (&case.scenario.name, case.profile.name);
        writeln!(f, "seed {seed}: {} broke: {}", broken.promise, broken.why)?;
        writeln!(f, "scenario {scenario}, profile {profile}; once more: make sim SEEDS=1 SEED={seed}")
    }
}
