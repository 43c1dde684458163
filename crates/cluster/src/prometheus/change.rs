//! When a series left its usual range, and how far: pure.
//!
//! The moment at which an alert fires is not trusted as the onset: `for:` and evaluation make it late. So values that already broke the
//! alert's condition do not count as "before"; where the condition is not known, a median and its deviation carry what remains.

use chrono::{DateTime, Utc};
use incident::evidence::ExpressionChange;

use super::expression::Expression;
use super::wire::Series;

/// Deviations of the usual noise within which a value is usual: 3 sigma, by the median absolute deviation (1.4826 makes it sigma).
const USUAL_DEVIATIONS: f64 = 3.0 * 1.4826;
/// Share of the whole way from before to now within which a value is still "before", for series that have no noise at all.
const USUAL_SHARE: f64 = 0.1;
/// Smallest change that is one, as share of the value before: a counter that is 1 % up did not change.
const CHANGE_SHARE_MIN: f64 = 0.01;

/// What the series did. None if it has no value that is a number.
pub(super) fn of(
    series: &Series,
    expression: &Expression,
    starts_at: DateTime<Utc>,
    newest: DateTime<Utc>,
) -> Option<ExpressionChange> {
    let points: Vec<(DateTime<Utc>, f64)> = series.points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    let (last_at, last) = *points.last()?;
    let breaks = |value: f64| expression.threshold.is_some_and(|threshold| threshold.holds(value));
    let mut usual: Vec<f64> =
        points.iter().filter(|(at, value)| *at < starts_at && !breaks(*value)).map(|(_, value)| *value).collect();
    let before = median(&mut usual);
    let changed_at = match before {
        Some(before) => left_at(&points, before, &mut usual),
        // It was never well: what appeared did so when it broke.
        None => points.iter().rev().take_while(|(_, value)| breaks(*value)).last().map(|(at, _)| *at),
    };
    Some(ExpressionChange {
        expression: expression.measured.clone(),
        before,
        // A series that has ended has no value now.
        now: (last_at >= newest).then_some(last),
        changed_at,
    })
}

/// How far it moved, to compare series of one expression.
pub(super) fn shift(change: &ExpressionChange) -> f64 {
    match (change.before, change.now) {
        (Some(before), Some(now)) => (now - before).abs(),
        (None, Some(now)) => now.abs(),
        (_, None) => 0.0,
    }
}

/// First moment from which all values stay outside of what was usual, on the side of the newest.
fn left_at(points: &[(DateTime<Utc>, f64)], before: f64, usual: &mut [f64]) -> Option<DateTime<Utc>> {
    let (_, last) = *points.last()?;
    let way = last - before;
    for value in &mut *usual {
        *value = (*value - before).abs();
    }
    let noise = median(usual).unwrap_or(0.0) * USUAL_DEVIATIONS;
    let smallest = (before.abs() * CHANGE_SHARE_MIN).max(noise);
    if way.abs() <= smallest {
        return None;
    }
    let limit = smallest.max(way.abs() * USUAL_SHARE);
    let beyond = |value: f64| (value - before) * way.signum() > limit;
    points.iter().rev().take_while(|(_, value)| beyond(*value)).last().map(|(at, _)| *at)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.get(values.len() / 2)?, values.get((values.len().max(1) - 1) / 2)?);
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use incident::alert::Labels;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    /// One value a second; the alert begins to fire at second 60. `expected` is before, now, and the second of the change.
    fn check(query: &str, values: &[f64], expected: (Option<f64>, Option<f64>, Option<i64>)) {
        let points = values.iter().enumerate().map(|(n, value)| (at(i64::try_from(n).unwrap()), *value)).collect();
        let series = Series { labels: Labels::new(), points };
        let found = of(&series, &Expression::parse(query), at(60), at(79)).unwrap();
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 0.02,
            (a, b) => a.is_none() && b.is_none(),
        };
        assert!(close(found.before, expected.0), "before: {found:?}");
        assert!(close(found.now, expected.1), "now: {found:?}");
        assert_eq!(found.changed_at, expected.2.map(at), "{found:?}");
    }

    fn steps(parts: &[(usize, f64)]) -> Vec<f64> {
        parts.iter().flat_map(|(count, value)| std::iter::repeat_n(*value, *count)).collect()
    }

    #[test]
    fn the_onset_is_where_the_value_leaves_for_good() {
        check("r > 0.1", &steps(&[(50, 0.0), (30, 0.4)]), (Some(0.0), Some(0.4), Some(50)));
        // A short spike before is not the onset.
        check("r > 0.1", &steps(&[(20, 0.0), (3, 0.4), (27, 0.0), (30, 0.4)]), (Some(0.0), Some(0.4), Some(50)));
        // Downwards.
        check("up < 1", &steps(&[(55, 1.0), (25, 0.0)]), (Some(1.0), Some(0.0), Some(55)));
    }

    #[test]
    fn a_long_for_does_not_make_the_trouble_usual() {
        check("r > 0.1", &steps(&[(10, 0.0), (70, 0.4)]), (Some(0.0), Some(0.4), Some(10)));
        // Without a known condition, the median decides what was usual.
        check("r", &steps(&[(40, 0.0), (40, 0.4)]), (Some(0.0), Some(0.4), Some(40)));
    }

    #[test]
    fn a_series_that_appears_broken_began_then() {
        let mut values = steps(&[(50, f64::NAN), (30, 0.4)]);
        check("r > 0.1", &values, (None, Some(0.4), Some(50)));
        values[55] = f64::INFINITY;
        check("r > 0.1", &values, (None, Some(0.4), Some(50)));
    }

    #[test]
    fn nothing_changed_where_nothing_did() {
        check("r > 0.1", &steps(&[(80, 0.4)]), (None, Some(0.4), Some(0)));
        check("r > 0.5", &steps(&[(80, 0.4)]), (Some(0.4), Some(0.4), None));
        let noisy: Vec<f64> = (0..80).map(|n| 0.4 + 0.01 * f64::from(n % 3)).collect();
        check("r > 0.5", &noisy, (Some(0.41), Some(0.41), None));
        // Came and went.
        check("r > 0.1", &steps(&[(50, 0.0), (20, 0.4), (10, 0.0)]), (Some(0.0), Some(0.0), None));
    }

    #[test]
    fn a_series_that_ended_has_no_value_now() {
        check("r > 0.1", &steps(&[(50, 0.0), (20, 0.4)]), (Some(0.0), None, Some(50)));
    }

    #[test]
    fn no_number_is_no_change() {
        let series = Series { labels: Labels::new(), points: vec![(at(0), f64::NAN)] };
        assert_eq!(of(&series, &Expression::parse("r > 1"), at(60), at(79)), None);
    }
}
