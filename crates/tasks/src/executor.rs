//! What stands behind an engine: the one who does the work.

use std::future::Future;
use std::sync::Arc;

use a2a::{A2aError, Caller, Message, Metadata, SendMessageRequest, Task};

use crate::Updates;

/// A piece of work.
#[derive(Debug, Clone)]
pub struct Work {
    /// Who asked for it.
    pub caller: Caller,
    /// The task as it was when the work was handed out, the message in its history.
    pub task: Arc<Task>,
    /// The message that is to be worked on. When the task is to be canceled: the client's newest.
    pub message: Message,
    /// Media types that the client can read; none means any.
    pub accepted_output_modes: Vec<String>,
    /// What the request said beside the message.
    pub metadata: Metadata,
    /// How often this work was begun, from 1. More than once: a process died over it, and what it did is to be found out first. A
    /// process that stopped does not count: it had asked the call to stop.
    pub attempt: u32,
}

/// What a message shall become.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// A task, or more work on the one that it names.
    Task,
    /// Nothing but this answer, at once.
    Reply(Message),
}

/// What an agent does with work.
pub trait Executor: Send + Sync + 'static {
    /// Works on a message. Called after the message was committed; again, if the process stopped or, with a higher `attempt`, died before
    /// the task ended or waited for somebody since the call began: at least once.
    ///
    /// At most one call per task is under way. A further message waits for its turn; if the task waits for somebody meanwhile, the
    /// call before is asked to stop ([`Updates::stopped`]).
    ///
    /// `Ok` while the task neither ended nor waits: the work goes on elsewhere, and is reported through
    /// [`Engine::updates`](crate::Engine::updates). An error makes the task fail, and is told to the client.
    fn execute(&self, work: Work, updates: Updates) -> impl Future<Output = Result<(), A2aError>> + Send;

    /// Asked to cancel a task that has not ended. `updates` may end it as canceled now or later. Beside a call of
    /// [`Executor::execute`], which is asked to stop once the task has ended.
    fn cancel(&self, work: Work, updates: Updates) -> impl Future<Output = Result<(), A2aError>> + Send;

    /// Whether a message may be taken, and as what. May be asked twice about the same message.
    ///
    /// # Errors
    /// What the client is told who sent it.
    fn admit(&self, caller: &Caller, request: &SendMessageRequest, task: Option<&Task>) -> Result<Admission, A2aError>;

    /// What makes two messages of one sender copies of each other: their id, unless the agent knows better.
    fn identity(&self, message: &Message) -> String {
        message.message_id.clone()
    }
}
