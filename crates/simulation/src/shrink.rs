//! Making a failure short: leaves out what the scenario says and what went wrong by chance, as long as the same promise breaks.

use std::fmt;

use incident::promises::Broken;

use crate::choices::{Choice, Schedule};
use crate::run::{Case, Course, Failure, Report, SCENARIO};
use crate::scenario::Happening;
use crate::trace::Trace;

/// Days that are played to make one shorter: some seconds.
const PLAYS_MAX: usize = 1_500;

/// A failure with nothing in it that it does not need.
#[derive(Debug)]
pub struct Shrunk {
    /// The day that is left.
    pub case: Case,
    /// What still breaks.
    pub broken: Broken,
    /// What must go wrong for that.
    pub deviations: Vec<Choice>,
    /// What then happens.
    pub trace: Trace,
}

/// Tries that are left, and what each must break.
struct Search {
    plays: usize,
    promise: &'static str,
}

impl Search {
    fn still_breaks(&mut self, case: &Case, schedule: &Schedule) -> bool {
        if self.plays == PLAYS_MAX {
            return false;
        }
        self.plays += 1;
        let report = case.play(Course::Schedule(schedule.clone()), Trace::off());
        report.broken.is_some_and(|broken| broken.promise == self.promise)
    }

    /// Leaves out parts of `whole`, large ones first, as long as `holds` says that what is left is enough.
    fn fewest<T: Clone>(&mut self, mut whole: Vec<T>, holds: impl Fn(&mut Self, &[T]) -> bool) -> Vec<T> {
        let mut size = whole.len();
        while size > 0 {
            let mut from = 0;
            while from < whole.len() {
                let end = (from + size).min(whole.len());
                let rest: Vec<T> = whole.iter().take(from).chain(whole.iter().skip(end)).cloned().collect();
                if holds(self, &rest) {
                    whole = rest;
                } else {
                    from = end;
                }
            }
            size /= 2;
        }
        whole
    }
}

/// Makes a failure short.
pub fn shrink(failure: &Failure) -> Shrunk {
    let mut search = Search { plays: 0, promise: failure.broken.promise };
    let mut case = failure.case.clone();
    let all: Vec<(u64, u32)> = failure.deviations.iter().map(|choice| (choice.key, choice.value)).collect();
    let needed = |of: &[(u64, u32)]| -> Schedule { of.iter().copied().collect() };
    let mut left = search.fewest(all, |search, rest| search.still_breaks(&case, &needed(rest)));
    // What a scenario expects of its end is about all that happens in it.
    if failure.broken.promise != SCENARIO {
        let schedule = needed(&left);
        let with = |happens: &[Happening]| {
            let mut less = case.clone();
            less.scenario.happens = happens.to_vec();
            less
        };
        let happens = search.fewest(case.scenario.happens.clone(), |search, rest| search.still_breaks(&with(rest), &schedule));
        case = with(&happens);
        left = search.fewest(left, |search, rest| search.still_breaks(&case, &needed(rest)));
    }
    for n in 0..left.len() {
        let mut smaller = left.clone();
        if let Some(choice) = smaller.get_mut(n) {
            choice.1 = 1;
        }
        if search.still_breaks(&case, &needed(&smaller)) {
            left = smaller;
        }
    }
    let Report { broken, deviations, trace, .. } = case.play(Course::Schedule(needed(&left)), Trace::on());
    Shrunk { case, broken: broken.unwrap_or_else(|| failure.broken.clone()), deviations, trace }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "As short as it gets, {} of the scenario's happenings and:", self.case.scenario.happens.len())?;
        for choice in &self.deviations {
            writeln!(f, "  !! {}", choice.what)?;
        }
        for line in self.trace.lines() {
            writeln!(f, "{line}")?;
        }
        write!(f, "{} broke: {}", self.broken.promise, self.broken.why)
    }
}
