//! What a tenant's watch remembers: what is away from usual, and which rules cannot be looked at. A look at all rules turns one memory
//! into the next, and gives the alerts to send.
//!
//! What fires is kept until it ends, so a restart neither loses an end nor begins a second time, and replicas that look at the same
//! moment come to the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::{Departure, End, Verdict, judge};
use super::rule::Rule;
use super::{Grid, Seen, words};
use crate::alert::{Alert, AlertStatus, Labels};
use crate::id::{TenantId, fingerprint};

/// Series of one tenant that are away at once. Each is an alert that people get; a thousand of them are one outage, and what is
/// remembered of them fits one row.
pub const AWAY_MAX: usize = 1_000;
/// For how long a rule may fail before people hear of it: as long as a Prometheus takes to restart.
const BLIND_AFTER: TimeDelta = TimeDelta::minutes(5);
/// And for how many looks: a single failed one is nothing, however far apart they are.
const BLIND_LOOKS: i32 = 3;
/// The alert that says so.
pub const BLIND: &str = "WatchBlind";
/// As much of an error as a card can show.
const REASON_CHARS_MAX: usize = 500;
/// The metric's name, which is no label of an alert.
const METRIC_NAME: &str = "__name__";

/// One tenant's memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// The last look that changed it.
    looked_at: Option<DateTime<Utc>>,
    /// By the rule's name; rules without news are not in it.
    rules: BTreeMap<String, Kept>,
}

/// What is remembered of one rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Kept {
    /// By the alert's fingerprint.
    away: BTreeMap<String, Away>,
    gap: Option<Gap>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Away {
    alert: Alert,
    departure: Departure,
}

/// A rule that cannot be looked at, or not at all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Gap {
    since: DateTime<Utc>,
    /// Sent once it lasted.
    alert: Option<Alert>,
}

/// What a look at one rule gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked<'a> {
    /// Which rule.
    pub rule: &'a Rule,
    /// The series, or why there are none.
    pub found: Result<Found, String>,
}

/// The series of a rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Those that are watched.
    pub series: Vec<Seen>,
    /// Why some are not, if some are not.
    pub left_out: Option<String>,
}

/// A memory after a look, and what has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// To be kept.
    pub next: Memory,
    /// To be sent.
    pub alerts: Vec<Alert>,
}

/// What a memory belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// When it looks.
    pub grid: Grid,
}

impl Memory {
    /// Takes a look at all rules in. None if nothing changes, or if somebody else looked later already.
    pub fn turn(&self, watch: Watch<'_>, looked: &[Looked<'_>], at: DateTime<Utc>) -> Option<Turn> {
        if self.looked_at.is_some_and(|last| last >= at) {
            return None;
        }
        let mut rules = self.rules.clone();
        let mut alerts = Vec::new();
        let mut room = AWAY_MAX.saturating_sub(rules.values().map(|kept| kept.away.len()).sum());
        for Looked { rule, found } in looked {
            let kept = rules.entry(rule.name.clone()).or_default();
            let mut left_out = None;
            match found {
                Ok(found) => {
                    left_out.clone_from(&found.left_out);
                    let full = kept.judged(watch, rule, found, at, &mut room, &mut alerts);
                    left_out =
                        left_out.or_else(|| full.then(|| format!("more than {AWAY_MAX} series are away from usual at once")));
                }
                Err(reason) => left_out = Some(reason.clone()),
            }
            kept.blind(watch, rule, left_out.as_deref(), at, &mut alerts);
        }
        let names: BTreeSet<&str> = looked.iter().map(|looked| looked.rule.name.as_str()).collect();
        for (_, kept) in rules.iter_mut().filter(|(name, _)| !names.contains(name.as_str())) {
            alerts.extend(std::mem::take(kept).dropped(at));
        }
        rules.retain(|_, kept| *kept != Kept::default());
        (rules != self.rules).then_some(Turn { next: Self { looked_at: Some(at), rules }, alerts })
    }

    /// How many series are away from usual, by rule.
    pub fn away(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rules.iter().map(|(name, kept)| (name.as_str(), kept.away.len()))
    }
}

impl Kept {
    /// Judges all series of a rule. Whether there was no room for one that left.
    fn judged(
        &mut self,
        watch: Watch<'_>,
        rule: &Rule,
        found: &Found,
        at: DateTime<Utc>,
        room: &mut usize,
        alerts: &mut Vec<Alert>,
    ) -> bool {
        let mut is_full = false;
        let mut missing: BTreeSet<String> = self.away.keys().cloned().collect();
        for seen in &found.series {
            let print = print(watch.tenant, rule, &seen.labels);
            missing.remove(&print);
            match judge(rule, watch.grid, seen, self.away.get(&print).map(|away| &away.departure), at) {
                Verdict::Leaves(_) if *room == 0 => is_full = true,
                Verdict::Leaves(departure) => {
                    *room -= 1;
                    let alert = firing(rule, &seen.labels, print.clone(), &departure);
                    alerts.push(alert.clone());
                    self.away.insert(print, Away { alert, departure });
                }
                Verdict::Ends(end) => {
                    alerts.extend(self.away.remove(&print).map(|away| resolved(away.alert, words::ended(end), at)));
                }
                Verdict::Usual | Verdict::Away | Verdict::Unknown => {}
            }
        }
        // Of a rule that is looked at only in part, a series that is missing may be one of those left out.
        if found.left_out.is_none() {
            let gone = missing.into_iter().filter_map(|print| self.away.remove(&print));
            alerts.extend(gone.map(|away| resolved(away.alert, words::ended(End::NoData), at)));
        }
        is_full
    }

    /// Notes that the rule cannot be looked at, or that it can again.
    fn blind(&mut self, watch: Watch<'_>, rule: &Rule, reason: Option<&str>, at: DateTime<Utc>, alerts: &mut Vec<Alert>) {
        let Some(reason) = reason else {
            let told = self.gap.take().and_then(|gap| gap.alert);
            alerts.extend(told.map(|alert| resolved(alert, "the rule can be looked at again", at)));
            return;
        };
        let gap = self.gap.get_or_insert(Gap { since: at, alert: None });
        let patience = BLIND_AFTER.max(watch.grid.interval() * BLIND_LOOKS);
        if gap.alert.is_none() && at - gap.since >= patience {
            let alert = blind(watch.tenant, rule, reason, at);
            alerts.push(alert.clone());
            gap.alert = Some(alert);
        }
    }

    /// All that fires of a rule that is no more.
    fn dropped(self, at: DateTime<Utc>) -> impl Iterator<Item = Alert> {
        let fired = self.away.into_values().map(|away| away.alert).chain(self.gap.and_then(|gap| gap.alert));
        fired.map(move |alert| resolved(alert, "the rule was removed", at))
    }
}

/// Names a series of a rule: the same on every replica.
fn print(tenant: &TenantId, rule: &Rule, labels: &Labels) -> String {
    let parts = ["watch", tenant.as_str(), &rule.name].into_iter();
    fingerprint(&parts.chain(labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()])).collect::<Vec<_>>())
}

fn firing(rule: &Rule, series: &Labels, fingerprint: String, departure: &Departure) -> Alert {
    let mut labels = series.clone();
    labels.remove(METRIC_NAME);
    labels.extend(rule.labels.clone());
    labels.insert("alertname".to_owned(), rule.name.clone());
    let mut annotations = Labels::from([("description".to_owned(), words::description(departure))]);
    annotations.extend(rule.summary.clone().map(|summary| ("summary".to_owned(), summary)));
    Alert {
        fingerprint,
        status: AlertStatus::Firing,
        labels,
        annotations,
        starts_at: departure.starts_at,
        ends_at: None,
        expression: Some(words::condition(rule, departure)),
    }
}

fn blind(tenant: &TenantId, rule: &Rule, reason: &str, at: DateTime<Utc>) -> Alert {
    let mut labels = rule.labels.clone();
    let own = [("alertname", BLIND), ("rule", &rule.name), ("severity", "warning")];
    labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let summary = format!("The watch rule {} cannot be looked at, or not whole: {reason}", rule.name);
    Alert {
        fingerprint: fingerprint(&["watch", "blind", tenant.as_str(), &rule.name]),
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::from([("summary".to_owned(), summary)]),
        starts_at: at,
        ends_at: None,
        expression: None,
    }
}

fn resolved(mut alert: Alert, why: &str, at: DateTime<Utc>) -> Alert {
    alert.annotations.insert("ended".to_owned(), why.to_owned());
    Alert { status: AlertStatus::Resolved, ends_at: Some(at), ..alert }
}

#[cfg(test)]
mod tests;
