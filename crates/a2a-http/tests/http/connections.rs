//! One listener for HTTP/1.1 and HTTP/2, and how it ends.

use a2a::{A2aService as _, Caller};
use a2a_http::Binding;
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{ANN, SOON, bed};
use crate::samples;
use crate::service::Outcome;

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let bed = bed().await;
    let mut stream = TcpStream::connect(bed.address).await.unwrap();
    let request = format!(
        "GET /tasks/t HTTP/1.1\r\nhost: x\r\na2a-version: 1.0\r\nauthorization: Bearer {ANN}\r\ncontent-length: 0\r\n\r\n"
    );
    for _ in 0..3 {
        // In two pieces, the first as short as can be.
        let (first, rest) = request.as_bytes().split_at(1);
        stream.write_all(first).await.unwrap();
        stream.write_all(rest).await.unwrap();
        let mut answer = vec![0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 200 OK");
        let mut more = vec![0; 64 << 10];
        while !more.is_empty() {
            let count = stream.read(&mut more).await.unwrap();
            let is_end = more[..count].ends_with(b"}");
            more.truncate(if is_end { 0 } else { more.len() });
        }
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    for binding in Binding::ALL {
        let mut bed = bed().await;
        let client = bed.client(binding);
        bed.service.set(Outcome::Stalls);
        let caller = Caller::default();
        let mut events = client.subscribe_to_task(&caller, samples::subscribe()).await.unwrap();
        assert!(events.next().await.unwrap().is_ok());
        drop(bed.stop.take());
        // Nobody new is let in, while the one who is here may still go by itself.
        let new = async { while client.get_task(&caller, samples::get()).await.is_ok() {} };
        tokio::time::timeout(SOON, new).await.expect("a request after the end");
        assert!(!bed.serving.is_finished(), "{binding:?}");
        drop(events);
        tokio::time::timeout(SOON, &mut bed.serving).await.expect("an end").unwrap();
    }
}
