//! The metric watch on series with known truth: how often it cries wolf, what it sees, and how soon; beside what people write instead.
//! Every series follows from its seed, so two runs of one version print the same.

mod chance;
mod rivals;
mod series;

use chrono::{DateTime, Utc};
use incident::alert::Labels;
use incident::watch::judge::Way;
use incident::watch::replay::replay;
use incident::watch::rule::{Direction, Rule, Sensitivity};
use incident::watch::{Grid, Point};

use crate::figures::{line, median, number, verdict};
use chance::Chance;
use rivals::Fired;
use series::{Happening, Kind, LASTS, MINUTES, WEEK, at, exact};

/// Goal: alarms of nothing, a series and week.
const FALSE_GOAL: f64 = 0.1;
/// Goal: share of steps of 12 standard deviations that are seen, up and down.
const SEEN_GOAL: f64 = 0.99;
const GOAL_SIGMAS: f64 = 12.0;
/// Weeks without anything, of each kind: with eight kinds, enough to tell 0.1 from 0.03.
const QUIET_WEEKS: u64 = 24;
/// Of each size, way and kind: one that is missed is a quarter of a percent of all eight kinds.
const HAPPENINGS: u64 = 50;
/// A quick run of either.
const QUICK: u64 = 3;
/// What is judged around a happening: from six hours before.
const BEFORE: i64 = 6 * 60;

/// One way to watch.
type Watcher = fn(&[Point], i64) -> Vec<Fired>;
const WATCHERS: [(&str, Watcher); 3] =
    [("watch", watch), ("fixed threshold", rivals::threshold), ("3 sigma of a day", rivals::three_sigma)];

/// Prints all of it.
pub(crate) fn run(is_quick: bool) {
    line(&format!(
        "\n4. Watch: series of one point a minute with known truth, {} kinds; five weeks are known, the sixth is watched.\n   \
         medium sensitivity, min_duration_s 300, seasonal; the others with `for: 5m`. Sigma is the noise's own at that time.",
        Kind::ALL.len()
    ));
    false_alarms(if is_quick { QUICK } else { QUIET_WEEKS });
    let count = if is_quick { QUICK } else { HAPPENINGS };
    line("\n   steps for an hour, all kinds                  seen (minutes until then, p50)");
    line(&format!("   {:<28} {:>22} {:>22} {:>22}", "", WATCHERS[0].0, WATCHERS[1].0, WATCHERS[2].0));
    for sigmas in [4.0, 6.0, 8.0, GOAL_SIGMAS, 20.0] {
        for (way, sign) in [("up", 1.0), ("down", -1.0)] {
            let shares = seen(&format!("{sigmas:.0} sigma {way}"), count, sign * sigmas, 0);
            if sigmas.total_cmp(&GOAL_SIGMAS).is_eq() {
                let verdict = verdict(shares.first().is_some_and(|share| *share >= SEEN_GOAL));
                line(&format!("      goal: at least {:.0} % of these seen by the watch {verdict}", SEEN_GOAL * 100.0));
            }
        }
    }
    line("\n   ramps to 12 sigma, then an hour there");
    for ramp in [15, 30, 60, 120] {
        for (way, sign) in [("up", 1.0), ("down", -1.0)] {
            seen(&format!("within {ramp} min {way}"), count, sign * GOAL_SIGMAS, ramp);
        }
    }
}

/// The watch as a rule with defaults has it.
fn watch(points: &[Point], from: i64) -> Vec<Fired> {
    let rule = Rule {
        name: "Bench".to_owned(),
        expr: "bench".to_owned(),
        summary: None,
        labels: Labels::new(),
        direction: Direction::Both,
        sensitivity: Sensitivity::Medium,
        min_duration_s: 300,
        min_change: None,
        seasonal: true,
    };
    let played = replay(&rule, Grid::new(60), &Labels::new(), points, at(from));
    played.episodes.iter().map(|(departure, _)| (departure.starts_at, departure.way)).collect()
}

fn false_alarms(weeks: u64) {
    line("\n   alarms of nothing, a series and week");
    line(&format!("   {:<36} {:>14} {:>18} {:>18}", "", WATCHERS[0].0, WATCHERS[1].0, WATCHERS[2].0));
    let mut all = [0.0; WATCHERS.len()];
    for (n, (kind, name)) in (0..).zip(Kind::ALL) {
        let mut alarms = [0.0; WATCHERS.len()];
        for week in 0..weeks {
            let points = series::series(kind, seed(n, week), None);
            for (alarms, (_, watcher)) in alarms.iter_mut().zip(WATCHERS) {
                *alarms += count(&watcher(&points, MINUTES - WEEK));
            }
        }
        row(name, alarms.map(|alarms| alarms / number(weeks)));
        for (all, alarms) in all.iter_mut().zip(alarms) {
            *all += alarms;
        }
    }
    let rates = all.map(|alarms| alarms / number(weeks) / count(&Kind::ALL));
    row("all", rates);
    let [watch, threshold, sigma] = rates;
    line(&format!("      goal: at most {FALSE_GOAL} of the watch {}", verdict(watch <= FALSE_GOAL)));
    // Nothing at all would be no denominator.
    let least = watch.max(1.0 / number(weeks) / count(&Kind::ALL));
    line(&format!("      the others cry wolf {:.0} and {:.0} times as often", threshold / least, sigma / least));
}

fn row(name: &str, rates: [f64; WATCHERS.len()]) {
    let [watch, threshold, sigma] = rates;
    line(&format!("   {name:<36} {watch:>14.3} {threshold:>18.3} {sigma:>18.3}"));
}

/// How many of `count` happenings of each kind are seen while they last; prints that, with the median delay, and gives the shares.
fn seen(name: &str, count: u64, sigmas: f64, ramp: i64) -> Vec<f64> {
    let mut delays: [Vec<f64>; WATCHERS.len()] = [vec![], vec![], vec![]];
    for (n, (kind, _)) in (0..).zip(Kind::ALL) {
        for event in 0..count {
            let seed = seed(100 + n, event);
            let span = WEEK - BEFORE - ramp - 2 * LASTS;
            let happening = Happening { at: MINUTES - WEEK + BEFORE + Chance::new(!seed).below(span), sigmas, ramp };
            let mut points = series::series(kind, seed, Some(happening));
            points.truncate(points.partition_point(|(when, _)| *when < at(happening.at + ramp + LASTS)));
            for (delays, (_, watcher)) in delays.iter_mut().zip(WATCHERS) {
                delays.extend(delay(&watcher(&points, happening.at - BEFORE), happening));
            }
        }
    }
    let all = number(count) * self::count(&Kind::ALL);
    let shares: Vec<f64> = delays.iter().map(|delays| self::count(delays) / all).collect();
    let cells: Vec<String> = shares
        .iter()
        .zip(&delays)
        .map(|(share, delays)| format!("{:>12.1} % ({:>3.0} min)", share * 100.0, median(delays)))
        .collect();
    line(&format!("   {name:<28} {}", cells.join(" ")));
    shares
}

/// Minutes until it was seen the right way round; none if it was not, or was taken for something else before.
fn delay(fired: &[Fired], happening: Happening) -> Option<f64> {
    let began: DateTime<Utc> = at(happening.at);
    let way = if happening.sigmas < 0.0 { Way::Down } else { Way::Up };
    let first = fired.iter().find(|(when, fired)| *when >= began && *fired == way)?;
    Some(exact((first.0 - began).num_minutes()))
}

fn seed(kind: u64, n: u64) -> u64 {
    kind * 1_000_003 + n
}

fn count<T>(items: &[T]) -> f64 {
    number(u64::try_from(items.len()).unwrap_or(u64::MAX))
}
