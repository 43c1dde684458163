//! Nobody comes in who is not known, over any binding, and what they send is not read.

use std::sync::Mutex;

use a2a::{A2aService as _, Caller, ErrorKind};
use a2a_http::{Binding, Client, Open, Options, router};
use axum::body::Body;
use futures::stream;
use serde_json::json;
use tower::ServiceExt as _;

use crate::bed::{bed, bed_with, exercise, request};

#[tokio::test]
async fn strangers_are_sent_away() {
    let bed = bed().await;
    for binding in Binding::ALL {
        for token in [None, Some("wrong"), Some("")] {
            let mut endpoint = bed.endpoint("/");
            endpoint.token = token.map(Into::into);
            for (_, end) in exercise(&Client::new(binding, endpoint).unwrap(), &Caller::default()).await {
                assert_eq!(end.unwrap().kind, ErrorKind::Unauthenticated, "{binding:?} {token:?}");
            }
        }
    }
    assert_eq!(bed.service.seen(), []);
}

#[tokio::test]
async fn every_binding_says_how_to_authenticate() {
    let bed = bed().await;
    for (method, path, content_type, status) in [
        ("POST", "/", "application/json", 401),
        ("GET", "/tasks", "", 401),
        ("GET", "/nothing/here", "", 401),
        ("POST", "/lf.a2a.v1.A2AService/GetTask", "application/grpc", 200),
    ] {
        // A body without end, which nobody waits for.
        let body = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let headers = [("authorization", "Bearer wrong"), ("content-type", content_type)];
        let answered = bed.send(request(method, path, &headers, body)).await;
        assert_eq!((answered.status.as_u16(), answered.header("www-authenticate")), (status, "Bearer"), "{path}");
    }
    let answered = bed.send(request("POST", "/", &[("authorization", "")], "{}")).await;
    assert_eq!((answered.json()["id"].clone(), answered.json()["error"]["code"].clone()), (json!(null), json!(-32000)));
}

#[tokio::test]
async fn required_extensions_must_be_declared() {
    let bed = bed_with(Options::default(), true).await;
    for binding in Binding::ALL {
        let client = bed.client(binding);
        for (_, end) in exercise(&client, &Caller::default()).await {
            assert_eq!(end.unwrap().kind, ErrorKind::ExtensionSupportRequired, "{binding:?}");
        }
        let caller = Caller { extensions: [crate::samples::EXTENSION.to_owned()].into(), ..Caller::default() };
        assert!(exercise(&client, &caller).await.iter().all(|(_, end)| end.is_none()), "{binding:?}");
    }
}

#[tokio::test]
async fn an_open_agent_takes_everybody_as_one() {
    let bed = bed().await;
    let caller = Caller { tenant: "open".to_owned(), sender: "anybody".to_owned(), ..Caller::default() };
    let open = router(bed.service.clone(), Open(caller.clone()), Options::default());
    let answered = open.oneshot(request("GET", "/tasks/t", &[("authorization", "")], Body::empty())).await.unwrap();
    assert_eq!(answered.status(), 200);
    assert_eq!(bed.service.seen()[0].caller, caller);
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_refused_at_once() {
    let bed = bed().await;
    for binding in Binding::ALL {
        let mut endpoint = bed.endpoint("/");
        endpoint.token = Some("a\nb".into());
        assert!(matches!(Client::new(binding, endpoint), Err(a2a_http::ClientError::Token)), "{binding:?}");
        assert_eq!(bed.client(binding).card(), a2a::AgentCard::default());
    }
}

#[tokio::test]
async fn traces_go_on() {
    static PARENTS: Mutex<Vec<String>> = Mutex::new(vec![]);
    let note = |_: &tracing::Span, parent: Option<&str>| PARENTS.lock().unwrap().push(parent.unwrap_or_default().to_owned());
    let bed = bed_with(Options { continue_trace: note, ..Options::default() }, false).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (path, content_type) in [("/", ""), ("/message:send", ""), ("/lf.a2a.v1.A2AService/GetTask", "application/grpc")] {
        bed.send(request("POST", path, &[("traceparent", parent), ("content-type", content_type)], Body::empty())).await;
    }
    bed.send(request("GET", "/tasks", &[], Body::empty())).await;
    assert_eq!(*PARENTS.lock().unwrap(), [parent, parent, parent, ""]);
}
