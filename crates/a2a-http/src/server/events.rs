//! Streams as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). Each event is one line of JSON.

use std::time::Duration;

use a2a::{A2aError, EventStream, StreamResponse};
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures::{StreamExt as _, stream};

/// A comment: clients skip it, and see that we are alive.
const SIGN_OF_LIFE: &[u8] = b":\n\n";
/// Some proxies collect answers unless they are told not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a binding writes for an event or an error, as JSON.
pub(super) trait Write: Send + 'static {
    fn event(&self, event: &StreamResponse) -> Vec<u8>;
    fn error(&self, error: &A2aError) -> Vec<u8>;
}

/// Answers with a stream. It ends with the events, or after the first error; a client that goes away drops it.
pub(super) fn respond<W: Write>(events: EventStream, write: W, keep_alive_every: Duration) -> Response {
    let frames = stream::unfold(Some((events, write)), move |open| async move {
        let (mut events, write) = open?;
        let (frame, open) = match tokio::time::timeout(keep_alive_every, events.next()).await {
            Err(_) => (Bytes::from_static(SIGN_OF_LIFE), Some((events, write))),
            Ok(Some(Ok(event))) => (frame(&write.event(&event)), Some((events, write))),
            Ok(Some(Err(error))) => (frame(&write.error(&error)), None),
            Ok(None) => return None,
        };
        Some((Ok::<_, std::convert::Infallible>(frame), open))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// JSON as we write it has no line breaks.
fn frame(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}
