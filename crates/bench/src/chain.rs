//! The floor under the path: nothing but its hops over JetStream and its commits to Postgres, one after the other, on the very
//! servers that Paramedic uses, with the same settings.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt as _;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};

use crate::stage::{self, Stage};

/// What one way consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hops {
    /// Messages published, stored and taken.
    pub(crate) messages: u32,
    /// Transactions committed.
    pub(crate) commits: u32,
}

/// Messages: alert, request and event of diagnostics, request and event of remediation, request to communication. Commits: one for
/// each, and one for each of the two results (evidence, draft) that are decided upon.
pub(crate) const CARD: Hops = Hops { messages: 6, commits: 8 };
/// The vote: recorded by the gateway, published, decided upon by remediation.
pub(crate) const PATCH: Hops = Hops { messages: 1, commits: 2 };

/// Enough for a 99th percentile.
const RUNS: usize = 200;
/// Not counted.
const WARM_UP: usize = 20;
const STREAM: &str = "BENCH_CHAIN";
const SUBJECT: &str = "bench.chain";
/// As large as our messages usually are.
const BODY_BYTES: usize = 1500;
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What `paramedic up` leaves for other commands.
#[derive(Deserialize)]
struct Servers {
    nats_url: String,
    database_url: String,
}

/// Connections to both.
pub(crate) struct Chain {
    context: jetstream::Context,
    database: String,
}

impl Chain {
    /// Connects to the servers of a running Paramedic.
    pub(crate) async fn open(stage: &Stage) -> Result<Self> {
        let path = stage.home.join("servers.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let servers: Servers = toml::from_str(&text).context("reading where Paramedic's servers are")?;
        let client = stage::connect(&servers.nats_url, stage.admin.clone()).await?;
        Ok(Self { context: jetstream::new(client), database: servers.database_url })
    }

    /// Milliseconds of each run.
    pub(crate) async fn run(&self, hops: Hops) -> Result<Vec<f64>> {
        let config =
            jetstream::stream::Config { name: STREAM.to_owned(), subjects: vec![SUBJECT.to_owned()], ..Default::default() };
        let stream = self.context.create_stream(config).await.context("creating a stream")?;
        let config =
            pull::Config { durable_name: Some("chain".to_owned()), ack_policy: AckPolicy::Explicit, ..Default::default() };
        let consumer = stream.create_consumer(config).await.context("creating a consumer")?;
        let mut messages = consumer.messages().await.context("taking from a consumer")?;
        let mut postgres = PgConnection::connect(&self.database).await.context("connecting to Paramedic's Postgres")?;
        sqlx::raw_sql("create table if not exists bench_chain (id bigserial primary key, body bytea)")
            .execute(&mut postgres)
            .await?;
        let body = bytes::Bytes::from(vec![7; BODY_BYTES]);
        let mut took = Vec::with_capacity(RUNS);
        for n in 0..RUNS + WARM_UP {
            let began = Instant::now();
            for hop in 0..hops.messages.max(hops.commits) {
                if hop < hops.messages {
                    let stored = self.context.publish(SUBJECT, body.clone()).await.context("publishing")?;
                    let taken = tokio::time::timeout(TAKEN_WITHIN, messages.next()).await.context("waiting for a message")?;
                    let taken = taken.context("the consumer ended")?.context("taking a message")?;
                    taken.ack().await.map_err(|error| anyhow::anyhow!("acknowledging: {error}"))?;
                    drop(stored);
                }
                if hop < hops.commits {
                    sqlx::query("insert into bench_chain (body) values ($1)").bind(&*body).execute(&mut postgres).await?;
                }
            }
            if n >= WARM_UP {
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        drop(messages);
        sqlx::raw_sql("drop table bench_chain").execute(&mut postgres).await?;
        self.context.delete_stream(STREAM).await.context("deleting a stream")?;
        Ok(took)
    }
}
