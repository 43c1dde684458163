//! Stand-ins for providers nobody can run here: Slack and Jira as real HTTP servers that enforce
//! what the providers publish, and misbehave when told to.
//!
//! Each fake lives in the test's process, so its state survives whatever happens to the program
//! under test. This module owns the server, the call log and the faults; what a provider accepts
//! is in [`slack`] and [`jira`]. Both are deliberately stricter than the providers where a
//! mistake would otherwise pass unseen (unknown arguments are refused).

mod cut;
mod faults;
mod form;
pub mod jira;
pub mod slack;

pub use faults::Failure;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use cut::{Cut, CuttableListener};
use faults::Faults;

/// Calls kept in the log; a test that makes more has other worries.
const CALLS_MAX: usize = 100_000;

/// One request that reached a fake, as it came in and as it was answered.
#[derive(Debug, Clone)]
pub struct Call {
    /// Slack's method, or Jira's operation id.
    pub method: String,
    /// HTTP method and path, for contract checks.
    pub http: (String, String),
    /// `Content-Type` as sent, empty without one.
    pub content_type: String,
    /// Arguments: JSON body, decoded form, or query parameters where there is no body.
    pub body: Value,
    /// The HTTP status answered; none when the connection was cut or left hanging.
    pub status: Option<u16>,
    /// The provider's error code, for an answer that is one.
    pub error: Option<String>,
    /// When it came in.
    pub at: Instant,
}

/// A request, parsed as far as every provider needs it.
pub(crate) struct Incoming {
    pub(crate) http_method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    /// When it came in, on the clock the fake measures lag and rates with.
    pub(crate) at: Instant,
}

/// An answer to be written.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) error: Option<String>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body), error: None }
    }
}

/// What differs between providers.
pub(crate) trait Provider: Send + 'static {
    /// The name faults and the log use for this request.
    fn method_name(&self, incoming: &Incoming) -> String;
    /// Does it.
    fn handle(&mut self, incoming: &Incoming) -> Reply;
    /// The provider's 429.
    fn rate_limited(&self, seconds: u32) -> Reply;
    /// The provider's answer when it fails with `status`.
    fn failed(&self, status: u16) -> Reply;
}

/// A running fake.
pub(crate) struct Fake<P> {
    shared: Arc<Shared<P>>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

struct Shared<P> {
    provider: Mutex<P>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<Call>>,
    changed: watch::Sender<u64>,
}

impl<P: Provider> Fake<P> {
    /// Serves `provider` on a free loopback port.
    pub(crate) async fn start(provider: P) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a fake's port")?;
        let address = listener.local_addr().context("read a fake's address")?;
        let shared = Arc::new(Shared {
            provider: Mutex::new(provider),
            faults: Mutex::default(),
            calls: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let app = axum::Router::new().fallback(serve::<P>).with_state(Arc::clone(&shared));
        let service = app.into_make_service_with_connect_info::<Cut>();
        let server = tokio::spawn(async move {
            // Ends only when the task is aborted.
            let _ = axum::serve(CuttableListener(listener), service).await;
        });
        Ok(Self { shared, address, server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn provider(&self) -> MutexGuard<'_, P> {
        lock(&self.shared.provider)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.shared.faults)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// Waits until `look` finds something, looking again after every call.
    pub(crate) async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&P) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut changes = self.shared.changed.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(&self.provider()) {
                    return Ok(found);
                }
                changes.changed().await.context("the fake stopped")?;
            }
        };
        tokio::time::timeout(within, waiting).await.with_context(|| format!("wait {within:?} for {what}"))?
    }
}

impl<P> Drop for Fake<P> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Adds a field to a JSON object; on anything else it does nothing.
pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// A poisoned lock only means that another test assertion failed while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<P: Provider>(
    State(shared): State<Arc<Shared<P>>>,
    ConnectInfo(connection): ConnectInfo<Cut>,
    http_method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let incoming = Incoming::read(http_method, &uri, headers, &bytes);
    let method = lock(&shared.provider).method_name(&incoming);
    let index = shared.log(&method, &incoming);
    let fault = lock(&shared.faults).next(&method);
    let reply = match fault {
        None => lock(&shared.provider).handle(&incoming),
        Some(Failure::Status(status)) => lock(&shared.provider).failed(status),
        Some(Failure::RateLimited(seconds)) => lock(&shared.provider).rate_limited(seconds),
        Some(Failure::Hang(time)) => {
            // A caller that goes away drops this future, and nothing happens.
            tokio::time::sleep(time).await;
            lock(&shared.provider).handle(&incoming)
        }
        Some(Failure::DropBeforeCommit) => return connection.cut(),
        Some(Failure::DropAfterCommit) => {
            drop(lock(&shared.provider).handle(&incoming));
            shared.tell();
            return connection.cut();
        }
        Some(Failure::HangAndCommit(time)) => {
            // A task of its own: a caller that goes away ends this one.
            let late = tokio::spawn(async move {
                tokio::time::sleep(time).await;
                drop(lock(&shared.provider).handle(&Incoming { at: Instant::now(), ..incoming }));
                shared.tell();
            });
            let _ = late.await;
            return connection.cut();
        }
    };
    shared.settle(index, &reply);
    shared.tell();
    reply.into_response()
}

impl<P> Shared<P> {
    /// Writes the call down before it is answered, so that one which never is shows as well.
    fn log(&self, method: &str, incoming: &Incoming) -> Option<usize> {
        let mut calls = lock(&self.calls);
        if calls.len() >= CALLS_MAX {
            return None;
        }
        calls.push(Call {
            method: method.to_owned(),
            http: (incoming.http_method.to_string(), incoming.path.clone()),
            content_type: incoming.content_type.clone(),
            body: incoming.arguments(),
            status: None,
            error: None,
            at: incoming.at,
        });
        Some(calls.len() - 1)
    }

    fn settle(&self, index: Option<usize>, reply: &Reply) {
        let mut calls = lock(&self.calls);
        if let Some(call) = index.and_then(|index| calls.get_mut(index)) {
            call.status = Some(reply.status);
            call.error.clone_from(&reply.error);
        }
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}

impl Incoming {
    fn read(http_method: Method, uri: &Uri, headers: HeaderMap, bytes: &Bytes) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = match content_type.split(';').next().map(str::trim) {
            Some("application/json") => serde_json::from_slice(bytes).unwrap_or(Value::Null),
            Some("application/x-www-form-urlencoded") => form::object(&form::decode(bytes)),
            _ => Value::Null,
        };
        Self {
            http_method,
            path: uri.path().to_owned(),
            query: form::decode(uri.query().unwrap_or_default().as_bytes()),
            headers,
            content_type,
            body,
            at: Instant::now(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body, or the query where there is none.
    pub(crate) fn arguments(&self) -> Value {
        if self.body.is_null() { form::object(&self.query) } else { self.body.clone() }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::IM_A_TEAPOT);
        let mut response = match self.body {
            Some(body) => (status, axum::Json(body)).into_response(),
            None => status.into_response(),
        };
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
