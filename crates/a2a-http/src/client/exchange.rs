//! One request over HTTP and its answer, whole or as a stream: what JSON-RPC and HTTP+JSON share.

use std::collections::VecDeque;
use std::time::Duration;

use a2a::parameters::{EXTENSIONS_PARAMETER, VERSION, VERSION_PARAMETER, write_extensions};
use a2a::{A2aError, Caller, ErrorKind, EventStream, StreamResponse};
use futures::stream;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::bearer::is_here;
use super::sse::Reader;
use super::{CONNECT_WITHIN, ClientError, Endpoint};

/// Connections kept for the next requests.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// A peer that vanished is noticed while a send waits for hours of work.
const TCP_KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);

/// The way to one agent over HTTP.
pub(super) struct Exchange {
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
    pub(super) endpoint: Endpoint,
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// What reads the data of an event.
pub(super) type ReadEvent = Box<dyn Fn(&[u8]) -> Result<StreamResponse, A2aError> + Send>;

impl Exchange {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let authorization = endpoint.token.as_ref().map(bearer).transpose()?;
        Ok(Self { http: http_client(&endpoint.url).map_err(ClientError::Http)?, authorization, endpoint })
    }

    /// A request with everything but its body.
    pub(super) fn request(&self, method: Method, url: Url, caller: &Caller) -> RequestBuilder {
        let mut request = self.http.request(method, url).header(VERSION_PARAMETER, VERSION);
        if !caller.extensions.is_empty() {
            request = request.header(EXTENSIONS_PARAMETER, write_extensions(&caller.extensions));
        }
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Sends it and reads the answer.
    pub(super) async fn whole(&self, request: RequestBuilder, within: Duration) -> Result<Answer, A2aError> {
        let exchanged = async {
            let response = request.send().await.map_err(|error| lost(&error))?;
            read_whole(response, self.endpoint.answer_bytes_max).await
        };
        tokio::time::timeout(within, exchanged).await.map_err(|_| late())?
    }

    /// Sends it and follows the stream, or returns the answer that came instead of one.
    pub(super) async fn events(&self, request: RequestBuilder, read: ReadEvent) -> Result<Result<EventStream, Answer>, A2aError> {
        let begun = async {
            let response = request.send().await.map_err(|error| lost(&error))?;
            let media_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
            if response.status().is_success() && media_type.starts_with(b"text/event-stream") {
                return Ok(Ok(response));
            }
            read_whole(response, self.endpoint.answer_bytes_max).await.map(Err)
        };
        let begun = tokio::time::timeout(self.endpoint.answer_within, begun).await.map_err(|_| late())??;
        let reader = Reader::new(self.endpoint.event_bytes_max);
        let idle_within = self.endpoint.idle_within;
        Ok(begun.map(|response| follow(Following { response, reader, read, waiting: VecDeque::new(), idle_within })))
    }
}

/// No redirects: they would take the token elsewhere.
pub(super) fn http_client(url: &Url) -> reqwest::Result<reqwest::Client> {
    // "Already installed" is the only error, and means what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .redirect(Policy::none())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEP_ALIVE_EVERY)
        .user_agent(concat!("paramedic/", env!("CARGO_PKG_VERSION")));
    // A proxy from the environment is for the outside world, never for this machine.
    if is_here(url) { builder.no_proxy().build() } else { builder.build() }
}

/// The header that shows a token; never printed.
pub(super) fn bearer(token: &SecretString) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| ClientError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) async fn read_whole(mut response: Response, bytes_max: usize) -> Result<Answer, A2aError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(invalid(format!("the agent answered more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// A stream of events that is being read.
struct Following {
    response: Response,
    reader: Reader,
    read: ReadEvent,
    waiting: VecDeque<Vec<u8>>,
    idle_within: Duration,
}

impl Following {
    async fn next(&mut self) -> Result<Option<StreamResponse>, A2aError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return (self.read)(&event).map(Some);
            }
            let chunk = tokio::time::timeout(self.idle_within, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| A2aError::unavailable("the stream gives no sign of life"))?;
            match chunk.map_err(|error| lost(&error))? {
                Some(chunk) => self.reader.feed(&chunk, &mut self.waiting).map_err(|_| invalid("an event is too long"))?,
                None if self.reader.is_cut() => return Err(A2aError::unavailable("the stream ended within an event")),
                None => return Ok(None),
            }
        }
    }
}

/// Ends with the stream, or after the first error.
fn follow(following: Following) -> EventStream {
    Box::pin(stream::unfold(Some(following), |open| async move {
        let mut following = open?;
        match following.next().await {
            Ok(event) => event.map(|event| (Ok(event), Some(following))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

pub(super) fn invalid(message: impl Into<String>) -> A2aError {
    A2aError::new(ErrorKind::InvalidAgentResponse, message)
}

/// What happened to a request that has no answer. It may have been carried out.
pub(super) fn lost(error: &reqwest::Error) -> A2aError {
    let message = if error.is_connect() {
        "the agent cannot be reached"
    } else if error.is_timeout() {
        "the agent did not answer in time"
    } else if error.is_builder() {
        "the request cannot be sent"
    } else {
        "the connection broke before the answer was there"
    };
    A2aError::unavailable(message)
}

pub(super) fn late() -> A2aError {
    A2aError::unavailable("the agent did not answer in time")
}
