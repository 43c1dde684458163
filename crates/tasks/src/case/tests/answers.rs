//! Messages to a task that waits.

use super::*;

/// What the row says is yet to be worked on.
fn owed(row: &TaskRow) -> Vec<String> {
    let owed: Vec<Errand> = row.owed.as_deref().map_or(vec![], |owed| serde_json::from_str(owed).expect("JSON"));
    owed.into_iter().map(|errand| errand.message_id).collect()
}

/// A task that waited, and a second message to it, whose call has begun and has reported nothing.
fn answered() -> (Case, TaskRow, Reporter) {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::InputRequired), by).expect("an update");
    let row = store(&mut case, Some(&row));
    let Reporter::Execution(first) = by else { panic!() };
    case.finish(first);
    let row = store(&mut case, Some(&row));
    assert!(matches!(case.offered("m2"), Offered::Taken));
    let row = store(&mut case, Some(&row));
    let start = case.start().expect("more work");
    (case, row, Reporter::Execution(start.number))
}

#[test]
fn a_message_to_a_task_that_waits_is_owed_until_its_own_call_has_come_to_rest() {
    let before_its_first_state: [fn(&mut Case, Reporter); 3] = [
        |case, by| case.note("k".to_owned(), 1.into(), by).expect("a note"),
        |case, by| assert_eq!(case.tell(artifact("x", false), by), Ok(Reported::Taken)),
        |case, _| assert!(matches!(case.offered("m3"), Offered::Taken)),
    ];
    for report in before_its_first_state {
        let (mut case, row, by) = answered();
        report(&mut case, by);
        let row = store(&mut case, Some(&row));
        assert_eq!((owed(&row).first().map(String::as_str), row.holder.as_deref()), (Some("m2"), Some("us")));
        assert!(!case.stored().is_at_rest && !case.has_rested());
        assert_eq!(case.halted(), None, "it has only begun");
        // Another question, and the work is done.
        case.tell(status(TaskState::InputRequired), by).expect("an update");
        assert!(case.has_rested());
        let row = store(&mut case, Some(&row));
        assert!(!owed(&row).contains(&"m2".to_owned()));
    }
    let (mut case, row, by) = answered();
    let Reporter::Execution(number) = by else { panic!() };
    case.break_off(number);
    case.note("k".to_owned(), 1.into(), Reporter::Outside).expect("a note");
    assert_eq!(owed(&store(&mut case, Some(&row))), ["m2"], "a call that was broken off is begun again");
}

#[test]
fn the_end_of_the_call_before_does_not_end_the_next_one() {
    let (mut case, row, by) = working();
    case.tell(status(TaskState::AuthRequired), by).expect("an update");
    assert!(matches!(case.offered("m2"), Offered::Taken));
    let row = store(&mut case, Some(&row));
    let Reporter::Execution(first) = by else { panic!() };
    case.finish(first);
    case.start().expect("more work");
    let row = store(&mut case, Some(&row));
    assert_eq!((owed(&row), row.holder.as_deref(), case.stored().is_at_rest), (vec!["m2".to_owned()], Some("us"), false));
}
