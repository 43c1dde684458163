//! What an event does to a task. Pure.
//!
//! The same rules as [`a2a::Task::apply`], but in place: a task that is streamed piece by piece is not moved or copied for each piece,
//! and it is still there after an event that cannot happen. A test holds both against each other.

use a2a::limits::ARTIFACT_PARTS_MAX;
use a2a::{A2aError, Artifact, ErrorKind, Message, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent};

use crate::limits::Limits;

/// Changes the task as the event says, or says why it cannot happen and leaves the task as it is.
pub(crate) fn apply(task: &mut Task, event: &StreamResponse, limits: &Limits) -> Result<(), A2aError> {
    match event {
        StreamResponse::StatusUpdate(event) => status(task, event),
        StreamResponse::ArtifactUpdate(event) => artifact(task, event, limits.artifacts_max),
        StreamResponse::Task(_) | StreamResponse::Message(_) => Err(wrong("a task or a message is no update")),
    }
}

/// What the status said before becomes history: the status only says what holds now.
fn status(task: &mut Task, event: &TaskStatusUpdateEvent) -> Result<(), A2aError> {
    let (from, to) = (task.status.state, event.status.state);
    if from.is_terminal() {
        return Err(ended());
    }
    if !from.may_become(to) {
        return Err(wrong(format!("{} cannot follow {}", to.as_str(), from.as_str())));
    }
    let before = std::mem::replace(&mut task.status, event.status.clone());
    task.history.extend(before.message);
    Ok(())
}

fn artifact(task: &mut Task, event: &TaskArtifactUpdateEvent, artifacts_max: usize) -> Result<(), A2aError> {
    if task.status.state.is_terminal() {
        return Err(ended());
    }
    let piece = &event.artifact;
    let count = task.artifacts.len();
    let known = task.artifacts.iter_mut().find(|artifact| artifact.artifact_id == piece.artifact_id);
    match known {
        Some(known) if event.append => extend(known, piece)?,
        Some(known) => known.clone_from(piece),
        None if event.append => return Err(wrong("there is no artifact of this id to go on with")),
        None if count >= artifacts_max => return Err(too_much(&format!("a task holds at most {artifacts_max} artifacts"))),
        None => task.artifacts.push(piece.clone()),
    }
    Ok(())
}

/// Adds the next piece: parts come after those that are there; what else the piece says is newer.
fn extend(known: &mut Artifact, piece: &Artifact) -> Result<(), A2aError> {
    if known.parts.len() + piece.parts.len() > ARTIFACT_PARTS_MAX {
        return Err(too_much(&format!("an artifact holds at most {ARTIFACT_PARTS_MAX} parts")));
    }
    known.parts.extend(piece.parts.iter().cloned());
    known.metadata.extend(piece.metadata.clone());
    if piece.name.is_some() {
        known.name.clone_from(&piece.name);
    }
    if piece.description.is_some() {
        known.description.clone_from(&piece.description);
    }
    for uri in &piece.extensions {
        if !known.extensions.contains(uri) {
            known.extensions.push(uri.clone());
        }
    }
    Ok(())
}

/// Forgets the oldest messages, but none that is `needed`, nor the newest of the client: it says what the task is about.
pub(crate) fn forget(history: &mut Vec<Message>, history_max: usize, needed: impl Fn(&str) -> bool) {
    if history.len() <= history_max {
        return;
    }
    let mut surplus = history.len() - history_max;
    let newest = history.iter().rposition(|message| message.role == Role::User);
    let mut n = 0;
    history.retain(|message| {
        let is_kept = surplus == 0 || Some(n) == newest || needed(&message.message_id);
        n += 1;
        surplus -= usize::from(!is_kept);
        is_kept
    });
}

/// The task has ended; nothing comes after that.
pub(crate) fn ended() -> A2aError {
    A2aError::unsupported_operation("the task has ended")
}

/// The agent did what no agent may.
pub(crate) fn wrong(what: impl Into<String>) -> A2aError {
    A2aError::new(ErrorKind::InvalidAgentResponse, what)
}

/// The agent made more than a task can hold.
pub(crate) fn too_much(what: &str) -> A2aError {
    A2aError::resource_exhausted(what, None)
}

#[cfg(test)]
mod tests;
