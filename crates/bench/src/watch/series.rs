//! Series whose truth is known: five weeks as they usually are, and a sixth in which one thing happens, or nothing.

use chrono::{DateTime, Utc};
use incident::watch::Point;

use super::chance::Chance;

/// Minutes of a week.
pub(super) const WEEK: i64 = 7 * 24 * 60;
/// All of a series.
pub(super) const MINUTES: i64 = 6 * WEEK;
/// How long what happens lasts, after a ramp has reached its height.
pub(super) const LASTS: i64 = 60;

/// What a series is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A daily wave, quieter at weekends, with normal noise.
    Plain,
    /// Noise in proportion to the level, and days that differ from each other.
    Proportional,
    /// Noise with heavy tails.
    Heavy,
    /// Noise that remembers the last ten minutes.
    Slow,
    /// Growth of 3 % a week.
    Growing,
    /// One point in twenty missing, and gaps of up to two hours.
    Patchy,
    /// Working hours with sharp edges, and a job in the first ten minutes of every hour.
    Jobs,
    /// Counts: whole numbers, never below zero, as noisy as counts are.
    Counts,
}

impl Kind {
    pub(super) const ALL: [(Self, &'static str); 8] = [
        (Self::Plain, "daily wave, normal noise"),
        (Self::Proportional, "noise in proportion, days differ"),
        (Self::Heavy, "heavy-tailed noise (Student t, 3)"),
        (Self::Slow, "slow noise (AR 0.9)"),
        (Self::Growing, "growth of 3 % a week"),
        (Self::Patchy, "5 % missing, gaps up to 2 h"),
        (Self::Jobs, "sharp hours and hourly jobs"),
        (Self::Counts, "counts"),
    ];

    /// Without noise, and how much noise there is then.
    fn shape(self, minute: i64) -> (f64, f64) {
        let of_day = exact(minute.rem_euclid(24 * 60)) / (24.0 * 60.0);
        let is_weekend = minute.rem_euclid(WEEK) >= 5 * 24 * 60;
        let wave = (std::f64::consts::TAU * (of_day - 0.3)).sin() * if is_weekend { 0.5 } else { 1.0 };
        match self {
            Self::Plain | Self::Heavy | Self::Slow | Self::Patchy => (100.0 + 20.0 * wave, 1.5),
            Self::Growing => ((100.0 + 20.0 * wave) * (1.0 + 0.03 * exact(minute) / exact(WEEK)), 1.5),
            Self::Proportional => (100.0 + 40.0 * wave, 0.03 * (100.0 + 40.0 * wave)),
            Self::Jobs => {
                let work = if (0.33..0.75).contains(&of_day) && !is_weekend { 50.0 } else { 0.0 };
                let job = if minute.rem_euclid(60) < 10 { 25.0 } else { 0.0 };
                (100.0 + work + job, 1.5)
            }
            Self::Counts => (400.0 + 150.0 * wave, (400.0 + 150.0 * wave).sqrt()),
        }
    }
}

/// What happens, at a minute of the sixth week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happening {
    pub(super) at: i64,
    /// In standard deviations of the noise at that time; below zero: down.
    pub(super) sigmas: f64,
    /// Minutes until it has its height.
    pub(super) ramp: i64,
}

impl Happening {
    /// The part of its height that it has at a minute.
    fn share(self, minute: i64) -> f64 {
        let since = minute - self.at;
        let end = self.ramp + LASTS;
        match since {
            _ if since < 0 || since >= end => 0.0,
            _ if since < self.ramp => exact(since + 1) / exact(self.ramp),
            _ => 1.0,
        }
    }
}

/// A series of a kind, by its seed.
pub(super) fn series(kind: Kind, seed: u64, happening: Option<Happening>) -> Vec<Point> {
    let mut chance = Chance::new(seed);
    let (mut slow, mut day, mut gap_until) = (0.0, 0.0, 0);
    let mut points = Vec::with_capacity(usize::try_from(MINUTES).unwrap_or_default());
    for minute in 0..MINUTES {
        let (level, sigma) = kind.shape(minute);
        let noise = match kind {
            Kind::Heavy => chance.heavy(),
            Kind::Slow => {
                slow = 0.9 * slow + (1.0_f64 - 0.81).sqrt() * chance.normal();
                slow
            }
            Kind::Plain | Kind::Proportional | Kind::Growing | Kind::Patchy | Kind::Jobs | Kind::Counts => chance.normal(),
        };
        if kind == Kind::Proportional && minute % (24 * 60) == 0 {
            day = 0.01 * chance.normal();
        }
        let moved = happening.map_or(0.0, |happening| happening.sigmas * happening.share(minute));
        let value = level * (1.0 + day) + sigma * (noise + moved);
        let value = if kind == Kind::Counts { value.round().max(0.0) } else { value };
        if kind == Kind::Patchy {
            let is_gap_begun = chance.below(2 * 24 * 60) == 0;
            gap_until = if is_gap_begun { minute + chance.below(120) } else { gap_until };
            if minute < gap_until || chance.below(20) == 0 {
                continue;
            }
        }
        points.push((at(minute), value));
    }
    points
}

/// The moment of a minute; the first one is a Monday's.
pub(super) fn at(minute: i64) -> DateTime<Utc> {
    /// Monday, 13 November 2023, 00:00 UTC.
    const START_S: i64 = 1_699_833_600;
    DateTime::from_timestamp(START_S + minute * 60, 0).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "minutes of six weeks")]
pub(super) fn exact(count: i64) -> f64 {
    count as f64
}
