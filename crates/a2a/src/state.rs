//! The life of a task (spec §4.1.3 and §3.4): which state may follow which, what an event does to a task, and how much of a task is
//! shown. Pure: the same task and event always give the same task.

use std::collections::BTreeSet;

use crate::limits::{ARTIFACT_PARTS_MAX, ARTIFACTS_MAX, HISTORY_MAX};
use crate::types::{Artifact, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent};

/// An event that cannot happen to the task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It speaks of another task or context.
    #[error("the event is of task {task:?} in context {context:?}")]
    Stranger {
        /// Which task.
        task: String,
        /// Which context.
        context: String,
    },
    /// A message stands for itself, without a task.
    #[error("a message is no event of a task")]
    Message,
    /// The state cannot follow.
    #[error("{to:?} cannot follow {from:?}")]
    State {
        /// The task's.
        from: TaskState,
        /// The event's.
        to: TaskState,
    },
    /// The task has ended; nothing comes after that.
    #[error("the task has ended")]
    Ended,
    /// There is no artifact to go on with.
    #[error("there is no artifact {0:?} to go on with")]
    NoArtifact(String),
    /// The task holds as much as it may.
    #[error("a task holds at most {max} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl TaskState {
    /// Nothing comes after it (§4.1.3).
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Canceled | Self::Rejected => true,
            Self::Submitted | Self::Working | Self::InputRequired | Self::AuthRequired => false,
        }
    }

    /// The agent waits for somebody: a blocking `SendMessage` returns (§3.2.2).
    pub const fn is_interrupted(self) -> bool {
        match self {
            Self::InputRequired | Self::AuthRequired => true,
            Self::Submitted | Self::Working | Self::Completed | Self::Failed | Self::Canceled | Self::Rejected => false,
        }
    }

    /// Whether a task in this state may go to the other. A task may stay in a state and say something new; it never comes back from a
    /// terminal state, nor to `SUBMITTED` once anything was done.
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Completed | Self::Failed | Self::Canceled | Self::Rejected, _) => false,
            (Self::Submitted, _) => true,
            (Self::Working | Self::InputRequired | Self::AuthRequired, next) => !matches!(next, Self::Submitted),
        }
    }
}

impl Task {
    /// The task after the event. A whole task replaces it, if its state may follow or is the same.
    ///
    /// # Errors
    /// If the event cannot happen to this task.
    pub fn apply(self, event: StreamResponse) -> Result<Self, EventError> {
        match event {
            StreamResponse::Task(task) => self.replaced(task),
            StreamResponse::Message(_) => Err(EventError::Message),
            StreamResponse::StatusUpdate(event) => self.with_status(event),
            StreamResponse::ArtifactUpdate(event) => self.with_artifact(event),
        }
    }

    fn replaced(self, task: Self) -> Result<Self, EventError> {
        self.knows(&task.id, task.context_id.as_deref().unwrap_or_default())?;
        let (from, to) = (self.status.state, task.status.state);
        if from != to && !from.may_become(to) {
            return Err(EventError::State { from, to });
        }
        Ok(task)
    }

    /// What the status said before becomes history: the status only says what holds now.
    fn with_status(mut self, event: TaskStatusUpdateEvent) -> Result<Self, EventError> {
        self.knows(&event.task_id, &event.context_id)?;
        let (from, to) = (self.status.state, event.status.state);
        if !from.may_become(to) {
            return Err(EventError::State { from, to });
        }
        if self.history.len() >= HISTORY_MAX {
            return Err(EventError::Full { what: "messages", max: HISTORY_MAX });
        }
        let before = std::mem::replace(&mut self.status, event.status);
        self.history.extend(before.message);
        Ok(self)
    }

    /// `last_chunk` changes nothing here: a task does not tell finished artifacts from others.
    fn with_artifact(mut self, event: TaskArtifactUpdateEvent) -> Result<Self, EventError> {
        self.knows(&event.task_id, &event.context_id)?;
        if self.status.state.is_terminal() {
            return Err(EventError::Ended);
        }
        let is_full = self.artifacts.len() >= ARTIFACTS_MAX;
        let known = self.artifacts.iter_mut().find(|artifact| artifact.artifact_id == event.artifact.artifact_id);
        match known {
            Some(known) if event.append => known.extend(event.artifact)?,
            Some(known) => *known = event.artifact,
            None if event.append => return Err(EventError::NoArtifact(event.artifact.artifact_id)),
            None if is_full => return Err(EventError::Full { what: "artifacts", max: ARTIFACTS_MAX }),
            None => self.artifacts.push(event.artifact),
        }
        Ok(self)
    }

    /// Events name the context; a task that does not know its own takes any.
    fn knows(&self, task: &str, context: &str) -> Result<(), EventError> {
        let is_context = self.context_id.as_deref().is_none_or(|own| own == context);
        if self.id == task && is_context {
            return Ok(());
        }
        Err(EventError::Stranger { task: task.to_owned(), context: context.to_owned() })
    }

    /// What a caller sees who asked for the newest messages (§3.2.4), and for artifacts or not (§3.1.4).
    #[must_use]
    pub fn view(mut self, history_length: Option<u32>, include_artifacts: bool) -> Self {
        let kept = history_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let dropped = self.history.len().saturating_sub(kept);
        self.history.drain(..dropped);
        if !include_artifacts {
            self.artifacts.clear();
        }
        self
    }
}

impl Artifact {
    /// Adds the next piece: parts come after those that are there; what else the piece says is newer.
    fn extend(&mut self, piece: Self) -> Result<(), EventError> {
        if self.parts.len() + piece.parts.len() > ARTIFACT_PARTS_MAX {
            return Err(EventError::Full { what: "parts of an artifact", max: ARTIFACT_PARTS_MAX });
        }
        self.parts.extend(piece.parts);
        self.metadata.extend(piece.metadata);
        self.name = piece.name.or(self.name.take());
        self.description = piece.description.or(self.description.take());
        let known: BTreeSet<_> = self.extensions.iter().cloned().collect();
        self.extensions.extend(piece.extensions.into_iter().filter(|uri| !known.contains(uri)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
