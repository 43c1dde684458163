//! How work is reported. Every update is written in the order in which it came; nobody is told of one before it is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use a2a::{
    A2aError, Artifact, Message, Metadata, Part, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus,
    TaskStatusUpdateEvent, Validate as _,
};
use serde_json::Value;

use crate::case::{Reported, Reporter};
use crate::core::stops;
use crate::live::{Live, Progress};

/// Something new about a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// It stands otherwise.
    Status {
        /// In which state.
        state: TaskState,
        /// What the agent says of it; see [`Updates::message`].
        message: Option<Message>,
        /// For extensions: of the event, not of the task.
        metadata: Metadata,
    },
    /// It has an artifact, which replaces the one of the same id.
    Artifact(Artifact),
    /// The same, and more pieces of it come.
    Begun(Artifact),
    /// It has one more piece of an artifact.
    Piece {
        /// Its parts go behind those of the artifact of the same id, which must be there.
        artifact: Artifact,
        /// No more of it comes.
        is_last: bool,
    },
}

impl Update {
    /// A state, and what the agent says of it.
    pub const fn say(state: TaskState, message: Message) -> Self {
        Self::Status { state, message: Some(message), metadata: Metadata::new() }
    }
}

impl From<TaskState> for Update {
    fn from(state: TaskState) -> Self {
        Self::Status { state, message: None, metadata: Metadata::new() }
    }
}

impl From<Artifact> for Update {
    fn from(artifact: Artifact) -> Self {
        Self::Artifact(artifact)
    }
}

/// Takes reports about one task.
#[derive(Debug)]
pub struct Updates {
    live: Arc<Live>,
    by: Reporter,
    /// The last change that an earlier flush has answered for.
    answered: AtomicU64,
}

impl Updates {
    pub(crate) fn new(live: Arc<Live>, by: Reporter) -> Self {
        let answered = AtomicU64::new(live.look(crate::case::Case::taken));
        Self { live, by, answered }
    }

    /// For others than the executor's calls.
    pub(crate) fn outside(live: Arc<Live>) -> Self {
        Self::new(live, Reporter::Outside)
    }

    /// Takes an update. It is written soon, together with those that come meanwhile; this waits only while too much is unwritten.
    ///
    /// # Errors
    /// If it cannot happen to the task: it has ended, the work went to another process, a limit is reached, or the update breaks a
    /// rule of the protocol.
    pub async fn report(&self, update: impl Into<Update> + Send) -> Result<(), A2aError> {
        let event = self.event(update.into());
        event.validate().map_err(A2aError::in_response)?;
        let text = serde_json::to_string(&event).map_err(|_| crate::change::wrong("the update cannot be written as JSON"))?;
        let event = Arc::new(event);
        if self.live.report(&event, &text, self.by)? == Reported::Taken {
            return Ok(());
        }
        let mut progress = self.live.progress();
        loop {
            let settled = progress.borrow_and_update().settled;
            if self.live.report(&event, &text, self.by)? == Reported::Taken {
                return Ok(());
            }
            self.wait(&mut progress, |progress| progress.settled > settled).await?;
        }
    }

    fn event(&self, update: Update) -> StreamResponse {
        let (task_id, context_id) = (self.live.key().id.clone(), self.live.context_id.to_string());
        match update {
            Update::Status { state, mut message, metadata } => {
                if let Some(message) = &mut message {
                    crate::message::place(message, &task_id, &context_id);
                }
                let status = TaskStatus { state, message, timestamp: Some(self.live.core().surroundings.now()) };
                StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata })
            }
            Update::Artifact(artifact) => piece(task_id, context_id, artifact, false, true),
            Update::Begun(artifact) => piece(task_id, context_id, artifact, false, false),
            Update::Piece { artifact, is_last } => piece(task_id, context_id, artifact, true, is_last),
        }
    }

    /// Writes a fact into the task's metadata, with the updates that were reported before it. Streams are not told of it.
    ///
    /// # Errors
    /// If the task has ended, or the work went to another process.
    pub fn note(&self, name: impl Into<String>, value: impl Into<Value>) -> Result<(), A2aError> {
        self.live.take_part(|case| case.note(name.into(), value.into(), self.by))
    }

    /// Waits until everything that was reported here so far is stored.
    ///
    /// # Errors
    /// If some of it was refused after all, because somebody else wrote the task meanwhile; if this process stops first.
    pub async fn flush(&self) -> Result<(), A2aError> {
        let taken = self.live.look(crate::case::Case::taken);
        let mut progress = self.live.progress();
        self.wait(&mut progress, |progress| progress.settled >= taken).await?;
        let before = self.answered.fetch_max(taken, Ordering::Relaxed);
        if (before + 1..=taken).contains(&progress.borrow().refused) {
            return Err(A2aError::unsupported_operation("the task has ended, or the work goes on elsewhere"));
        }
        Ok(())
    }

    async fn wait(
        &self,
        progress: &mut tokio::sync::watch::Receiver<Progress>,
        until: impl FnMut(&Progress) -> bool + Send,
    ) -> Result<(), A2aError> {
        tokio::select! {
            // The sender is in the task that is held here, so it cannot be gone.
            _ = progress.wait_for(until) => Ok(()),
            () = self.live.core().hard_stop.cancelled() => Err(stops()),
        }
    }

    /// The task as it will be when everything is stored.
    pub fn task(&self) -> Arc<Task> {
        self.live.look(|case| Arc::clone(case.task()))
    }

    /// A message of the agent about this task.
    pub fn message(&self, parts: Vec<Part>) -> Message {
        let mut message = Message::new(self.live.core().surroundings.id(), Role::Agent, parts);
        crate::message::place(&mut message, &self.live.key().id, &self.live.context_id);
        message
    }

    /// Resolves when work should stop: the task has ended, the work went to another process, the next message waits while the task
    /// waits for somebody, or this process stops. What goes on much longer is broken off.
    pub async fn stopped(&self) {
        let mut progress = self.live.progress();
        let by = self.by;
        let is_over = move |progress: &Progress| match by {
            Reporter::Execution(number) => progress.halted >= number,
            Reporter::Outside => progress.stored.has_ended,
        };
        tokio::select! {
            _ = progress.wait_for(is_over) => {}
            () = self.live.core().stopping.cancelled() => {}
        }
    }
}

fn piece(task_id: String, context_id: String, artifact: Artifact, append: bool, last_chunk: bool) -> StreamResponse {
    let metadata = Metadata::new();
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk, metadata })
}
