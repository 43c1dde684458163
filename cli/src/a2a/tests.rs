//! What is sent, and what is made of agents that answer early, badly or for others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use a2a::card::{JSON_RPC, SignKey, WELL_KNOWN_PATH};
use a2a::{AgentCard, AgentInterface, PartContent};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::args::{Arguments, Command};

fn send(text: Option<&str>, data: Option<&str>, metadata: Option<&str>) -> A2aSend {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    A2aSend {
        text: owned(text),
        data: owned(data),
        metadata: owned(metadata),
        task: None,
        context: None,
        message_id: None,
        no_wait: false,
        stream: false,
    }
}

#[test]
fn text_and_data_become_parts_and_extensions_are_declared() {
    let uri = a2a::nats::APPROVAL_EXTENSION;
    let metadata = format!(r#"{{"{uri}": {{"decision": "approve"}}, "plain": 1}}"#);
    let sent = message(&send(Some("hello"), Some(r#"{"a": 1}"#), Some(&metadata))).unwrap();
    let contents: Vec<_> = sent.parts.into_iter().map(|part| part.content).collect();
    assert_eq!(contents, [PartContent::Text("hello".to_owned()), PartContent::Data(serde_json::json!({"a": 1}))]);
    assert_eq!(sent.extensions, [uri]);
    assert_eq!(sent.message_id.len(), 32);
}

#[test]
fn what_cannot_be_sent_is_said() {
    for (bad, said) in [
        (send(None, None, None), "nothing to send"),
        (send(None, Some("{"), None), "no JSON"),
        (send(Some("x"), None, Some("[]")), "--metadata"),
        (send(None, Some("@/not/there"), None), "/not/there"),
    ] {
        let error = format!("{:#}", message(&bad).unwrap_err());
        assert!(error.contains(said), "{error}");
    }
}

/// An agent over JSON-RPC somewhere on this machine. It answers with what a function makes of the request's number.
struct Elsewhere {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    /// The card is made for the agent's address.
    async fn start(
        card: impl FnOnce(String) -> AgentCard,
        answer: impl Fn(usize) -> Value + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (card, asked) = (card(url.clone()), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let answer = move |Json(request): Json<Value>| async move {
            let result = answer(count.fetch_add(1, Ordering::SeqCst));
            Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
        };
        let router = Router::new().route(WELL_KNOWN_PATH, get(|| async { Json(card) })).route("/", post(answer));
        tokio::spawn(a2a_http::serve(listener, router, std::future::pending()));
        Self { url, asked }
    }

    /// Runs `paramedic a2a COMMAND` on it.
    async fn run(&self, command: &[&str]) -> Result<usize, String> {
        let (name, rest) = command.split_first().unwrap();
        let words = ["paramedic", "a2a", *name, self.url.as_str()].into_iter().chain(rest.iter().copied());
        let Command::A2a { command } = Arguments::try_parse_from(words).unwrap().command else { panic!("another command") };
        let before = self.asked.load(Ordering::SeqCst);
        super::run(command).await.map_err(|error| format!("{error:#}"))?;
        Ok(self.asked.load(Ordering::SeqCst) - before)
    }
}

fn card(url: String) -> AgentCard {
    AgentCard {
        name: "elsewhere".to_owned(),
        supported_interfaces: vec![AgentInterface::new(url, JSON_RPC)],
        ..AgentCard::default()
    }
}

fn task(state: &str) -> Value {
    json!({"id": "t", "contextId": "c", "status": {"state": format!("TASK_STATE_{state}")}})
}

/// A task that stands so each time that somebody asks, and stays as it stands last.
async fn goes_through(states: &'static [&'static str]) -> Elsewhere {
    let answer = move |n: usize| {
        let task = task(states.get(n).or(states.last()).unwrap());
        if n == 0 { json!({"task": task}) } else { task }
    };
    Elsewhere::start(card, answer).await
}

#[tokio::test]
async fn a_send_waits_until_the_task_ends_or_waits_for_somebody() {
    for (states, asked) in [
        (&["COMPLETED"][..], 1),
        (&["SUBMITTED", "WORKING", "COMPLETED"], 3),
        (&["WORKING", "INPUT_REQUIRED"], 2),
        (&["AUTH_REQUIRED"], 1),
    ] {
        assert_eq!(goes_through(states).await.run(&["send", "hello"]).await, Ok(asked), "{states:?}");
    }
    assert_eq!(goes_through(&["WORKING", "COMPLETED"]).await.run(&["send", "hello", "--no-wait"]).await, Ok(1));
    for end in [&["WORKING", "FAILED"][..], &["WORKING", "WORKING", "REJECTED"], &["CANCELED"]] {
        let error = goes_through(end).await.run(&["send", "hello"]).await.unwrap_err();
        assert!(error.contains(end.last().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_list_of_all_has_an_end() {
    let list = async |answer: fn(usize) -> (Vec<Value>, String)| {
        let page = move |n: usize| {
            let (tasks, token) = answer(n);
            json!({"tasks": tasks, "nextPageToken": token, "pageSize": 1, "totalSize": 3})
        };
        Elsewhere::start(card, page).await.run(&["list", "--all"]).await
    };
    let next = |n: usize| (vec![task("WORKING")], if n < 2 { n.to_string() } else { String::new() });
    assert_eq!(list(next).await, Ok(3));
    for endless in [
        (|_| (vec![task("WORKING")], "again".to_owned())) as fn(usize) -> (Vec<Value>, String),
        |n| (vec![task("WORKING")], (n % 2).to_string()),
        |n| (vec![], n.to_string()),
    ] {
        let error = list(endless).await.unwrap_err();
        assert!(error.contains("no end"), "{error}");
    }
    let error = list(|n| (vec![task("WORKING")], n.to_string())).await.unwrap_err();
    assert!(error.contains("--context"), "{error}");
}

#[tokio::test]
async fn a_card_does_not_send_the_token_elsewhere() {
    let agent = Elsewhere::start(|_| card("https://elsewhere.example".to_owned()), |_| Value::Null).await;
    assert_eq!(agent.run(&["card"]).await, Ok(0));
    let error = agent.run(&["card", "--token", "secret"]).await.unwrap_err();
    assert!(error.contains("--token-to https://elsewhere.example") && !error.contains("secret"), "{error}");
    assert_eq!(agent.run(&["card", "--token", "secret", "--token-to", "https://elsewhere.example"]).await, Ok(0));
}

/// A key of P-256 in PKCS#8: all bytes of its secret are sevens.
const KEY: &str = "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCAHBwcHBwcHBwcHBwcH\nBwcHBwcHBwcHBwcHBwcHBwcHBw==";

#[tokio::test]
async fn a_card_is_believed_if_its_signature_holds() {
    let key = SignKey::from_pem(&format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, key.verify_key().to_pem().unwrap()).unwrap();
    let given = |kid: &str, file: &Path| format!("--card-key={kid}={}", file.display());
    let (good, unknown) = (given("k1", &file), given("k2", &file));

    let signed = |url: String| a2a::card::sign(&card(url), &key, "k1", None).unwrap();
    let changed = |url: String| AgentCard { name: "changed".to_owned(), ..signed(url) };
    let answer = |_| task("COMPLETED");
    let (signed, changed, plain) =
        (Elsewhere::start(signed, answer).await, Elsewhere::start(changed, answer).await, Elsewhere::start(card, answer).await);
    for command in [&["card"][..], &["get", "t"]] {
        let run = async |agent: &Elsewhere, key: &str| agent.run(&[command, &[key]].concat()).await.map(drop);
        assert_eq!(run(&signed, &good).await, Ok(()));
        assert_eq!(signed.run(&[command, &[unknown.as_str(), good.as_str()]].concat()).await.map(drop), Ok(()));
        for (agent, key) in [(&signed, &unknown), (&changed, &good), (&plain, &good)] {
            let error = run(agent, key).await.unwrap_err();
            assert!(error.contains("--card-key"), "{error}");
        }
        let error = run(&signed, &given("k1", &folder.path().join("none.pem"))).await.unwrap_err();
        assert!(error.contains("none.pem"), "{error}");
    }
    let shown = |signer| tell::card(&a2a::card::sign(&card("http://x".to_owned()), &key, "k1", None).unwrap(), signer);
    assert!(shown(Some("k1")).contains("verified with key k1") && shown(None).contains("not verified"));
}
