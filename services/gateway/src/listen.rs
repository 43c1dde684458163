//! Connections: how many, how slow they may be, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use runtime::lifecycle::Lifecycle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections open at once; past that, new ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 2_048;
/// A request's head, or the pause before the next one: slow ones make room for others.
const HEAD_READ_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's head: tokens and traces, not cookies.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Accepting fails while the process has no file descriptors left; others will end meanwhile.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Answers connections until a stop is asked for; then takes no more, and those open end after the request that they are at.
///
/// # Errors
/// None: what goes wrong with one connection is that connection's.
pub async fn serve(router: Router, listener: TcpListener, life: Lifecycle) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let builder = Arc::new(builder(HEAD_READ_MAX));
    loop {
        let next = tokio::select! {
            next = accept(&listener, &room) => next,
            () = life.stopping() => return Ok(()),
        };
        let Some((stream, permit)) = next else { continue };
        let (builder, router, life_of) = (builder.clone(), router.clone(), life.clone());
        life.spawn_work(async move {
            answer(&builder, stream, router, life_of).await;
            drop(permit);
        });
    }
}

/// HTTP/1.1 alone: TLS, and with it HTTP/2, ends in front of the gateway, and nobody here speaks HTTP/2 in clear text. Waiting for its
/// preface would have no end: a connection that never says a word would keep its place for ever.
fn builder(head_read_max: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_read_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // Room first: a connection that was accepted must be answered.
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            None
        }
    }
}

async fn answer(builder: &Builder<TokioExecutor>, stream: TcpStream, router: Router, life: Lifecycle) {
    // Answers are small and wanted at once; without this, the connection still works.
    let _ = stream.set_nodelay(true);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = life.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_says_too_little_gives_its_place_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The last is how HTTP/2 begins.
        for said in ["", "P", "GET / HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2"] {
            let mut silent = TcpStream::connect(address).await.unwrap();
            silent.write_all(said.as_bytes()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let builder = builder(Duration::from_millis(50));
            let answering = answer(&builder, stream, Router::new(), Lifecycle::default());
            let ended = tokio::time::timeout(Duration::from_secs(10), answering).await;
            assert!(ended.is_ok(), "{said:?} keeps its place");
        }
    }
}
