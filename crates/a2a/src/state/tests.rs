use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::{collection, prop_oneof, sample};

use super::*;
use crate::types::{Message, Part, Role, TaskStatus};

fn task(state: TaskState) -> Task {
    Task { context_id: Some("c".to_owned()), ..Task::new("t", TaskStatus::new(state)) }
}

fn message(id: &str) -> Message {
    Message::new(id, Role::Agent, vec![Part::text(id)])
}

fn status(state: TaskState, said: Option<&str>) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        context_id: "c".to_owned(),
        status: TaskStatus { message: said.map(message), ..TaskStatus::new(state) },
        metadata: crate::Metadata::new(),
    })
}

fn artifact(id: &str, text: &str, append: bool) -> TaskArtifactUpdateEvent {
    TaskArtifactUpdateEvent {
        task_id: "t".to_owned(),
        context_id: "c".to_owned(),
        artifact: Artifact::new(id, vec![Part::text(text)]),
        append,
        last_chunk: false,
        metadata: crate::Metadata::new(),
    }
}

/// The whole table: a row per state, with what may follow.
#[test]
fn what_may_follow_what() {
    use TaskState::{AuthRequired, Canceled, Completed, Failed, InputRequired, Rejected, Submitted, Working};
    let begun = [Working, Completed, Failed, Canceled, InputRequired, Rejected, AuthRequired];
    for state in TaskState::ALL {
        let next: Vec<_> = TaskState::ALL.iter().copied().filter(|next| state.may_become(*next)).collect();
        match state {
            Submitted => assert_eq!(next, TaskState::ALL),
            Working | InputRequired | AuthRequired => assert_eq!(next, begun),
            Completed | Failed | Canceled | Rejected => assert_eq!(next, []),
        }
        assert_eq!(state.is_terminal(), next.is_empty());
        assert_eq!(state.is_interrupted(), [InputRequired, AuthRequired].contains(state));
    }
}

#[test]
fn what_was_said_becomes_history() {
    let task = task(TaskState::Submitted).apply(status(TaskState::Working, Some("one"))).unwrap();
    assert_eq!((task.status.state, task.history.len()), (TaskState::Working, 0));
    let task = task.apply(status(TaskState::Working, None)).unwrap();
    let task = task.apply(status(TaskState::Completed, Some("two"))).unwrap();
    assert_eq!(task.history, [message("one")]);
    assert_eq!(task.status.message, Some(message("two")));
    let refused = task.apply(status(TaskState::Working, None));
    assert_eq!(refused, Err(EventError::State { from: TaskState::Completed, to: TaskState::Working }));
}

#[test]
fn artifacts_are_added_replaced_and_gone_on_with() {
    let texts = |task: &Task| -> Vec<Vec<Part>> { task.artifacts.iter().map(|artifact| artifact.parts.clone()).collect() };
    let apply = |task: Task, id, text, append| task.apply(StreamResponse::ArtifactUpdate(artifact(id, text, append)));
    let start = task(TaskState::Working);
    assert_eq!(apply(start.clone(), "a", "1", true), Err(EventError::NoArtifact("a".to_owned())));
    let one = apply(start, "a", "1", false).unwrap();
    let two = apply(apply(one, "b", "2", false).unwrap(), "a", "3", true).unwrap();
    assert_eq!(texts(&two), [vec![Part::text("1"), Part::text("3")], vec![Part::text("2")]]);
    let replaced = apply(two, "a", "4", false).unwrap();
    assert_eq!(texts(&replaced), [vec![Part::text("4")], vec![Part::text("2")]]);
    let ended = replaced.apply(status(TaskState::Completed, None)).unwrap();
    assert_eq!(apply(ended, "a", "5", true), Err(EventError::Ended));
}

#[test]
fn a_piece_may_say_more_of_its_artifact() {
    let mut piece = artifact("a", "2", true);
    piece.artifact.name = Some("report".to_owned());
    piece.artifact.extensions = vec!["urn:x:a".to_owned(), "urn:x:b".to_owned()];
    piece.artifact.metadata.insert("n".to_owned(), 2.into());
    piece.last_chunk = true;
    let mut first = Artifact::new("a", vec![Part::text("1")]);
    first.description = Some("kept".to_owned());
    first.extensions = vec!["urn:x:a".to_owned()];
    first.metadata.insert("n".to_owned(), 1.into());
    let task = Task { artifacts: vec![first], ..task(TaskState::Working) };
    let artifact = task.apply(StreamResponse::ArtifactUpdate(piece)).unwrap().artifacts.remove(0);
    assert_eq!((artifact.name.as_deref(), artifact.description.as_deref()), (Some("report"), Some("kept")));
    assert_eq!(artifact.extensions, ["urn:x:a", "urn:x:b"]);
    assert_eq!((artifact.metadata.get("n"), artifact.parts.len()), (Some(&2.into()), 2));
}

#[test]
fn events_of_others_are_refused() {
    let stranger = |task: &str, context: &str| EventError::Stranger { task: task.to_owned(), context: context.to_owned() };
    let mut event = artifact("a", "1", false);
    event.context_id = "d".to_owned();
    assert_eq!(task(TaskState::Working).apply(StreamResponse::ArtifactUpdate(event)), Err(stranger("t", "d")));
    let other = Task::new("u", TaskStatus::new(TaskState::Working));
    assert_eq!(task(TaskState::Working).apply(StreamResponse::Task(other)), Err(stranger("u", "")));
    assert_eq!(task(TaskState::Working).apply(StreamResponse::Message(message("m"))), Err(EventError::Message));
    let unknown = Task::new("t", TaskStatus::new(TaskState::Working));
    assert!(unknown.apply(status(TaskState::Working, None)).is_ok(), "a task without a context takes any");
}

#[test]
fn a_whole_task_replaces_what_is_known() {
    let ended = task(TaskState::Completed);
    assert_eq!(task(TaskState::Working).apply(StreamResponse::Task(ended.clone())), Ok(ended.clone()));
    assert_eq!(ended.clone().apply(StreamResponse::Task(ended.clone())), Ok(ended.clone()), "the same again does no harm");
    assert!(ended.apply(StreamResponse::Task(task(TaskState::Working))).is_err());
}

#[test]
fn limits_hold() {
    let full = |what| Err(EventError::Full { what, max: 0 });
    let zero = |result: Result<Task, EventError>| match result {
        Err(EventError::Full { what, .. }) => Err(EventError::Full { what, max: 0 }),
        other => other.map(|_| ()),
    };
    let event = |id: &str, append| StreamResponse::ArtifactUpdate(artifact(id, "x", append));
    let many: Vec<_> = (0..ARTIFACTS_MAX).map(|n| Artifact::new(n.to_string(), vec![Part::text("x")])).collect();
    let task_with = |artifacts| Task { artifacts, ..task(TaskState::Working) };
    assert_eq!(zero(task_with(many.clone()).apply(event("new", false))), full("artifacts"));
    assert_eq!(zero(task_with(many).apply(event("0", false))), Ok(()));
    let long = Artifact::new("a", vec![Part::text("x"); ARTIFACT_PARTS_MAX]);
    assert_eq!(zero(task_with(vec![long]).apply(event("a", true))), full("parts of an artifact"));
    let history = vec![message("m"); HISTORY_MAX];
    let talked = Task { history, ..task(TaskState::Working) };
    assert_eq!(zero(talked.apply(status(TaskState::Working, None))), full("messages"));
}

#[test]
fn a_view_shows_the_newest_messages() {
    let history = ["1", "2", "3"].map(message).to_vec();
    let artifacts = vec![Artifact::new("a", vec![])];
    let whole = Task { artifacts, history, ..task(TaskState::Working) };
    for (length, ids) in
        [(None, vec!["1", "2", "3"]), (Some(0), vec![]), (Some(2), vec!["2", "3"]), (Some(9), vec!["1", "2", "3"])]
    {
        let view = whole.clone().view(length, true);
        assert_eq!(view.history.iter().map(|message| message.message_id.as_str()).collect::<Vec<_>>(), ids);
        assert_eq!(view.artifacts, whole.artifacts);
    }
    assert_eq!(whole.clone().view(None, false), Task { artifacts: vec![], ..whole });
}

fn events() -> impl Strategy<Value = StreamResponse> {
    let state = sample::select(TaskState::ALL);
    let said = prop_oneof![Just(None), Just(Some("said"))];
    prop_oneof![
        (state, said).prop_map(|(state, said)| status(state, said)),
        ("[ab]", any::<bool>()).prop_map(|(id, append)| StreamResponse::ArtifactUpdate(artifact(&id, "x", append))),
    ]
}

proptest! {
    /// Whatever happens: a task keeps its id, never leaves its end, never forgets what was said, and has each artifact once.
    #[test]
    fn promises_hold_after_any_events(events in collection::vec(events(), 0..24)) {
        let mut task = task(TaskState::Submitted);
        for event in events {
            let Ok(next) = task.clone().apply(event) else { continue };
            assert!(!task.status.state.is_terminal());
            assert_eq!((&next.id, &next.context_id), (&task.id, &task.context_id));
            assert!(next.history.starts_with(&task.history) && next.history.len() <= task.history.len() + 1);
            let ids: BTreeSet<_> = next.artifacts.iter().map(|artifact| &artifact.artifact_id).collect();
            assert_eq!(ids.len(), next.artifacts.len());
            task = next;
        }
    }
}
