//! Finding agents: as services of NATS, by their cards, by their heartbeat.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use a2a::card::{SignKey, VerifyKey, sign};
use a2a_nats::{
    BUCKET, BucketError, Cards, ClientOptions, Limits, NatsClient, ServeOptions, discover, ensure_bucket, get_card, put_card,
};
use anyhow::{Context as _, Result};
use async_nats::jetstream::kv;
use async_nats::{Client, jetstream};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::script::{Script, card};
use crate::signatures::keys;
use crate::stage::{DEADLINE, address, client_options, serve_options, settled, stage};

fn card_keys(seed: u8) -> (SignKey, BTreeMap<String, VerifyKey>) {
    let key = SignKey::from_pem(&keys(seed).0).unwrap();
    let verify = BTreeMap::from([("c1".to_owned(), key.verify_key())]);
    (key, verify)
}

async fn ask(client: &Client, subject: &str) -> Result<Value> {
    let answer = timeout(DEADLINE, client.request(subject.to_owned(), "".into())).await??;
    Ok(serde_json::from_slice(&answer.payload)?)
}

#[tokio::test]
async fn agents_are_services_of_nats() -> Result<()> {
    let stage = stage().await?;
    let options = ServeOptions { replica: Some("r1".to_owned()), ..serve_options() };
    let _running = stage.serve_with(&Script::new(), options).await?;
    let client = stage.connect().await?;
    let about = json!({
        "name": "a2a-acme", "id": "r1", "version": "1.0.0",
        "metadata": {
            "tenant": "acme", "agent": "script", "protocolVersion": "1.0",
            "protocolBinding": "https://paramedic.dev/a2a/bindings/nats/v1",
        },
    });
    for verb in ["PING", "INFO", "STATS"] {
        let all = ask(&client, &format!("$SRV.{verb}")).await?;
        assert_eq!(all["type"], format!("io.nats.micro.v1.{}_response", verb.to_lowercase()));
        for (key, value) in about.as_object().unwrap() {
            assert_eq!(&all[key], value, "{verb}");
        }
        for subject in [format!("$SRV.{verb}.a2a-acme"), format!("$SRV.{verb}.a2a-acme.r1")] {
            assert_eq!(ask(&client, &subject).await?, all);
        }
    }
    let endpoint = &ask(&client, "$SRV.INFO").await?["endpoints"][0];
    assert_eq!(*endpoint, json!({"name": "rpc", "subject": "a2a.acme.script.rpc.*", "queue_group": "a2a", "metadata": {}}));
    assert_eq!(ask(&client, "$SRV.STATS").await?["started"], "2025-11-26T06:53:20+00:00");
    let nobody = client.request("$SRV.PING.a2a-acme.r2", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    Ok(())
}

#[tokio::test]
async fn discovery_finds_the_agents_of_a_tenant_with_replicas_and_cards() -> Result<()> {
    let stage = stage().await?;
    let client = stage.connect().await?;
    ensure_bucket(&jetstream::new(client.clone()), 1).await?;
    ensure_bucket(&jetstream::new(client.clone()), 1).await?;
    let options =
        |tenant: &str, agent: &str, cards| ServeOptions { cards, ..ServeOptions::new(tenant, agent, crate::stage::clock()) };
    let running = [
        stage.serve_with(&Script::new(), options("acme", "script", Cards::Publish)).await?,
        stage.serve_with(&Script::new(), options("acme", "script", Cards::Publish)).await?,
        stage.serve_with(&Script::new(), options("acme", "other", Cards::Keep)).await?,
        stage.serve_with(&Script::new(), options("rival", "script", Cards::Publish)).await?,
    ];
    let found = discover(&client, "acme", DEADLINE, &BTreeMap::new()).await?;
    let brief: Vec<_> =
        found.iter().map(|found| (found.address.agent(), found.replicas.len(), found.card.as_ref().unwrap().is_some())).collect();
    assert_eq!(brief, [("other", 1, false), ("script", 2, true)]);
    assert_eq!(found[1].description, "Does what it is told.");
    assert!(discover(&client, "nobody", DEADLINE, &BTreeMap::new()).await?.is_empty());
    for one in running {
        one.stopped().await?;
    }
    assert!(discover(&client, "acme", DEADLINE, &BTreeMap::new()).await?.is_empty(), "who has stopped is not found");
    Ok(())
}

#[tokio::test]
async fn a_card_is_believed_if_a_trusted_key_signed_it() -> Result<()> {
    let stage = stage().await?;
    let client = stage.connect().await?;
    let jetstream = jetstream::new(client.clone());
    let missing = get_card(&jetstream, &address(), &BTreeMap::new()).await;
    assert!(matches!(missing, Err(BucketError::Open(_))), "{missing:?}");
    ensure_bucket(&jetstream, 1).await?;
    assert_eq!(get_card(&jetstream, &address(), &BTreeMap::new()).await?, None);

    let ((key, trusted), (_, others)) = (card_keys(4), card_keys(5));
    let signed = sign(&card(), &key, "c1", None)?;
    let options = ServeOptions { cards: Cards::Publish, ..serve_options() };
    let _running = stage.serve_with(&Script::with_card(signed.clone()), options).await?;
    assert_eq!(get_card(&jetstream, &address(), &trusted).await?, Some(signed.clone()));
    let refused = get_card(&jetstream, &address(), &others).await;
    assert!(matches!(refused, Err(BucketError::Unproved { .. })), "{refused:?}");

    let believing = |card_keys: &BTreeMap<_, _>| ClientOptions { card_keys: card_keys.clone(), ..client_options() };
    NatsClient::connect(client.clone(), believing(&trusted)).await?;
    assert!(NatsClient::connect(client.clone(), believing(&others)).await.is_err());

    let mut tampered = signed;
    tampered.supported_interfaces[0].url = "nats://elsewhere.example/a2a.acme.script".to_owned();
    put_card(&jetstream, &address(), &tampered).await?;
    assert!(matches!(get_card(&jetstream, &address(), &trusted).await, Err(BucketError::Unproved { .. })));
    jetstream.get_key_value(BUCKET).await?.put("acme.script", "{}".into()).await?;
    assert!(matches!(get_card(&jetstream, &address(), &BTreeMap::new()).await, Err(BucketError::Unreadable { .. })));
    Ok(())
}

/// Whoever else publishes cards may have other rules for them.
#[tokio::test]
async fn cards_of_others_are_read_as_they_are() -> Result<()> {
    let stage = stage().await?;
    let jetstream = jetstream::new(stage.connect().await?);
    // Made by somebody else, without a bound.
    let bucket = jetstream.create_key_value(kv::Config { bucket: BUCKET.to_owned(), ..kv::Config::default() }).await?;
    let other = |change: &dyn Fn(&mut Value)| {
        let mut card = serde_json::to_value(card()).unwrap();
        change(&mut card);
        card.to_string()
    };
    let table = [
        ("no skills", other(&|card| card["skills"] = json!([])), true),
        (
            "a skill without tags and description",
            other(&|card| card["skills"][0] = json!({"id": "a", "name": "", "description": "", "tags": []})),
            true,
        ),
        (
            "a strange interface that nobody uses",
            other(&|card| {
                let strange = json!({"url": "by pigeon", "protocolBinding": "PIGEON", "protocolVersion": "9"});
                card["supportedInterfaces"].as_array_mut().unwrap().push(strange);
            }),
            true,
        ),
        ("no interface of this binding", other(&|card| card["supportedInterfaces"] = json!([])), true),
        (
            "an interface that names no agent",
            other(&|card| card["supportedInterfaces"][0]["url"] = json!("nats://127.0.0.1:4222/")),
            false,
        ),
        ("far too large", other(&|card| card["description"] = json!("x".repeat(300_000))), false),
        ("no card", "[]".to_owned(), false),
    ];
    for (case, json, is_read) in table {
        bucket.put("acme.script", json.into()).await?;
        match get_card(&jetstream, &address(), &BTreeMap::new()).await {
            Ok(Some(_)) => assert!(is_read, "{case}"),
            Err(BucketError::Unreadable { reason, .. }) => assert!(!is_read, "{case}: {reason}"),
            other => anyhow::bail!("{case}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn replicas_say_that_they_live() -> Result<()> {
    let stage = stage().await?;
    let client = stage.connect().await?;
    let mut alive = client.subscribe("a2a.*.script.alive").await?;
    settled(&client).await?;
    let limits = Limits { alive_every: Duration::from_millis(50), ..Limits::default() };
    let tenants = vec!["acme".to_owned(), "rival".to_owned()];
    let options = ServeOptions { tenants, limits, replica: Some("r1".to_owned()), ..serve_options() };
    let _running = stage.serve_with(&Script::new(), options).await?;
    let mut tenants = BTreeSet::new();
    for _ in 0..6 {
        let told = timeout(DEADLINE, alive.next()).await?.context("no heartbeat")?;
        let told: Value = serde_json::from_slice(&told.payload)?;
        let tenant = told["tenant"].as_str().unwrap().to_owned();
        let expected = json!({
            "agent": "script", "tenant": tenant, "replica": "r1", "operations": 0, "streams": 0, "everyMs": 50,
        });
        assert_eq!(told, expected);
        tenants.insert(tenant);
    }
    assert_eq!(tenants.len(), 2);
    Ok(())
}
