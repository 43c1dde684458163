//! The agent on a loopback listener, and ways to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, A2aService, Caller, GetExtendedAgentCardRequest, StreamResponse};
use a2a_http::{BearerTokens, Binding, CardOptions, Client, Endpoint, Options, card_route, router, serve};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::samples;
use crate::service::Scripted;

/// Everything here takes milliseconds; a busy machine may need more.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// The token of Ann, of the tenant `acme`.
pub(crate) const ANN: &str = "anns-token";

pub(crate) struct Bed {
    pub(crate) service: Arc<Scripted>,
    pub(crate) address: SocketAddr,
    /// The same as what listens.
    pub(crate) router: Router,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) serving: JoinHandle<()>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn bed() -> Bed {
    bed_with(Options::default(), false).await
}

/// The agent at the root, for gRPC as others speak it, and below a prefix; its one extension may be required.
pub(crate) async fn bed_with(options: Options, is_required: bool) -> Bed {
    let service = Arc::new(Scripted::new(samples::card(is_required)));
    let doors = || BearerTokens::default().with("bobs-token", "blue", "bob").with(ANN, "acme", "ann");
    let agent = |options| router(service.clone(), doors(), options).merge(card_route(service.clone(), CardOptions::default()));
    let router = agent(options.clone()).nest_service("/a2a/scripted", agent(options));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = router.clone();
    let serving = tokio::spawn(async move { serve(listener, served, async { drop(stopped.await) }).await });
    Bed { service, address, router, stop: Some(stop), serving }
}

impl Bed {
    pub(crate) fn endpoint(&self, path: &str) -> Endpoint {
        Endpoint::new(format!("http://{}{path}", self.address).parse().unwrap(), Some(ANN.into()))
    }

    pub(crate) fn client(&self, binding: Binding) -> Client {
        Client::new(binding, self.endpoint("/")).unwrap()
    }

    /// A request past the network.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answered { status: head.status, headers: head.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Until nobody waits for the agent any more.
    pub(crate) async fn nothing_is_open(&self) {
        let mut open = self.service.open.subscribe();
        tokio::time::timeout(SOON, open.wait_for(|open| *open == 0)).await.expect("something stays open").unwrap();
    }

    pub(crate) async fn something_is_open(&self) {
        let mut open = self.service.open.subscribe();
        tokio::time::timeout(SOON, open.wait_for(|open| *open > 0)).await.expect("nothing is open").unwrap();
    }
}

/// A request of Ann's, in version 1.0. Headers given here come instead.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    let authorization = format!("Bearer {ANN}");
    for (name, value) in [("a2a-version", "1.0"), ("content-type", "application/json"), ("authorization", &authorization)] {
        if !headers.iter().any(|(other, _)| *other == name) {
            request = request.header(name, value);
        }
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// What an operation gave, and how it ended.
pub(crate) type Given = (Vec<Value>, Option<A2aError>);

fn one<T: serde::Serialize>(result: Result<T, A2aError>) -> Given {
    match result {
        Ok(value) => (vec![serde_json::to_value(value).unwrap()], None),
        Err(error) => (vec![], Some(error)),
    }
}

async fn all(result: Result<a2a::EventStream, A2aError>) -> Given {
    let mut given: Given = (vec![], None);
    let mut events = match result {
        Ok(events) => events,
        Err(error) => return (vec![], Some(error)),
    };
    let next = async |events: &mut a2a::EventStream| -> Option<Result<StreamResponse, A2aError>> {
        tokio::time::timeout(SOON, events.next()).await.expect("the stream goes on")
    };
    while let Some(event) = next(&mut events).await {
        assert_eq!(given.1, None, "a stream went on after its error");
        match event {
            Ok(event) => given.0.push(serde_json::to_value(event).unwrap()),
            Err(error) => given.1 = Some(error),
        }
    }
    given
}

/// Every operation once, in the order of the trait.
pub(crate) async fn exercise(agent: &impl A2aService, caller: &Caller) -> Vec<Given> {
    vec![
        one(agent.send_message(caller, samples::send()).await),
        all(agent.send_streaming_message(caller, samples::send()).await).await,
        one(agent.get_task(caller, samples::get()).await),
        one(agent.list_tasks(caller, samples::list()).await),
        one(agent.cancel_task(caller, samples::cancel()).await),
        all(agent.subscribe_to_task(caller, samples::subscribe()).await).await,
        one(agent.create_push_config(caller, samples::config()).await),
        one(agent.get_push_config(caller, samples::get_config()).await),
        one(agent.list_push_configs(caller, samples::list_configs()).await),
        one(agent.delete_push_config(caller, samples::delete_config()).await),
        one(agent.extended_card(caller, GetExtendedAgentCardRequest::default()).await),
    ]
}
