//! Alerts that nobody can handle, because what the agents remember with is away: they are announced as they came, once, and their
//! incidents are told of it afterwards. What was announced is kept in a [`Book`] for each tenant, in a place that is not away.
//!
//! It never opens an incident, and never keeps an alert from being handled later.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertStatus, CorrelationKey, Notification, Severity};
use crate::id::{TenantId, fingerprint};

/// For so long the memory must be away: what is shorter is over before anybody could act on an announcement.
pub const ANNOUNCED_AFTER: TimeDelta = TimeDelta::seconds(30);
/// Alerts that one announcement names; of the others it tells the number. A storm is one message, not thousands.
const LINES_MAX: usize = 20;
/// Characters of such a line.
const LINE_CHARS_MAX: usize = 200;
/// Alerts that are remembered as announced. Past that an alert may be announced twice, which is better than not at all.
const EPISODES_MAX: usize = 5_000;
/// Announcements of which incidents are still to be told. Past that the oldest are forgotten; people have read them all the same.
const ANNOUNCEMENTS_MAX: usize = 50;
/// Who began to post an announcement and has not said that it is done for so long is taken for dead: a call takes 20 s at most.
const POSTING_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// What was announced of one tenant's alerts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Everything up to here in the stream of alerts was looked at.
    upto: u64,
    /// Alerts that were announced, each with its beginning.
    episodes: BTreeSet<String>,
    announcements: Vec<Announcement>,
}

/// One message to people about alerts that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Names it for ever: the idempotency key of its post.
    pub id: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The alerts, a line each.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// The correlation keys that they have, and where in the stream each was last.
    pub keys: BTreeMap<CorrelationKey, u64>,
    /// How far it is.
    pub stage: Stage,
}

/// How far an announcement is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// It is to be posted.
    Made,
    /// Somebody posts it.
    Posting {
        /// Since when.
        since: DateTime<Utc>,
        /// From 1. Above 1 an earlier try may have posted it.
        attempt: u32,
    },
    /// People have it.
    Posted {
        /// The channel.
        room: String,
        /// The message in it.
        name: String,
    },
}

/// Told to an incident whose alerts were announced before it could be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// Whose.
    pub tenant: TenantId,
    /// Of which alerts.
    pub key: CorrelationKey,
    /// By which announcement.
    pub announcement: String,
    /// Where, for people.
    pub place: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Book {
    /// Where in the stream the next look begins.
    pub fn looks_from(&self) -> u64 {
        self.upto.saturating_add(1)
    }

    /// Looks at notifications that wait, each with its place in the stream, in order. Makes an announcement of what fires and was not
    /// announced.
    pub fn look(&mut self, waiting: &[(u64, Notification)], now: DateTime<Utc>) {
        let (mut lines, mut keys, mut ids) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (place, notification) in waiting.iter().filter(|(place, _)| *place > self.upto) {
            let firing = notification.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
            for alert in firing {
                let episode = episode(alert);
                if self.episodes.contains(&episode) {
                    continue;
                }
                ids.push(episode.clone());
                self.episodes.insert(episode);
                lines.push(line(alert));
                keys.insert(notification.key.clone(), *place);
            }
        }
        self.upto = waiting.iter().map(|(place, _)| *place).chain([self.upto]).max().unwrap_or_default();
        while self.episodes.len() > EPISODES_MAX {
            self.episodes.pop_first();
        }
        if lines.is_empty() {
            return;
        }
        let more = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let id = format!("raw-{}", fingerprint(&ids));
        self.announcements.push(Announcement { id, at: now, lines, more, keys, stage: Stage::Made });
        let forgotten = self.announcements.len().saturating_sub(ANNOUNCEMENTS_MAX);
        self.announcements.drain(..forgotten);
    }

    /// Takes the next announcement that nobody posts, to post it; with the number of the try.
    pub fn take(&mut self, now: DateTime<Utc>) -> Option<(Announcement, u32)> {
        self.take_if(now, |stage| matches!(stage, Stage::Made) || is_left(stage, now))
    }

    /// Takes the next announcement that somebody began to post and left. People may have it, so it is brought to its end also when nothing
    /// new is announced any more.
    pub fn take_left(&mut self, now: DateTime<Utc>) -> Option<(Announcement, u32)> {
        self.take_if(now, |stage| is_left(stage, now))
    }

    fn take_if(&mut self, now: DateTime<Utc>, is_free: impl Fn(&Stage) -> bool) -> Option<(Announcement, u32)> {
        let taken = self.announcements.iter_mut().find(|announcement| is_free(&announcement.stage))?;
        let attempt = match taken.stage {
            Stage::Posting { attempt, .. } => attempt.saturating_add(1),
            Stage::Made | Stage::Posted { .. } => 1,
        };
        taken.stage = Stage::Posting { since: now, attempt };
        Some((taken.clone(), attempt))
    }

    /// People have it, there.
    pub fn posted(&mut self, id: &str, (room, name): (String, String)) {
        if let Some(announcement) = self.announcements.iter_mut().find(|announcement| announcement.id == id) {
            announcement.stage = Stage::Posted { room, name };
        }
    }

    /// It could not be posted, and is to be tried again at once by whoever comes.
    pub fn failed(&mut self, id: &str) {
        let taken = self.announcements.iter_mut().find(|announcement| announcement.id == id);
        if let Some(Stage::Posting { since, .. }) = taken.map(|announcement| &mut announcement.stage) {
            *since = DateTime::UNIX_EPOCH;
        }
    }

    /// Takes out what people have and whose alerts are handled by now: nothing up to `waits_from` waits any more. What nobody began to
    /// post is not announced any more.
    pub fn absorb(&mut self, waits_from: Option<u64>) -> Vec<Announcement> {
        let waits = |place: &u64| waits_from.is_some_and(|first| *place >= first);
        let is_absorbed = |announcement: &Announcement| {
            matches!(announcement.stage, Stage::Posted { .. }) && !announcement.keys.values().any(waits)
        };
        let absorbed = self.announcements.iter().filter(|one| is_absorbed(one)).cloned().collect();
        self.announcements.retain(|one| !is_absorbed(one) && one.stage != Stage::Made);
        absorbed
    }

    /// Whether incidents are still to be told of something.
    pub fn is_settled(&self) -> bool {
        self.announcements.is_empty()
    }
}

/// Whether somebody began to post it, and is taken for dead.
fn is_left(stage: &Stage, now: DateTime<Utc>) -> bool {
    matches!(stage, Stage::Posting { since, .. } if now - *since >= POSTING_WITHIN)
}

/// One firing of an alert, however often it is told.
fn episode(alert: &Alert) -> String {
    format!("{}@{}", alert.fingerprint, alert.starts_at.timestamp_millis())
}

/// An alert in a line, for people. What it says comes from outside.
fn line(alert: &Alert) -> String {
    let about = alert.workload().map_or_else(String::new, |workload| format!(" on {}/{}", workload.namespace, workload.name));
    let summary = alert.annotations.get("summary").map_or_else(String::new, |summary| format!(": {summary}"));
    let severity = match alert.severity() {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let line = format!("{severity}: {}{about}{summary}", alert.name());
    line.replace(['\n', '\r'], " ").chars().take(LINE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Correlation;
    use crate::alert::tests::alert;

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000 + s)
    }

    fn waiting(place: u64, alerts: Vec<Alert>) -> (u64, Notification) {
        let tenant = "acme".parse().unwrap();
        (place, Notification::split(&tenant, "group", alerts, 0, &Correlation::default()).remove(0))
    }

    fn firing(name: &str) -> Alert {
        alert(name, AlertStatus::Firing, 0)
    }

    #[test]
    fn each_firing_is_announced_once_however_often_it_is_told() {
        let mut book = Book::default();
        book.look(&[waiting(3, vec![firing("a"), alert("b", AlertStatus::Resolved, 0)])], at(0));
        book.look(&[waiting(3, vec![firing("a")]), waiting(4, vec![firing("a")])], at(1));
        let (announcement, attempt) = book.take(at(1)).unwrap();
        assert_eq!((announcement.lines.len(), announcement.more, attempt), (1, 0, 1), "{announcement:?}");
        assert!(announcement.lines[0].starts_with("critical: a on shop/checkout"), "{announcement:?}");
        assert_eq!(book.take(at(2)), None, "somebody posts it");
        book.look(&[waiting(5, vec![firing("a"), firing("c")])], at(2));
        let (second, _) = book.take(at(2)).unwrap();
        assert!(second.id != announcement.id && second.lines.len() == 1, "{second:?}");
        assert_eq!(book.looks_from(), 6);
    }

    #[test]
    fn a_storm_is_one_announcement() {
        let mut book = Book::default();
        let storm: Vec<_> = (0..300).map(|n| waiting(n + 1, vec![firing(&format!("alert-{n}"))])).collect();
        book.look(&storm, at(0));
        let (announcement, _) = book.take(at(0)).unwrap();
        assert_eq!((announcement.lines.len(), announcement.more), (LINES_MAX, 300 - LINES_MAX));
        assert_eq!(book.take(at(0)), None);
    }

    #[test]
    fn what_was_not_posted_is_tried_again_and_looked_for_first() {
        let mut book = Book::default();
        book.look(&[waiting(1, vec![firing("a")])], at(0));
        let (announcement, _) = book.take(at(0)).unwrap();
        book.failed(&announcement.id);
        assert_eq!(book.take(at(1)).map(|(_, attempt)| attempt), Some(2), "the one before may have posted it");
        assert_eq!(book.take(at(2)), None);
        assert_eq!(book.take(at(1) + POSTING_WITHIN).map(|(_, attempt)| attempt), Some(3), "who posted it is dead");
        book.posted(&announcement.id, ("room".to_owned(), "1".to_owned()));
        assert_eq!(book.take(at(1_000)), None);
    }

    #[test]
    fn incidents_are_told_once_their_alerts_wait_no_more() {
        let mut book = Book::default();
        book.look(&[waiting(7, vec![firing("a")])], at(0));
        let (announcement, _) = book.take(at(0)).unwrap();
        assert_eq!(book.absorb(None), vec![], "people do not have it yet");
        book.posted(&announcement.id, ("room".to_owned(), "1".to_owned()));
        assert_eq!(book.absorb(Some(7)), vec![], "it waits");
        let absorbed = book.absorb(Some(8));
        assert_eq!(absorbed.len(), 1);
        assert_eq!(absorbed[0].keys.values().collect::<Vec<_>>(), [&7]);
        assert!(book.is_settled() && book.absorb(None).is_empty());
    }

    #[test]
    fn what_was_left_while_it_was_posted_is_brought_to_its_end_afterwards() {
        let mut book = Book::default();
        book.look(&[waiting(1, vec![firing("a")])], at(0));
        let (announcement, _) = book.take(at(0)).unwrap();
        book.look(&[waiting(2, vec![firing("b")])], at(1));
        assert_eq!(book.take_left(at(1)), None, "its poster lives, and of the other one nobody has heard");
        assert_eq!(book.absorb(None), vec![], "people may have it");
        let left = book.take_left(at(0) + POSTING_WITHIN);
        assert_eq!(left.map(|(left, attempt)| (left.id, attempt)), Some((announcement.id.clone(), 2)));
        book.posted(&announcement.id, ("room".to_owned(), "1".to_owned()));
        assert_eq!(book.absorb(None).len(), 1);
        assert!(book.is_settled(), "the one that nobody began to post is dropped");
    }

    #[test]
    fn a_book_stays_bounded() {
        let mut book = Book::default();
        for n in 0..u64::try_from(ANNOUNCEMENTS_MAX + 5).unwrap() {
            book.look(&[waiting(n + 1, vec![firing(&format!("alert-{n}"))])], at(0));
        }
        assert_eq!(book.announcements.len(), ANNOUNCEMENTS_MAX);
        let many: Vec<Alert> = (0..EPISODES_MAX + 10).map(|n| firing(&format!("more-{n}"))).collect();
        book.look(&[waiting(1_000, many)], at(1));
        assert_eq!(book.episodes.len(), EPISODES_MAX);
    }
}
