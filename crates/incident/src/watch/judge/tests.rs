//! Whole series, minute by minute, and what the rule says of them.

use super::super::replay::{Replay, replay};
use super::super::rule::tests::rule;
use super::super::rule::{Direction, Rule, Sensitivity};
use super::*;
use crate::alert::Labels;

/// Minutes of a week.
const WEEK: i64 = 7 * 24 * 60;
const GRID_S: u32 = 60;

fn minute(n: i64) -> DateTime<Utc> {
    // A Monday at midnight.
    DateTime::from_timestamp(1_699_833_600 + n * 60, 0).unwrap()
}

/// Noise of about one, the same for the same minute.
fn noise(n: i64) -> f64 {
    let uniform = |salt: u64| {
        let mixed = (n.unsigned_abs() + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        f64::from(u32::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32).unwrap()) / f64::from(u32::MAX)
    };
    // Twelve uniforms less their mean have a standard deviation of one.
    (0..12).map(uniform).sum::<f64>() - 6.0
}

fn flat() -> Rule {
    Rule { seasonal: false, ..rule() }
}

fn played(rule: &Rule, minutes: i64, value: impl Fn(i64) -> f64) -> Replay {
    played_from(rule, 0..minutes, value)
}

/// Looked at only from a minute on; what was before is known.
fn played_from(rule: &Rule, minutes: std::ops::Range<i64>, value: impl Fn(i64) -> f64) -> Replay {
    let std::ops::Range { start, end: minutes } = minutes;
    let points: Vec<Point> = (0..minutes).map(|n| (minute(n), value(n))).filter(|(_, value)| !value.is_nan()).collect();
    replay(rule, Grid::new(GRID_S), &Labels::new(), &points, minute(start))
}

/// Way, minute of the start, minute of the end and why.
type Told = Vec<(Way, i64, Option<(i64, End)>)>;

fn told(played: &Replay) -> Told {
    let of = |at: DateTime<Utc>| (at - minute(0)).num_minutes();
    played.episodes.iter().map(|(d, end)| (d.way, of(d.starts_at), end.map(|(at, why)| (of(at), why)))).collect()
}

/// A level with noise of one and a change between two minutes.
fn check(case: &str, rule: &Rule, value: impl Fn(i64) -> f64, expected: &Told) {
    assert_eq!(told(&played(rule, 600, value)), *expected, "{case}");
}

fn changed(n: i64, by: f64) -> f64 {
    100.0 + noise(n) + if (300..400).contains(&n) { by } else { 0.0 }
}

#[test]
fn a_change_begins_within_half_of_its_duration_and_ends_as_soon() {
    // Of five minutes, three say so.
    check("up", &flat(), |n| changed(n, 20.0), &vec![(Way::Up, 302, Some((402, End::Back)))]);
    check("down", &flat(), |n| changed(n, -20.0), &vec![(Way::Down, 302, Some((402, End::Back)))]);
    check("small", &flat(), |n| changed(n, 2.0), &vec![]);
    check("a blip of two minutes", &flat(), |n| 100.0 + noise(n) + if n / 2 == 150 { 90.0 } else { 0.0 }, &vec![]);
}

#[test]
fn direction_sensitivity_and_least_change_are_kept() {
    let rule = |change: fn(&mut Rule)| {
        let mut rule = flat();
        change(&mut rule);
        rule
    };
    check("only up", &rule(|r| r.direction = Direction::Up), |n| changed(n, -20.0), &vec![]);
    check("only down", &rule(|r| r.direction = Direction::Down), |n| changed(n, 20.0), &vec![]);
    check("low", &rule(|r| r.sensitivity = Sensitivity::Low), |n| changed(n, 8.0), &vec![]);
    assert_eq!(told(&played(&rule(|r| r.sensitivity = Sensitivity::High), 600, |n| changed(n, 8.0))).len(), 1, "high");
    check("less than matters", &rule(|r| r.min_change = Some(30.0)), |n| changed(n, 20.0), &vec![]);
    assert_eq!(told(&played(&rule(|r| r.min_change = Some(15.0)), 600, |n| changed(n, 20.0))).len(), 1, "more than matters");
}

#[test]
fn a_series_without_noise_moves_by_more_than_its_own_rounding() {
    check("a hundredth of a thousandth", &flat(), |n| if n < 300 { 1_000.0 } else { 1_000.01 }, &vec![]);
    let from_zero = told(&played(&flat(), 600, |n| if (300..400).contains(&n) { 0.5 } else { 0.0 }));
    assert_eq!(from_zero, [(Way::Up, 302, Some((402, End::Back)))]);
}

#[test]
fn without_points_nothing_is_said_and_nothing_is_forgotten() {
    check("a gap in what is usual", &flat(), |n| if (200..290).contains(&n) { f64::NAN } else { 100.0 + noise(n) }, &vec![]);
    check("infinite", &flat(), |n| if n == 300 { f64::INFINITY } else { 100.0 + noise(n) }, &vec![]);
    // Away, then silent for half an hour, then still away.
    let gap = |n: i64| if (330..360).contains(&n) { f64::NAN } else { changed(n, 20.0) };
    check("a gap while it is away", &flat(), gap, &vec![(Way::Up, 302, Some((402, End::Back)))]);
    // Silent for good: an hour after its last value.
    let gone = |n: i64| if (350..599).contains(&n) { f64::NAN } else { changed(n, 20.0) };
    check("gone", &flat(), gone, &vec![(Way::Up, 302, Some((409, End::NoData)))]);
    assert_eq!(played(&flat(), 30, |n| 100.0 + noise(n)).judged, 0, "too young");
}

#[test]
fn what_stays_for_a_week_is_the_new_usual() {
    let stays = played(&flat(), WEEK + 600, |n| 100.0 + noise(n) + if n < 300 { 0.0 } else { 50.0 });
    assert_eq!(told(&stays), [(Way::Up, 302, Some((302 + WEEK, End::Stayed)))]);
}

/// A day that rises by half within some minutes of the morning, and more at night for a backup.
fn day(n: i64) -> f64 {
    let of_day = n.rem_euclid(24 * 60);
    let work = if (8 * 60..18 * 60).contains(&of_day) { 50.0 } else { 0.0 };
    let backup = if (120..135).contains(&of_day) { 80.0 } else { 0.0 };
    100.0 + work + backup + noise(n)
}

#[test]
fn every_morning_is_usual_and_a_morning_that_does_not_come_is_not() {
    let weeks = 4 * WEEK;
    let known = told(&played_from(&rule(), weeks..weeks + WEEK, day));
    assert!(known.is_empty(), "{known:?}");
    assert!(!told(&played(&flat(), WEEK, day)).is_empty(), "without a season every morning is one");
    // In the fifth week, Wednesday stays as low as its night.
    let morning = weeks + 2 * 24 * 60 + 8 * 60;
    let late = |n: i64| if (morning..morning + 180).contains(&n) { day(n) - 50.0 } else { day(n) };
    let late = told(&played_from(&rule(), morning - 600..morning + 600, late));
    assert_eq!(late, [(Way::Down, morning + 2, Some((morning + 182, End::Back)))]);
}

#[test]
fn growth_from_week_to_week_is_usual() {
    #[expect(clippy::cast_precision_loss, reason = "minutes of some weeks")]
    let growing = |n: i64| day(n) * (1.0 + 0.2 * n as f64 / WEEK as f64);
    let told = told(&played_from(&rule(), 5 * WEEK..6 * WEEK, growing));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_slow_rise_is_seen_where_the_season_is_known() {
    let begins = 4 * WEEK + 2 * 24 * 60 + 12 * 60;
    #[expect(clippy::cast_precision_loss, reason = "an hour's minutes")]
    let risen = |n: i64| (n - begins).clamp(0, 60) as f64 / 3.0;
    let rising = |n: i64| day(n) + if n < begins + 120 { risen(n) } else { 0.0 };
    let told = told(&played_from(&rule(), begins - 600..begins + 600, rising));
    let [(Way::Up, start, Some((end, End::Back)))] = told[..] else { panic!("{told:?}") };
    assert!((begins + 10..begins + 50).contains(&start) && end == begins + 122, "{told:?}");
}

#[test]
fn an_unknown_season_asks_for_more() {
    let eight = |rule: &Rule| told(&played(rule, 600, |n| changed(n, 9.0))).len();
    assert_eq!((eight(&flat()), eight(&rule())), (1, 0));
}
