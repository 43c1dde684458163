//! Whether anything is under way on a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Something is under way while this lives.
#[derive(Debug)]
pub(super) struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Requests {
    /// Something begins.
    pub(super) fn open(&self) -> Open {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        Open(self.0.clone())
    }

    /// Resolves once nothing was under way for this long, and at most twice as long. It looks now and then, so that requests cost no
    /// timers.
    pub(super) async fn rest(&self, within: Duration) {
        let mut before = self.counts();
        loop {
            tokio::time::sleep(within).await;
            let (begun, ended) = self.counts();
            if begun == ended && (begun, ended) == before {
                return;
            }
            before = (begun, ended);
        }
    }

    /// The end is read first: what ends meanwhile counts as under way.
    fn counts(&self) -> (u64, u64) {
        let ended = self.0.ended.load(Ordering::SeqCst);
        (self.0.begun.load(Ordering::SeqCst), ended)
    }
}

/// The body of an answer: under way from when the connection first asks for it until all of it is handed over. A peer that opens no
/// window for it takes nothing, and must not keep the connection for that.
pub(super) struct Counted {
    body: Body,
    requests: Requests,
    open: Option<Open>,
}

impl Counted {
    pub(super) const fn new(body: Body, requests: Requests) -> Self {
        Self { body, requests, open: None }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.open.is_none() {
            this.open = Some(this.requests.open());
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if this.body.is_end_stream() {
            this.open = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
