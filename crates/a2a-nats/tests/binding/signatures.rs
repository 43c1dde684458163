//! Signatures of senders and agents: believed if they hold, demanded if that is wanted, good for one message once.

use a2a::{A2aError, A2aService as _, ErrorKind, GetTaskRequest, ListTasksRequest, Operation, TaskState};
use a2a_nats::{ClientOptions, NatsClient, ServeOptions, Signer, Trust};
use anyhow::{Context as _, Result};
use async_nats::{HeaderMap, Message, Subscriber};
use futures::StreamExt as _;
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use tokio::time::timeout;

use crate::proxy::{Fate, Proxy};
use crate::raw::{ask, headers, outcome};
use crate::script::{Instead, Script};
use crate::stage::{
    DEADLINE, Stage, artifact, caller, client_options, connect, rest, serve_options, settled, stage, status, subscribe,
};

/// A key pair that is the same in every run.
pub(crate) fn keys(seed: u8) -> (String, String) {
    let key = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
    let public = key.public_key().to_public_key_pem(LineEnding::LF).unwrap();
    (key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string(), public)
}

fn signer(seed: u8) -> Signer {
    Signer::from_pem("k1", &keys(seed).0).unwrap()
}

fn trusting(owner: &str, seed: u8) -> Trust {
    Trust::nobody().with_key(owner, "k1", &keys(seed).1).unwrap().demanded()
}

/// The shop signs with key 1, the agent with key 2, and both know it.
fn serving() -> ServeOptions {
    ServeOptions { signer: Some(signer(2)), trust: trusting("acme.shop", 1), ..serve_options() }
}

fn asking() -> ClientOptions {
    ClientOptions { signer: Some(signer(1)), trust: trusting("acme.script", 2), ..client_options() }
}

async fn refusal(stage: &Stage, options: ClientOptions) -> Result<A2aError> {
    Ok(NatsClient::connect(stage.connect().await?, options).await.map(drop).unwrap_err())
}

async fn hear(listening: &mut Subscriber) -> Result<Message> {
    timeout(DEADLINE, listening.next()).await.context("nothing came")?.context("the connection was closed")
}

#[tokio::test]
async fn signed_requests_answers_and_streams_go_through() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve_with(&script, serving()).await?;
    let client = stage.client_with(asking()).await?;
    assert_eq!(client.list_tasks(&caller(), ListTasksRequest::default()).await?.total_size, 1);
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    script.tell("t1", artifact("t1", "a1", "x"));
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, ["task:SUBMITTED:", "artifact:a1", "status:COMPLETED"]);
    Ok(())
}

#[tokio::test]
async fn who_cannot_prove_who_they_are_is_refused() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve_with(&script, serving()).await?;
    let unsigned = ClientOptions { signer: None, ..asking() };
    let forged = ClientOptions { signer: Some(signer(3)), ..asking() };
    let other = ClientOptions { sender: "other".to_owned(), ..asking() };
    let late: a2a_nats::Clock = std::sync::Arc::new(|| chrono::DateTime::from_timestamp(crate::stage::NOW - 61, 0).unwrap());
    let too_old = ClientOptions { clock: late, trust: Trust::nobody(), ..asking() };
    for (case, options) in [("unsigned", unsigned), ("forged", forged), ("another's key", other), ("too old", too_old)] {
        let refused = refusal(&stage, options).await?;
        assert_eq!(refused.kind, ErrorKind::Unauthenticated, "{case}");
        assert_eq!(refused.metadata["scheme"], "A2A-Signature", "{case}: what is wanted is said");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_cannot_prove_who_it_is_is_not_believed() -> Result<()> {
    let stage = stage().await?;
    for (case, signer) in [("unsigned", None), ("forged", Some(signer(3)))] {
        let running = stage.serve_with(&Script::new(), ServeOptions { signer, ..serving() }).await?;
        assert_eq!(refusal(&stage, asking()).await?.kind, ErrorKind::InvalidAgentResponse, "{case}");
        running.stopped().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_signed_request_counts_once_and_for_its_body_only() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    let _running = stage.serve_with(&script, serving()).await?;
    let client = stage.client_with(asking()).await?;
    // Somebody who runs the server sees a signed request ...
    let spy = stage.connect().await?;
    let mut overheard = spy.subscribe("a2a.acme.script.rpc.shop").await?;
    settled(&spy).await?;
    client.list_tasks(&caller(), ListTasksRequest::default()).await?;
    let seen = hear(&mut overheard).await?;
    let (signed, inbox) = (seen.headers.unwrap(), seen.reply.unwrap());
    let signature = signed.get("A2A-Signature").unwrap().clone();
    // ... and says it again, as it is and for other things.
    let mut answers = spy.subscribe(inbox.clone()).await?;
    spy.publish_with_reply_and_headers("a2a.acme.script.rpc.shop", inbox, signed.clone(), seen.payload).await?;
    let again = hear(&mut answers).await?;
    assert_eq!(outcome(&again).1, "UNAUTHENTICATED");
    let with_signature = |mut headers: HeaderMap| {
        headers.insert("A2A-Signature", signature.clone());
        headers
    };
    let other_body = r#"{"pageSize":7}"#;
    for (headers, body) in [(with_signature(headers("ListTasks", other_body.as_bytes())), other_body), (signed.clone(), "{}")] {
        let answer = ask(&spy, headers, body).await?.next().await?;
        assert_eq!(outcome(&answer).1, "UNAUTHENTICATED");
    }
    assert_eq!(script.calls().len(), 1);
    Ok(())
}

/// Whoever runs the server sees every inbox, and may be a sender themselves.
#[tokio::test]
async fn an_answer_to_one_sender_is_none_to_another() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    // Not everybody need sign.
    let trust = Trust::nobody().with_key("acme.shop", "k1", &keys(1).1)?;
    let _running = stage.serve_with(&script, ServeOptions { trust, ..serving() }).await?;
    let client = stage.client_with(asking()).await?;
    let spy = stage.connect().await?;
    let mut overheard = spy.subscribe("a2a.acme.script.rpc.shop").await?;
    settled(&spy).await?;
    // The shop asks for one task and waits ...
    script.instead(Operation::GetTask, Instead::Wait);
    let wanted = GetTaskRequest { id: "t2".to_owned(), ..GetTaskRequest::default() };
    let asked = tokio::spawn(async move { client.get_task(&caller(), wanted).await });
    let seen = hear(&mut overheard).await?;
    // ... and mallory has the agent say something about another one there.
    let body = r#"{"id":"t1"}"#;
    let cancel = headers("CancelTask", body.as_bytes());
    spy.publish_with_reply_and_headers("a2a.acme.script.rpc.mallory", seen.reply.context("an inbox")?, cancel, body.into())
        .await?;
    let refused = timeout(DEADLINE, asked).await??.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::InvalidAgentResponse);
    Ok(())
}

#[tokio::test]
async fn frames_that_somebody_put_in_are_ignored() -> Result<()> {
    let stage = stage().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = stage.serve_with(&script, serving()).await?;
    let proxy = Proxy::start(&stage.nats.url()).await?;
    let client = NatsClient::connect(connect(&proxy.url()).await?, asking()).await?;
    // A frame whose body was changed on its way is as good as lost; what is sent again passes.
    let mut spoiled = std::collections::BTreeSet::new();
    proxy.decide(move |delivery| match delivery.frame() {
        Some(frame) if spoiled.insert(frame) && frame == 3 => Fate::Spoil,
        _ => Fate::Pass,
    });
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    (0..3).for_each(|n| script.tell("t1", artifact("t1", &format!("a{n}"), "x")));
    let forger = stage.connect().await?;
    let mut acknowledged = forger.subscribe("a2a.acme.script.rpc.shop.*.*.*").await?;
    settled(&forger).await?;
    script.tell("t1", artifact("t1", "a3", "x"));
    let acknowledgement = hear(&mut acknowledged).await?;
    let mut end = HeaderMap::new();
    for seq in 1..10 {
        end.insert("A2A-Status", "end");
        end.insert("A2A-Seq", seq.to_string());
        forger.publish_with_headers(acknowledgement.reply.clone().unwrap(), end.clone(), "".into()).await?;
    }
    settled(&forger).await?;
    script.tell("t1", status("t1", TaskState::Completed));
    let expected = ["task:SUBMITTED:", "artifact:a0", "artifact:a1", "artifact:a2", "artifact:a3", "status:COMPLETED"];
    assert_eq!(rest(&mut stream).await?, expected);
    Ok(())
}
