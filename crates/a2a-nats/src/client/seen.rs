//! What the reader of a stream knows of the task, so that after an interruption it hears just what is new.

use a2a::{StreamResponse, Task};

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    task_id: Option<String>,
    /// Status and artifacts as they were told; without history, which grows.
    task: Option<Task>,
    is_over: bool,
}

impl Seen {
    /// Of a stream that subscribes to this task.
    pub(super) fn of_task(id: &str) -> Self {
        Self { task_id: Some(id.to_owned()), ..Self::default() }
    }

    /// Which task it is, once that is known.
    pub(super) fn task_id(&self) -> Option<&str> {
        self.task_id.as_deref()
    }

    /// Whether nothing can come any more.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the whole task says anything that was not told.
    pub(super) fn is_news(&self, task: &Task) -> bool {
        self.task.as_ref().is_none_or(|told| told.status != task.status || told.artifacts != task.artifacts)
    }

    /// Notes what is told.
    pub(super) fn note(&mut self, event: &StreamResponse) {
        match event {
            StreamResponse::Message(_) => {
                self.is_over = true;
                return;
            }
            StreamResponse::Task(task) => self.task_id = Some(task.id.clone()),
            StreamResponse::StatusUpdate(update) => self.task_id = Some(update.task_id.clone()),
            StreamResponse::ArtifactUpdate(update) => self.task_id = Some(update.task_id.clone()),
        }
        self.task = match (self.task.take(), event) {
            (_, StreamResponse::Task(task)) => Some(task.clone()),
            // What cannot follow is the agent's mistake; then the next whole task is news in any case.
            (Some(told), event) => told.apply(event.clone()).ok(),
            (None, _) => None,
        };
        if let Some(task) = &mut self.task {
            task.history.clear();
        }
        let state = match event {
            StreamResponse::Task(task) => Some(task.status.state),
            StreamResponse::StatusUpdate(update) => Some(update.status.state),
            StreamResponse::ArtifactUpdate(_) | StreamResponse::Message(_) => None,
        };
        self.is_over |= state.is_some_and(a2a::TaskState::is_terminal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use a2a::{Artifact, Message, Part, Role, TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent};

    fn task(state: TaskState, texts: &[&str]) -> Task {
        let mut task = Task::new("t1", TaskStatus::new(state));
        task.context_id = Some("c1".to_owned());
        if !texts.is_empty() {
            task.artifacts = vec![Artifact::new("a", texts.iter().map(|text| Part::text(*text)).collect())];
        }
        task
    }

    fn status(state: TaskState) -> StreamResponse {
        let (task_id, context_id) = ("t1".to_owned(), "c1".to_owned());
        let (status, metadata) = (TaskStatus::new(state), a2a::Metadata::new());
        StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata })
    }

    fn piece(text: &str, append: bool) -> StreamResponse {
        let (task_id, context_id) = ("t1".to_owned(), "c1".to_owned());
        let (artifact, metadata) = (Artifact::new("a", vec![Part::text(text)]), a2a::Metadata::new());
        let last_chunk = false;
        StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk, metadata })
    }

    #[test]
    fn a_whole_task_is_news_unless_it_was_told_bit_by_bit() {
        let mut seen = Seen::default();
        let all = [
            StreamResponse::Task(task(TaskState::Submitted, &[])),
            status(TaskState::Working),
            piece("x", false),
            piece("y", true),
        ];
        for event in &all {
            seen.note(event);
        }
        assert_eq!(seen.task_id(), Some("t1"));
        assert!(!seen.is_news(&task(TaskState::Working, &["x", "y"])));
        assert!(seen.is_news(&task(TaskState::Working, &["x", "y", "z"])));
        assert!(seen.is_news(&task(TaskState::Completed, &["x", "y"])));
    }

    #[test]
    fn history_is_no_news() {
        let mut seen = Seen::default();
        seen.note(&StreamResponse::Task(task(TaskState::Working, &[])));
        let mut later = task(TaskState::Working, &[]);
        later.history = vec![Message::new("m1", Role::User, vec![])];
        assert!(!seen.is_news(&later));
    }

    #[test]
    fn what_does_not_fit_together_makes_everything_news() {
        let mut seen = Seen::default();
        seen.note(&StreamResponse::Task(task(TaskState::Working, &[])));
        seen.note(&piece("y", true));
        assert!(seen.is_news(&task(TaskState::Working, &[])));
    }

    #[test]
    fn ends_are_known() {
        let over = |event: &StreamResponse| {
            let mut seen = Seen::of_task("t1");
            seen.note(event);
            seen.is_over()
        };
        assert!(over(&status(TaskState::Failed)));
        assert!(over(&StreamResponse::Task(task(TaskState::Completed, &[]))));
        assert!(over(&StreamResponse::Message(Message::new("m1", Role::Agent, vec![]))));
        assert!(!over(&status(TaskState::InputRequired)));
        assert!(!over(&piece("x", false)));
    }
}
