//! `schemas/a2a-nats.md` is true: its exchanges happen byte for byte, and its tables say what the code does.

use std::collections::BTreeMap;

use a2a::{A2aError, ErrorKind, Operation, StreamResponse};
use a2a_nats::{Limits, Permissions, ServeOptions, Signer, Trust, agent_permissions, sender_permissions};
use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::raw::header;
use crate::script::{Instead, Script};
use crate::signatures::keys;
use crate::stage::{DEADLINE, Stage, address, serve_options, settled, stage, stage_with};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/a2a-nats.md");
/// The page shows answers, errors, waiting, streams, pieces, signatures and what discovery rests on.
const EXCHANGES_MIN: usize = 13;
/// As the page says of the server that a large answer goes through.
const MESSAGE_BYTES_MAX: usize = 448;

fn page() -> String {
    std::fs::read_to_string(PAGE).unwrap()
}

fn blocks(language: &str) -> Vec<String> {
    let (page, fence) = (page(), format!("\n```{language}\n"));
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// One message of an exchange.
#[derive(Debug)]
struct Sample {
    is_clients: bool,
    subject: String,
    reply: Option<String>,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Sample {
    fn says(&self, status: &str) -> bool {
        self.headers.get("A2A-Status").is_some_and(|said| said == status)
    }

    /// While an operation is waited for; those of streams have a number.
    fn is_beat(&self) -> bool {
        self.says("heartbeat") && !self.headers.contains_key("A2A-Seq")
    }

    fn is_piece(&self) -> bool {
        self.headers.contains_key("A2A-Chunk")
    }
}

/// What the agent says as a whole, with its headers.
fn answers(exchange: &[Sample]) -> Vec<(&BTreeMap<String, String>, String)> {
    let mut answers: Vec<(&BTreeMap<String, String>, String)> = vec![];
    for sample in exchange.iter().filter(|sample| !sample.is_clients && !sample.body.is_empty()) {
        match answers.last_mut() {
            Some((_, body)) if sample.is_piece() && !sample.headers.contains_key("A2A-Length") => body.push_str(&sample.body),
            _ => answers.push((&sample.headers, sample.body.clone())),
        }
    }
    answers
}

fn read(block: &str) -> Vec<Sample> {
    block.split("\n\n").map(read_one).collect()
}

fn read_one(text: &str) -> Sample {
    let is_clients = text.starts_with('>');
    let mut lines = text.lines().map(|line| line.trim_start_matches(['>', '<']).trim_start());
    let mut place = lines.next().unwrap().split(' ').map(str::to_owned);
    let (subject, reply) = (place.next().unwrap(), place.next());
    let headers = lines.by_ref().take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
        (name.to_owned(), value.to_owned())
    });
    let headers = headers.collect();
    Sample { is_clients, subject, reply, headers, body: lines.next().unwrap_or_default().to_owned() }
}

/// Makes the script say what the agent says in the exchange; gives the events that happen once the stream is there.
fn rehearse(script: &Script, exchange: &[Sample]) -> Vec<StreamResponse> {
    let Some(method) = exchange[0].headers.get("A2A-Method") else { return vec![] };
    let operation: Operation = method.parse().unwrap();
    let mut frames = BTreeMap::new();
    for (headers, body) in answers(exchange) {
        let body: Value = serde_json::from_str(&body).unwrap();
        match (headers["A2A-Status"].as_str(), headers.get("A2A-Seq")) {
            ("error", _) => {
                let error = A2aError::from_json_rpc_error(&body);
                // What the binding itself refuses does not need the service.
                if !matches!(error.kind, ErrorKind::InvalidParams { .. }) {
                    script.instead(operation, Instead::Fail(error));
                }
            }
            (_, None) => script.instead(operation, Instead::Answer(body)),
            (_, Some(seq)) => drop(frames.insert(seq, serde_json::from_value(body).unwrap())),
        }
    }
    let mut events = frames.into_values();
    if let Some(StreamResponse::Task(task)) = events.next() {
        script.begin(&task.id);
    }
    events.collect()
}

async fn play(stage: &Stage, exchange: &[Sample]) -> Result<()> {
    let script = Script::new();
    let last_beat = exchange.iter().rposition(Sample::is_beat);
    let mut events = vec![].into_iter();
    match last_beat {
        Some(_) => script.instead(exchange[0].headers["A2A-Method"].parse()?, Instead::Wait),
        None => events = rehearse(&script, exchange).into_iter(),
    }
    let mut options = ServeOptions { replica: Some("r1".to_owned()), ..serve_options() };
    if exchange[0].headers.contains_key("A2A-Signature") {
        options.signer = Some(Signer::from_pem("k1", &keys(2).0)?);
        options.trust = Trust::nobody().with_key("acme.shop", "k1", &keys(1).1)?.demanded();
    }
    let client = stage.connect().await?;
    // What nobody asked for is said elsewhere.
    let place = if exchange[0].is_clients { "_INBOX_shop.*" } else { &exchange[0].subject };
    let mut inbox = client.subscribe(place.to_owned()).await?;
    settled(&client).await?;
    let running = stage.serve_with(&script, options).await?;
    for (n, sample) in exchange.iter().enumerate() {
        if sample.is_clients {
            say(&client, sample).await?;
            continue;
        }
        let heard = hear_but_for_beats(&mut inbox, sample).await.with_context(|| format!("instead of {sample:?}"))?;
        compare(sample, &heard)?;
        events.by_ref().for_each(|event| script.tell("t1", event));
        if last_beat == Some(n) {
            drop(rehearse(&script, exchange));
        }
    }
    drop(inbox);
    running.stopped().await
}

async fn say(client: &Client, sample: &Sample) -> Result<()> {
    let mut headers = HeaderMap::new();
    for (name, value) in &sample.headers {
        headers.insert(name.as_str(), value.as_str());
    }
    let (subject, body) = (sample.subject.clone(), sample.body.clone().into());
    let reply = sample.reply.clone().context("a client always says where it listens")?;
    Ok(client.publish_with_reply_and_headers(subject, reply, headers, body).await?)
}

async fn hear(inbox: &mut Subscriber) -> Result<Message> {
    timeout(DEADLINE, inbox.next()).await.context("nothing came")?.context("the connection was closed")
}

/// How many heartbeats there are depends on the machine.
async fn hear_but_for_beats(inbox: &mut Subscriber, sample: &Sample) -> Result<Message> {
    loop {
        let heard = hear(inbox).await?;
        if sample.says("heartbeat") || header(&heard, "A2A-Status") != Some("heartbeat") {
            return Ok(heard);
        }
    }
}

fn compare(sample: &Sample, heard: &Message) -> Result<()> {
    let headers = heard.headers.clone().unwrap_or_default();
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
    let reply = heard.reply.as_ref().map(ToString::to_string);
    let body = std::str::from_utf8(&heard.payload)?;
    ensure!(sample.body == body && sample.headers == headers, "not {sample:?} but {headers:?}\n{body}");
    ensure!(sample.subject == heard.subject.as_str() && sample.reply == reply, "not {sample:?} but {} {reply:?}", heard.subject);
    Ok(())
}

#[tokio::test]
async fn every_exchange_happens_as_it_is_shown() -> Result<()> {
    let (stage, small) = (stage().await?, stage_with(&format!("max_payload: {MESSAGE_BYTES_MAX}")).await?);
    says(&format!("`max_payload` is {MESSAGE_BYTES_MAX} bytes"));
    let exchanges = blocks("nats");
    assert!(exchanges.len() >= EXCHANGES_MIN, "only {} exchanges are shown", exchanges.len());
    for exchange in &exchanges {
        let exchange = read(exchange);
        let is_large = exchange.iter().any(|sample| !sample.is_clients && sample.is_piece());
        play(if is_large { &small } else { &stage }, &exchange).await.with_context(|| format!("{exchange:#?}"))?;
    }
    Ok(())
}

#[test]
fn the_keys_of_the_signed_exchange_are_shown() {
    assert_eq!(blocks("pem"), [keys(1).1.trim_end(), keys(2).1.trim_end()]);
}

fn says(row: &str) {
    assert!(page().contains(row), "the page does not say {row:?}");
}

#[test]
fn every_operation_stands_in_the_table() {
    for operation in Operation::ALL {
        says(&format!("| `{operation}` |"));
    }
    says("| `GetAgentCard` |");
}

#[test]
fn every_error_stands_in_the_table() {
    use ErrorKind as Kind;
    let named = [
        ("TaskNotFound", Kind::TaskNotFound),
        ("TaskNotCancelable", Kind::TaskNotCancelable),
        ("PushNotificationNotSupported", Kind::PushNotificationNotSupported),
        ("UnsupportedOperation", Kind::UnsupportedOperation),
        ("ContentTypeNotSupported", Kind::ContentTypeNotSupported),
        ("InvalidAgentResponse", Kind::InvalidAgentResponse),
        ("ExtendedAgentCardNotConfigured", Kind::ExtendedAgentCardNotConfigured),
        ("ExtensionSupportRequired", Kind::ExtensionSupportRequired),
        ("VersionNotSupported", Kind::VersionNotSupported),
    ];
    let others = [
        Kind::ParseError,
        Kind::InvalidRequest,
        Kind::MethodNotFound,
        Kind::InvalidParams { violations: vec![] },
        Kind::Internal,
        Kind::Unauthenticated,
        Kind::ResourceExhausted { retry_after: None },
        Kind::Unavailable,
    ];
    let row = |kind: &Kind| {
        let codes = kind.codes();
        format!("| {} | {} | `{}` | {} |", codes.json_rpc, codes.http, codes.reason, codes.domain)
    };
    for (name, kind) in &named {
        says(&format!("| {name} {}", row(kind)));
    }
    for kind in &others {
        says(&row(kind));
    }
}

#[test]
fn limits_are_what_the_page_says() {
    let limits = Limits::default();
    let mib = |bytes: usize| bytes >> 20;
    let seconds = |duration: std::time::Duration| duration.as_secs();
    says(&format!("in all and of one sender | {}, {} |", limits.operations_max, limits.operations_per_sender_max));
    says(&format!("in all and of one sender | {}, {} |", limits.streams_max, limits.streams_per_sender_max));
    let bytes = [limits.body_bytes_max, limits.requests_bytes_max, limits.requests_bytes_per_sender_max].map(mib);
    says(&format!("worked on, in all and of one sender | {} MiB; {} MiB, {} MiB |", bytes[0], bytes[1], bytes[2]));
    says(&format!("not acknowledged | {}, {} MiB |", limits.window_frames_max, mib(limits.window_bytes_max)));
    says(&format!("at most | {} s, {} s |", seconds(limits.deadline_default), seconds(limits.deadline_max)));
    says(&format!("Default {}, at most {} |", limits.deadline_default.as_millis(), limits.deadline_max.as_millis()));
    says(&format!("next piece of a request | {} s |", seconds(limits.piece_within)));
    says(&format!("end when stopping | {} s |", seconds(limits.drain_within)));
    says(&format!("Default for streams {};", limits.heartbeat.as_millis()));
    says(&format!("that it lives, every {} s", seconds(limits.alive_every)));
}

/// The table of rights, with T, A and S for the names.
#[test]
fn rights_are_what_the_page_says() -> Result<()> {
    let generic = |subject: &str| {
        let subject = subject.replace("acme.script", "T.A").replace("a2a-acme", "a2a-T").replace(".rpc.shop", ".rpc.S");
        subject.trim_end_matches(" a2a").to_owned()
    };
    let shown = |permissions: &Permissions| {
        let all = permissions.publish.iter().chain(&permissions.subscribe).map(|subject| generic(subject));
        // These stand there in words.
        let all = all.filter(|subject| !subject.starts_with("$SRV.") && !subject.starts_with("_INBOX"));
        all.for_each(|subject| says(&format!("`{subject}`")));
    };
    shown(&agent_permissions(&address(), "_INBOX_script"));
    shown(&sender_permissions("shop", &[address()], "_INBOX_shop")?);
    Ok(())
}

#[test]
fn samples_are_read_as_they_stand() {
    let sample = read_one("> a.b _INBOX_x.1\n> A2A-Version: 1.0\n>\n> {}");
    assert!(sample.is_clients && sample.subject == "a.b" && sample.reply.as_deref() == Some("_INBOX_x.1"));
    assert_eq!((sample.headers["A2A-Version"].as_str(), sample.body.as_str()), ("1.0", "{}"));
    let sample = read_one("< a.b.alive\n<\n< {}");
    assert!(!sample.is_clients && sample.headers.is_empty() && sample.body == "{}");
}
