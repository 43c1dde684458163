//! Lanes of gRPC and NATS; that of HTTP/1.1 stands with the load generator.

use std::net::SocketAddr;
use std::sync::Arc;

use a2a::{A2aService as _, Caller, SendMessageResponse, TaskState};
use a2a_nats::{Address, ClientOptions, NatsClient};
use anyhow::{Context as _, Result, bail};
use axum::http::Request;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use runtime::clock;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::work;
use crate::body::Template;
use crate::load::{Lane, holds};

/// As whom we come over NATS.
const SENDER: &str = "bench";
/// More than the answers of one measurement come to: the server never waits to be allowed to send.
const WINDOW_BYTES: u32 = 1 << 30;
const METHOD: &str = "/lf.a2a.v1.A2AService/SendMessage";

/// A connection of HTTP/2 with one call of gRPC at a time.
pub(super) struct GrpcLane {
    requests: SendRequest<Bytes>,
    uri: String,
    template: Template,
    /// Moves the connection's bytes until the lane is dropped.
    _driver: JoinSet<()>,
}

/// That many connections to a gRPC server.
pub(super) async fn grpc(address: SocketAddr, count: usize) -> Result<Vec<GrpcLane>> {
    let mut lanes = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(address).await.context("connecting to a server under test")?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES).enable_push(false);
        let (requests, connection) = builder.handshake(stream).await.context("beginning with HTTP/2")?;
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // Whoever waits for an answer on it is told what went wrong.
            let _ = connection.await;
        });
        let uri = format!("http://{address}{METHOD}");
        lanes.push(GrpcLane { requests, uri, template: work::grpc(), _driver: driver });
    }
    Ok(lanes)
}

impl Lane for GrpcLane {
    async fn ask(&mut self, number: u64) -> Result<bool> {
        let request = Request::post(&self.uri).header("content-type", "application/grpc").header("te", "trailers");
        let request = request.header("a2a-version", "1.0").body(())?;
        let mut body = self.template.first();
        self.template.number(&mut body, number);
        let mut ready = self.requests.clone().ready().await.context("waiting for a connection of HTTP/2")?;
        let (answer, mut stream) = ready.send_request(request, false).context("sending over HTTP/2")?;
        stream.send_data(body.into(), true).context("sending over HTTP/2")?;
        let answer = answer.await.context("reading an answer over HTTP/2")?;
        // An answer without a body is an error, which stands in its head.
        is_completed(answer.into_body()).await
    }
}

async fn is_completed(mut answer: RecvStream) -> Result<bool> {
    let mut says_so = false;
    while let Some(chunk) = answer.data().await {
        let chunk = chunk.context("reading an answer over HTTP/2")?;
        answer.flow_control().release_capacity(chunk.len()).context("taking in an answer over HTTP/2")?;
        // Answers of this size come in one piece.
        says_so |= holds(&chunk, work::ANSWERED);
    }
    let trailers = answer.trailers().await.context("reading an answer over HTTP/2")?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    Ok(says_so && status.is_some_and(|status| status == "0"))
}

/// One request at a time over NATS; all lanes share a connection.
pub(super) struct NatsLane {
    client: NatsClient,
    caller: Arc<Caller>,
}

/// That many lanes to an agent on NATS. One sender may have just so many requests under way.
pub(super) async fn nats(connection: &async_nats::Client, agent: &Address, count: usize) -> Result<Vec<NatsLane>> {
    let options = ClientOptions::new(agent.clone(), SENDER, Arc::new(clock::now));
    let client = match NatsClient::connect(connection.clone(), options).await {
        Ok(client) => client,
        Err(error) => bail!("asking an agent on NATS for its card: {error}"),
    };
    let caller = Arc::new(client.caller());
    Ok((0..count).map(|_| NatsLane { client: client.clone(), caller: Arc::clone(&caller) }).collect())
}

impl Lane for NatsLane {
    async fn ask(&mut self, number: u64) -> Result<bool> {
        let answer = self.client.send_message(&self.caller, work::typed(number)).await;
        Ok(matches!(answer, Ok(SendMessageResponse::Task(task)) if task.status.state == TaskState::Completed))
    }
}
