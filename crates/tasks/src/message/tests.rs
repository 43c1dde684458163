use a2a::{ErrorKind, Part};

use super::*;

fn message(text: &str) -> Message {
    Message::new("m", Role::User, vec![Part::text(text)])
}

fn caller() -> Caller {
    Caller { tenant: "acme".to_owned(), sender: "ada".to_owned(), ..Caller::default() }
}

#[test]
fn a_copy_is_the_same_and_anything_else_is_not() {
    let same = digest(&message("a")).expect("a digest");
    assert_eq!(same.1, serde_json::to_string(&message("a")).expect("JSON").len());
    assert_eq!(same, digest(&message("a")).expect("a digest"));
    let elsewhere = Message { task_id: Some("t".to_owned()), ..message("a") };
    for other in [message("b"), elsewhere, Message { extensions: vec!["urn:x".to_owned()], ..message("a") }] {
        assert_ne!(digest(&other).expect("a digest").0, same.0, "{other:?}");
    }
}

#[test]
fn a_message_that_was_taken_is_answered_as_before() {
    let (digest, _) = digest(&message("a")).expect("a digest");
    let row = |task_id: Option<&str>, reply: Option<&Message>| MessageRow {
        digest: digest.to_vec(),
        task_id: task_id.map(str::to_owned),
        revision: task_id.map(|_| 1),
        reply: reply.map(|reply| serde_json::to_string(reply).expect("JSON")),
    };
    let reply = message("hello");
    assert_eq!(again(row(Some("t"), None), &digest), Ok(Before::Task("t".to_owned())));
    assert_eq!(again(row(None, Some(&reply)), &digest), Ok(Before::Reply(reply)));
    let other = again(MessageRow { digest: vec![0; 32], ..row(Some("t"), None) }, &digest).expect_err("another message");
    let ErrorKind::InvalidParams { violations } = other.kind else { panic!("{other:?}") };
    assert_eq!(violations[0].field, "message.messageId");
}

#[test]
fn what_cannot_be_kept_is_refused_by_its_field() {
    let check = |message: Message, field: &str| {
        let error = check(&caller(), &message).expect_err(field);
        let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
        assert_eq!(violations[0].field, field);
    };
    let long = || "ü".repeat(ID_BYTES_MAX / 2 + 1);
    check(Message { role: Role::Agent, ..message("a") }, "message.role");
    check(Message { message_id: long(), ..message("a") }, "message.messageId");
    check(Message { context_id: Some(long()), ..message("a") }, "message.contextId");
    check(Message { task_id: Some(long()), ..message("a") }, "message.taskId");
}

#[test]
fn a_context_must_be_the_tasks_or_none() {
    let with = |context: Option<&str>| Message { context_id: context.map(str::to_owned), ..message("a") };
    assert!(check_context(&with(None), "c").is_ok());
    assert!(check_context(&with(Some("c")), "c").is_ok());
    assert!(matches!(check_context(&with(Some("d")), "c").expect_err("another").kind, ErrorKind::InvalidParams { .. }));
}

#[test]
fn an_errand_keeps_what_the_request_said() {
    let mut request = SendMessageRequest::new(message("a"));
    request.metadata.insert("k".to_owned(), 1.into());
    request.configuration =
        Some(a2a::SendMessageConfiguration { accepted_output_modes: vec!["text/plain".to_owned()], ..Default::default() });
    let caller = Caller { extensions: BTreeSet::from(["urn:x".to_owned()]), ..caller() };
    let errand = Errand::new(&caller, &mut request);
    let text = serde_json::to_string(&errand).expect("JSON");
    assert_eq!(serde_json::from_str::<Errand>(&text).expect("an errand"), errand);
    assert_eq!((errand.message_id.as_str(), errand.accepted_output_modes.len(), errand.metadata.len()), ("m", 1, 1));
    assert_eq!(errand.extensions, caller.extensions);
    // Mostly it is short.
    let plain = Errand::new(&self::caller(), &mut SendMessageRequest::new(message("a")));
    assert_eq!(serde_json::to_string(&plain).expect("JSON"), r#"{"messageId":"m"}"#);
}
