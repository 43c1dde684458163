//! Storms: so many incidents open at once that a page for each would be no help. What is counted is how fast they open.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Severity;

/// Fewer are what one person can look at.
const OPENED_MIN: u32 = 3;
/// Their times are remembered.
const OPENED_MAX: u32 = 1_000;

/// When many are too many: `[tenants.ID.storm]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StormRules {
    /// So many incidents,
    pub opened: u32,
    /// opened within so many seconds, are a storm.
    pub within_s: u32,
    /// It is over when they have opened more slowly for so many seconds.
    pub calm_s: u32,
}

impl Default for StormRules {
    fn default() -> Self {
        Self { opened: 20, within_s: 60, calm_s: 120 }
    }
}

/// Rules that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct StormError {
    field: &'static str,
    rule: &'static str,
}

impl StormRules {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(), StormError> {
        let rules = [
            ((OPENED_MIN..=OPENED_MAX).contains(&self.opened), "opened", "must be 3 to 1000"),
            ((1..=3_600).contains(&self.within_s), "within_s", "must be 1 to 3600"),
            ((10..=3_600).contains(&self.calm_s), "calm_s", "must be 10 to 3600"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(StormError { field, rule }),
            None => Ok(()),
        }
    }
}

/// When the last incidents opened: as many as are too many, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Pace(VecDeque<DateTime<Utc>>);

impl Pace {
    /// One more; answers whether they open too fast now.
    pub fn opened(&mut self, rules: &StormRules, now: DateTime<Utc>) -> bool {
        let many = usize::try_from(rules.opened).unwrap_or(usize::MAX);
        self.0.push_back(now);
        while self.0.len() > many {
            self.0.pop_front();
        }
        let first = self.0.front().filter(|_| self.0.len() >= many);
        first.is_some_and(|first| now - *first <= TimeDelta::seconds(i64::from(rules.within_s)))
    }
}

/// How many, by how bad they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Critical.
    pub critical: u32,
    /// Warnings.
    pub warning: u32,
    /// The rest.
    pub info: u32,
}

impl Counts {
    /// One more.
    pub fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::Warning => self.warning += 1,
            Severity::Info => self.info += 1,
        }
    }

    /// All.
    pub const fn all(self) -> u32 {
        self.critical + self.warning + self.info
    }

    /// How many come before those of this severity, and how many there are of it: the worst come first.
    pub const fn before_and_of(self, severity: Severity) -> (u32, u32) {
        match severity {
            Severity::Critical => (0, self.critical),
            Severity::Warning => (self.critical, self.warning),
            Severity::Info => (self.critical + self.warning, self.info),
        }
    }

    /// The worst that there is.
    pub const fn worst(self) -> Severity {
        if self.critical > 0 {
            Severity::Critical
        } else if self.warning > 0 {
            Severity::Warning
        } else {
            Severity::Info
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_many_within_a_short_time() {
        let rules = StormRules { opened: 3, within_s: 10, calm_s: 60 };
        for (times, expected) in [
            (vec![0, 1], vec![false, false]),
            (vec![0, 5, 10], vec![false, false, true]),
            (vec![0, 5, 11], vec![false, false, false]),
            (vec![0, 8, 16, 17, 18], vec![false, false, false, true, true]),
            (vec![0, 0, 0, 100, 101, 102], vec![false, false, true, false, false, true]),
        ] {
            let mut pace = Pace::default();
            let at = |s: &i64| DateTime::from_timestamp(*s, 0).unwrap();
            let found: Vec<bool> = times.iter().map(|s| pace.opened(&rules, at(s))).collect();
            assert_eq!(found, expected, "{times:?}");
            assert!(pace.0.len() <= 3);
        }
    }

    #[test]
    fn rules_are_within_reason() {
        assert_eq!(StormRules::default().check(), Ok(()));
        let field = |rules: StormRules| rules.check().err().map(|error| error.field);
        let usual = StormRules::default();
        assert_eq!(field(StormRules { opened: 2, ..usual }), Some("opened"));
        assert_eq!(field(StormRules { within_s: 0, ..usual }), Some("within_s"));
        assert_eq!(field(StormRules { calm_s: 9, ..usual }), Some("calm_s"));
    }
}
