//! What the conformance agent does, as data: which prefix means which steps. Pure; the agent carries the steps out.
//!
//! The prefixes are those of the public conformance kit, and some of our own suite. A message id says what is asked; SDK clients that
//! make ids themselves say it with the beginning of the first text.

use std::time::Duration;

use a2a::{Message, Part, PartContent, TaskState};
use serde_json::json;

/// Long enough for a client to see that the task is still worked on, as the kit expects it.
const DELAY: Duration = Duration::from_secs(2);
/// The kit subscribes again while this goes by; it wants four seconds or more.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(4_500);
/// Longer than any test waits for an answer that should have come at once.
const LONG: Duration = Duration::from_secs(15);

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Script {
    /// An answer without a task.
    Reply(&'static str),
    /// Steps of a task, in order.
    Steps(Vec<Step>),
}

/// One thing that the agent does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The task stands so now, and this is said of it.
    Status(TaskState, Option<String>),
    /// An artifact, or a piece of one.
    Artifact(Piece),
    /// Nothing happens.
    Wait(Duration),
    /// Nothing happens until the task is canceled.
    AwaitCancel,
}

/// A piece of the artifact `output`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// Its content.
    pub part: Part,
    /// Goes on with what was there.
    pub append: bool,
    /// Nothing more comes.
    pub last: bool,
}

impl Piece {
    const fn whole(part: Part) -> Self {
        Self { part, append: false, last: true }
    }
}

/// What a message asks for; `follows` says that the task had messages before this one.
pub(crate) fn script_of(message: &Message, follows: bool) -> Script {
    let text = message.parts.iter().find_map(|part| match &part.content {
        PartContent::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let named = known(&message.message_id, follows).or_else(|| text.and_then(|text| known(text, follows)));
    named.unwrap_or_else(|| done(Some(&format!("taken: {}", message.message_id))))
}

/// Kits use message ids again on purpose, for other messages and other tasks: with these ids they do not mean a copy.
pub(crate) fn is_kit_message(message_id: &str) -> bool {
    ["tck-", "test-"].iter().any(|prefix| message_id.starts_with(prefix))
}

/// The script of the longest prefix that fits.
fn known(name: &str, follows: bool) -> Option<Script> {
    let fits = TABLE.iter().filter(|(prefix, _)| name.starts_with(prefix));
    fits.max_by_key(|(prefix, _)| prefix.len()).map(|(_, make)| make(follows))
}

/// Makes a script; given is whether the task had messages before.
type Make = fn(bool) -> Script;

const TABLE: &[(&str, Make)] = &[
    ("tck-complete-task", |_| done(Some("Hello from TCK"))),
    ("tck-delayed-complete", |_| work(&[Step::Wait(DELAY), completed(Some("Done after delay"))])),
    ("tck-artifact-text", |_| artifact(Part::text("Generated text content"))),
    ("tck-artifact-file", |_| artifact(file())),
    ("tck-artifact-file-url", |_| artifact(named_file(PartContent::Url("https://example.com/output.txt".to_owned())))),
    ("tck-artifact-data", |_| artifact(Part::data(json!({"key": "value", "count": 42})))),
    ("tck-message-response", |_| Script::Reply("Direct message response")),
    ("tck-input-required", |_| Script::Steps(vec![says(TaskState::InputRequired, "What more is there to say?")])),
    ("tck-auth-required", |_| Script::Steps(vec![says(TaskState::AuthRequired, "Somebody must agree to this")])),
    ("tck-reject-task", |_| Script::Steps(vec![says(TaskState::Rejected, "rejected")])),
    ("tck-task-failure", |_| work(&[says(TaskState::Failed, "failed, as asked")])),
    ("tck-multi-turn", |follows| {
        let step = if follows { completed(Some("That was all")) } else { says(TaskState::InputRequired, "Go on") };
        work(&[step])
    }),
    ("tck-cancel", |_| work(&[Step::AwaitCancel])),
    ("tck-long-running", |_| work(&[Step::Wait(LONG), completed(Some("Done at last"))])),
    ("test-resubscribe-message-id", |_| work(&[Step::Wait(RESUBSCRIBE_DELAY), completed(None)])),
    ("tck-stream-001", |_| streamed(Part::text("Stream hello from TCK"))),
    ("tck-stream-002", |_| Script::Reply("The only message of its stream")),
    ("tck-stream-003", |_| streamed(Part::text("Stream task lifecycle"))),
    ("tck-stream-basic", |_| streamed(Part::text("Streamed"))),
    ("tck-stream-ordering-001", |_| streamed(Part::text("Ordered output"))),
    ("tck-stream-artifact-text", |_| streamed(Part::text("Streamed text content"))),
    ("tck-stream-artifact-file", |_| streamed(file())),
    ("tck-stream-artifact-chunked", |_| chunked()),
    ("tck-stream-chunked", |_| chunked()),
];

fn says(state: TaskState, text: &str) -> Step {
    Step::Status(state, Some(text.to_owned()))
}

fn completed(text: Option<&str>) -> Step {
    Step::Status(TaskState::Completed, text.map(str::to_owned))
}

fn done(text: Option<&str>) -> Script {
    Script::Steps(vec![completed(text)])
}

fn work(steps: &[Step]) -> Script {
    let begins = Step::Status(TaskState::Working, None);
    Script::Steps(std::iter::once(begins).chain(steps.iter().cloned()).collect())
}

fn artifact(part: Part) -> Script {
    Script::Steps(vec![Step::Artifact(Piece::whole(part)), completed(None)])
}

fn streamed(part: Part) -> Script {
    work(&[Step::Artifact(Piece::whole(part)), completed(None)])
}

fn chunked() -> Script {
    let first = Piece { part: Part::text("chunk-1 "), append: false, last: false };
    let second = Piece { part: Part::text("chunk-2"), append: true, last: true };
    work(&[Step::Artifact(first), Step::Artifact(second), completed(None)])
}

fn file() -> Part {
    named_file(PartContent::Raw(b"tck".to_vec()))
}

fn named_file(content: PartContent) -> Part {
    Part { filename: Some("output.txt".to_owned()), media_type: Some("text/plain".to_owned()), ..Part::new(content) }
}

#[cfg(test)]
mod tests {
    use a2a::Role;

    use super::*;

    fn script(message_id: &str, text: &str, follows: bool) -> Script {
        script_of(&Message::new(message_id, Role::User, vec![Part::text(text)]), follows)
    }

    #[test]
    fn the_longest_prefix_counts_and_the_id_before_the_text() {
        let url = named_file(PartContent::Url("https://example.com/output.txt".to_owned()));
        assert_eq!(script("tck-artifact-file-url-1", "", false), artifact(url));
        assert_eq!(script("tck-artifact-file-1", "", false), artifact(file()));
        assert_eq!(script("tck-complete-task-1", "tck-reject-task", false), done(Some("Hello from TCK")));
        assert_eq!(script("0b9f", "tck-message-response please", false), Script::Reply("Direct message response"));
        assert_eq!(script("0b9f", "hello", false), done(Some("taken: 0b9f")));
    }

    #[test]
    fn every_script_of_a_task_ends_or_waits_for_somebody() {
        for (prefix, make) in TABLE {
            let Script::Steps(steps) = make(true) else { continue };
            let ends = match steps.last() {
                Some(Step::Status(state, _)) => *state != TaskState::Working,
                Some(Step::AwaitCancel) => true,
                _ => false,
            };
            assert!(ends, "{prefix}");
        }
    }

    #[test]
    fn every_prefix_of_the_kit_is_known() {
        for prefix in [
            "tck-complete-task",
            "tck-artifact-text",
            "tck-artifact-file",
            "tck-artifact-file-url",
            "tck-artifact-data",
            "tck-message-response",
            "tck-input-required",
            "tck-reject-task",
            "tck-stream-001",
            "tck-stream-002",
            "tck-stream-003",
            "tck-stream-ordering-001",
            "tck-stream-artifact-text",
            "tck-stream-artifact-file",
            "tck-stream-artifact-chunked",
            "test-resubscribe-message-id",
            "tck-long-running",
            "tck-multi-turn",
            "tck-cancel",
            "tck-stream-basic",
            "tck-stream-chunked",
            "tck-task-failure",
        ] {
            assert!(TABLE.iter().any(|(known, _)| *known == prefix), "{prefix}");
        }
    }

    #[test]
    fn there_are_four_seconds_to_subscribe_again() {
        let Script::Steps(steps) = script("test-resubscribe-message-id", "", false) else { panic!("it is a task") };
        let [Step::Status(TaskState::Working, _), Step::Wait(wait), Step::Status(TaskState::Completed, _)] = &steps[..] else {
            panic!("{steps:?}");
        };
        assert!(*wait >= Duration::from_secs(4), "{wait:?}");
    }

    #[test]
    fn a_second_turn_ends_what_the_first_began() {
        assert_eq!(script("tck-multi-turn", "", false), work(&[says(TaskState::InputRequired, "Go on")]));
        assert_eq!(script("tck-multi-turn", "", true), work(&[completed(Some("That was all"))]));
    }
}
