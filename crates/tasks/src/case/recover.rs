//! After a write that was refused: somebody else was faster, or it was this very write that had gone through when no answer came.

use std::sync::Arc;

use a2a::{A2aError, StreamResponse, Task};
use store::a2a::{EventRow, MessageRow, TaskRow, TaskWrite};

use super::{Case, Change, Committed, Holder, Pending, Reporter, Standing, Taken, rests};
use crate::change;
use crate::limits::Limits;
use crate::message::Errand;

/// A task as it was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) owner: String,
    pub(crate) context_id: String,
    pub(crate) task: Arc<Task>,
    pub(crate) seq: i64,
    revision: i64,
    owed: Vec<Errand>,
    holder: Option<String>,
    turn: i32,
    attempt: i32,
    pushes: i32,
    bytes: usize,
    unsaved_bytes: usize,
}

/// What the table says after a write was refused.
#[derive(Debug)]
pub(crate) struct Found {
    /// The task, if it is there.
    pub(crate) task: Option<Loaded>,
    /// The events of the write after the one that this process knew.
    pub(crate) next: Option<EventRow>,
    /// What is known of the message that the write brought.
    pub(crate) message: Option<MessageRow>,
}

/// What a message is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is stored.
    Taken(Taken),
    /// It was taken before; this is what is known of it.
    Known(MessageRow),
    /// The task cannot take it.
    Refused(A2aError),
}

/// What came of the changes that were under way and those behind them.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Messages that are answered now, by their tickets.
    pub(crate) answers: Vec<(u64, Answer)>,
    /// What was stored after all.
    pub(crate) committed: Option<Committed>,
}

/// Reads a row.
pub(crate) fn load(row: TaskRow, limits: &Limits) -> Result<Loaded, A2aError> {
    let unreadable = |error: serde_json::Error| A2aError::internal(format!("the stored task {} cannot be read: {error}", row.id));
    let mut task: Task = serde_json::from_str(&row.document).map_err(unreadable)?;
    let owed: Option<Vec<Errand>> = row.owed.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
    let owed = owed.unwrap_or_default();
    let is_owed = |id: &str| owed.iter().any(|errand| errand.message_id == id);
    let unsaved_bytes = row.later.iter().map(String::len).sum();
    for events in &row.later {
        let events: Vec<StreamResponse> = serde_json::from_str(events).map_err(unreadable)?;
        for event in events {
            // It could happen when it was written.
            change::apply(&mut task, &event, limits)?;
            change::forget(&mut task.history, limits.history_max, is_owed);
        }
    }
    Ok(Loaded {
        owner: row.owner,
        context_id: row.context_id,
        task: Arc::new(task),
        seq: row.seq,
        revision: row.revision,
        owed,
        holder: row.holder,
        turn: row.turn,
        attempt: row.attempt,
        pushes: row.pushes,
        bytes: row.document.len() + unsaved_bytes,
        unsaved_bytes,
    })
}

impl Case {
    /// A task that was there before this process knew it.
    pub(crate) fn known(us: Arc<str>, loaded: Loaded) -> Self {
        let mut case = Self::bare(us, Arc::new(Task::new("", a2a::TaskStatus::new(a2a::TaskState::Submitted))));
        case.adopt(loaded);
        case
    }

    /// Takes what is stored for what is, and decides again on all that waits. Nothing may be under way.
    pub(crate) fn refresh(&mut self, loaded: Loaded, limits: &Limits) -> Recovered {
        let mut recovered = Recovered::default();
        if loaded.revision > self.revision {
            self.adopt(loaded);
            let waiting = std::mem::take(&mut self.waiting);
            self.again(waiting, limits, &mut recovered);
        }
        recovered
    }

    /// Goes on after `write`, which was refused.
    pub(crate) fn recover(&mut self, write: &TaskWrite, found: Found, limits: &Limits) -> Recovered {
        let mut recovered = Recovered::default();
        let is_ours = is_ours(write, &found);
        if is_ours {
            let committed = self.committed(write.document.as_ref().map(String::len));
            recovered.committed = Some(committed);
        }
        self.drafted = None;
        let mut changes = std::mem::take(&mut self.under_way);
        changes.append(&mut self.waiting);
        // A message that was taken before is not taken again, whatever became of the task since.
        let changes = answer_known(changes, found.message.filter(|_| !is_ours), &mut recovered);
        if let Some(loaded) = found.task {
            self.adopt(loaded);
            self.again(changes, limits, &mut recovered);
        } else {
            // Only a task that begins may be missing.
            self.refuse_all(changes, &A2aError::unavailable("the task could not be stored"), &mut recovered);
        }
        recovered
    }

    /// Refuses everything that waits, because it cannot be stored.
    pub(crate) fn forsake(&mut self, found: Found) -> Recovered {
        let mut recovered = Recovered::default();
        self.drafted = None;
        let mut changes = std::mem::take(&mut self.under_way);
        changes.append(&mut self.waiting);
        if let Some(loaded) = found.task {
            self.adopt(loaded);
        }
        self.refuse_all(changes, &A2aError::internal("it cannot be stored"), &mut recovered);
        recovered
    }

    fn refuse_all(&mut self, changes: Vec<Pending>, error: &A2aError, recovered: &mut Recovered) {
        self.waiting_bytes = 0;
        for Pending { number, change } in changes {
            self.refuse(number, change, error.clone(), recovered);
        }
    }

    fn adopt(&mut self, loaded: Loaded) {
        if loaded.turn != self.stored.turn {
            self.lost = self.calls;
        }
        self.holder = match loaded.holder {
            None => Holder::Nobody,
            Some(holder) if *holder == *self.us => Holder::Us,
            Some(holder) => Holder::Other(holder.into()),
        };
        let is_at_rest = rests(loaded.task.status.state) && loaded.owed.is_empty();
        let current = self.current().map(|running| running.errand.message_id.clone());
        self.queue = loaded.owed.into_iter().filter(|errand| current.as_ref() != Some(&errand.message_id)).collect();
        self.task = loaded.task;
        self.birth = None;
        self.seq = loaded.seq;
        self.revision = loaded.revision;
        self.turn = loaded.turn;
        self.attempt = loaded.attempt.unsigned_abs();
        self.pushes = loaded.pushes;
        self.bytes = loaded.bytes;
        self.unsaved_bytes = loaded.unsaved_bytes;
        let (task, has_ended) = (Some(Arc::clone(&self.task)), self.state().is_terminal());
        self.stored = Standing { seq: self.seq, turn: self.turn, is_at_rest, has_ended, task };
    }

    /// Decides again on changes, on the task as it is now.
    fn again(&mut self, changes: Vec<Pending>, limits: &Limits, recovered: &mut Recovered) {
        self.waiting_bytes = 0;
        for Pending { number, change } in changes {
            let decided = match &change {
                // The task is there: so its first write went through, and this change with it.
                Change::Begin { .. } => continue,
                Change::Message { message, bytes, errand, .. } => self.take_message(message, *bytes, errand, limits),
                Change::Event { event, text, by } => {
                    self.check_turn(*by).and_then(|()| self.take_event(event, text.len(), limits))
                }
                Change::Note { .. } if self.state().is_terminal() => Err(change::ended()),
                Change::Note { name, value, by } => self.check_turn(*by).map(|()| {
                    Arc::make_mut(&mut self.task).metadata.insert(name.clone(), value.clone());
                }),
                Change::Done { number, message_id } => self.check_turn(Reporter::Execution(*number)).map(|()| {
                    self.queue.retain(|errand| errand.message_id != *message_id);
                }),
            };
            match decided {
                Ok(()) => {
                    if let Change::Event { text, .. } = &change {
                        self.waiting_bytes += text.len();
                    }
                    self.waiting.push(Pending { number, change });
                }
                Err(error) => self.refuse(number, change, error, recovered),
            }
        }
    }

    fn refuse(&mut self, number: u64, change: Change, error: A2aError, recovered: &mut Recovered) {
        match change {
            Change::Begin { ticket, .. } | Change::Message { ticket, .. } => {
                recovered.answers.push((ticket, Answer::Refused(error)));
            }
            Change::Event { .. } | Change::Note { .. } | Change::Done { .. } => self.refused = self.refused.max(number),
        }
    }
}

/// Answers the message that is known, and gives back the other changes.
fn answer_known(mut changes: Vec<Pending>, record: Option<MessageRow>, recovered: &mut Recovered) -> Vec<Pending> {
    let Some(record) = record else { return changes };
    changes.retain(|pending| match pending.change {
        Change::Begin { ticket, .. } | Change::Message { ticket, .. } => {
            recovered.answers.push((ticket, Answer::Known(record.clone())));
            false
        }
        Change::Event { .. } | Change::Note { .. } | Change::Done { .. } => true,
    });
    changes
}

/// Whether the write went through earlier: its message is known as taken by it, or its events stand where it would have put them.
fn is_ours(write: &TaskWrite, found: &Found) -> bool {
    if let (Some(_), Some(record)) = (&write.message, &found.message) {
        return record.task_id.as_deref() == Some(&write.key.id) && record.revision == Some(write.expected + 1);
    }
    let events = write.events.as_deref();
    write.message.is_none() && events.is_some() && found.next.as_ref().is_some_and(|next| Some(next.events.as_str()) == events)
}
