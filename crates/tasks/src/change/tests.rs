use a2a::{Metadata, Part, TaskState, TaskStatus};
use proptest::prelude::*;

use super::*;

fn task() -> Task {
    Task { context_id: Some("c".to_owned()), ..Task::new("t", TaskStatus::new(TaskState::Submitted)) }
}

fn said(text: &str, role: Role) -> Message {
    Message::new(text, role, vec![Part::text(text)])
}

fn status_event(state: TaskState, message: Option<&str>) -> StreamResponse {
    let message = message.map(|text| said(text, Role::Agent));
    let status = TaskStatus { message, ..TaskStatus::new(state) };
    let (task_id, context_id) = ("t".to_owned(), "c".to_owned());
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata: Metadata::new() })
}

fn artifact_event(id: &str, text: &str, append: bool) -> StreamResponse {
    let mut artifact = Artifact::new(id, vec![Part::text(text)]);
    artifact.name = (!append).then(|| text.to_owned());
    artifact.description = append.then(|| text.to_owned());
    artifact.metadata = Metadata::from([(text.to_owned(), text.into())]);
    artifact.extensions = vec![format!("urn:{text}"), "urn:all".to_owned()];
    let (task_id, context_id) = ("t".to_owned(), "c".to_owned());
    let metadata = Metadata::new();
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk: false, metadata })
}

fn any_event() -> impl Strategy<Value = StreamResponse> {
    let status = (proptest::sample::select(TaskState::ALL), proptest::option::of("[a-c]"))
        .prop_map(|(state, message)| status_event(state, message.as_deref()));
    let artifact = ("[a-b]", "[a-c]", any::<bool>()).prop_map(|(id, text, append)| artifact_event(&id, &text, append));
    // Mostly artifacts: half of all states are the end.
    prop_oneof![1 => status, 4 => artifact]
}

proptest! {
    #[test]
    fn events_do_what_the_protocol_crate_says(events in proptest::collection::vec(any_event(), 1..20)) {
        let mut ours = task();
        let mut theirs = task();
        for event in events {
            let applied = apply(&mut ours, &event, &Limits::default());
            match theirs.clone().apply(event.clone()) {
                Ok(next) => {
                    prop_assert!(applied.is_ok(), "{event:?}");
                    theirs = next;
                }
                Err(error) => prop_assert!(applied.is_err(), "{event:?}: {error}"),
            }
            // Also after a refusal: the task is as it was.
            prop_assert_eq!(&ours, &theirs);
        }
    }
}

#[test]
fn what_an_agent_may_not_do_is_its_fault_and_the_end_is_the_end() {
    let limits = Limits { artifacts_max: 1, ..Limits::default() };
    let mut task = task();
    let mut check = |event: &StreamResponse, expected: Option<ErrorKind>| {
        let refused = apply(&mut task, event, &limits).err().map(|error| error.kind);
        assert_eq!(refused, expected, "{event:?}");
    };
    check(&artifact_event("a", "x", true), Some(ErrorKind::InvalidAgentResponse));
    check(&artifact_event("a", "x", false), None);
    check(&artifact_event("a", "y", true), None);
    check(&artifact_event("b", "x", false), Some(ErrorKind::ResourceExhausted { retry_after: None }));
    check(&status_event(TaskState::Working, None), None);
    check(&status_event(TaskState::Submitted, None), Some(ErrorKind::InvalidAgentResponse));
    check(&StreamResponse::Message(said("m", Role::Agent)), Some(ErrorKind::InvalidAgentResponse));
    check(&status_event(TaskState::Completed, None), None);
    check(&status_event(TaskState::Working, None), Some(ErrorKind::UnsupportedOperation));
    check(&artifact_event("a", "z", true), Some(ErrorKind::UnsupportedOperation));
}

#[test]
fn the_oldest_messages_are_forgotten_but_none_that_is_needed() {
    let check = |history: &[(&str, Role)], max: usize, needed: &str, expected: &str| {
        let mut messages: Vec<_> = history.iter().map(|(id, role)| said(id, *role)).collect();
        forget(&mut messages, max, |id| needed.contains(id));
        let kept: String = messages.iter().map(|message| message.message_id.as_str()).collect();
        assert_eq!(kept, expected, "{history:?}");
    };
    let (user, agent) = (Role::User, Role::Agent);
    check(&[("a", user), ("b", agent)], 2, "", "ab");
    check(&[("a", user), ("b", agent), ("c", user)], 2, "", "bc");
    check(&[("a", user), ("b", agent), ("c", agent)], 2, "", "ac");
    check(&[("a", user), ("b", user), ("c", user), ("d", agent)], 2, "a", "ac");
    check(&[("a", user), ("b", user), ("c", user)], 1, "ab", "abc");
}
