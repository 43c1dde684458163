//! Connections: kept alive, bounded, and ended politely.

use std::net::SocketAddr;

use runtime::lifecycle::Lifecycle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Bed, TOKEN, bed};

async fn listen(bed: &Bed) -> (SocketAddr, Lifecycle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, life) = (listener.local_addr().unwrap(), Lifecycle::default());
    life.spawn("listener", gateway::serve(bed.router.clone(), listener, life.clone()));
    (address, life)
}

/// Reads one answer's head and its body, as long as the head says.
async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse().unwrap() {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the connection ended: {text}");
        read.extend_from_slice(&chunk[..count]);
    }
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/alertmanager/acme HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_stop_lets_the_request_under_way_end() {
    let bed = bed().await;
    let (address, life) = listen(&bed).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        kept.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(answer(&mut kept).await.starts_with("HTTP/1.1 404"), "one connection, several requests");
    }
    let body = r#"{"version": "5", "alerts": []}"#;
    let mut under_way = TcpStream::connect(address).await.unwrap();
    under_way.write_all(head(body.len()).as_bytes()).await.unwrap();
    // `Expect` would tell that the server is reading; half a body that nobody answers does as well.
    let (first, second) = body.split_at(10);
    under_way.write_all(first.as_bytes()).await.unwrap();
    // Asked after it on the same listener, so the one before was accepted.
    kept.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut kept).await;
    life.stop();
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an idle connection is closed at once");
    under_way.write_all(second.as_bytes()).await.unwrap();
    let answered = answer(&mut under_way).await;
    assert!(answered.starts_with("HTTP/1.1 422") && answered.contains("/version"), "{answered}");
    life.finish().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn heads_are_bounded() {
    let bed = bed().await;
    let (address, life) = listen(&bed).await;
    for (case, lines) in [("long", format!("x: {}\r\n", "x".repeat(64 * 1024))), ("many", "x: y\r\n".repeat(100))] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close before it has read all.
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n").as_bytes()).await;
        let mut chunk = [0; 64];
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&chunk[..count]).into_owned();
        assert!(count == 0 || text.starts_with("HTTP/1.1 431"), "{case}: {text}");
    }
    life.finish().await.unwrap();
}

#[tokio::test]
async fn a_body_too_large_is_answered_and_not_cut() {
    let bed = bed().await;
    let (address, life) = listen(&bed).await;
    let body = " ".repeat(6 * 1024 * 1024);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
    drop(stream);
    life.finish().await.unwrap();
}
