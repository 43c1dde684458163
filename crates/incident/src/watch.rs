//! Monitoring's own watch: rules that name a metric, what is usual for it, and when it has left that. What leaves it becomes an
//! [`Alert`](crate::alert::Alert) like any other, so that everything after it is the same.
//!
//! A series is judged at the moments of a fixed grid, from its own recent past and from the same hour of earlier weeks:
//!
//! 1. [`season`] says what is usual in this hour of the week, and how far off is still usual.
//! 2. [`judge`] compares the median of the last minutes with that, and with the two hours before. Both must say "far off": a season that
//!    is out of date raises no alarm by itself, and neither does the rise of every morning.
//! 3. [`memory`] keeps what fires, ends it later than it began it, and makes alerts of both.
//!
//! Pure. It must never ask for data, know where they come from, or take the time from anywhere but its arguments.

pub mod judge;
pub mod memory;
pub mod replay;
pub mod rule;
pub mod season;
mod stats;
mod words;

use chrono::{DateTime, TimeDelta, Utc};

use crate::alert::Labels;
use rule::Rule;
use season::{Hour, Seasons};

/// Points before the judged ones: two hours at the usual minute. Long enough that half an hour of a slow rise leaves the median alone.
pub const BEFORE_POINTS: u32 = 120;
/// The median of fewer points is one point's chance.
const RECENT_POINTS_MIN: u32 = 3;
/// More add nothing to a median, and much to what is asked of Prometheus.
pub const RECENT_POINTS_MAX: u32 = 240;

/// A value at a moment.
pub type Point = (DateTime<Utc>, f64);

/// One series as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its labels, as the expression gives them.
    pub labels: Labels,
    /// Its recent points on the grid, oldest first; missing ones are left out.
    pub points: Vec<Point>,
    /// What is usual in the hours that these points lie in; empty where nothing is known.
    pub seasons: Seasons,
}

/// The moments at which a watch looks: whole multiples of its interval since 1970, so that replicas look at the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    interval_s: u32,
}

impl Grid {
    /// A look every so many seconds, at least one.
    pub fn new(interval_s: u32) -> Self {
        Self { interval_s: interval_s.max(1) }
    }

    /// From one look to the next.
    pub fn interval(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.interval_s))
    }

    /// The last moment of the grid that is not after `now`.
    pub fn last(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let second = now.timestamp();
        DateTime::from_timestamp(second - second.rem_euclid(i64::from(self.interval_s)), 0).unwrap_or(now)
    }

    /// How many points a rule's minimal duration spans.
    pub fn recent_points(self, rule: &Rule) -> u32 {
        rule.min_duration_s.div_ceil(self.interval_s).clamp(RECENT_POINTS_MIN, RECENT_POINTS_MAX)
    }

    /// The first moment whose value a look at `at` takes into account.
    pub fn from(self, rule: &Rule, at: DateTime<Utc>) -> DateTime<Utc> {
        let points = self.recent_points(rule) + BEFORE_POINTS - 1;
        at - self.interval() * i32::try_from(points).unwrap_or(i32::MAX)
    }

    /// The hours that a look at `at` takes into account.
    pub fn hours(self, rule: &Rule, at: DateTime<Utc>) -> impl Iterator<Item = Hour> {
        Hour::of(self.from(rule, at)).to(Hour::of(at))
    }
}
