//! Rows of A2A tasks: written many at a time, read one at a time or by page.
//!
//! What a task, an event or a message means is the engine's matter (crate `tasks`); here they are texts with keys and numbers.

mod holder;
mod list;
mod push;
mod read;
mod write;

pub use list::{Filter, ListedTasks, PageSize, Place};
pub use push::{ClaimedPush, NewPush, PushBacklog, PushKey, PushOutcome, PutPush, Putting};
pub use read::{EventRow, MessageRow, TaskRow};
pub use write::{Birth, Lost, MessageKey, Rival, TaskWrite};

/// Which task, within an engine's tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Whose.
    pub tenant: String,
    /// Unique within the tenant.
    pub id: String,
}
