//! One channel to people: a place, a queue, and at most one call under way.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::task::{Bulletin, Role};

/// Thread lines and ticket comments that wait for a provider; past that the oldest is dropped and the gap said.
const WAITING_MAX: usize = 100;

/// One channel to people: a place, a queue, and at most one call under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Line<J> {
    /// Number of the newest bulletin taken.
    pub(super) newest: u32,
    /// The card or issue, once it is there.
    pub(super) place: Option<Place>,
    /// What is still to be done, in order.
    pub(super) queue: VecDeque<J>,
    /// What is under way.
    pub(super) busy: Option<J>,
    /// Tasks to answer once the queue has come to their bulletin.
    pub(super) waiting: Vec<Waiting>,
    /// Whether the newest bulletin said that the incident is over.
    #[serde(default)]
    pub(super) is_over: bool,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self { newest: 0, place: None, queue: VecDeque::new(), busy: None, waiting: vec![], is_over: false }
    }
}

/// A card or an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Slack channel id, or Jira project.
    pub room: String,
    /// Slack message timestamp, or Jira issue key.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Waiting {
    pub(super) number: u32,
    pub(super) task: TaskId,
    pub(super) message_id: String,
    pub(super) asked_by: Role,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "job", rename_all = "snake_case")]
pub(super) enum ChatJob {
    /// Make the card show this bulletin.
    Show { bulletin: Box<Bulletin> },
    /// Add a line to its thread.
    Say { number: u32, text: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "job", rename_all = "snake_case")]
pub(super) enum TicketJob {
    /// Open the issue, or comment on it if it is there.
    Note { number: u32, bulletin: Box<Bulletin>, text: String },
    /// Move it to done.
    Finish { number: u32 },
    /// Move it away from done.
    Reopen { number: u32 },
}

/// Bounds a queue that waits for a provider: the oldest line goes first, the card and the newest lines stay.
pub(super) fn shorten<J>(queue: &mut VecDeque<J>) {
    while queue.len() > WAITING_MAX {
        let _oldest_line = queue.remove(1);
    }
}

pub(super) fn name(is_chat: bool, place: Option<&Place>) -> String {
    match (is_chat, place) {
        (true, Some(place)) => format!("Slack {} {}", place.room, place.name),
        (false, Some(place)) => format!("Jira {}", place.name),
        (_, None) => "nowhere".to_owned(),
    }
}

impl ChatJob {
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Show { .. } => "card",
            Self::Say { .. } => "line",
        }
    }

    pub(super) const fn number(&self) -> u32 {
        match self {
            Self::Show { bulletin } => bulletin.number,
            Self::Say { number, .. } => *number,
        }
    }

    /// What people learn from it, if it `is_first` or not. The first card need not be that of the first bulletin: a later one may have
    /// come before.
    pub(super) fn news(&self, is_first: bool) -> Option<String> {
        match self {
            Self::Show { bulletin } if is_first => Some(bulletin.news.clone().unwrap_or_else(|| bulletin.title.clone())),
            Self::Show { .. } => None,
            Self::Say { text, .. } => Some(text.clone()),
        }
    }
}

impl TicketJob {
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Note { .. } => "note",
            Self::Finish { .. } => "finish",
            Self::Reopen { .. } => "reopen",
        }
    }

    pub(super) const fn number(&self) -> u32 {
        match self {
            Self::Note { number, .. } | Self::Finish { number } | Self::Reopen { number } => *number,
        }
    }

    pub(super) fn news(&self) -> String {
        match self {
            Self::Note { text, .. } => text.clone(),
            Self::Finish { .. } => "moved to done".to_owned(),
            Self::Reopen { .. } => "moved away from done".to_owned(),
        }
    }
}
