//! From changes to a row, and what is so once the row is stored.

use std::sync::Arc;

use a2a::{A2aError, StreamResponse, Task};
use store::a2a::{TaskKey, TaskWrite};

use super::{Answer, Case, Change, Holder, Pending, rests};
use crate::limits::UNSAVED_BYTES_MIN;

/// How a task stands at some moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Number of the last event.
    pub(crate) seq: i64,
    /// How often a process began to hold it.
    pub(super) turn: i32,
    /// It has ended or waits for somebody, and no message waits to be worked on.
    pub(crate) is_at_rest: bool,
    /// Nothing more will come.
    pub(crate) has_ended: bool,
    /// The whole task. Always there when it is at rest.
    pub(crate) task: Option<Arc<Task>>,
}

/// A row that is to be written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) write: TaskWrite,
    /// The task as it is to be written down, if it is.
    pub(crate) document: Option<Arc<Task>>,
}

/// A message was taken: the task as it was then.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) task: Arc<Task>,
    pub(crate) seq: i64,
}

/// What was stored.
#[derive(Debug)]
pub(crate) struct Committed {
    /// The message that was taken, by its ticket.
    pub(crate) answer: Option<(u64, Answer)>,
    /// The events, the first of which has this number.
    pub(crate) first_seq: i64,
    pub(crate) events: Vec<(Arc<StreamResponse>, usize)>,
}

impl Case {
    /// Puts everything that waits under way. None if nothing waits, or if something is under way.
    pub(crate) fn draft(&mut self, key: &Arc<TaskKey>) -> Result<Option<Draft>, A2aError> {
        if !self.is_ready() {
            return Ok(None);
        }
        let owed: Vec<_> = self.owed().collect();
        let owed = if owed.is_empty() { None } else { Some(serde_json::to_string(&owed).map_err(|_| unwritable())?) };
        match (&owed, &self.holder) {
            (None, _) => self.holder = Holder::Nobody,
            // A call goes on with a task that had come to rest.
            (Some(_), Holder::Nobody) => self.hold(),
            (Some(_), Holder::Us | Holder::Other(_)) => {}
        }
        let document = self.needs_document().then(|| Arc::clone(&self.task));
        if document.is_some() {
            self.unsaved_bytes = 0;
        }
        let changes = std::mem::take(&mut self.waiting);
        let (birth, push) = self.birth.clone().unzip();
        let write = TaskWrite {
            key: Arc::clone(key),
            birth,
            expected: self.revision,
            state: self.state().as_str(),
            status_at: self.task.status.timestamp.unwrap_or_default(),
            seq: self.seq,
            document: None,
            events: events(&changes, self.waiting_bytes),
            holder: match &self.holder {
                Holder::Nobody => None,
                Holder::Us => Some(Arc::clone(&self.us)),
                Holder::Other(other) => Some(Arc::clone(other)),
            },
            turn: self.turn,
            attempt: i32::try_from(self.attempt).unwrap_or(i32::MAX),
            pushes: self.pushes,
            message: changes.iter().find_map(|n| match &n.change {
                Change::Begin { key, .. } | Change::Message { key, .. } => Some(key.clone()),
                Change::Event { .. } | Change::Note { .. } | Change::Done { .. } => None,
            }),
            push: push.flatten(),
            owed: owed.map(Arc::from),
        };
        self.drafted = Some(Standing {
            seq: self.seq,
            turn: self.turn,
            is_at_rest: rests(self.state()) && write.owed.is_none(),
            has_ended: self.state().is_terminal(),
            task: document.clone(),
        });
        self.waiting_bytes = 0;
        self.under_way = changes;
        Ok(Some(Draft { write, document }))
    }

    /// A task that rests is written as a whole, and so is one whose events alone do not tell all. Else the events are enough, until
    /// there is as much of them as of the task.
    pub(super) fn needs_document(&self) -> bool {
        let says_more = |n: &Pending| match n.change {
            Change::Begin { .. } | Change::Message { .. } | Change::Note { .. } => true,
            Change::Event { .. } | Change::Done { .. } => false,
        };
        let has_events = self.waiting.iter().any(|n| matches!(n.change, Change::Event { .. }));
        let before = self.bytes.saturating_sub(self.unsaved_bytes);
        self.waiting.iter().any(says_more)
            || (has_events && rests(self.state()))
            || self.unsaved_bytes > before.max(UNSAVED_BYTES_MIN)
    }

    /// What was under way is stored.
    pub(crate) fn committed(&mut self, document_bytes: Option<usize>) -> Committed {
        if let Some(mut standing) = self.drafted.take() {
            // Where nothing was said anew, the whole task is still the one from before.
            if standing.task.is_none() && standing.seq == self.stored.seq {
                standing.task = self.stored.task.take();
            }
            self.revision += 1;
            self.stored = standing;
        }
        self.birth = None;
        if let Some(bytes) = document_bytes {
            self.bytes = bytes + self.unsaved_bytes;
        }
        let mut committed = Committed { answer: None, first_seq: self.stored.seq + 1, events: vec![] };
        for Pending { change, .. } in std::mem::take(&mut self.under_way) {
            match change {
                Change::Begin { ticket, .. } | Change::Message { ticket, .. } => {
                    let task = self.stored.task.clone().unwrap_or_else(|| Arc::clone(&self.task));
                    committed.answer = Some((ticket, Answer::Taken(Taken { task, seq: self.stored.seq })));
                }
                Change::Event { event, text, .. } => {
                    committed.first_seq -= 1;
                    committed.events.push((event, text.len()));
                }
                Change::Note { .. } | Change::Done { .. } => {}
            }
        }
        committed
    }
}

/// The events as an array in JSON.
fn events(changes: &[Pending], bytes: usize) -> Option<String> {
    let mut array = String::new();
    for Pending { change, .. } in changes {
        if let Change::Event { text, .. } = change {
            if array.is_empty() {
                array.reserve(bytes + changes.len() + 1);
                array.push('[');
            } else {
                array.push(',');
            }
            array.push_str(text);
        }
    }
    (!array.is_empty()).then(|| array + "]")
}

fn unwritable() -> A2aError {
    A2aError::internal("the task cannot be written as JSON")
}
