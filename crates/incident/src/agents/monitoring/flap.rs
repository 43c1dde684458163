//! Flapping: an alert that comes and goes is counted by its own times, which late and doubled deliveries do not change. It decides nothing
//! else.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::{Lifecycle, told};
use crate::alert::{Alert, AlertStatus};

/// Times at which known alerts changed, by fingerprint. No more are kept than it takes to flap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Swings(BTreeMap<String, VecDeque<DateTime<Utc>>>);

/// An incident that flaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Flapping {
    /// The first of the changes that are counted.
    since: DateTime<Utc>,
    /// The last one.
    last: DateTime<Utc>,
    /// How many.
    changes: u32,
    /// If nothing changes until then, it is over.
    pub(super) stable_at: DateTime<Utc>,
}

impl Swings {
    /// A known alert has changed. Answers with what it makes of the incident, if that flaps now.
    pub(super) fn count(&mut self, alert: &Alert, rules: &Lifecycle, now: DateTime<Utc>) -> Option<Flapping> {
        let at = changed_at(alert);
        let changes_max = usize::try_from(rules.flap_changes).unwrap_or(usize::MAX);
        let times = self.0.entry(alert.fingerprint.clone()).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| *first < at - rules.flap_window()) || times.len() > changes_max {
            times.pop_front();
        }
        let since = *times.front()?;
        let changes = u32::try_from(times.len()).unwrap_or(u32::MAX);
        (times.len() >= changes_max).then(|| Flapping { since, last: at, changes, stable_at: now + rules.stable() })
    }

    /// What was counted is told.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Flapping {
    /// Another change.
    pub(super) fn goes_on(&mut self, alert: &Alert, rules: &Lifecycle, now: DateTime<Utc>) {
        self.changes += 1;
        self.last = self.last.max(changed_at(alert));
        self.stable_at = now + rules.stable();
    }

    /// For people.
    pub(super) fn sentence(&self) -> String {
        let minutes = ((self.last - self.since).num_seconds() + 59).div_euclid(60).max(1);
        format!("flapping, {} changes in {minutes} minute{}", self.changes, if minutes == 1 { "" } else { "s" })
    }
}

/// What is said when it begins.
pub(super) fn held(flapping: &Flapping, rules: &Lifecycle) -> String {
    let stable = told(TimeDelta::seconds(i64::from(rules.stable_s)));
    format!("{}: held open, and nothing more is said or tried, until it is stable for {stable}", flapping.sentence())
}

/// By the alert's own clock.
fn changed_at(alert: &Alert) -> DateTime<Utc> {
    match alert.status {
        AlertStatus::Firing => alert.starts_at,
        AlertStatus::Resolved => alert.ends_at.unwrap_or(alert.starts_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::alert;

    const RULES: Lifecycle = Lifecycle { reopen_s: 600, follow_s: 0, flap_changes: 4, flap_window_s: 600, stable_s: 300 };

    /// Episodes that each last a minute, by their beginnings in seconds; what the last change made of it.
    fn flaps(name_of: impl Fn(usize) -> &'static str, starts: &[i64]) -> Option<String> {
        let mut swings = Swings::default();
        let mut found = None;
        for (n, start) in starts.iter().enumerate() {
            for status in [AlertStatus::Firing, AlertStatus::Resolved] {
                found = swings.count(&alert(name_of(n), status, *start), &RULES, DateTime::UNIX_EPOCH);
            }
        }
        found.map(|flapping| flapping.sentence())
    }

    #[test]
    fn one_alert_that_changes_often_within_the_window_flaps() {
        let same = |_| "A";
        assert_eq!(flaps(same, &[0]), None);
        assert_eq!(flaps(same, &[0, 100]).as_deref(), Some("flapping, 4 changes in 3 minutes"));
        assert_eq!(flaps(same, &[0, 600]), None, "the first is out of the window");
        assert_eq!(flaps(same, &[0, 600, 700]).as_deref(), Some("flapping, 4 changes in 3 minutes"));
        assert_eq!(flaps(|n| ["A", "B", "C"].get(n).copied().unwrap_or("D"), &[0, 10, 20]), None, "a storm is no flapping");
    }

    #[test]
    fn none_flaps_where_that_is_configured() {
        let mut swings = Swings::default();
        let rules = Lifecycle { flap_changes: 0, ..RULES };
        for start in 0..20 {
            let change = alert("A", AlertStatus::Firing, start);
            assert_eq!(swings.count(&change, &rules, DateTime::UNIX_EPOCH), None);
        }
        assert_eq!(swings, Swings(BTreeMap::from([(alert("A", AlertStatus::Firing, 0).fingerprint, VecDeque::new())])));
    }
}
