//! Whether a series has left what is usual, and whether it is back.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Direction, Rule};
use super::season::{Hour, Usual};
use super::stats::{median, spread};
use super::{BEFORE_POINTS, Grid, Point, Seen};

/// Share of the judged points that must be there.
const RECENT_SHARE_MIN: f64 = 0.6;
/// Share of the points before them that must be there: 15 tell a spread within a third, and where the season is known, it has a say as
/// well.
const BEFORE_SHARE_MIN: f64 = 0.25;
/// Where the season is known, this share of the points before is left out, the latest: so a rise within an hour has not become usual by
/// the time it is high. Without a season, every morning would be such a rise.
const BEFORE_SHARE_LATE: f64 = 0.5;
/// The least spread, as share of the level. Metrics without noise (a configured size, a constant) would call a thousandth unusual; with
/// this, a hundredth is it at medium sensitivity. More would hide what small ratios do, `min_change` is there for more.
const SPREAD_SHARE_MIN: f64 = 0.002;
/// The least spread of a series that is zero and does not move: any value that stays is unusual, but a division needs something.
const SPREAD_MIN: f64 = 1e-9;
/// Where the same hour of earlier weeks is asked for and not known, the two hours before must do, with more room: they do not know what
/// every morning is like.
const UNKNOWN_SEASON: f64 = 1.5;
/// It ends within half of the way that it began at: at the same bound it would fire and end by turns.
const END_SHARE: f64 = 0.5;
/// Points without any value before "no data" ends it: an hour at the usual minute. What is not measured has not recovered, but nobody
/// can wait for a series whose target is gone for good.
const ABSENT_POINTS: i32 = 60;
/// What has stayed for a week is the new usual: the same hour of last week was like it.
const EPISODE_MAX: TimeDelta = TimeDelta::weeks(1);

/// Which way it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// There is more than usual.
    Up,
    /// There is less.
    Down,
}

impl Way {
    const fn sign(self) -> f64 {
        match self {
            Self::Up => 1.0,
            Self::Down => -1.0,
        }
    }

    fn is_bad(self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self == Self::Up,
            Direction::Down => self == Self::Down,
            Direction::Both => true,
        }
    }
}

/// How a series left what is usual. Numbers are in the unit of the metric; all are finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Departure {
    /// When it was seen.
    pub starts_at: DateTime<Utc>,
    /// Which way.
    pub way: Way,
    /// Whether the same hour of earlier weeks was known.
    pub is_seasonal: bool,
    /// The median then.
    pub value: f64,
    /// What was usual then.
    pub usual: f64,
    /// How far off would just have been usual.
    pub bound: f64,
    /// The median before, as it is compared: less what the season expected, if that was known.
    before: f64,
}

impl Departure {
    /// Where it ends, as the metric was then: above this it still is, or below if it went down.
    pub fn ends_at_value(&self) -> f64 {
        self.usual + self.way.sign() * self.bound * END_SHARE
    }
}

/// Why it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is as usual again.
    Back,
    /// There is nothing to measure any more.
    NoData,
    /// It has stayed for so long that it is the new usual.
    Stayed,
}

/// What is to be said of a series at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It is as usual.
    Usual,
    /// It has left.
    Leaves(Departure),
    /// It has not come back.
    Away,
    /// It is over.
    Ends(End),
    /// Too little is known: what was true stays true.
    Unknown,
}

/// Judges a series at `at`, knowing how it left if it has.
pub fn judge(rule: &Rule, grid: Grid, seen: &Seen, away: Option<&Departure>, at: DateTime<Utc>) -> Verdict {
    let Some(away) = away else {
        return match Comparison::of(rule, grid, seen, at) {
            None => Verdict::Unknown,
            Some(found) => found.departure(rule, at).map_or(Verdict::Usual, Verdict::Leaves),
        };
    };
    let absent_since = at - grid.interval() * ABSENT_POINTS;
    let is_there = seen.points.iter().any(|(when, value)| *when > absent_since && *when <= at && value.is_finite());
    match Comparison::of(rule, grid, seen, at) {
        _ if at - away.starts_at >= EPISODE_MAX => Verdict::Ends(End::Stayed),
        _ if !is_there => Verdict::Ends(End::NoData),
        // Of another kind than the one that it left by: the two cannot be compared.
        Some(found) if found.season.is_some() != away.is_seasonal => Verdict::Unknown,
        Some(found) if found.is_back(rule, away) => Verdict::Ends(End::Back),
        Some(_) => Verdict::Away,
        None => Verdict::Unknown,
    }
}

/// The last minutes beside what came before, and beside the season.
struct Comparison {
    /// Medians of the judged points: as measured, and less what the season expected.
    value: f64,
    off: f64,
    /// Median of the points before, less what the season expected of them.
    before: f64,
    /// How far the points before lie apart.
    spread: f64,
    /// No spread is taken to be smaller.
    floor: f64,
    season: Option<Usual>,
}

impl Comparison {
    /// None if there are too few points, or numbers that do not fit.
    fn of(rule: &Rule, grid: Grid, seen: &Seen, at: DateTime<Utc>) -> Option<Self> {
        let recent_points = grid.recent_points(rule);
        let back = |points: f64| at - grid.interval() * whole(points);
        let season = seen.seasons.get(&Hour::of(at)).copied().filter(|_| rule.seasonal);
        let off = |(when, value): &Point| match season {
            Some(_) => Some(seen.seasons.get(&Hour::of(*when))?.off(*when, *value)),
            None => Some(*value),
        };
        let late = if season.is_some() { BEFORE_SHARE_LATE } else { 0.0 };
        let before_points = f64::from(BEFORE_POINTS) * (1.0 - late);
        let (recent_from, before_to) =
            (back(f64::from(recent_points)), back(f64::from(recent_points) + f64::from(BEFORE_POINTS) * late));
        let first = grid.from(rule, at);
        let usable = || seen.points.iter().filter(|(when, value)| *when >= first && *when <= at && value.is_finite());
        let recent: Vec<&Point> = usable().filter(|(when, _)| *when > recent_from).collect();
        let before: Vec<&Point> = usable().filter(|(when, _)| *when <= before_to).collect();
        let recent_off: Vec<f64> = recent.iter().filter_map(|point| off(point)).collect();
        let before_off: Vec<f64> = before.iter().filter_map(|point| off(point)).collect();
        let is_enough = number(recent_off.len()) >= f64::from(recent_points) * RECENT_SHARE_MIN
            && number(before_off.len()) >= before_points * BEFORE_SHARE_MIN;
        if !is_enough {
            return None;
        }
        let level = median(before.iter().map(|(_, value)| *value))?.abs();
        let least = rule.min_change.unwrap_or(0.0) / rule.sensitivity.deviations();
        let found = Self {
            value: median(recent.iter().map(|(_, value)| *value))?,
            off: median(recent_off)?,
            before: median(before_off.iter().copied())?,
            spread: spread(before_off)?,
            floor: (level * SPREAD_SHARE_MIN).max(least).max(SPREAD_MIN),
            season,
        };
        let numbers = [found.value, found.off, found.before, found.spread, found.floor];
        numbers.iter().all(|number| number.is_finite()).then_some(found)
    }

    /// How far from what came before is far.
    fn bound(&self, rule: &Rule) -> f64 {
        let room = if rule.seasonal && self.season.is_none() { UNKNOWN_SEASON } else { 1.0 };
        rule.sensitivity.deviations() * room * self.spread.max(self.season_spread()).max(self.floor)
    }

    /// How far from the season is far: by its spread, and beyond where the hour usually reaches anyway.
    fn season_bound(&self, rule: &Rule, way: Way, season: &Usual) -> f64 {
        let reach = match way {
            Way::Up => season.reach_up,
            Way::Down => season.reach_down,
        };
        let far = rule.sensitivity.deviations() * season.spread.max(self.floor);
        far.max(reach + far * END_SHARE)
    }

    fn season_spread(&self) -> f64 {
        self.season.map_or(0.0, |season| season.spread)
    }

    fn departure(&self, rule: &Rule, at: DateTime<Utc>) -> Option<Departure> {
        let shift = self.off - self.before;
        let way = if shift < 0.0 { Way::Down } else { Way::Up };
        let bound = self.bound(rule);
        let is_unseasonal = self.season.is_none_or(|season| self.off * way.sign() >= self.season_bound(rule, way, &season));
        let leaves = shift.abs() >= bound && is_unseasonal && way.is_bad(rule.direction);
        leaves.then(|| Departure {
            starts_at: at,
            way,
            is_seasonal: self.season.is_some(),
            value: self.value,
            usual: self.value - shift,
            bound,
            before: self.before,
        })
    }

    /// Back where it was before, or where the season expects it.
    fn is_back(&self, rule: &Rule, away: &Departure) -> bool {
        let sign = away.way.sign();
        let is_as_before = (self.off - away.before) * sign < away.bound * END_SHARE;
        let is_in_season =
            self.season.is_some_and(|season| self.off * sign < self.season_bound(rule, away.way, &season) * END_SHARE);
        is_as_before || is_in_season
    }
}

#[expect(clippy::cast_possible_truncation, reason = "some hundred points")]
fn whole(points: f64) -> i32 {
    points.round() as i32
}

#[expect(clippy::cast_precision_loss, reason = "some hundred points")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
