//! The sample exchanges of `schemas/a2a-nats.md` are real: each is allowed to its sender, is read by the code that reads the bus,
//! and is written again as it stands.

use std::collections::BTreeMap;

use bus::subject::Subject;
use incident::agent::Content;
use incident::task::{Role, TaskStatus};
use runtime::wire::{self, Carries};
use serde_json::Value;

use super::docs::{Block, blocks};
use super::read;

const PAGE: &str = "schemas/a2a-nats.md";
/// The page shows each operation, and each kind of event that our agents send.
const SAMPLES_MIN: usize = 5;

/// One message: where it was said, with which headers, and what it says.
struct Sample {
    subject: Subject,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A `text` block with subject and headers, and the `json` block after it.
fn samples() -> Vec<Sample> {
    let blocks: Vec<Block> =
        blocks(&read(PAGE)).into_iter().filter(|block| ["text", "json"].contains(&block.language.as_str())).collect();
    let pairs = blocks.windows(2).filter(|pair| pair[0].language == "text" && pair[1].language == "json");
    let sample = |pair: &[Block]| {
        let mut lines = pair[0].text.lines();
        let subject = lines.next().unwrap().parse().unwrap_or_else(|error| panic!("{PAGE}:{}: {error}", pair[0].line));
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{PAGE}: no header: {line}"));
            (name.to_owned(), value.to_owned())
        };
        let body = serde_json::from_str(&pair[1].text).unwrap_or_else(|error| panic!("{PAGE}:{}: {error}", pair[1].line));
        Sample { subject, headers: lines.map(header).collect(), body }
    };
    pairs.map(sample).collect()
}

fn content(sample: &Sample) -> Content {
    let carries = match &sample.subject {
        Subject::Request { .. } => Carries::Requests,
        Subject::Event { .. } => Carries::Events,
        other => panic!("{other} carries no A2A"),
    };
    let header = |name: &str| sample.headers.get(name).map(String::as_str);
    let body = serde_json::to_vec(&sample.body).unwrap();
    wire::read_content(carries, sample.subject.tenant(), header, &body)
        .unwrap_or_else(|error| panic!("{}: {}", sample.subject, runtime::chain(&error)))
}

/// Who said it, under which message id, and how our agents would write it.
fn written(content: &Content) -> (Role, String, Value) {
    match content {
        Content::Request(request) => {
            let value = serde_json::to_value(wire::request_to_a2a(request).unwrap()).unwrap();
            (request.from, format!("request/{}", request.message_id), value)
        }
        Content::Cancel(cancel) => {
            let value = serde_json::to_value(wire::cancel_to_a2a(cancel)).unwrap();
            (cancel.from, format!("cancel/{}", cancel.message_id), value)
        }
        Content::Event(event) => {
            let value = serde_json::to_value(wire::event_to_a2a(event).unwrap()).unwrap();
            (event.from, format!("event/{}.{}", event.task, event.number), value)
        }
        other => panic!("{} is no A2A", other.kind()),
    }
}

#[test]
fn every_sample_reads_and_is_what_our_agents_write() {
    let samples = samples();
    assert!(samples.len() >= SAMPLES_MIN, "{PAGE} has {} samples", samples.len());
    for sample in &samples {
        let (_, id, value) = written(&content(sample));
        assert_eq!(value, sample.body, "{}", sample.subject);
        assert_eq!(sample.headers.get("Paramedic-Message-Id"), Some(&id), "{}", sample.subject);
    }
}

#[test]
fn every_sample_fits_the_published_schemas() {
    for sample in &samples() {
        let name = match content(sample) {
            Content::Cancel(_) => "a2a-cancel-task-request",
            Content::Event(_) => "a2a-stream-response",
            _ => "a2a-send-message-request",
        };
        let schema: Value = serde_json::from_str(&read(&format!("schemas/{name}.json"))).unwrap();
        jsonschema::validate(&schema, &sample.body).unwrap_or_else(|error| panic!("{}: {error}", sample.subject));
    }
}

#[test]
fn every_sample_is_allowed_to_its_sender_and_to_no_other_agent_of_another_kind() {
    for sample in &samples() {
        let (from, _, _) = written(&content(sample));
        let subject = sample.subject.to_string();
        let may = |role: Role| bus::permissions::publish_allowed(role).iter().any(|allowed| covers(allowed, &subject));
        assert!(may(from), "{from} may not publish to {subject}");
        assert!(!may(Role::Connectors) && !may(Role::Ledger), "{subject}");
        // The gateway asks for its clients, and never speaks as an agent.
        assert_eq!(may(Role::Gateway), subject.ends_with(".request"), "{subject}");
    }
}

#[test]
fn the_samples_are_one_story() {
    let contents: Vec<Content> = samples().iter().map(content).collect();
    let asked =
        |c: &Content| if let Content::Request(request) = c { Some((request.task(), request.message_id.clone())) } else { None };
    let requests: BTreeMap<_, _> = contents.iter().filter_map(asked).collect();
    for content in &contents {
        match content {
            Content::Event(event) => {
                assert_eq!(requests.get(&event.task), Some(&event.message_id), "an event of a task that no sample asks for");
                if let TaskStatus::AuthRequired { request, .. } = &event.status {
                    assert_eq!(request.plan.digest().unwrap(), request.digest, "the digest is not the plan's");
                    assert_eq!(request.plan.task, event.task);
                }
            }
            Content::Cancel(cancel) => assert!(requests.contains_key(&cancel.task), "a cancellation of what no sample asks for"),
            _ => {}
        }
    }
}

/// NATS' subject matching: `*` is one token, `>` the rest.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(token), Some(other)) if token == "*" || token == other => {}
            _ => return false,
        }
    }
}
