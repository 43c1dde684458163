//! What a message of a client means: a new task, more for one that is there, or one that was taken before. Pure.

use std::collections::BTreeSet;

use a2a::{A2aError, Caller, Message, Metadata, Role, SendMessageRequest, Task, TaskState, TaskStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::a2a::MessageRow;

use crate::limits::{ID_BYTES_MAX, Limits};

/// A message that is to be worked on, with what the request said beside it. It is stored until the work is done, so that another
/// process can do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Errand {
    /// Which message of the task's history.
    pub(crate) message_id: String,
    /// Extensions that the client declared.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) extensions: BTreeSet<String>,
    /// Media types that the client can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) accepted_output_modes: Vec<String>,
    /// The request's metadata.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
}

impl Errand {
    pub(crate) fn new(caller: &Caller, request: &mut SendMessageRequest) -> Self {
        let modes = request.configuration.as_mut().map(|configuration| std::mem::take(&mut configuration.accepted_output_modes));
        Self {
            message_id: request.message.message_id.clone(),
            extensions: caller.extensions.clone(),
            accepted_output_modes: modes.unwrap_or_default(),
            metadata: std::mem::take(&mut request.metadata),
        }
    }
}

/// What was done with a message before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Before {
    /// This task took it.
    Task(String),
    /// It was answered.
    Reply(Message),
}

/// Refuses what the protocol allows and the engine does not.
pub(crate) fn check(caller: &Caller, message: &Message) -> Result<(), A2aError> {
    if message.role != Role::User {
        return Err(A2aError::invalid_field("message.role", "must be ROLE_USER"));
    }
    let context_id = message.context_id.as_deref().unwrap_or_default();
    let task_id = message.task_id.as_deref().unwrap_or_default();
    for (field, id) in
        [("message.messageId", message.message_id.as_str()), ("message.contextId", context_id), ("message.taskId", task_id)]
    {
        if id.len() > ID_BYTES_MAX {
            return Err(A2aError::invalid_field(field, &format!("must have at most {ID_BYTES_MAX} bytes")));
        }
    }
    // These two are the binding's; what it has authenticated is short.
    if caller.sender.is_empty() || caller.sender.len() > ID_BYTES_MAX || caller.tenant.len() > ID_BYTES_MAX {
        return Err(A2aError::internal("the caller has no usable name"));
    }
    Ok(())
}

/// A task that begins with this message.
pub(crate) fn begin(mut message: Message, id: &str, context_id: &str, now: DateTime<Utc>) -> Task {
    place(&mut message, id, context_id);
    let status = TaskStatus { timestamp: Some(now), ..TaskStatus::new(TaskState::Submitted) };
    Task { context_id: Some(context_id.to_owned()), history: vec![message], ..Task::new(id, status) }
}

/// Says in the message what it belongs to.
pub(crate) fn place(message: &mut Message, task_id: &str, context_id: &str) {
    message.task_id = Some(task_id.to_owned());
    message.context_id = Some(context_id.to_owned());
}

/// A message to a task must speak of its context, or of none (§3.4.3).
pub(crate) fn check_context(message: &Message, context_id: &str) -> Result<(), A2aError> {
    match &message.context_id {
        Some(other) if other != context_id => Err(A2aError::invalid_field("message.contextId", "is not the task's")),
        _ => Ok(()),
    }
}

/// What makes two messages the same, and how many bytes the message has as JSON.
pub(crate) fn digest(message: &Message) -> Result<([u8; 32], usize), A2aError> {
    let text = serde_json::to_vec(message).map_err(|_| A2aError::internal("the message cannot be written"))?;
    Ok((Sha256::digest(&text).into(), text.len()))
}

/// A message is part of its task, and counts like everything else in it. `before`: the bytes of the task without it.
pub(crate) fn check_bytes(bytes: usize, before: usize, limits: &Limits) -> Result<(), A2aError> {
    let max = limits.task_bytes_max;
    if bytes.saturating_add(before) <= max {
        return Ok(());
    }
    Err(A2aError::invalid_field(
        "message",
        &format!("must fit into its task, which holds at most {max} bytes, {before} of them taken"),
    ))
}

/// What to do with a message whose id was seen before: the same again, or a refusal if it says something else now.
pub(crate) fn again(record: MessageRow, digest: &[u8; 32]) -> Result<Before, A2aError> {
    if record.digest != digest {
        return Err(A2aError::invalid_field("message.messageId", "was used for another message"));
    }
    match (record.task_id, record.reply) {
        (Some(task), _) => Ok(Before::Task(task)),
        (None, Some(reply)) => serde_json::from_str(&reply)
            .map(Before::Reply)
            .map_err(|error| A2aError::internal(format!("the stored reply cannot be read: {error}"))),
        (None, None) => Err(A2aError::internal("the stored message has neither task nor reply")),
    }
}

#[cfg(test)]
mod tests;
