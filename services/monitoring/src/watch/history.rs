//! What is usual for a rule's series, asked for once an hour: the same hours of the weeks before.

use std::collections::BTreeMap;

use cluster::prometheus::{Fault, Prometheus, Series};
use incident::alert::Labels;
use incident::watch::Point;
use incident::watch::rule::Rule;
use incident::watch::season::{Hour, Past, STEP, Seasons, Usual};

/// What is usual, by hour and series.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<Hour, BTreeMap<Labels, Usual>>);

impl History {
    /// Learns these hours, where they are not known, and forgets all others.
    pub(super) async fn learn(&mut self, rule: &Rule, prometheus: &Prometheus, hours: &[Hour]) -> Result<(), Fault> {
        self.0.retain(|hour, _| hours.contains(hour));
        let missing: Vec<Hour> = hours.iter().copied().filter(|hour| !self.0.contains_key(hour)).collect();
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Ok(()) };
        let mut weeks: Vec<(i32, Vec<Series>)> = Vec::new();
        for (from, to) in first.past().zip(last.past()) {
            weeks.push((from.weeks_ago, prometheus.range(&rule.expr, from.from, to.to, STEP).await?));
        }
        // Only now, so that an answer that does not come leaves no hour half known.
        self.0.extend(missing.iter().map(|hour| (*hour, usual(*hour, &weeks))));
        Ok(())
    }

    /// What is usual for one series.
    pub(super) fn of(&self, labels: &Labels) -> Seasons {
        self.0.iter().filter_map(|(hour, usual)| Some((*hour, *usual.get(labels)?))).collect()
    }
}

fn usual(hour: Hour, weeks: &[(i32, Vec<Series>)]) -> BTreeMap<Labels, Usual> {
    let mut past: BTreeMap<&Labels, Vec<(i32, &[Point])>> = BTreeMap::new();
    for (then, (weeks_ago, series)) in hour.past().zip(weeks) {
        for one in series {
            past.entry(&one.labels).or_default().push((*weeks_ago, within(then, &one.points)));
        }
    }
    past.into_iter().filter_map(|(labels, weeks)| Some((labels.clone(), Usual::of(hour, weeks)?))).collect()
}

fn within(past: Past, points: &[Point]) -> &[Point] {
    let start = points.partition_point(|(at, _)| *at < past.from);
    let end = points.partition_point(|(at, _)| *at <= past.to);
    points.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    /// A series of two hours for each of five weeks, at ten times the number of the hour.
    #[test]
    fn each_hour_is_told_by_its_own_points() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let hours: Vec<Hour> = Hour::of(at).to(Hour::of(at + TimeDelta::hours(1))).collect();
        let labels = Labels::from([("service".to_owned(), "cart".to_owned())]);
        let weeks: Vec<(i32, Vec<Series>)> = hours[0]
            .past()
            .map(|past| {
                let value = |n: i32| if n < 12 { 10.0 } else { 20.0 };
                let points = (0..=24).map(|n| (past.from + STEP * n, value(n))).collect();
                (past.weeks_ago, vec![Series { labels: labels.clone(), points }])
            })
            .collect();
        for (hour, expected) in hours.into_iter().zip([10.0, 20.0]) {
            let usual = usual(hour, &weeks);
            let off = usual.get(&labels).unwrap().off(hour.start() + TimeDelta::minutes(30), expected);
            assert!(off.abs() < 1e-9, "{off} off {expected}");
        }
    }
}
