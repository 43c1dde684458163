//! One task in memory: as it is stored, what is on its way to the table, and what waits behind that. Pure.
//!
//! Changes are decided on at once, on the task as it will be, and written together as soon as the write before them has ended. If
//! somebody else wrote the task meanwhile, they are decided on again, on what is stored then.

mod draft;
mod recover;

use std::collections::VecDeque;
use std::sync::Arc;

use a2a::{A2aError, Message, Role, StreamResponse, Task, TaskState};
use serde_json::Value;
use store::a2a::{Birth, MessageKey, NewPush};

use crate::change;
use crate::limits::Limits;
use crate::message::{self, Errand};

pub(crate) use draft::{Committed, Draft, Standing, Taken};
pub(crate) use recover::{Answer, Found, Loaded, Recovered, load};

/// Something new about the task.
#[derive(Debug)]
pub(crate) enum Change {
    /// It came in with the message that makes the task.
    Begin { ticket: u64, key: MessageKey },
    /// One more message of the client.
    Message { ticket: u64, key: MessageKey, message: Message, bytes: usize, errand: Errand },
    /// Something that streams are told, and the same as JSON.
    Event { event: Arc<StreamResponse>, text: String, by: Reporter },
    /// A fact in the task's metadata.
    Note { name: String, value: Value, by: Reporter },
    /// A call has ended, and the work on its message with it.
    Done { number: u64, message_id: String },
}

/// Who reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reporter {
    /// A call of the executor, by its number within this process.
    Execution(u64),
    /// Anybody else who may.
    Outside,
}

/// Which process works on the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nothing is to be done.
    Nobody,
    /// This process.
    Us,
    /// Another one.
    Other(Arc<str>),
}

/// A call of the executor that is to begin.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) errand: Errand,
    pub(crate) message: Message,
    pub(crate) task: Arc<Task>,
}

/// A call of the executor that is under way.
#[derive(Debug)]
struct Running {
    number: u64,
    errand: Errand,
    /// The task came to rest since the call began: its message was worked on. The task may have rested before, for another message.
    has_rested: bool,
}

/// A change and its number, from 1.
#[derive(Debug)]
struct Pending {
    number: u64,
    change: Change,
}

/// What came of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    Taken,
    /// Too much waits to be written; try again after the next write.
    Full,
}

/// A task that is to begin with a message.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) task: Task,
    /// Bytes of the message as JSON.
    pub(crate) bytes: usize,
    pub(crate) birth: Birth,
    pub(crate) push: Option<NewPush>,
    pub(crate) key: MessageKey,
    pub(crate) errand: Errand,
}

/// A message that is to go on with a task.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) key: MessageKey,
    pub(crate) message: Message,
    /// Its bytes as JSON.
    pub(crate) bytes: usize,
    pub(crate) errand: Errand,
}

/// What came of a message.
#[derive(Debug)]
pub(crate) enum Offered {
    Taken,
    /// Another message or the task's end is on its way; try again after the next write.
    Busy(Offer),
    /// Refused, unless it was taken before.
    Refused(A2aError),
}

/// One task.
#[derive(Debug)]
pub(crate) struct Case {
    us: Arc<str>,
    /// As it will be when all changes are written.
    task: Arc<Task>,
    seq: i64,
    /// Bytes of the task as JSON, or a little more.
    bytes: usize,
    /// Bytes of events since the document was written.
    unsaved_bytes: usize,
    /// What is stored.
    revision: i64,
    stored: Standing,
    birth: Option<(Birth, Option<NewPush>)>,
    pushes: i32,
    holder: Holder,
    /// How often a process began to hold it.
    turn: i32,
    attempt: u32,
    /// Messages to be worked on after the one that is.
    queue: VecDeque<Errand>,
    running: Option<Running>,
    /// How many calls of the executor there were, in this process.
    calls: u64,
    /// The last of them that does not count any more, because another process has held the task since.
    lost: u64,
    waiting: Vec<Pending>,
    waiting_bytes: usize,
    under_way: Vec<Pending>,
    /// How the task stands when what is under way is stored.
    drafted: Option<Standing>,
    /// How many changes came in, and the last one that was refused although it was taken.
    taken: u64,
    refused: u64,
}

impl Case {
    /// A task that begins. It waits to be written.
    pub(crate) fn begin(us: Arc<str>, beginning: Beginning) -> Self {
        let Beginning { task, bytes, birth, push, key, errand } = beginning;
        let mut case = Self::bare(us, Arc::new(task));
        case.bytes = bytes;
        case.pushes = i32::from(push.is_some());
        case.birth = Some((birth, push));
        case.hold();
        case.queue.push_back(errand);
        case.push(Change::Begin { ticket: 0, key });
        case
    }

    fn bare(us: Arc<str>, task: Arc<Task>) -> Self {
        Self {
            us,
            task,
            seq: 0,
            bytes: 0,
            unsaved_bytes: 0,
            revision: 0,
            stored: Standing::default(),
            birth: None,
            pushes: 0,
            holder: Holder::Nobody,
            turn: 0,
            attempt: 0,
            queue: VecDeque::new(),
            running: None,
            calls: 0,
            lost: 0,
            waiting: vec![],
            waiting_bytes: 0,
            under_way: vec![],
            drafted: None,
            taken: 0,
            refused: 0,
        }
    }

    fn push(&mut self, change: Change) {
        self.taken += 1;
        if let Change::Event { text, .. } = &change {
            self.waiting_bytes += text.len();
        }
        self.waiting.push(Pending { number: self.taken, change });
    }

    fn all(&self) -> impl Iterator<Item = &Pending> {
        self.under_way.iter().chain(&self.waiting)
    }

    pub(crate) const fn task(&self) -> &Arc<Task> {
        &self.task
    }

    pub(crate) const fn revision(&self) -> i64 {
        self.revision
    }

    /// How the task stands in the table.
    pub(crate) const fn stored(&self) -> &Standing {
        &self.stored
    }

    /// How many changes came in so far.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Up to which change all are decided for good: stored, or refused after all.
    pub(crate) fn settled(&self) -> u64 {
        self.all().next().map_or(self.taken, |first| first.number - 1)
    }

    /// The last change that was taken and then refused, because somebody else had written the task; 0 if there is none.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn state(&self) -> TaskState {
        self.task.status.state
    }

    /// About how many bytes would be written now.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.waiting_bytes + if self.needs_document() { self.bytes } else { 0 }
    }

    /// Whether anything waits to be written, and nothing is on its way.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_idle() && !self.waiting.is_empty()
    }

    /// Whether nothing is on its way to the table.
    pub(crate) const fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.drafted.is_none()
    }

    /// Whether nothing is on its way, and nothing waits.
    pub(crate) const fn is_still(&self) -> bool {
        self.is_idle() && self.waiting.is_empty()
    }

    /// Whether this process has work to do on it.
    pub(crate) fn is_ours(&self) -> bool {
        self.running.is_some() || (self.holder == Holder::Us && !self.queue.is_empty())
    }

    /// Whether nothing at all goes on with it here.
    pub(crate) const fn is_free(&self) -> bool {
        self.is_still() && self.running.is_none()
    }

    /// Takes one more message of the client.
    pub(crate) fn offer(&mut self, ticket: u64, offer: Offer, limits: &Limits) -> Offered {
        if self.stored.has_ended {
            return Offered::Refused(change::ended());
        }
        let is_message = |n: &Pending| matches!(n.change, Change::Message { .. } | Change::Begin { .. });
        // An end that is not stored may be refused yet: nobody is told of it.
        if self.state().is_terminal() || self.all().any(is_message) {
            return Offered::Busy(offer);
        }
        let Offer { key, message, bytes, errand } = offer;
        if let Err(refusal) = self.take_message(&message, bytes, &errand, limits) {
            return Offered::Refused(refusal);
        }
        self.push(Change::Message { ticket, key, message, bytes, errand });
        Offered::Taken
    }

    fn take_message(&mut self, message: &Message, bytes: usize, errand: &Errand, limits: &Limits) -> Result<(), A2aError> {
        if self.state().is_terminal() {
            return Err(change::ended());
        }
        if self.queue.len() >= limits.messages_waiting_max {
            return Err(change::too_much("too many messages of the task wait"));
        }
        message::check_bytes(bytes, self.bytes, limits)?;
        self.bytes += bytes;
        let task = Arc::make_mut(&mut self.task);
        // What the agent asked comes before what it is answered.
        task.history.extend(task.status.message.take());
        task.history.push(message.clone());
        self.forget(limits);
        if self.holder == Holder::Nobody {
            self.hold();
        }
        self.queue.push_back(errand.clone());
        Ok(())
    }

    /// This process begins to hold the task.
    fn hold(&mut self) {
        self.holder = Holder::Us;
        self.turn += 1;
        self.attempt = 1;
    }

    /// Takes an event. `text` is the same as JSON.
    pub(crate) fn report(
        &mut self,
        event: Arc<StreamResponse>,
        text: String,
        by: Reporter,
        limits: &Limits,
    ) -> Result<Reported, A2aError> {
        self.check_reporter(by)?;
        if self.waiting_bytes + text.len() > limits.unwritten_bytes_max && !self.waiting.is_empty() {
            return Ok(Reported::Full);
        }
        self.take_event(&event, text.len(), limits)?;
        if let (StreamResponse::StatusUpdate(update), Some(running)) = (&*event, &mut self.running) {
            running.has_rested = rests(update.status.state);
        }
        self.push(Change::Event { event, text, by });
        Ok(Reported::Taken)
    }

    /// Only the call that is under way may report; one that was replaced may not.
    fn check_reporter(&self, by: Reporter) -> Result<(), A2aError> {
        let is_current = match by {
            Reporter::Outside => true,
            Reporter::Execution(number) => self.running.as_ref().is_some_and(|running| running.number == number),
        };
        if is_current { self.check_turn(by) } else { Err(elsewhere()) }
    }

    /// What a call has reported counts, also after it returned, unless another process has held the task since.
    fn check_turn(&self, by: Reporter) -> Result<(), A2aError> {
        match by {
            Reporter::Execution(number) if number <= self.lost => Err(elsewhere()),
            Reporter::Execution(_) | Reporter::Outside => Ok(()),
        }
    }

    fn take_event(&mut self, event: &StreamResponse, bytes: usize, limits: &Limits) -> Result<(), A2aError> {
        // Ending must always be possible; a message that comes with it is bounded by itself.
        let ends = matches!(event, StreamResponse::StatusUpdate(event) if event.status.state.is_terminal());
        if !ends && self.bytes + bytes > limits.task_bytes_max {
            return Err(change::too_much(&format!("a task holds at most {} bytes", limits.task_bytes_max)));
        }
        if !ends && self.seq.unsigned_abs() >= limits.events_max {
            return Err(change::too_much(&format!("a task has at most {} events", limits.events_max)));
        }
        change::apply(Arc::make_mut(&mut self.task), event, limits)?;
        self.forget(limits);
        self.seq += 1;
        self.bytes += bytes;
        self.unsaved_bytes += bytes;
        Ok(())
    }

    /// Forgets old messages, but none that is yet to be worked on.
    fn forget(&mut self, limits: &Limits) {
        let (queue, running) = (&self.queue, self.running.as_ref().map(|running| &running.errand));
        let is_owed = |id: &str| queue.iter().chain(running).any(|errand| errand.message_id == id);
        change::forget(&mut Arc::make_mut(&mut self.task).history, limits.history_max, is_owed);
    }

    /// Writes a fact into the task's metadata. Streams are not told.
    pub(crate) fn note(&mut self, name: String, value: Value, by: Reporter) -> Result<(), A2aError> {
        self.check_reporter(by)?;
        if self.state().is_terminal() {
            return Err(change::ended());
        }
        Arc::make_mut(&mut self.task).metadata.insert(name.clone(), value.clone());
        self.push(Change::Note { name, value, by });
        Ok(())
    }

    /// The next call of the executor, if one is to begin: its message is stored, and nothing else is done on the task.
    pub(crate) fn start(&mut self) -> Option<Start> {
        let is_stored = |errand: &Errand| {
            let is_its =
                |n: &Pending| matches!(&n.change, Change::Message { errand: new, .. } if new.message_id == errand.message_id);
            !self.all().any(is_its)
        };
        let is_free = self.running.is_none() && self.holder == Holder::Us && self.birth.is_none();
        if !is_free || self.state().is_terminal() || !self.queue.front().is_some_and(is_stored) {
            return None;
        }
        let errand = self.queue.pop_front()?;
        // It is there, because no message is forgotten that is to be worked on.
        let message = self.task.history.iter().rev().find(|message| message.message_id == errand.message_id).cloned();
        let message = message.unwrap_or_else(|| Message::new(&errand.message_id, Role::User, vec![]));
        self.calls += 1;
        self.running = Some(Running { number: self.calls, errand: errand.clone(), has_rested: false });
        Some(Start { number: self.calls, attempt: self.attempt, errand, message, task: Arc::clone(&self.task) })
    }

    /// A call of the executor has ended by itself.
    pub(crate) fn finish(&mut self, number: u64) {
        let Some(running) = self.running.take_if(|running| running.number == number) else { return };
        if number > self.lost {
            self.attempt = 1;
            self.push(Change::Done { number, message_id: running.errand.message_id });
        }
    }

    /// A call of the executor was broken off: its message is still to be worked on, by whoever comes next.
    pub(crate) fn break_off(&mut self, number: u64) {
        let Some(running) = self.running.take_if(|running| running.number == number) else { return };
        if number > self.lost && !running.has_rested && !self.state().is_terminal() {
            self.queue.push_front(running.errand);
        }
    }

    /// Whether the task has ended, or came to rest in the call that is under way.
    pub(crate) fn has_rested(&self) -> bool {
        self.state().is_terminal() || self.running.as_ref().is_some_and(|running| running.has_rested)
    }

    /// The call that is under way, if it counts.
    fn current(&self) -> Option<&Running> {
        self.running.as_ref().filter(|running| running.number > self.lost)
    }

    /// The call of the executor that should stop, if one should: the task has ended, another process works on it, or the next message
    /// waits since this one has brought the task to rest.
    pub(crate) fn halted(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        let gives_way = running.has_rested && !self.queue.is_empty();
        (self.state().is_terminal() || running.number <= self.lost || gives_way).then_some(running.number)
    }

    /// Messages that are to be worked on. One that has brought the task to rest was, though its call may still be under way.
    fn owed(&self) -> impl Iterator<Item = &Errand> {
        let state = self.state();
        let current = self.current().filter(|running| !running.has_rested).map(|running| &running.errand);
        current.into_iter().chain(&self.queue).filter(move |_| !state.is_terminal())
    }
}

fn elsewhere() -> A2aError {
    A2aError::unsupported_operation("the work goes on elsewhere")
}

/// Whether the task has ended or waits for somebody.
pub(crate) const fn rests(state: TaskState) -> bool {
    state.is_terminal() || state.is_interrupted()
}

#[cfg(test)]
mod tests;
