//! A rule played over a recorded series: what it would have said, and when.

use chrono::{DateTime, Utc};

use super::judge::{Departure, End, Verdict, judge};
use super::rule::Rule;
use super::season::{Hour, Past, STEP, Seasons, Usual};
use super::{Grid, Point, Seen};
use crate::alert::Labels;

/// When it was over, and why.
pub type Ended = (DateTime<Utc>, End);

/// What the rule would have said of a series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replay {
    /// Each time that it left what is usual, with when and how that ended if it did.
    pub episodes: Vec<(Departure, Option<Ended>)>,
    /// Looks at which something could be said.
    pub judged: u64,
    /// Looks with too few points.
    pub unknown: u64,
    /// Of those judged, how many knew the same hour of earlier weeks.
    pub seasonal: u64,
}

/// Plays a rule over one series, whose points are in order, looking at each moment of the grid from `first` to the last point.
pub fn replay(rule: &Rule, grid: Grid, labels: &Labels, points: &[Point], first: DateTime<Utc>) -> Replay {
    let mut played = Replay::default();
    let Some((last, _)) = points.last() else { return played };
    let mut seasons = Seasons::new();
    let mut looked_up = None;
    let mut at = grid.last(first);
    while at <= *last {
        let from = grid.from(rule, at);
        let hours: Vec<Hour> = grid.hours(rule, at).collect();
        if rule.seasonal && looked_up.as_ref() != Some(&hours) {
            seasons.retain(|hour, _| hours.contains(hour));
            for hour in &hours {
                if !seasons.contains_key(hour) {
                    seasons.extend(usual(*hour, points).map(|usual| (*hour, usual)));
                }
            }
            looked_up = Some(hours);
        }
        let seen = Seen { labels: labels.clone(), points: between(points, from, at).to_vec(), seasons: seasons.clone() };
        played.take(at, judge(rule, grid, &seen, played.away(), at), seen.seasons.contains_key(&Hour::of(at)));
        at += grid.interval();
    }
    played
}

impl Replay {
    fn away(&self) -> Option<&Departure> {
        self.episodes.last().filter(|(_, end)| end.is_none()).map(|(departure, _)| departure)
    }

    fn take(&mut self, at: DateTime<Utc>, verdict: Verdict, is_seasonal: bool) {
        let is_judged = verdict != Verdict::Unknown;
        self.judged += u64::from(is_judged);
        self.unknown += u64::from(!is_judged);
        self.seasonal += u64::from(is_judged && is_seasonal);
        match verdict {
            Verdict::Leaves(departure) => self.episodes.push((departure, None)),
            Verdict::Ends(end) => {
                if let Some((_, ended)) = self.episodes.last_mut() {
                    *ended = Some((at, end));
                }
            }
            Verdict::Usual | Verdict::Away | Verdict::Unknown => {}
        }
    }
}

/// Points from one moment to another, both included.
fn between(points: &[Point], from: DateTime<Utc>, to: DateTime<Utc>) -> &[Point] {
    let start = points.partition_point(|(at, _)| *at < from);
    let end = points.partition_point(|(at, _)| *at <= to);
    points.get(start..end).unwrap_or_default()
}

/// What is usual in an hour, as the same series says it.
fn usual(hour: Hour, points: &[Point]) -> Option<Usual> {
    let weeks: Vec<(i32, Vec<Point>)> = hour.past().map(|past| (past.weeks_ago, thinned(past, points))).collect();
    Usual::of(hour, weeks.iter().map(|(ago, points)| (*ago, points.as_slice())))
}

/// As Prometheus would give it: one point a step.
fn thinned(past: Past, points: &[Point]) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    for point in between(points, past.from, past.to) {
        if kept.last().is_none_or(|(last, _)| point.0 - *last >= STEP) {
            kept.push(*point);
        }
    }
    kept
}
