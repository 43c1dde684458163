//! What people write instead: a fixed threshold, and three standard deviations. Both with `for: 5m`, as Prometheus would judge them.

use incident::watch::Point;
use incident::watch::judge::Way;

use super::series::{at, exact};

/// Minutes that a condition must hold.
const FOR: usize = 5;
/// Points of a day.
const DAY: usize = 24 * 60;

/// When it began to fire, and which way.
pub(super) type Fired = (chrono::DateTime<chrono::Utc>, Way);

/// Someone looked at five weeks and put the lines where one point in a thousand lies beyond.
pub(super) fn threshold(points: &[Point], from: i64) -> Vec<Fired> {
    let start = at(from);
    let mut usual: Vec<f64> = points.iter().filter(|(at, _)| *at < start).map(|(_, value)| *value).collect();
    usual.sort_by(f64::total_cmp);
    let place = usual.len() / 1000;
    let low = usual.get(place).copied().unwrap_or(f64::MIN);
    let high = usual.get(usual.len().saturating_sub(place + 1)).copied().unwrap_or(f64::MAX);
    fired(points, from, |_| (low, high))
}

/// `abs(x - avg_over_time(x[1d])) > 3 * stddev_over_time(x[1d])`.
pub(super) fn three_sigma(points: &[Point], from: i64) -> Vec<Fired> {
    let mut sums = vec![(0.0, 0.0)];
    for (_, value) in points {
        let (sum, squares) = sums.last().copied().unwrap_or_default();
        sums.push((sum + value, squares + value * value));
    }
    let get = |n: usize| sums.get(n).copied().unwrap_or_default();
    fired(points, from, |n| {
        let first = (n + 1).saturating_sub(DAY);
        let count = exact(i64::try_from(n + 1 - first).unwrap_or(1));
        let ((before, before_squares), (all, all_squares)) = (get(first), get(n + 1));
        let mean = (all - before) / count;
        let sigma = ((all_squares - before_squares) / count - mean * mean).max(0.0).sqrt();
        (mean - 3.0 * sigma, mean + 3.0 * sigma)
    })
}

/// Where the bounds, of which `bounds` gives those at a point, were broken for five points.
fn fired(points: &[Point], from: i64, bounds: impl Fn(usize) -> (f64, f64)) -> Vec<Fired> {
    let start = at(from);
    let (mut fired, mut broken, mut side) = (Vec::new(), 0, None);
    for (n, (at, value)) in points.iter().enumerate().filter(|(_, (at, _))| *at >= start) {
        let (low, high) = bounds(n);
        let now = if *value > high { Some(Way::Up) } else { (*value < low).then_some(Way::Down) };
        broken = if now.is_some() && now == side { broken + 1 } else { usize::from(now.is_some()) };
        side = now;
        if let (Some(way), true) = (now, broken == FOR + 1) {
            fired.push((*at, way));
        }
    }
    fired
}
