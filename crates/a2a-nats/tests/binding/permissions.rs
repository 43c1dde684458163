//! With the rights that the crate hands out, the subject proves who asks: shown on a server with users.

use a2a::{A2aService as _, Caller, ListTasksRequest, TaskState};
use a2a_nats::{
    Address, Cards, ClientOptions, NatsClient, Permissions, ServeOptions, agent_permissions, discover, ensure_bucket, get_card,
    sender_permissions,
};
use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Event, jetstream};
use futures::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::raw::{ask, header, headers};
use crate::script::Script;
use crate::stage::{
    DEADLINE, Running, Stage, address, artifact, caller, client_options, rest, serve_on, serve_options, stage_with, status,
    subscribe,
};

fn other() -> Address {
    Address::new("acme", "other").unwrap()
}

fn user(name: &str, permissions: Option<&Permissions>) -> String {
    let permissions = permissions.map(|permissions| format!(", permissions: {permissions}")).unwrap_or_default();
    format!("{{ user: {name}, password: secret{permissions} }}\n")
}

async fn guarded() -> Result<Stage> {
    guarded_with(&agent_permissions(&address(), "_INBOX_script")).await
}

/// Two agents, one with these rights, two senders, and somebody who may do everything.
async fn guarded_with(script: &Permissions) -> Result<Stage> {
    let all = [address(), other()];
    let users = [
        user("admin", None),
        user("script", Some(script)),
        user("other", Some(&agent_permissions(&other(), "_INBOX_other"))),
        user("shop", Some(&sender_permissions("shop", &all, "_INBOX_shop")?)),
        user("mallory", Some(&sender_permissions("mallory", &all, "_INBOX_mallory")?)),
    ];
    let stage = stage_with(&format!("authorization {{ users = [\n{}] }}", users.concat())).await?;
    ensure_bucket(&jetstream::new(connect(&stage, "admin").await?.client), 1).await?;
    Ok(stage)
}

/// A user, and what the server refuses it.
struct User {
    client: Client,
    complaints: mpsc::UnboundedReceiver<String>,
}

async fn connect(stage: &Stage, name: &str) -> Result<User> {
    let (sender, complaints) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(name.to_owned(), "secret".to_owned())
        .custom_inbox_prefix(format!("_INBOX_{name}"))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                sender.send(error.to_string()).ok();
            }
            std::future::ready(())
        });
    Ok(User { client: options.connect(stage.nats.url()).await?, complaints })
}

impl User {
    /// What of this the server refused. A last forbidden subject marks the end.
    async fn refused<'a>(&mut self, tried: &[&'a str]) -> Result<BTreeSet<&'a str>> {
        self.client.publish("the.end", "".into()).await?;
        let mut refused = BTreeSet::new();
        loop {
            let complaint = timeout(DEADLINE, self.complaints.recv()).await?.context("complaints ended")?;
            if complaint.contains("the.end") {
                return Ok(refused);
            }
            refused.extend(tried.iter().filter(|subject| complaint.contains(&format!("\"{subject}\""))));
        }
    }

    async fn says<'a>(&mut self, subjects: &[&'a str]) -> Result<BTreeSet<&'a str>> {
        for subject in subjects {
            self.client.publish((*subject).to_owned(), "x".into()).await?;
        }
        let refused = self.refused(subjects).await?;
        Ok(subjects.iter().copied().filter(|subject| !refused.contains(subject)).collect())
    }

    async fn hears<'a>(&mut self, subjects: &[&'a str]) -> Result<BTreeSet<&'a str>> {
        let mut kept = vec![];
        for subject in subjects {
            kept.push(self.client.subscribe((*subject).to_owned()).await?);
        }
        let refused = self.refused(subjects).await?;
        Ok(subjects.iter().copied().filter(|subject| !refused.contains(subject)).collect())
    }
}

async fn serving(stage: &Stage, script: &std::sync::Arc<Script>) -> Result<Running> {
    let client = connect(stage, "script").await?.client;
    // The agent may not hear its own heartbeat; somebody else waits for it.
    let options = ServeOptions { cards: Cards::Publish, ..serve_options() };
    let admin = connect(stage, "admin").await?.client;
    serve_on(client, &admin, script, options).await
}

fn options(sender: &str) -> ClientOptions {
    ClientOptions { sender: sender.to_owned(), ..client_options() }
}

#[tokio::test]
async fn the_rights_suffice_for_everything() -> Result<()> {
    let stage = guarded().await?;
    let script = Script::new();
    script.begin("t1");
    let _running = serving(&stage, &script).await?;
    let shop = connect(&stage, "shop").await?;
    let client = NatsClient::connect(shop.client.clone(), options("shop")).await?;
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    (0..100).for_each(|n| script.tell("t1", artifact("t1", &format!("a{n}"), "x")));
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?.len(), 102);
    let found = discover(&shop.client, "acme", DEADLINE, &BTreeMap::new()).await?;
    assert_eq!(found.len(), 1);
    assert!(found[0].card.as_ref().is_ok_and(Option::is_some), "{:?}", found[0].card);
    let jetstream = jetstream::new(shop.client.clone());
    assert_eq!(get_card(&jetstream, &address(), &BTreeMap::new()).await?, Some(crate::script::card()));
    let mut shop = shop;
    assert_eq!(shop.refused(&[]).await?, BTreeSet::new());
    Ok(())
}

#[tokio::test]
async fn a_sender_speaks_only_as_itself() -> Result<()> {
    let stage = guarded().await?;
    let script = Script::new();
    let _running = serving(&stage, &script).await?;
    let mut mallory = connect(&stage, "mallory").await?;
    let tried = [
        "a2a.acme.script.rpc.mallory",
        "a2a.acme.script.rpc.shop",
        "a2a.other.script.rpc.mallory",
        "a2a.acme.script.rpc.shop.r1.1.1",
        "a2a.acme.script.alive",
        "_INBOX_shop.1",
        "$KV.A2A_CARDS.acme.script",
        "$JS.API.STREAM.DELETE.KV_A2A_CARDS",
        "$SRV.PING",
    ];
    assert_eq!(mallory.says(&tried).await?, BTreeSet::from(["a2a.acme.script.rpc.mallory"]));

    // Whatever a client claims, the agent hears who the connection's user is.
    let client = NatsClient::connect(mallory.client.clone(), options("mallory")).await?;
    let as_shop = Caller { sender: "shop".to_owned(), ..caller() };
    let short = std::time::Duration::from_millis(500);
    let refused = timeout(short, client.list_tasks(&as_shop, ListTasksRequest::default())).await;
    assert!(!matches!(refused, Ok(Ok(_))), "{refused:?}");
    let as_mallory = Caller { sender: "mallory".to_owned(), ..caller() };
    client.list_tasks(&as_mallory, ListTasksRequest::default()).await?;
    let senders: BTreeSet<String> = script.calls().into_iter().map(|call| call.caller.sender).collect();
    assert_eq!(senders, BTreeSet::from(["mallory".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn nobody_hears_what_is_not_meant_for_them() -> Result<()> {
    let stage = guarded().await?;
    let tried = [
        ">",
        "_INBOX.>",
        "_INBOX_shop.>",
        "_INBOX_mallory.>",
        "_INBOX_script.>",
        "a2a.>",
        "a2a.acme.script.rpc.*",
        "a2a.acme.script.rpc.shop",
        "a2a.acme.script.rpc.*.*.*.*",
        "a2a.acme.script.alive",
        "$KV.A2A_CARDS.>",
    ];
    let mallory = connect(&stage, "mallory").await?.hears(&tried).await?;
    assert_eq!(mallory, BTreeSet::from(["_INBOX_mallory.>", "a2a.acme.script.alive"]));
    // An agent hears requests in its queue group only, and other agents' not at all.
    let other = connect(&stage, "other").await?.hears(&tried).await?;
    assert_eq!(other, BTreeSet::new());
    let script = connect(&stage, "script").await?.hears(&tried).await?;
    assert_eq!(script, BTreeSet::from(["_INBOX_script.>", "a2a.acme.script.rpc.*.*.*.*"]));
    Ok(())
}

#[tokio::test]
async fn an_agent_answers_only_who_asked_it() -> Result<()> {
    let stage = guarded().await?;
    let mut other = connect(&stage, "other").await?;
    let tried = [
        "a2a.acme.other.alive",
        "a2a.acme.script.alive",
        "a2a.acme.script.rpc.other",
        "$KV.A2A_CARDS.acme.other",
        "$KV.A2A_CARDS.acme.script",
        "_INBOX_shop.1",
    ];
    assert_eq!(other.says(&tried).await?, BTreeSet::from(["a2a.acme.other.alive", "$KV.A2A_CARDS.acme.other"]));

    let mut asked = other.client.queue_subscribe("a2a.acme.other.rpc.*", "a2a".to_owned()).await?;
    assert!(other.refused(&[]).await?.is_empty());
    let shop = connect(&stage, "shop").await?;
    let mut answers = shop.client.subscribe("_INBOX_shop.1").await?;
    shop.client.publish_with_reply("a2a.acme.other.rpc.shop", "_INBOX_shop.1", "".into()).await?;
    timeout(DEADLINE, asked.next()).await?.context("a request")?;
    assert_eq!(other.says(&["_INBOX_shop.1", "_INBOX_shop.2"]).await?, BTreeSet::from(["_INBOX_shop.1"]));
    timeout(DEADLINE, answers.next()).await?.context("the answer")?;
    Ok(())
}

/// An agent whose right to answer ends soon, and what the server refuses it.
async fn forgotten_soon(script: &std::sync::Arc<Script>) -> Result<(Stage, User, Running)> {
    let rights = agent_permissions(&address(), "_INBOX_script");
    assert_eq!(rights.answer_within, Some(Duration::from_hours(1)), "as the page says");
    let stage = guarded_with(&Permissions { answer_within: Some(Duration::from_secs(3)), ..rights }).await?;
    let agent = connect(&stage, "script").await?;
    let admin = connect(&stage, "admin").await?.client;
    let running = serve_on(agent.client.clone(), &admin, script, serve_options()).await?;
    Ok((stage, agent, running))
}

#[tokio::test]
async fn a_right_to_answer_that_has_ended_begins_anew_when_the_inbox_is_named() -> Result<()> {
    let script = Script::new();
    script.begin("t1");
    let (stage, mut agent, _running) = forgotten_soon(&script).await?;
    let shop = connect(&stage, "shop").await?.client;
    let body = r#"{"id":"t1"}"#;
    let mut headers = headers("SubscribeToTask", body.as_bytes());
    headers.insert("A2A-Heartbeat", "1500");
    let mut asked = ask(&shop, headers, body).await?;
    let first = asked.next().await?;
    let control = first.reply.clone().context("a stream")?;
    shop.publish(control.clone(), "".into()).await?;
    // It answers everything, but does not say where it listens.
    let refused = loop {
        tokio::select! {
            message = asked.next() => shop.publish(message?.reply.context("a stream")?, "".into()).await?,
            complaint = agent.complaints.recv() => break complaint.context("complaints ended")?,
        }
    };
    assert!(refused.contains(&asked.inbox), "{refused}");
    shop.publish(control, "".into()).await?;
    let refused = timeout(DEADLINE, agent.complaints.recv()).await?.context("complaints ended")?;
    assert!(refused.contains(&asked.inbox), "it is still not named: {refused}");
    asked.say(&first, Some("resume")).await?;
    assert_eq!(header(&asked.next().await?, "A2A-Status"), Some("heartbeat"));
    Ok(())
}

#[tokio::test]
async fn a_stream_outlives_the_right_to_answer() -> Result<()> {
    let script = Script::new();
    script.begin("t1");
    let (stage, mut agent, _running) = forgotten_soon(&script).await?;
    let shop = connect(&stage, "shop").await?.client;
    let client = NatsClient::connect(shop, options("shop")).await?;
    let mut stream = client.subscribe_to_task(&caller(), subscribe("t1")).await?;
    for n in 0..2 {
        timeout(DEADLINE, agent.complaints.recv()).await?.context("complaints ended")?;
        script.tell("t1", artifact("t1", &format!("a{n}"), "x"));
    }
    script.tell("t1", status("t1", TaskState::Completed));
    assert_eq!(rest(&mut stream).await?, ["task:SUBMITTED:", "artifact:a0", "artifact:a1", "status:COMPLETED"]);
    Ok(())
}
