//! What travels between our own agents: read as their loop reads it, written as its relay writes it, and heard by the agents that take it.

use a2a::nats::{METHOD_HEADER, Method, VERSION, VERSION_HEADER};
use incident::agent::Content;
use runtime::wire::{self, Carries};
use serde::Serialize;

use crate::course;
use crate::fixture::ACME;

/// Reads a message of the bus by what its subject carries; anything else is none.
pub(super) fn run(what: &str, body: &[u8]) -> bool {
    let (carries, method) = match what {
        "alerts" => (Carries::Alerts, None),
        "silences" => (Carries::Silences, None),
        "order" => (Carries::Orders, None),
        "related" => (Carries::Related, None),
        "request" => (Carries::Requests, Some(Method::SendMessage)),
        "cancel" => (Carries::Requests, Some(Method::CancelTask)),
        "event" => (Carries::Events, None),
        "announced" => (Carries::Announced, None),
        "approval" => (Carries::ApprovalRequests, None),
        "closed" => (Carries::ApprovalsClosed, None),
        "vote" => (Carries::Votes, None),
        "fact" => (Carries::Facts, None),
        _ => return false,
    };
    let Some(content) = read(carries, method, body) else { return false };
    let written = write(&content);
    let again = read(carries, method, &written);
    let Some(again) = again else { panic!("it cannot be read again: {}", String::from_utf8_lossy(&written)) };
    assert!(again == content, "read again it is another message:\n{content:?}\n{again:?}");
    course::heard(&content);
    true
}

fn read(carries: Carries, method: Option<Method>, body: &[u8]) -> Option<Content> {
    let header = |name: &str| match name {
        VERSION_HEADER => Some(VERSION),
        METHOD_HEADER => method.map(Method::as_str),
        _ => None,
    };
    wire::read_content(carries, &ACME, header, body).ok()
}

fn write(content: &Content) -> Vec<u8> {
    match content {
        Content::Alerts(notification) => json(notification),
        Content::Request(request) => json(&written(wire::request_to_a2a(request))),
        Content::Cancel(cancel) => json(&wire::cancel_to_a2a(cancel)),
        Content::Event(event) => json(&written(wire::event_to_a2a(event))),
        Content::Announced(announced) => json(announced),
        Content::ApprovalRequested(request) => json(request),
        Content::ApprovalClosed(closed) => json(closed),
        Content::Voted(vote) => json(vote),
        Content::Fact(fact) => json(fact),
        Content::Order(order) => json(order),
        Content::Related(related) => json(related),
        Content::Silences { silences, .. } => json(silences),
        Content::Answered(_) | Content::Silence { .. } | Content::Listen { .. } => panic!("that never comes from the bus"),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    written(serde_json::to_vec(value))
}

fn written<T>(result: Result<T, serde_json::Error>) -> T {
    result.unwrap_or_else(|error| panic!("what was read cannot be written: {error}"))
}
