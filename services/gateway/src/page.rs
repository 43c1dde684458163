//! Pages: bounded, and each says where the next one begins.

use std::borrow::Cow;

use chrono::DateTime;
use serde::Serialize;
use store::{After, IncidentState, IncidentSummary};
use url::form_urlencoded;

use crate::problem::{Problem, Violation};

/// Items of a page where nobody says how many.
const LIMIT: u32 = 50;
/// Items of a page at most.
const LIMIT_MAX: u32 = 200;

/// A page of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    /// In order.
    pub(crate) items: Vec<T>,
    /// Where the next page begins: pass it on as it is. None: this is the last one.
    pub(crate) next: Option<String>,
}

/// Which page was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) state: IncidentState,
    pub(crate) limit: u32,
    /// The `next` of the page before; none asks for the first page.
    cursor: Option<String>,
}

impl Asked {
    /// The cursor, as `read` makes it out.
    pub(crate) fn cursor<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let read = |text: &String| read(text).ok_or_else(|| wrong("cursor", "must be the \"next\" of another page"));
        self.cursor.as_ref().map(read).transpose()
    }
}

fn wrong(name: &str, rule: impl Into<Cow<'static, str>>) -> Problem {
    Problem::invalid(vec![Violation { field: format!("?{name}"), rule: rule.into(), name: "query" }])
}

/// Reads a query; parameters that are not `known` are refused, so that a mistyped filter does not look like one that found all.
pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Asked, Problem> {
    let mut asked = Asked { state: IncidentState::Any, limit: LIMIT, cursor: None };
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            other if !known.contains(&other) => {
                return Err(wrong(&name, format!("is not known here; known are: {}", known.join(", "))));
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                asked.limit = limit.ok_or_else(|| wrong(&name, format!("must be a number from 1 to {LIMIT_MAX}")))?;
            }
            "state" => {
                asked.state = match value.as_ref() {
                    "open" => IncidentState::Open,
                    "closed" => IncidentState::Closed,
                    "any" => IncidentState::Any,
                    _ => return Err(wrong(&name, "must be open, closed or any")),
                }
            }
            "cursor" => asked.cursor = Some(value.into_owned()),
            _ => return Err(wrong(&name, "is not known here")),
        }
    }
    Ok(asked)
}

/// Where the page after this one begins, if this one is full.
pub(crate) fn next(incidents: &[IncidentSummary], limit: u32) -> Option<String> {
    let is_full = incidents.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let last = incidents.last().filter(|_| is_full)?;
    Some(format!("{}.{}", last.opened_at.timestamp_micros(), last.incident))
}

/// Where the page of incidents after that cursor begins.
pub(crate) fn after(cursor: &str) -> Option<After> {
    let (micros, incident) = cursor.split_once('.')?;
    let opened_at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
    Some(After { opened_at, incident: incident.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use incident::alert::Severity;
    use incident::task::Phase;

    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let known = ["state", "limit", "cursor"];
        let asked = read(Some("state=open&limit=7&cursor=1000001.inc_1"), &known).unwrap();
        assert_eq!((asked.state, asked.limit), (IncidentState::Open, 7));
        assert_eq!(asked.cursor(after).unwrap().unwrap().opened_at.timestamp_micros(), 1_000_001);
        assert_eq!(read(None, &known).unwrap().limit, LIMIT);
        for bad in ["limit=0", "limit=201", "limit=x", "state=opened", "after=1", "x=1"] {
            assert_eq!(read(Some(bad), &known).unwrap_err().names(), ["query"], "{bad}");
        }
        for bad in ["cursor=1", "cursor=x.inc_1", "cursor=1.in*c"] {
            let asked = read(Some(bad), &known).unwrap();
            assert_eq!(asked.cursor(after).unwrap_err().names(), ["query"], "{bad}");
        }
    }

    #[test]
    fn the_next_page_begins_after_the_last_item() {
        let at = DateTime::from_timestamp_micros(1_795_410_600_123_456).unwrap();
        let incident = IncidentSummary {
            incident: "inc_1".parse().unwrap(),
            title: String::new(),
            severity: Severity::Critical,
            phase: Phase::Diagnosing,
            opened_at: at,
            closed_at: None,
            outcome: None,
            updated_at: at,
            follows: None,
            attendance: incident::order::Attendance::default(),
        };
        let cursor = next(std::slice::from_ref(&incident), 1).unwrap();
        assert_eq!(after(&cursor), Some(After { opened_at: at, incident: incident.incident.clone() }));
        assert_eq!(next(&[incident], 2), None);
        assert_eq!(next(&[], 1), None);
    }
}
