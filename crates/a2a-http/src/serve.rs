//! Connections: HTTP/1.1 and HTTP/2 without TLS on one listener, how many, how slow they may be, and how they end.
//!
//! TLS ends in front of us, so nothing negotiates the version: a client that speaks HTTP/2 begins with its preface (RFC 9113, section
//! 3.3), which is no HTTP/1.1.

mod idle;

use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::future::RouteFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::util::MapFuture;

use idle::{Counted, Requests};

/// Connections open at once; past that, new ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4_096;
/// A request's head, or the pause before the next one: slow ones make room for others.
pub const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// A connection without a request under way makes room for others after this long, and at most twice as long. Clients open another.
pub const IDLE_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's head: tokens and traces, not cookies.
pub const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Requests at once on one connection of HTTP/2. Clients open another connection, or wait.
const REQUESTS_PER_CONNECTION_MAX: u32 = 256;
/// A connection of HTTP/2 may be silent while an agent works, but must be there: a ping, and until its answer.
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

async fn answer(stream: TcpStream, router: Router, stopped: watch::Receiver<bool>) {
    // Answers are small and wanted at once; without this, the connection still works.
    let _ = stream.set_nodelay(true);
    if let Some((is_http2, stream)) = begin(stream, HEAD_WITHIN).await {
        converse(stream, &builder(is_http2), router, stopped, IDLE_WITHIN).await;
    }
}

/// Answers the requests of a connection, until either side ends it.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: &Builder<TokioExecutor>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    idle_within: Duration,
) {
    let requests = Requests::default();
    let counted = requests.clone();
    let service = MapFuture::new(router, move |answering: RouteFuture<Infallible>| {
        let (open, requests) = (counted.open(), counted.clone());
        async move {
            let answer = answering.await?;
            drop(open);
            Ok::<_, Infallible>(answer.map(|body| Body::new(Counted::new(body, requests))))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopped.wait_for(|is_stopping| *is_stopping).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = requests.rest(idle_within) => {
            connection.as_mut().graceful_shutdown();
            // A request may have come meanwhile. Whoever neither asks nor goes is cut off.
            tokio::select! {
                ended = connection => ended,
                () = requests.rest(idle_within) => return,
            }
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
    use axum::body::Bytes;
    use axum::http::Request;
    use axum::routing::get;
    use futures::{StreamExt as _, stream};
    use h2::client::{ResponseFuture, SendRequest};
    use tokio::io::AsyncWriteExt as _;
    use tokio::task::JoinHandle;

    use super::*;

    /// Long enough for everything here, on a machine that is not busy.
    const SHORT: Duration = Duration::from_millis(50);
    const SOON: Duration = Duration::from_secs(20);

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

    /// A connection of HTTP/2 to an agent that answers with a page at `/` and never at `/work`, and begins a stream at `/stream`.
    /// Gives also what ends with the connection on the server's side.
    async fn connected(window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(64 << 10);
        let silent = || async { Body::from_stream(stream::iter([Ok::<_, Infallible>("so far")]).chain(stream::pending())) };
        let router = Router::new()
            .route("/", get(|| async { "a page" }))
            .route("/work", get(std::future::pending::<&'static str>))
            .route("/stream", get(silent));
        let serving = tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            converse(server, &builder(true), router, stopped, SHORT).await;
        });
        let (requests, connection) = h2::client::Builder::new().initial_window_size(window).handshake(client).await.unwrap();
        tokio::spawn(connection);
        (requests.ready().await.unwrap(), serving)
    }

    fn ask(requests: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
        let request = Request::builder().uri(format!("http://x{path}")).body(()).unwrap();
        requests.send_request(request, true).unwrap().0
    }

    #[tokio::test]
    async fn a_connection_without_requests_ends() {
        // Nothing is asked; a page was taken; a page is asked for but not taken.
        for (path, window) in [(None, 1_000), (Some("/"), 1_000), (Some("/"), 0), (Some("/"), 1)] {
            let (mut requests, serving) = connected(window).await;
            let answer = match path {
                Some(path) => Some(ask(&mut requests, path).await.unwrap()),
                None => None,
            };
            tokio::time::timeout(SOON, serving).await.expect("an end").unwrap();
            drop(answer);
        }
    }

    #[tokio::test]
    async fn a_connection_stays_while_something_is_under_way() {
        for path in ["/work", "/stream"] {
            let (mut requests, mut serving) = connected(1_000).await;
            let asked = ask(&mut requests, path);
            assert!(tokio::time::timeout(20 * SHORT, &mut serving).await.is_err(), "{path}: it ended");
            drop(asked);
            tokio::time::timeout(SOON, serving).await.expect("an end").unwrap();
        }
    }
}
