//! Errors of A2A (spec §3.3.2 and §5.4): one value that every binding writes in its own way and reads back as it was.
//!
//! What is said here goes to callers: no secrets, and nothing about tasks that they may not see.

mod details;
mod kind;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

pub use kind::{Codes, DOMAIN, ErrorKind, OWN_DOMAIN};

/// An error as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct A2aError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The same for people.
    pub message: String,
    /// The same for programs: `ErrorInfo.metadata`.
    pub metadata: BTreeMap<String, String>,
}

/// A field that breaks a rule: `google.rpc.BadRequest.FieldViolation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in JSON, as `message.parts[0].url`; empty for the whole request.
    pub field: String,
    /// Which rule, so that it reads after the path.
    pub description: String,
}

/// A refusal repeats what it refuses; more than this of it helps nobody.
const SAID_CHARS_MAX: usize = 300;

impl FieldViolation {
    /// A violation; long texts are cut.
    pub fn new(field: &str, description: &str) -> Self {
        Self { field: cut(field), description: cut(description) }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl A2aError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), metadata: BTreeMap::new() }
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// There is no such task.
    pub fn task_not_found(task_id: &str) -> Self {
        Self::new(ErrorKind::TaskNotFound, "there is no such task").with("taskId", task_id)
    }

    /// The caller may not see the task: just like [`A2aError::task_not_found`], so that nobody can ask which tasks there are
    /// (§3.3.2).
    pub fn forbidden(task_id: &str) -> Self {
        Self::task_not_found(task_id)
    }

    /// The task has ended.
    pub fn task_not_cancelable(task_id: &str) -> Self {
        Self::new(ErrorKind::TaskNotCancelable, "the task has ended").with("taskId", task_id)
    }

    /// The operation is not there, or not for this task as it stands.
    pub fn unsupported_operation(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UnsupportedOperation, message)
    }

    /// The request breaks these rules. The message says the first, since it may have to fit into a header.
    pub fn invalid_params(violations: Vec<FieldViolation>) -> Self {
        let first = violations.first().map(|first| format!("{} {}", first.field, first.description));
        let more = if violations.len() > 1 { format!(" (and {} more)", violations.len() - 1) } else { String::new() };
        let message = format!("{}{more}", first.unwrap_or_default().trim_start());
        Self::new(ErrorKind::InvalidParams { violations }, message)
    }

    /// One field breaks a rule.
    pub fn invalid_field(field: &str, description: &str) -> Self {
        Self::invalid_params(vec![FieldViolation::new(field, description)])
    }

    /// The body is JSON, but no request.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Our fault. The message goes to the caller: what happened inside belongs into the log.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A limit is reached.
    pub fn resource_exhausted(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::new(ErrorKind::ResourceExhausted { retry_after }, message)
    }

    /// Something is down.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// What it is called in each protocol.
    pub const fn codes(&self) -> Codes {
        self.kind.codes()
    }
}

#[cfg(test)]
mod tests;
