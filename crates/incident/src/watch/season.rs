//! What is usual in one hour of the week, told by the same hour of the weeks before.
//!
//! Each week's hour is a line: half of all daily patterns rise or fall within an hour by more than their noise. The weeks together are a
//! line again, because what grows by a twentieth a week would be "unusual" after a month. Both lines are fitted through medians, so that
//! last week's outage is not taken for usual. What leaves the line at the same minutes of every week, as jobs and opening hours do, is
//! usual as well.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::Point;
use super::stats::{deviation, median, spread};

/// Weeks that are asked for. More would know better, but remember longer how things were before the last big change.
pub const WEEKS: i32 = 5;
/// With fewer, one bad week would be most of what is known.
const WEEKS_MIN: usize = 3;
/// Points that make an hour: half of those that are five minutes apart.
const HOUR_POINTS_MIN: usize = 6;
/// Between two points of the past: what is usual in an hour does not need every minute, and Prometheus has it all to read.
pub const STEP: TimeDelta = TimeDelta::minutes(5);
/// Seconds of an hour.
const HOUR_S: i64 = 3_600;
/// Points that are a step apart, from the first of an hour to the first of the next.
const PLACES: usize = 13;
/// What is off the line at a place by less than so many deviations is noise: the median of five weeks is off by 0.6 of them.
const PLACE_DEVIATIONS: f64 = 3.0;

/// What is usual, by hour.
pub type Seasons = BTreeMap<Hour, Usual>;

/// One hour of the calendar (UTC), by its number since 1970. Where people's clocks change twice a year, so does the pattern of their day:
/// for some weeks it is an hour off, and only the comparison with the hours before holds alarms back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

/// One hour of one week of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// How many weeks ago, from 1.
    pub weeks_ago: i32,
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment of the hour after it: what happens in between is told by both.
    pub to: DateTime<Utc>,
}

impl Hour {
    /// The hour that a moment lies in.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self(at.timestamp().div_euclid(HOUR_S))
    }

    /// All hours up to and including `last`.
    pub fn to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    /// Its first moment.
    pub fn start(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.saturating_mul(HOUR_S), 0).unwrap_or_default()
    }

    /// The same hour of the weeks before, the last one first.
    pub fn past(self) -> impl Iterator<Item = Past> {
        (1..=WEEKS).map(move |weeks_ago| {
            let from = self.start() - TimeDelta::weeks(i64::from(weeks_ago));
            Past { weeks_ago, from, to: from + TimeDelta::hours(1) }
        })
    }
}

/// What is usual in one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// In the middle of the hour.
    level: f64,
    /// How it rises within the hour, per second.
    slope: f64,
    middle: DateTime<Utc>,
    /// What the hour has beside the line, every [`STEP`].
    places: [f64; PLACES],
    /// Standard deviation of a value around that, told robustly: of the values of one week, and of the weeks among each other.
    pub spread: f64,
    /// How far above all that the hour's highest value usually is.
    pub reach_up: f64,
    /// How far below its lowest value usually is.
    pub reach_down: f64,
}

impl Usual {
    /// What the hour is usually like, from the points of that hour in earlier weeks, with how many weeks ago each was. None if too little
    /// is known of it.
    pub fn of<'a>(hour: Hour, past: impl IntoIterator<Item = (i32, &'a [Point])>) -> Option<Self> {
        let middle = hour.start() + TimeDelta::minutes(30);
        let mut weeks: Vec<Week> = past.into_iter().filter_map(|(ago, points)| Week::of(ago, middle, points)).collect();
        if weeks.len() < WEEKS_MIN {
            return None;
        }
        let growth = growth(&weeks)?;
        let level = median(weeks.iter().map(|week| week.level + growth * week.ago))?;
        let among = deviation(weeks.iter().map(|week| week.level + growth * week.ago))?;
        let places = places(&weeks)?;
        for week in &mut weeks {
            week.forget(&places);
        }
        let of_weeks = |of: fn(&Week) -> Option<f64>| median(weeks.iter().filter_map(of));
        Some(Self {
            level,
            slope: of_weeks(|week| Some(week.slope))?,
            middle,
            places,
            spread: of_weeks(|week| spread(week.off()))?.hypot(among),
            reach_up: of_weeks(|week| Some(week.off().fold(0.0, f64::max)))?,
            reach_down: of_weeks(|week| Some(week.off().fold(0.0, |reach, off| reach.max(-off))))?,
        })
    }

    /// How far a value is from what is usual at that moment of the hour. Between two places, anything between what is usual at them is:
    /// nobody knows when in these minutes the job begins.
    pub fn off(&self, at: DateTime<Utc>, value: f64) -> f64 {
        let line = self.level + self.slope * seconds(at - self.middle);
        let place = self.place(at);
        let of = |n: usize| self.places.get(n).or(self.places.last()).copied().unwrap_or_default();
        let (one, other) = (of(place), of(place + 1));
        let off = value - line;
        off - off.clamp(one.min(other), one.max(other))
    }

    /// The last place that is not after a moment.
    fn place(&self, at: DateTime<Utc>) -> usize {
        let since = at - self.middle + TimeDelta::minutes(30);
        usize::try_from(since.num_seconds().div_euclid(STEP.num_seconds())).unwrap_or_default()
    }
}

/// What most weeks have beside the line, where that is more than noise: more than weeks differ at one place. What lies off the line
/// would not do for noise, because a line may fit badly.
fn places(weeks: &[Week]) -> Option<[f64; PLACES]> {
    let here = |n: usize| -> Vec<f64> {
        weeks.iter().filter_map(|week| week.points.iter().find(|(found, _)| *found == n).map(|(_, off)| *off)).collect()
    };
    let all: Vec<(Vec<f64>, f64)> = (0..PLACES).map(|n| (here(n), median(here(n)).unwrap_or_default())).collect();
    let noise = deviation(all.iter().flat_map(|(here, middle)| here.iter().map(move |off| off - middle)))?;
    let mut places = [0.0; PLACES];
    for (place, (here, middle)) in places.iter_mut().zip(&all) {
        let is_more = here.len() >= WEEKS_MIN && middle.abs() > PLACE_DEVIATIONS * noise;
        *place = if is_more { *middle } else { 0.0 };
    }
    Some(places)
}

/// How much a week adds: the median of what each two weeks say (Theil and Sen), which one week in five cannot move.
fn growth(weeks: &[Week]) -> Option<f64> {
    let pairs = weeks.iter().flat_map(|one| weeks.iter().map(move |other| (one, other)));
    let later = pairs.filter(|(one, other)| one.ago < other.ago);
    median(later.map(|(one, other)| (one.level - other.level) / (other.ago - one.ago)))
}

/// The hour in one week.
struct Week {
    ago: f64,
    level: f64,
    slope: f64,
    /// At which place, and how far from the line.
    points: Vec<(usize, f64)>,
}

impl Week {
    fn of(ago: i32, middle: DateTime<Utc>, points: &[Point]) -> Option<Self> {
        let then = middle - TimeDelta::weeks(i64::from(ago));
        let points: Vec<(f64, f64)> =
            points.iter().filter(|(_, value)| value.is_finite()).map(|(at, value)| (seconds(*at - then), *value)).collect();
        if points.len() < HOUR_POINTS_MIN {
            return None;
        }
        let slope = slope(&points);
        let level = median(points.iter().map(|(second, value)| value - slope * second))?;
        let off = |(second, value): &(f64, f64)| (place(*second), value - slope * second - level);
        Some(Self { ago: f64::from(ago), level, slope, points: points.iter().map(off).collect() })
    }

    fn off(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, off)| *off)
    }

    fn forget(&mut self, places: &[f64; PLACES]) {
        for (place, off) in &mut self.points {
            *off -= places.get(*place).copied().unwrap_or_default();
        }
    }
}

/// The place nearest to a second, counted from the middle of the hour.
fn place(second: f64) -> usize {
    let place = (second + seconds(TimeDelta::minutes(30))) / seconds(STEP);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and twelve")]
    let place = place.round().max(0.0) as usize;
    place
}

/// From the median of the first half of the hour to that of the second; flat if one half is empty.
fn slope(points: &[(f64, f64)]) -> f64 {
    let half = |is_first: bool| {
        let of_half = points.iter().filter(move |(second, _)| (*second < 0.0) == is_first);
        Some((median(of_half.clone().map(|(second, _)| *second))?, median(of_half.map(|(_, value)| *value))?))
    };
    let (Some((from, first)), Some((to, second))) = (half(true), half(false)) else { return 0.0 };
    (second - first) / (to - from)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of some hours")]
fn seconds(delta: TimeDelta) -> f64 {
    delta.num_milliseconds() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Hour = Hour(490_000);

    /// What is usual, from one value for each week and five minutes.
    fn usual(weeks: i32, value: impl Fn(i32, i32) -> Option<f64>) -> Option<Usual> {
        let points = |past: Past| -> Vec<Point> {
            (0..=12).filter_map(|n| Some((past.from + STEP * n, value(past.weeks_ago, n)?))).collect()
        };
        let past: Vec<(i32, Vec<Point>)> =
            HOUR.past().take(weeks.unsigned_abs() as usize).map(|p| (p.weeks_ago, points(p))).collect();
        Usual::of(HOUR, past.iter().map(|(ago, points)| (*ago, points.as_slice())))
    }

    fn near(usual: Option<Usual>, minute: i64, expected: f64) {
        let off = usual.unwrap().off(HOUR.start() + TimeDelta::minutes(minute), expected);
        assert!(off.abs() <= 1.0, "{off} off {expected}: {usual:?}");
    }

    #[test]
    fn it_follows_the_rise_within_the_hour_and_from_week_to_week() {
        let rising = usual(5, |ago, n| Some(100.0 + f64::from(n) - 10.0 * f64::from(ago)));
        near(rising, 0, 100.0);
        near(rising, 30, 106.0);
        assert!(rising.unwrap().spread < 0.01, "{rising:?}");
    }

    #[test]
    fn one_bad_week_is_not_usual() {
        let noise = |n: i32| f64::from(n % 3);
        let good = usual(5, |_, n| Some(100.0 + noise(n)));
        let bad = usual(5, |ago, n| Some(if ago == 2 { 0.0 } else { 100.0 + noise(n) }));
        near(good, 30, 101.0);
        near(bad, 30, 101.0);
        assert!(bad.unwrap().spread < 4.0, "{bad:?}");
    }

    #[test]
    fn what_runs_in_a_part_of_every_hour_is_usual_there_and_nowhere_else() {
        let noise = |ago: i32, n: i32| f64::from((ago * 7 + n * 5) % 3);
        let job = usual(5, |ago, n| Some(if n < 2 { 500.0 } else { 100.0 } + noise(ago, n)));
        near(job, 3, 501.0);
        // It ends between minutes 5 and 10.
        for value in [101.0, 300.0, 501.0] {
            near(job, 8, value);
        }
        near(job, 40, 101.0);
        let job = job.unwrap();
        let off = |minute: i64, value: f64| job.off(HOUR.start() + TimeDelta::minutes(minute), value);
        assert!(off(3, 101.0) < -390.0 && off(40, 500.0) > 390.0, "{job:?}");
        assert!(job.spread < 3.0 && job.reach_up < 5.0, "{job:?}");
    }

    #[test]
    fn too_little_history_is_none() {
        assert_eq!(usual(2, |_, _| Some(1.0)), None);
        assert_eq!(usual(5, |ago, _| (ago <= 2).then_some(1.0)), None);
        assert_eq!(usual(5, |_, n| (n < 5).then_some(1.0)), None);
        assert_eq!(usual(5, |_, n| Some(if n < 5 { 1.0 } else { f64::NAN })), None);
        assert!(usual(3, |_, n| (n < 6).then_some(1.0)).is_some());
    }
}
