//! Limits of the server, and that what is given up gives its place back.

use std::time::Duration;

use a2a::{A2aError, A2aService as _, Caller, ErrorKind, SendMessageRequest};
use a2a_http::{Binding, Client, Endpoint, Options};
use axum::body::Body;
use futures::stream;

use crate::bed::{Bed, SOON, bed_with, request};
use crate::samples;
use crate::service::Outcome;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn there_are_only_so_many_streams_and_places_come_back() {
    let bed = bed_with(Options { streams_max: 1, ..Options::default() }, false).await;
    for binding in Binding::ALL {
        let client = bed.client(binding);
        let caller = Caller::default();
        let subscribe = || client.subscribe_to_task(&caller, samples::subscribe());
        bed.service.set(Outcome::Stalls);
        let first = subscribe().await.unwrap();
        let Err(full) = subscribe().await else { panic!("{binding:?}: a stream too many") };
        assert!(matches!(full.kind, ErrorKind::ResourceExhausted { retry_after: Some(_) }), "{binding:?}");
        bed.something_is_open().await;
        drop(first);
        bed.nothing_is_open().await;
        bed.service.set(Outcome::Fine);
        // The place is given back right after the agent's part of the stream.
        let again = async { while subscribe().await.is_err() {} };
        tokio::time::timeout(SOON, again).await.unwrap_or_else(|_| panic!("{binding:?}: the place is lost"));
        bed.nothing_is_open().await;
    }
}

/// Somebody else, of another tenant.
fn bob(bed: &Bed, binding: Binding) -> Client {
    Client::new(binding, Endpoint { token: Some("bobs-token".into()), ..bed.endpoint("/") }).unwrap()
}

#[tokio::test]
async fn nobody_takes_the_places_of_others() {
    let options = Options { sender_streams_max: 1, sender_operations_max: 1, answer_within: SHORT, ..Options::default() };
    let bed = bed_with(options, false).await;
    let caller = Caller::default();
    let is_full = |error: &A2aError| matches!(error.kind, ErrorKind::ResourceExhausted { retry_after: Some(_) });
    for binding in Binding::ALL {
        let (ann, bob) = (bed.client(binding), bob(&bed, binding));
        bed.service.set(Outcome::Stalls);
        let first = ann.subscribe_to_task(&caller, samples::subscribe()).await.unwrap();
        let Err(full) = ann.subscribe_to_task(&caller, samples::subscribe()).await else {
            panic!("{binding:?}: a stream too many")
        };
        assert!(is_full(&full), "{binding:?}: {full:?}");
        assert!(bob.subscribe_to_task(&caller, samples::subscribe()).await.is_ok(), "{binding:?}");
        assert!(ann.get_task(&caller, samples::get()).await.is_ok(), "{binding:?}: a stream is no operation");
        drop(first);
        bed.nothing_is_open().await;

        bed.service.set(Outcome::Hangs);
        let blocking = ann.send_message(&caller, SendMessageRequest::new(samples::message()));
        let meanwhile = async {
            bed.something_is_open().await;
            (ann.get_task(&caller, samples::get()).await.unwrap_err(), bob.get_task(&caller, samples::get()).await.unwrap_err())
        };
        tokio::select! {
            _ = blocking => panic!("{binding:?}: a blocking send came back"),
            (refused, late) = meanwhile => {
                assert!(is_full(&refused), "{binding:?}: {refused:?}");
                // Bob was let in, to an agent that does not answer.
                assert_eq!(late.kind, ErrorKind::Unavailable, "{binding:?}");
            }
        }
        bed.nothing_is_open().await;
        bed.service.set(Outcome::Fine);
        let again = async { while ann.get_task(&caller, samples::get()).await.is_err() {} };
        tokio::time::timeout(SOON, again).await.unwrap_or_else(|_| panic!("{binding:?}: the place is lost"));
    }
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_not_waited_for_unless_it_works() {
    let bed = bed_with(Options { answer_within: SHORT, ..Options::default() }, false).await;
    bed.service.set(Outcome::Hangs);
    for binding in Binding::ALL {
        let client = bed.client(binding);
        let caller = Caller::default();
        let get = client.get_task(&caller, samples::get()).await.unwrap_err();
        assert_eq!(get.kind, ErrorKind::Unavailable, "{binding:?}");
        let Err(stream) = client.subscribe_to_task(&caller, samples::subscribe()).await else { panic!("{binding:?}") };
        assert_eq!(stream.kind, ErrorKind::Unavailable, "{binding:?}");
        let at_once = client.send_message(&caller, samples::send()).await.unwrap_err();
        assert_eq!(at_once.kind, ErrorKind::Unavailable, "{binding:?}");
        bed.nothing_is_open().await;
        // A blocking send is waited for, until the client goes away.
        let blocking = client.send_message(&caller, SendMessageRequest::new(samples::message()));
        assert!(tokio::time::timeout(4 * SHORT, blocking).await.is_err(), "{binding:?}");
        bed.nothing_is_open().await;
    }
}

#[tokio::test]
async fn requests_that_are_too_slow_or_too_many_are_refused() {
    let options = Options { body_within: SHORT, requests_kib_max: 20, body_bytes_max: 8 << 10, ..Options::default() };
    let bed = bed_with(options, false).await;
    let silent = || Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let slow = bed.send(request("POST", "/message:send", &[], silent())).await;
    assert_eq!((slow.status.as_u16(), slow.json()["error"]["details"][0]["reason"].as_str()), (400, Some("INVALID_REQUEST")));
    let grpc =
        bed.send(request("POST", "/lf.a2a.v1.A2AService/GetTask", &[("content-type", "application/grpc")], silent())).await;
    assert_eq!(grpc.header("grpc-status"), "3");

    bed.service.set(Outcome::Hangs);
    let body = || Body::from(serde_json::to_vec(&SendMessageRequest::new(samples::message())).unwrap());
    let send = || bed.send(request("POST", "/message:send", &[], body()));
    // Two requests of 9 KiB fill the room of 20 KiB.
    let waiting = async { tokio::join!(send(), send()) };
    tokio::select! {
        _ = waiting => panic!("a blocking send came back"),
        third = async {
            let mut open = bed.service.open.subscribe();
            open.wait_for(|open| *open == 2).await.unwrap();
            send().await
        } => {
            assert_eq!((third.status.as_u16(), third.header("retry-after")), (429, "1"), "{third:?}");
        }
    }
    bed.nothing_is_open().await;
    bed.service.set(Outcome::Fine);
    assert_eq!(send().await.status, 200);
}

#[tokio::test]
async fn grpc_messages_have_the_same_limit_as_bodies() {
    let bed = bed_with(Options { body_bytes_max: 2_000, ..Options::default() }, false).await;
    let mut request = samples::send();
    request.message.parts.push(a2a::Part::text("x".repeat(2_000)));
    for binding in Binding::ALL {
        let error = bed.client(binding).send_message(&Caller::default(), request.clone()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{binding:?}");
        assert_eq!(error.metadata["bytesMax"], "2000", "{binding:?}");
    }
}
