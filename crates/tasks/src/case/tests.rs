//! The case against a table of one row, played by the tests.

use std::sync::Arc;

use a2a::{Artifact, ErrorKind, Metadata, Part, TaskArtifactUpdateEvent, TaskStatus, TaskStatusUpdateEvent};
use store::a2a::{EventRow, MessageRow, TaskKey, TaskRow, TaskWrite};

use super::*;
use crate::message;

mod answers;

fn said(id: &str) -> Message {
    Message::new(id, Role::User, vec![Part::text(id)])
}

fn text_bytes(message: &Message) -> usize {
    serde_json::to_string(message).expect("JSON").len()
}

fn message_key(id: &str) -> MessageKey {
    MessageKey { sender: "ada".into(), message_id: id.to_owned(), digest: [1; 32] }
}

fn errand(id: &str) -> Errand {
    let caller = a2a::Caller::default();
    Errand::new(&caller, &mut a2a::SendMessageRequest::new(said(id)))
}

fn key() -> Arc<TaskKey> {
    Arc::new(TaskKey { tenant: "acme".to_owned(), id: "t".to_owned() })
}

fn limits() -> Limits {
    Limits { messages_waiting_max: 2, unwritten_bytes_max: 2_000, ..Limits::default() }
}

fn begun() -> Case {
    let task = message::begin(said("m1"), "t", "c", chrono::DateTime::default());
    let birth = Birth { owner: "ada".into(), context_id: "c".into() };
    let (bytes, key) = (text_bytes(&said("m1")), message_key("m1"));
    Case::begin("us".into(), Beginning { task, bytes, birth, push: None, key, errand: errand("m1") })
}

fn status(state: TaskState) -> StreamResponse {
    let (task_id, context_id, metadata) = ("t".to_owned(), "c".to_owned(), Metadata::new());
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status: TaskStatus::new(state), metadata })
}

fn artifact(text: &str, append: bool) -> StreamResponse {
    let artifact = Artifact::new("a", vec![Part::text(text)]);
    let (task_id, context_id, metadata) = ("t".to_owned(), "c".to_owned(), Metadata::new());
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk: false, metadata })
}

impl Case {
    fn tell(&mut self, event: StreamResponse, by: Reporter) -> Result<Reported, A2aError> {
        let text = serde_json::to_string(&event).expect("JSON");
        self.report(Arc::new(event), text, by, &limits())
    }

    fn drafted(&mut self) -> TaskWrite {
        let draft = self.draft(&key()).expect("JSON").expect("something to write");
        let document = draft.document.map(|task| serde_json::to_string(&*task).expect("JSON"));
        TaskWrite { document, ..draft.write }
    }

    fn offered(&mut self, id: &str) -> Offered {
        self.offered_within(id, &limits())
    }

    fn offered_within(&mut self, id: &str, limits: &Limits) -> Offered {
        let message = said(id);
        let bytes = text_bytes(&message);
        self.offer(7, Offer { key: message_key(id), message, bytes, errand: errand(id) }, limits)
    }
}

/// The row that the write makes of the row before.
fn row(write: &TaskWrite, before: Option<&TaskRow>) -> TaskRow {
    let (mut later, document) = match (&write.document, before) {
        (Some(document), _) => (vec![], document.clone()),
        (None, Some(before)) => (before.later.clone(), before.document.clone()),
        (None, None) => panic!("a new task has a document"),
    };
    if write.document.is_none() {
        later.extend(write.events.clone());
    }
    TaskRow {
        tenant: "acme".to_owned(),
        id: "t".to_owned(),
        owner: "ada".to_owned(),
        context_id: "c".to_owned(),
        status_at: write.status_at,
        revision: write.expected + 1,
        seq: write.seq,
        document,
        later,
        owed: write.owed.as_deref().map(str::to_owned),
        holder: write.holder.as_deref().map(str::to_owned),
        turn: write.turn,
        attempt: write.attempt,
        pushes: write.pushes,
    }
}

fn loaded(row: &TaskRow) -> Loaded {
    load(row.clone(), &limits()).expect("a task")
}

fn found(row: &TaskRow, message: Option<MessageRow>) -> Found {
    Found { task: Some(loaded(row)), next: None, message }
}

fn store(case: &mut Case, before: Option<&TaskRow>) -> TaskRow {
    let write = case.drafted();
    case.committed(write.document.as_ref().map(String::len));
    row(&write, before)
}

/// A task that is stored, and its first call under way.
fn working() -> (Case, TaskRow, Reporter) {
    let mut case = begun();
    let row = store(&mut case, None);
    let start = case.start().expect("work");
    (case, row, Reporter::Execution(start.number))
}

/// Another process takes the task over from one that is dead.
fn taken_over(row: &TaskRow) -> TaskRow {
    let (turn, attempt, revision) = (row.turn + 1, row.attempt + 1, row.revision + 1);
    TaskRow { holder: Some("other".to_owned()), turn, attempt, revision, ..row.clone() }
}

/// Another process reads the row and writes it.
fn elsewhere(row_before: &TaskRow, act: impl FnOnce(&mut Case)) -> TaskRow {
    let mut other = Case::known("other".into(), loaded(row_before));
    act(&mut other);
    store(&mut other, Some(row_before))
}

#[test]
fn a_task_begins_with_one_write_and_ends_with_one_more() {
    let mut case = begun();
    assert!(case.start().is_none(), "nothing begins before it is stored");
    let write = case.drafted();
    assert_eq!((write.expected, write.seq, write.events.as_ref(), write.holder.as_deref()), (0, 0, None, Some("us")));
    assert!(write.document.is_some() && write.birth.is_some() && write.message.is_some());
    let Some((0, Answer::Taken(taken))) = case.committed(None).answer else { panic!("no answer") };
    assert_eq!((taken.seq, taken.task.history.len()), (0, 1));

    let start = case.start().expect("work");
    assert_eq!((start.attempt, start.message.message_id.as_str()), (1, "m1"));
    assert!(case.start().is_none(), "one call at a time");
    let by = Reporter::Execution(start.number);
    for event in [status(TaskState::Working), artifact("x", false), status(TaskState::Completed)] {
        assert_eq!(case.tell(event, by), Ok(Reported::Taken));
    }
    let write = case.drafted();
    assert_eq!((write.expected, write.seq, write.owed.as_ref(), write.holder.as_ref()), (1, 3, None, None));
    assert!(write.document.is_some() && write.events.as_ref().is_some_and(|events| events.starts_with('[')));
    let events: Vec<StreamResponse> = serde_json::from_str(write.events.as_deref().expect("events")).expect("JSON");
    let committed = case.committed(None);
    assert_eq!((committed.first_seq, committed.events.len(), events.len()), (1, 3, 3));
    assert!(case.stored().is_at_rest && case.stored().has_ended && case.is_still());
    assert_eq!((case.taken(), case.settled(), case.refused()), (4, 4, 0));
    assert_eq!(case.halted(), Some(start.number), "its call should return now");
}

#[test]
fn what_comes_while_a_write_is_under_way_goes_into_the_next_one() {
    let (mut case, _, by) = working();
    case.tell(status(TaskState::Working), by).expect("an update");
    let first = case.drafted();
    case.tell(artifact("x", false), by).expect("an update");
    case.tell(artifact("y", true), by).expect("an update");
    assert!(case.draft(&key()).expect("JSON").is_none(), "one write at a time");
    case.committed(None);
    let second = case.drafted();
    assert_eq!((first.seq, second.seq, second.expected), (1, 3, 2));
    assert!(first.document.is_none() && second.document.is_none(), "few events do not need a document");
}

#[test]
fn a_task_that_grows_is_written_as_a_whole_now_and_then_only() {
    let (mut case, mut row, by) = working();
    case.tell(artifact("begin", false), by).expect("an update");
    let mut documents = 0;
    let mut bytes = 0;
    for _ in 0..300 {
        case.tell(artifact(&"x".repeat(100), true), by).expect("an update");
        let write = case.drafted();
        case.committed(write.document.as_ref().map(String::len));
        documents += usize::from(write.document.is_some());
        bytes += write.document.as_ref().map_or(0, String::len);
        row = super::tests::row(&write, Some(&row));
    }
    assert!((3..8).contains(&documents), "{documents}");
    let whole = serde_json::to_string(&**case.task()).expect("JSON").len();
    assert!(bytes < whole * 3, "{bytes} bytes of documents for a task of {whole}");
    assert_eq!(*loaded(&row).task, **case.task(), "the row still says it all");
}

#[test]
fn whoever_reports_too_fast_waits() {
    let (mut case, _, by) = working();
    let large = |n: usize| artifact(&"x".repeat(800), n > 0);
    let all: Vec<_> = (0..3).map(|n| case.tell(large(n), by)).collect();
    assert_eq!(all, [Ok(Reported::Taken), Ok(Reported::Taken), Ok(Reported::Full)]);
    assert_eq!(case.seq, 2, "what was not taken has not happened");
    case.drafted();
    assert_eq!(case.tell(large(3), by), Ok(Reported::Taken));
}

#[test]
fn a_limit_stops_everything_but_the_end() {
    let (mut case, _, by) = working();
    let limits = Limits { task_bytes_max: 1_500, events_max: 3, ..limits() };
    let mut tell = |event: StreamResponse| {
        let text = serde_json::to_string(&event).expect("JSON");
        case.report(Arc::new(event), text, by, &limits).map_err(|error| error.kind)
    };
    let full = Err(ErrorKind::ResourceExhausted { retry_after: None });
    assert_eq!(tell(artifact(&"x".repeat(2_000), false)), full);
    for event in [status(TaskState::Working), artifact("x", false), status(TaskState::Working)] {
        assert_eq!(tell(event), Ok(Reported::Taken));
    }
    assert_eq!(tell(status(TaskState::Working)), full);
    assert_eq!(tell(status(TaskState::Failed)), Ok(Reported::Taken));
}

#[test]
fn a_message_counts_like_everything_else_in_its_task() {
    let (mut case, row, by) = working();
    case.tell(artifact(&"x".repeat(500), false), by).expect("an update");
    let row = store(&mut case, Some(&row));
    let before = case.bytes;
    let limits = Limits { task_bytes_max: before + text_bytes(&said("m2")), ..limits() };
    assert!(matches!(case.offered_within("m2", &limits), Offered::Taken));
    store(&mut case, Some(&row));
    let Offered::Refused(error) = case.offered_within("m3", &limits) else { panic!("it does not fit") };
    let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
    assert_eq!((violations[0].field.as_str(), case.task().history.len(), case.is_still()), ("message", 2, true));
}

#[test]
fn a_message_goes_on_with_a_task_that_waits() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::InputRequired), by).expect("an update");
    let row = store(&mut case, Some(&row));
    assert!(case.stored().is_at_rest && row.holder.is_none() && row.owed.is_none());
    assert_eq!(case.halted(), None, "nothing asks for its place");

    assert!(matches!(case.offered("m2"), Offered::Taken));
    assert!(matches!(case.offered("m3"), Offered::Busy(..)), "one message per write");
    assert!(case.start().is_none(), "it is not stored, and the call before is under way");
    let row = store(&mut case, Some(&row));
    assert!(!case.stored().is_at_rest && row.owed.is_some() && row.holder.as_deref() == Some("us"));
    let Reporter::Execution(first) = by else { panic!() };
    assert_eq!(case.halted(), Some(first), "the call before shall make room");
    case.finish(first);
    let start = case.start().expect("more work");
    assert_eq!((start.message.message_id.as_str(), start.number, start.task.history.len()), ("m2", first + 1, 2));
    let late = case.tell(status(TaskState::Working), by).expect_err("its time is over");
    assert_eq!(late.kind, ErrorKind::UnsupportedOperation);
}

#[test]
fn messages_to_a_task_that_works_wait_in_a_queue_with_an_end() {
    let (mut case, row, by) = working();
    let mut row = row;
    for id in ["m2", "m3"] {
        assert!(matches!(case.offered(id), Offered::Taken), "{id}");
        row = store(&mut case, Some(&row));
    }
    let Offered::Refused(full) = case.offered("m4") else { panic!("it is full") };
    assert_eq!(full.kind, ErrorKind::ResourceExhausted { retry_after: None });
    let owed: Vec<Errand> = serde_json::from_str(row.owed.as_deref().expect("work")).expect("JSON");
    assert_eq!(owed.iter().map(|errand| errand.message_id.as_str()).collect::<Vec<_>>(), ["m1", "m2", "m3"]);
    // The end answers them all.
    case.tell(status(TaskState::Completed), by).expect("an update");
    assert!(matches!(case.offered("m5"), Offered::Busy(..)), "an end that is not stored may be refused yet");
    let row = store(&mut case, Some(&row));
    assert!(row.owed.is_none() && case.stored().is_at_rest);
    let Offered::Refused(ended) = case.offered("m5") else { panic!("it has ended") };
    assert_eq!(ended.kind, ErrorKind::UnsupportedOperation);
}

#[test]
fn work_that_returns_before_the_end_goes_on_elsewhere() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::Working), by).expect("an update");
    let Reporter::Execution(number) = by else { panic!() };
    case.finish(number);
    let row = store(&mut case, Some(&row));
    assert!(row.owed.is_none() && row.holder.is_none() && !case.stored().is_at_rest);
    assert_eq!(case.tell(status(TaskState::Completed), Reporter::Outside), Ok(Reported::Taken));
    store(&mut case, Some(&row));
    assert!(case.stored().is_at_rest);
}

#[test]
fn work_that_was_broken_off_is_still_owed() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::Working), by).expect("an update");
    let Reporter::Execution(number) = by else { panic!() };
    case.break_off(number);
    let row = store(&mut case, Some(&row));
    assert!(row.owed.is_some() && row.holder.as_deref() == Some("us"));
    // A process that takes it over begins anew, one attempt later.
    let mut other = Case::known("other".into(), loaded(&taken_over(&row)));
    let start = other.start().expect("work");
    assert_eq!((start.attempt, start.message.message_id.as_str()), (2, "m1"));
}

#[test]
fn a_call_whose_task_was_taken_over_says_nothing_any_more() {
    // Whether it returns before it is noticed, or after.
    for returns_before in [true, false] {
        let (mut late, row, by) = working();
        late.tell(status(TaskState::Completed), by).expect("an update");
        late.note("k".to_owned(), 1.into(), Reporter::Outside).expect_err("it has ended, as far as is known here");
        let write = late.drafted();
        if returns_before {
            late.finish(1);
        }
        let taken = taken_over(&row);
        let recovered = late.recover(&write, found(&taken, None), &limits());
        assert!(recovered.committed.is_none() && late.is_still());
        assert_eq!((late.refused(), late.settled(), late.state()), (late.taken(), late.taken(), TaskState::Submitted));
        assert_eq!(late.halted(), (!returns_before).then_some(1));
        late.finish(1);
        assert!(late.is_still() && late.start().is_none(), "nothing of it is ours");
        // Also when the other one is through, and nobody holds the task.
        let after = elsewhere(&taken, |other| {
            let by = Reporter::Execution(other.start().expect("work").number);
            other.tell(status(TaskState::InputRequired), by).expect("an update");
        });
        late.refresh(loaded(&after), &limits());
        late.tell(status(TaskState::Completed), by).expect_err("its time is over");
    }
}

#[test]
fn what_a_call_reported_before_it_returned_survives_a_lost_race() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::Completed), by).expect("an update");
    let write = case.drafted();
    case.finish(1);
    // Somebody has set a configuration for push notifications meanwhile.
    let row = TaskRow { pushes: 1, revision: row.revision + 1, ..row };
    case.recover(&write, found(&row, None), &limits());
    let row = store(&mut case, Some(&row));
    assert_eq!((loaded(&row).task.status.state, row.pushes, row.owed, row.holder), (TaskState::Completed, 1, None, None));
    assert_eq!(case.refused(), 0);
}

#[test]
fn a_call_may_go_on_after_its_task_had_come_to_rest() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::AuthRequired), by).expect("an update");
    let row = store(&mut case, Some(&row));
    assert!(row.holder.is_none());
    case.tell(status(TaskState::Working), by).expect("an update");
    let row = store(&mut case, Some(&row));
    assert_eq!((row.holder.as_deref(), row.turn, row.owed.is_some()), (Some("us"), 2, true), "if it dies now, it is begun anew");
    case.tell(status(TaskState::Completed), by).expect("an update");
    let row = store(&mut case, Some(&row));
    assert!(row.holder.is_none() && case.stored().is_at_rest);
}

#[test]
fn a_lost_race_is_decided_on_again() {
    let (mut case, row, by) = working();
    // Another process takes a message, while this one reports.
    let row = elsewhere(&row, |other| assert!(matches!(other.offered("m2"), Offered::Taken)));
    case.tell(artifact("x", false), by).expect("an update");
    let write = case.drafted();
    case.tell(artifact("y", true), by).expect("an update");
    let recovered = case.recover(&write, found(&row, None), &limits());
    assert!(recovered.committed.is_none() && recovered.answers.is_empty());
    let row = store(&mut case, Some(&row));
    assert_eq!((row.revision, row.seq, case.refused()), (3, 2, 0));
    let task = loaded(&row).task;
    assert_eq!((task.history.len(), task.artifacts[0].parts.len()), (2, 2));
    let owed: Vec<Errand> = serde_json::from_str(row.owed.as_deref().expect("work")).expect("JSON");
    assert_eq!(owed.len(), 2, "both messages are yet to be answered, by us");
    let Reporter::Execution(number) = by else { panic!() };
    case.finish(number);
    assert_eq!(case.start().expect("more work").message.message_id, "m2");
}

#[test]
fn what_cannot_happen_any_more_is_refused_after_all() {
    let (mut case, row, by) = working();
    let row = elsewhere(&row, |other| {
        other.tell(status(TaskState::Canceled), Reporter::Outside).expect("an update");
    });
    case.tell(artifact("x", false), by).expect("an update");
    assert!(matches!(case.offered("m2"), Offered::Taken));
    let write = case.drafted();
    let recovered = case.recover(&write, found(&row, None), &limits());
    assert!(matches!(&recovered.answers[..], [(7, Answer::Refused(error))] if error.kind == ErrorKind::UnsupportedOperation));
    assert_eq!((case.refused(), case.settled(), case.taken()), (2, 3, 3));
    assert!(case.stored().has_ended && case.is_still() && case.halted().is_some());
}

#[test]
fn a_write_that_went_through_without_an_answer_is_known_by_its_events() {
    let (mut case, before, by) = working();
    case.tell(status(TaskState::Working), by).expect("an update");
    case.tell(artifact("x", false), by).expect("an update");
    let write = case.drafted();
    let row = row(&write, Some(&before));
    case.tell(artifact("y", true), by).expect("an update");
    let next = Some(EventRow { seq: write.seq, events: write.events.clone().expect("events") });
    let recovered = case.recover(&write, Found { task: Some(loaded(&row)), next, message: None }, &limits());
    assert_eq!(recovered.committed.expect("it was ours").events.len(), 2);
    let row = store(&mut case, Some(&row));
    assert_eq!((row.seq, loaded(&row).task.artifacts[0].parts.len()), (3, 2), "nothing twice, nothing missing");
}

#[test]
fn a_message_that_was_stored_without_an_answer_is_known_by_its_record() {
    let record =
        |revision| MessageRow { digest: vec![1; 32], task_id: Some("t".to_owned()), revision: Some(revision), reply: None };
    let mut case = begun();
    let write = case.drafted();
    let row = row(&write, None);
    let recovered = case.recover(&write, found(&row, Some(record(1))), &limits());
    assert!(matches!(recovered.committed.and_then(|committed| committed.answer), Some((0, Answer::Taken(_)))));
    assert!(case.start().is_some());

    // A copy, on the other hand, is answered with what is known.
    let (mut case, row, by) = working();
    case.tell(status(TaskState::Working), by).expect("an update");
    assert!(matches!(case.offered("m1"), Offered::Taken));
    let write = case.drafted();
    let recovered = case.recover(&write, found(&row, Some(record(1))), &limits());
    assert!(matches!(&recovered.answers[..], [(7, Answer::Known(_))]));
    let row = store(&mut case, Some(&row));
    assert_eq!((row.seq, loaded(&row).task.history.len()), (1, 1), "the update next to it is not lost");
}

#[test]
fn a_task_whose_first_message_is_a_copy_never_begins() {
    let mut case = begun();
    let write = case.drafted();
    let known = MessageRow { digest: vec![1; 32], task_id: Some("other".to_owned()), revision: Some(1), reply: None };
    let recovered = case.recover(&write, Found { task: None, next: None, message: Some(known) }, &limits());
    assert!(matches!(&recovered.answers[..], [(0, Answer::Known(record))] if record.task_id.as_deref() == Some("other")));
    assert!(case.is_still() && case.start().is_none() && case.revision() == 0);
}

#[test]
fn what_cannot_be_stored_is_refused_and_the_task_can_fail() {
    let (mut case, row, by) = working();
    case.tell(artifact("x", false), by).expect("an update");
    case.drafted();
    case.forsake(found(&row, None));
    assert_eq!((case.refused(), case.seq), (2, 0));
    case.tell(status(TaskState::Failed), Reporter::Outside).expect("the end");
    let row = store(&mut case, Some(&row));
    assert!(row.owed.is_none() && case.stored().has_ended);
}

#[test]
fn a_note_is_kept_with_the_task() {
    let (mut case, row, by) = working();
    case.note("k".to_owned(), 1.into(), by).expect("a note");
    let row = store(&mut case, Some(&row));
    assert_eq!(loaded(&row).task.metadata["k"], 1);
    case.note("k".to_owned(), 2.into(), by).expect("a note");
    let write = case.drafted();
    let after = elsewhere(&row, |other| assert!(matches!(other.offered("m2"), Offered::Taken)));
    case.recover(&write, found(&after, None), &limits());
    assert_eq!(loaded(&store(&mut case, Some(&after))).task.metadata["k"], 2);
}

#[test]
fn a_row_that_others_wrote_is_taken_over_as_it_is() {
    let (mut case, row, by) = working();
    let after = elsewhere(&row, |other| {
        other.tell(artifact("x", false), Reporter::Outside).expect("an update");
    });
    case.refresh(loaded(&after), &limits());
    assert_eq!((case.revision(), case.stored().seq), (2, 1));
    assert_eq!(case.tell(artifact("y", true), by), Ok(Reported::Taken), "its work goes on");
    // An older row changes nothing.
    case.refresh(loaded(&row), &limits());
    assert_eq!((case.revision(), case.seq), (2, 2));
}
