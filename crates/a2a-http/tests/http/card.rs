//! The public card: where it is, how it is cached, and how clients choose an interface from it.

use a2a::{A2aService as _, AgentCard, AgentInterface, Caller, ErrorKind, Validate as _};
use a2a_http::{Bearer, Binding, CardOptions, Client, ClientError, card_route, fetch_card};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::bed::{ANN, Bed, bed, exercise};
use crate::samples;

/// A card with less in it than ours must have, as others write them.
const ODD: &str = r#"{
    "name": "odd", "description": "", "version": "", "capabilities": {}, "defaultInputModes": [], "defaultOutputModes": [], "skills": [],
    "documentationUrl": "see the wiki",
    "supportedInterfaces": [
        {"url": "over there", "protocolBinding": "https://example.org/bindings/pigeon", "protocolVersion": "1.0"},
        {"url": "https://odd.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ]
}"#;
const PATH: &str = "/.well-known/agent-card.json";

async fn known_as(router: &Router, if_none_match: &str) -> (u16, Vec<String>, usize) {
    let mut request = Request::builder().uri(PATH);
    if !if_none_match.is_empty() {
        request = request.header("if-none-match", if_none_match);
    }
    let (head, body) = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let headers = ["etag", "cache-control", "last-modified", "content-type"].map(header).to_vec();
    (head.status.as_u16(), headers, axum::body::to_bytes(body, 1 << 20).await.unwrap().len())
}

#[tokio::test]
async fn a_card_that_is_known_is_not_sent_again() {
    let service = crate::bed::bed().await.service.clone();
    let modified = Some("2026-11-06T08:09:10.5Z".parse().unwrap());
    let router = card_route(service, CardOptions { modified, ..CardOptions::default() });
    let (status, headers, length) = known_as(&router, "").await;
    let etag = headers[0].clone();
    assert!(etag.len() == 66 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!(headers[1..], ["public, max-age=300", "Fri, 06 Nov 2026 08:09:10 GMT", "application/json"]);
    assert_eq!((status, length), (200, serde_json::to_vec(&samples::card(false)).unwrap().len()));
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let (status, again, length) = known_as(&router, &known).await;
        assert_eq!((status, length), (304, 0), "{known}");
        assert_eq!(again[..3], headers[..3], "{known}");
    }
    for unknown in ["\"x\"", "W/\"x\"", etag.trim_matches('"')] {
        assert_eq!(known_as(&router, unknown).await.0, 200, "{unknown}");
    }
}

#[tokio::test]
async fn cards_are_fetched_from_host_agent_or_file() {
    let bed = bed().await;
    for path in ["", "/", "/a2a/scripted", "/a2a/scripted/", "/a2a/scripted/.well-known/agent-card.json"] {
        let url = format!("http://{}{path}", bed.address).parse().unwrap();
        assert_eq!(fetch_card(&url).await, Ok(samples::card(false)), "{path}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other = Router::new()
        .route("/empty.json", get(|| async { "{}" }))
        .route("/huge.json", get(|| async { " ".repeat(2 << 20) }))
        .route("/away.json", get(|| async { axum::response::Redirect::temporary("/empty.json") }))
        .route("/odd.json", get(|| async { ODD }))
        .route("/text.json", get(|| async { "<html>" }));
    let serving = tokio::spawn(a2a_http::serve(listener, other, std::future::pending()));
    let odd = fetch_card(&format!("http://{address}/odd.json").parse().unwrap()).await.unwrap();
    assert!(odd.validate().is_err(), "we would not publish it");
    assert!(Client::from_card(&odd, None, &[]).is_ok());
    let kind = async |path: &str| fetch_card(&format!("http://{address}{path}").parse().unwrap()).await.unwrap_err().kind;
    for path in ["/empty.json", "/huge.json", "/text.json"] {
        assert_eq!(kind(path).await, ErrorKind::InvalidAgentResponse, "{path}");
    }
    assert_eq!(kind("/away.json").await, ErrorKind::Internal);
    assert_eq!(kind("/none.json").await, ErrorKind::MethodNotFound);
    serving.abort();
    let _ = serving.await;
    assert_eq!(kind("/empty.json").await, ErrorKind::Unavailable);
}

/// Ann's token, for where the card is.
fn ann(bed: &Bed) -> Bearer {
    Bearer::new(ANN.into(), format!("http://{}", bed.address).parse().unwrap())
}

#[tokio::test]
async fn a_client_takes_the_interface_that_is_preferred() {
    let bed = bed().await;
    let interface = |binding: &str, version: &str| AgentInterface {
        protocol_version: version.to_owned(),
        tenant: Some("acme".to_owned()),
        ..AgentInterface::new(format!("http://{}", bed.address), binding)
    };
    let card = |interfaces: &[AgentInterface]| AgentCard { supported_interfaces: interfaces.to_vec(), ..samples::card(false) };
    let all = card(&[
        interface("JSONRPC", "0.3"),
        interface("GRPC", "1.0"),
        interface("HTTP+JSON", "1.0"),
        interface("JSONRPC", "1.0"),
    ]);
    let chosen = |card: &AgentCard, preferred: &[Binding]| match Client::from_card(card, Some(ann(&bed)), preferred) {
        Ok(Client::JsonRpc(_)) => Some(Binding::JsonRpc),
        Ok(Client::HttpJson(_)) => Some(Binding::HttpJson),
        Ok(Client::Grpc(_)) => Some(Binding::Grpc),
        Err(ClientError::NoInterface(_)) => None,
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(chosen(&all, &[]), Some(Binding::Grpc));
    for binding in Binding::ALL {
        assert_eq!(chosen(&all, &[binding]), Some(binding));
    }
    let old = card(&[interface("JSONRPC", "0.3"), interface("HTTP+JSON", "1.0")]);
    assert_eq!(chosen(&old, &Binding::ALL), Some(Binding::HttpJson));
    assert_eq!(chosen(&old, &[Binding::JsonRpc]), None);
    assert_eq!(chosen(&card(&[]), &[]), None);

    let client = Client::from_card(&all, Some(ann(&bed)), &[]).unwrap();
    assert_eq!(client.card(), all);
    assert!(exercise(&client, &Caller::default()).await.iter().all(|(_, end)| end.is_none()));
    assert!(bed.service.seen().iter().all(|seen| seen.request["tenant"] == "acme"));

    // Cards of other implementations say of gRPC only where it is.
    let bare = card(&[AgentInterface::new(bed.address.to_string(), "GRPC")]);
    let client = Client::from_card(&bare, Some(ann(&bed)), &[]).unwrap();
    assert!(exercise(&client, &Caller::default()).await.iter().all(|(_, end)| end.is_none()));
}

#[tokio::test]
async fn a_card_does_not_choose_who_gets_the_token() {
    let bed = bed().await;
    let away = |url: &str, binding: &str| AgentCard {
        supported_interfaces: vec![AgentInterface::new(url, binding)],
        ..samples::card(false)
    };
    for (url, binding) in [
        ("https://elsewhere.example/a2a", "JSONRPC"),
        ("https://elsewhere.example/a2a", "HTTP+JSON"),
        ("elsewhere.example:443", "GRPC"),
    ] {
        let card = away(url, binding);
        let refused = Client::from_card(&card, Some(ann(&bed)), &[]);
        assert!(matches!(refused, Err(ClientError::Elsewhere { .. })), "{url}");
        let allowed = Bearer { also: vec!["https://elsewhere.example".parse().unwrap()], ..ann(&bed) };
        assert!(Client::from_card(&card, Some(allowed), &[]).is_ok(), "{url}");
        assert!(Client::from_card(&card, None, &[]).is_ok(), "{url}: without a token it may be asked");
    }
    for url in ["", "over there", &format!("https://x/{}", "x".repeat(3_000))] {
        let refused = Client::from_card(&away(url, "JSONRPC"), None, &[]);
        assert!(matches!(refused, Err(ClientError::Interface { .. })), "{url}");
    }
}
