//! Connections: HTTP/1.1 and HTTP/2 without TLS on one listener, how many, how slow they may be, and how they end.
//!
//! TLS ends in front of us, so nothing negotiates the version: a client that speaks HTTP/2 begins with its preface (RFC 9113, section
//! 3.3), which is no HTTP/1.1.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Connections open at once; past that, new ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4_096;
/// A request's head, or the pause before the next one: slow ones make room for others.
pub const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's head: tokens and traces, not cookies.
pub const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Requests at once on one connection of HTTP/2. Clients open another connection, or wait.
const REQUESTS_PER_CONNECTION_MAX: u32 = 256;
/// A connection of HTTP/2 may be silent, but must be there: a ping, and until its answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Accepting fails while the process has no file descriptors left; others will end meanwhile.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// After a stop is asked for, requests under way get this long. Streams have no end of their own; their clients subscribe again.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Answers connections until `stop` resolves; then takes no more, and those open end after what they are at, within [`DRAIN_WITHIN`].
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let next = tokio::select! {
            next = accept(&listener, &room) => next,
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        if let Some((stream, permit)) = next {
            let (router, stopped) = (router.clone(), stopped.clone());
            connections.spawn(async move {
                answer(stream, router, stopped).await;
                drop(permit);
            });
        }
    }
    // Whoever comes now is refused by the kernel, instead of waiting in its queue.
    drop(listener);
    stopping.send_replace(true);
    // Whoever is left when the set is dropped is cut off.
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_WITHIN, drained).await.is_err() {
        tracing::info!(connections = connections.len(), "connections that did not end in time are cut");
    }
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

async fn answer(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are small and wanted at once; without this, the connection still works.
    let _ = stream.set_nodelay(true);
    let Some((is_http2, stream)) = begin(stream, HEAD_WITHIN).await else { return };
    let builder = builder(is_http2);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopped.wait_for(|is_stopping| *is_stopping).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Reads so much of a connection that it is known whether it speaks HTTP/2, and puts it back in front. None if it says too little.
async fn begin(mut stream: TcpStream, within: Duration) -> Option<(bool, impl AsyncRead + AsyncWrite + Unpin + Send + 'static)> {
    let mut head = Vec::with_capacity(PREFACE.len());
    let reading = async {
        while PREFACE.starts_with(&head) && head.len() < PREFACE.len() {
            let rest = u64::try_from(PREFACE.len() - head.len()).unwrap_or_default();
            if (&mut stream).take(rest).read_buf(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        Some(head == PREFACE)
    };
    let is_http2 = tokio::time::timeout(within, reading).await.ok()??;
    let (reader, writer) = stream.into_split();
    Some((is_http2, tokio::io::join(Cursor::new(head).chain(reader), writer)))
}

fn builder(is_http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(usize::try_from(HEAD_BYTES_MAX).unwrap_or_default())
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    if is_http2 { builder.http2_only() } else { builder.http1_only() }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn begun(said: &[u8]) -> Option<(bool, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(said).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (is_http2, mut stream) = begin(stream, Duration::from_millis(100)).await?;
        drop(client);
        let mut all = vec![];
        stream.read_to_end(&mut all).await.unwrap();
        Some((is_http2, all))
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_are_not_lost() {
        for http1 in [&b"GET / HTTP/1.1\r\n"[..], b"P", b"PRX", b"PROPFIND / HTTP/1.1\r\n\r\n and a body that is longer"] {
            let begun = begun(http1).await;
            let is_open = PREFACE.starts_with(http1);
            assert_eq!(begun, (!is_open).then(|| (false, http1.to_vec())));
        }
        let longer = [PREFACE, b"\0\0\0"].concat();
        assert_eq!(begun(&longer).await, Some((true, longer.clone())));
    }

    #[tokio::test]
    async fn whoever_says_too_little_gives_its_place_back() {
        for said in [&b""[..], b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            assert_eq!(begun(said).await, None);
        }
    }
}
