use a2a::{ErrorKind, TaskState};

use super::*;

fn filter() -> Filter {
    Filter { tenant: "acme".to_owned(), owner: "ada".to_owned(), context_id: None, state: None, since: None }
}

fn position() -> Place {
    Place { status_at: DateTime::from_timestamp_millis(1_800_000_000_123).expect("a time"), id: "t-1".to_owned() }
}

#[test]
fn a_token_leads_back_to_its_place() {
    let token = write_token(&filter(), &position());
    assert_eq!(read_token(&token, &filter()).expect("a place"), position());
    assert!(!token.contains("t-1"), "nobody shall rely on what is in it");
}

#[test]
fn a_token_is_of_one_listing_only() {
    let token = write_token(&filter(), &position());
    let since = DateTime::from_timestamp_millis(1);
    for other in [
        Filter { tenant: "other".to_owned(), ..filter() },
        Filter { owner: "bob".to_owned(), ..filter() },
        Filter { context_id: Some("c".to_owned()), ..filter() },
        Filter { context_id: Some(String::new()), ..filter() },
        Filter { state: Some(TaskState::Working.as_str()), ..filter() },
        Filter { since, ..filter() },
        // The same letters, cut elsewhere.
        Filter { tenant: "acmea".to_owned(), owner: "da".to_owned(), ..filter() },
    ] {
        assert!(matches!(read_token(&token, &other).expect_err("another").kind, ErrorKind::InvalidParams { .. }), "{other:?}");
    }
}

#[test]
fn nonsense_is_refused() {
    let token = write_token(&filter(), &position());
    let changed = format!("{}A", token.get(..token.len() - 1).expect("a token"));
    let mut cases = vec!["", "x", "!!!", "AQ", "AAAAAAAAAAAAAAAAAAAAAAAA"];
    cases.push(token.get(..12).expect("a token"));
    for nonsense in cases {
        assert!(read_token(nonsense, &filter()).is_err(), "{nonsense:?}");
    }
    // What is left of an id is a place as good as any: nothing is there that may not be seen.
    assert!(read_token(&changed, &filter()).is_ok());
}

#[test]
fn a_request_without_a_size_gets_the_default() {
    let caller = Caller { tenant: "acme".to_owned(), sender: "ada".to_owned(), ..Caller::default() };
    let page = read(&caller, &ListTasksRequest::default()).expect("a page");
    assert_eq!((page.size, page.after, page.filter), (PAGE_SIZE_DEFAULT, None, filter()));
    let request = ListTasksRequest { page_size: Some(3), status: Some(TaskState::Working), ..ListTasksRequest::default() };
    let page = read(&caller, &request).expect("a page");
    assert_eq!((page.size, page.filter.state), (3, Some("TASK_STATE_WORKING")));
}
