//! Silences and maintenance windows: what people want to hear nothing of for a while, and why. An incident whose alerts are all muted is
//! kept, and nobody is told of it until that ends.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Labels;
use crate::id::{PersonId, SilenceId};
use crate::matcher::{MATCHERS_MAX, Matcher, all_satisfied};

/// A silence that lasts longer is a rule that should be deleted.
pub const LASTS_MAX: TimeDelta = TimeDelta::days(30);
/// Silences of a tenant that are remembered: each is looked at for every alert.
pub const SILENCES_MAX: usize = 500;
/// Characters of a reason: a sentence or two.
const REASON_CHARS_MAX: usize = 1_000;
/// One that is over is still shown for so long.
const SHOWN_AFTER: TimeDelta = TimeDelta::days(7);
/// Labels that say how bad or what kind, and not where: asking for a value of these alone would mute all of an installation.
const WIDE: [&str; 2] = ["severity", "alertname"];

/// Where a silence comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// Somebody made it here.
    Paramedic,
    /// It was imported; whoever imported it answers for it.
    Alertmanager {
        /// Its id there.
        id: String,
        /// Who made it there, by that person's own account.
        created_by: String,
    },
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// Who answers for it.
    pub owner: PersonId,
    /// Why, for whoever wonders.
    pub reason: String,
    /// An alert that satisfies all of them is muted.
    pub matchers: Vec<Matcher>,
    /// From then on.
    pub starts_at: DateTime<Utc>,
    /// Until then.
    pub ends_at: DateTime<Utc>,
    /// Where it comes from.
    pub source: Source,
}

/// A silence that mutes too much, for too long, or for no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct SilenceError {
    /// Which field.
    pub field: &'static str,
    /// The rule.
    pub rule: &'static str,
}

/// Whether matchers are narrow enough to mute by.
///
/// # Errors
/// The rule that they break.
pub fn check_scope(matchers: &[Matcher]) -> Result<(), SilenceError> {
    let is_narrow = matchers.iter().filter_map(Matcher::pins).any(|label| !WIDE.contains(&label));
    let rule = if matchers.len() > MATCHERS_MAX {
        "must be at most 20"
    } else if !is_narrow {
        "must hold at least one that asks for one value of a label other than severity and alertname, such as service=\"checkout\": \
         anything wider mutes the whole installation"
    } else {
        return Ok(());
    };
    Err(SilenceError { field: "matchers", rule })
}

impl Silence {
    /// Checks one that begins anew.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), SilenceError> {
        check_scope(&self.matchers)?;
        let reason = self.reason.trim();
        let rules = [
            (!reason.is_empty(), "reason", "must say why: others will wonder"),
            (reason.chars().count() <= REASON_CHARS_MAX, "reason", "must have at most 1000 characters"),
            (self.ends_at > self.starts_at, "ends_at", "must be after starts_at"),
            (self.ends_at > now, "ends_at", "must not be over already"),
            (self.ends_at - self.starts_at.max(now) <= LASTS_MAX, "ends_at", "must be within 30 days of its start"),
            (self.starts_at - now <= LASTS_MAX, "starts_at", "must be within 30 days"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(SilenceError { field, rule }),
            None => Ok(()),
        }
    }

    /// Whether it mutes anything at this moment.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now && now < self.ends_at
    }
}

/// A time in which work is announced: planned once, or each week. Times are UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// What is done.
    pub name: String,
    /// An alert that satisfies all of them is muted meanwhile.
    pub matchers: Vec<Matcher>,
    /// When it begins, or began the first time.
    pub starts_at: DateTime<Utc>,
    /// How long it takes.
    pub minutes: u32,
    /// Whether it is repeated.
    #[serde(default)]
    pub every: Every,
}

/// How often maintenance is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Just once.
    #[default]
    Once,
    /// Each week at the same time.
    Week,
}

impl Maintenance {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), SilenceError> {
        check_scope(&self.matchers)?;
        let week = TimeDelta::weeks(1);
        let rules = [
            (!self.name.trim().is_empty(), "name", "must say what is done"),
            (self.minutes > 0, "minutes", "must be at least 1"),
            (self.every == Every::Once || self.lasts() < week, "minutes", "must be less than a week for what is done every week"),
            (self.lasts() <= LASTS_MAX, "minutes", "must be at most 43200, 30 days"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(SilenceError { field, rule }),
            None => Ok(()),
        }
    }

    fn lasts(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.minutes))
    }

    /// When the window that is open now ends; none: none is.
    pub fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let passed = now - self.starts_at;
        let starts_at = match self.every {
            Every::Once => self.starts_at,
            Every::Week => self.starts_at + TimeDelta::weeks(passed.num_weeks()),
        };
        let ends_at = starts_at + self.lasts();
        (passed >= TimeDelta::zero() && now < ends_at).then_some(ends_at)
    }
}

/// The silences of a tenant as people have made them. Told whole: of two, the one with the higher number is how things are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Silences {
    /// Counts up with every change.
    pub number: u64,
    /// All that begin, last, or ended lately.
    pub all: Vec<Silence>,
}

impl Silences {
    /// The one with this id.
    pub fn get(&self, id: &SilenceId) -> Option<&Silence> {
        self.all.iter().find(|silence| silence.id == *id)
    }

    /// Adds one, or puts it in the place of the one with its id; forgets what ended long ago. False: there is no room.
    pub fn put(&mut self, silence: Silence, now: DateTime<Utc>) -> bool {
        self.all.retain(|known| known.id != silence.id && known.ends_at + SHOWN_AFTER > now);
        let has_room = self.all.len() < SILENCES_MAX;
        if has_room {
            self.all.push(silence);
        }
        has_room
    }
}

/// What a person wants of the silences, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SilenceOrder {
    /// These are made, or take the place of those with their ids.
    Put(Vec<Silence>),
    /// This one ends now.
    Expire {
        /// Which.
        id: SilenceId,
        /// Who says so.
        by: PersonId,
    },
}

/// All that may mute a tenant's alerts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutes<'a> {
    /// What people have made.
    pub silences: &'a [Silence],
    /// What is planned.
    pub maintenance: &'a [Maintenance],
}

/// That somebody wants to hear nothing of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Muted {
    /// Until then; then it is looked at anew.
    pub until: DateTime<Utc>,
    /// By what and why, for people.
    pub why: String,
}

impl Mutes<'_> {
    /// Until when an alert with these labels is muted, and by what; the one that lasts longest counts.
    pub fn of(&self, labels: &Labels, now: DateTime<Utc>) -> Option<Muted> {
        let silences = self.silences.iter().filter(|silence| silence.is_active(now) && all_satisfied(&silence.matchers, labels));
        let silences = silences.map(|silence| Muted {
            until: silence.ends_at,
            why: format!("{} of {}: {}", silence.id, silence.owner, silence.reason),
        });
        let windows = self.maintenance.iter().filter(|window| all_satisfied(&window.matchers, labels));
        let windows = windows.filter_map(|window| {
            let until = window.open_until(now)?;
            Some(Muted { until, why: format!("maintenance: {}", window.name) })
        });
        silences.chain(windows).max_by_key(|muted| muted.until)
    }

    /// Whether all of these are muted, and until when all of them are: one alert that is not is heard with all the others.
    pub fn all<'l>(&self, labels: impl Iterator<Item = &'l Labels>, now: DateTime<Utc>) -> Option<Muted> {
        let mut first: Option<Muted> = None;
        for labels in labels {
            let muted = self.of(labels, now)?;
            first = Some(match first {
                Some(first) if first.until <= muted.until => first,
                Some(_) | None => muted,
            });
        }
        first
    }
}

#[cfg(test)]
mod tests;
