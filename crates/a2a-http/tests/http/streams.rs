//! Streams: that they are told alive from dead, and what clients make of agents that stream badly.

use std::convert::Infallible;
use std::time::Duration;

use a2a::{A2aService as _, Caller, ErrorKind};
use a2a_http::{Binding, Client, Endpoint, Options, serve};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;

use crate::bed::{SOON, bed_with};
use crate::samples;
use crate::service::Outcome;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn signs_of_life_keep_a_silent_stream_open() {
    let bed = bed_with(Options { keep_alive_every: SHORT, ..Options::default() }, false).await;
    bed.service.set(Outcome::Stalls);
    for binding in [Binding::JsonRpc, Binding::HttpJson] {
        let mut endpoint = bed.endpoint("/");
        endpoint.idle_within = 20 * SHORT;
        let client = Client::new(binding, endpoint).unwrap();
        let mut events = client.subscribe_to_task(&Caller::default(), samples::subscribe()).await.unwrap();
        assert!(events.next().await.unwrap().is_ok());
        // Twice as long as it may be silent.
        assert!(tokio::time::timeout(40 * SHORT, events.next()).await.is_err(), "{binding:?}");
    }
}

#[tokio::test]
async fn a_stream_without_a_sign_of_life_is_given_up() {
    let bed = bed_with(Options::default(), false).await;
    bed.service.set(Outcome::Stalls);
    for binding in [Binding::JsonRpc, Binding::HttpJson] {
        let mut endpoint = bed.endpoint("/");
        endpoint.idle_within = SHORT;
        let client = Client::new(binding, endpoint).unwrap();
        let mut events = client.subscribe_to_task(&Caller::default(), samples::subscribe()).await.unwrap();
        assert!(events.next().await.unwrap().is_ok());
        assert_eq!(events.next().await.unwrap().unwrap_err().kind, ErrorKind::Unavailable, "{binding:?}");
        assert!(events.next().await.is_none());
        drop(events);
        bed.nothing_is_open().await;
    }
}

/// What a client makes of a stream with this text.
async fn read(binding: Binding, text: &'static str, cut: bool) -> (usize, Option<ErrorKind>) {
    let pieces = move || {
        let text = stream::iter([Ok::<_, std::io::Error>(text)]);
        // What was written is sent before the connection breaks.
        let end = stream::once(tokio::task::yield_now()).map(|()| Err(std::io::Error::other("cut")));
        if cut { Body::from_stream(text.chain(end)) } else { Body::from_stream(text) }
    };
    let answer = move || async move {
        Ok::<_, Infallible>(Response::builder().header("content-type", "text/event-stream").body(pieces()).unwrap())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(move || async move { answer().await.unwrap() });
    let serving = tokio::spawn(serve(listener, router, std::future::pending()));
    let mut endpoint = Endpoint::new(url, None);
    endpoint.event_bytes_max = 1_000;
    let client = Client::new(binding, endpoint).unwrap();
    let mut events = client.subscribe_to_task(&Caller::default(), samples::subscribe()).await.unwrap();
    let (mut count, mut end) = (0, None);
    while let Some(event) = tokio::time::timeout(SOON, events.next()).await.unwrap() {
        match event {
            Ok(_) => count += 1,
            Err(error) => end = Some(error.kind),
        }
    }
    serving.abort();
    (count, end)
}

const EVENT: &str = r#"{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"x"}]}}"#;

#[tokio::test]
async fn streams_of_others_are_read_strictly() {
    let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let plain = text(format!(": hello\r\ndata: {EVENT}\r\n\r\nevent: x\ndata:{EVENT}\n\n"));
    let invalid = Some(ErrorKind::InvalidAgentResponse);
    let unavailable = Some(ErrorKind::Unavailable);
    for (case, cut, expected) in [
        (plain, false, (2, None)),
        (plain, true, (2, unavailable.clone())),
        (text(format!("data: {EVENT}\n\ndata: {EVENT}\n")), false, (1, unavailable.clone())),
        ("", false, (0, None)),
        ("data: {}\n\n", false, (0, invalid.clone())),
        ("data: x\n\n", false, (0, invalid.clone())),
        (text(format!("data: {}\n\n", "x".repeat(2_000))), false, (0, invalid.clone())),
        (
            text(format!("data: {EVENT}\n\ndata: {{\"error\":{{\"code\":503,\"message\":\"down\"}}}}\n\n")),
            false,
            (1, unavailable),
        ),
    ] {
        assert_eq!(read(Binding::HttpJson, case, cut).await, expected, "{case:?}");
    }
    let rpc = |id: u64, rest: &str| text(format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},{rest}}}\n\n"));
    for (case, expected) in [
        (rpc(1, &format!("\"result\":{EVENT}")), (1, None)),
        (rpc(2, &format!("\"result\":{EVENT}")), (0, invalid.clone())),
        (rpc(1, "\"error\":{\"code\":-32001,\"message\":\"gone\"}"), (0, Some(ErrorKind::TaskNotFound))),
        (rpc(1, "\"result\":{}"), (0, invalid.clone())),
        (text(format!("data: {EVENT}\n\n")), (0, invalid)),
    ] {
        assert_eq!(read(Binding::JsonRpc, case, false).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn answers_that_are_too_large_are_not_taken() {
    let bed = bed_with(Options::default(), false).await;
    for binding in Binding::ALL {
        let mut endpoint = bed.endpoint("/");
        endpoint.answer_bytes_max = 500;
        endpoint.event_bytes_max = 500;
        let client = Client::new(binding, endpoint).unwrap();
        let error = client.get_task(&Caller::default(), samples::get()).await.unwrap_err();
        let mut events = client.subscribe_to_task(&Caller::default(), samples::subscribe()).await.unwrap();
        let event = events.next().await.unwrap().unwrap_err();
        let kind = ErrorKind::InvalidAgentResponse;
        assert_eq!((error.kind, event.kind), (kind.clone(), kind), "{binding:?}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_the_agents_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/html/{*path}", axum::routing::any(|| async { "<html>" }))
        .route("/html", axum::routing::any(|| async { "<html>" }))
        .route("/huge/{*path}", axum::routing::any(|| async { " ".repeat(2_000) }))
        .route("/huge", axum::routing::any(|| async { " ".repeat(2_000) }))
        .fallback(|| async { axum::http::StatusCode::BAD_GATEWAY });
    let serving = tokio::spawn(serve(listener, router, std::future::pending()));
    for binding in Binding::ALL {
        for (path, kind) in [
            ("/html", ErrorKind::InvalidAgentResponse),
            ("/huge", ErrorKind::InvalidAgentResponse),
            ("/gone", ErrorKind::Unavailable),
        ] {
            let mut endpoint = Endpoint::new(format!("http://{address}{path}").parse().unwrap(), None);
            endpoint.answer_bytes_max = 1_000;
            let client = Client::new(binding, endpoint).unwrap();
            let error = client.get_task(&Caller::default(), samples::get()).await.unwrap_err();
            let stream = match client.subscribe_to_task(&Caller::default(), samples::subscribe()).await {
                Ok(mut events) => events.next().await.unwrap().unwrap_err(),
                Err(error) => error,
            };
            // tonic tells no more than that something is wrong.
            let kind = if binding == Binding::Grpc && path != "/gone" { ErrorKind::Internal } else { kind };
            assert_eq!((error.kind, stream.kind), (kind.clone(), kind), "{binding:?} {path}");
        }
    }
    serving.abort();
}
