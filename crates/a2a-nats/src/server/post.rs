//! What the agent sends: answers, frames, errors; cut up where they are too large, with digest and signature.

use std::sync::atomic::{AtomicU64, Ordering};

use a2a::A2aError;
use a2a::parameters::EXTENSIONS_PARAMETER;
use async_nats::{Client, HeaderMap};
use bytes::Bytes;

use super::options::ServeOptions;
use crate::Clock;
use crate::chunk::{self, ChunkError};
use crate::digest::digest;
use crate::header::{self, Status};
use crate::sign::{Claims, Signer};

/// Where an answer goes, and what it answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct To<'a> {
    /// Where the sender listens; moves when it resumes a stream elsewhere.
    pub(super) inbox: &'a str,
    /// The request's fingerprint.
    pub(super) request: &'a str,
}

/// One message of the agent, whole.
pub(super) struct Letter<'a> {
    /// The sender's inbox.
    pub(super) to: &'a str,
    /// The request's fingerprint, for what is signed.
    pub(super) request: Option<&'a str>,
    pub(super) status: Status,
    pub(super) body: Bytes,
    /// Number of a frame.
    pub(super) seq: Option<u64>,
    /// Where the sender may answer.
    pub(super) control: Option<String>,
    /// Further headers.
    pub(super) headers: HeaderMap,
}

impl<'a> Letter<'a> {
    pub(super) fn new(to: &'a str, status: Status, body: Bytes) -> Self {
        Self { to, request: None, status, body, seq: None, control: None, headers: HeaderMap::new() }
    }

    /// Something that the sender is to believe.
    pub(super) fn answer(to: To<'a>, status: Status, body: Bytes) -> Self {
        Self { request: Some(to.request), ..Self::new(to.inbox, status, body) }
    }

    /// An answer that names the extensions that were used for it.
    pub(super) fn ok(to: To<'a>, body: Bytes, extensions: &str) -> Self {
        Self { headers: extensions_named(extensions), ..Self::answer(to, Status::Ok, body) }
    }

    pub(super) fn error(to: To<'a>, error: &A2aError) -> Self {
        Self { headers: service_error(error), ..Self::answer(to, Status::Error, error_body(error)) }
    }
}

/// Names the extensions that were used, if any.
pub(super) fn extensions_named(extensions: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !extensions.is_empty() {
        header::put(&mut headers, EXTENSIONS_PARAMETER, extensions);
    }
    headers
}

/// The error object is JSON-RPC's (§9.5).
pub(super) fn error_body(error: &A2aError) -> Bytes {
    error.to_json_rpc_error().to_string().into()
}

/// For tools that know services of NATS, but not A2A.
pub(super) fn service_error(error: &A2aError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::SERVICE_ERROR, error.codes().reason);
    header::put_number(&mut headers, header::SERVICE_ERROR_CODE, error.codes().http);
    headers
}

/// Sends letters.
pub(super) struct Post {
    client: Client,
    signer: Option<Signer>,
    clock: Clock,
    replica: String,
    cut_up: AtomicU64,
    body_bytes_max: usize,
}

impl Post {
    pub(super) fn new(client: Client, options: &ServeOptions, replica: &str) -> Self {
        Self {
            client,
            signer: options.signer.clone(),
            clock: options.clock.clone(),
            replica: replica.to_owned(),
            cut_up: AtomicU64::new(0),
            body_bytes_max: options.limits.body_bytes_max,
        }
    }

    /// Sends it, or an error in its place if it is too large.
    pub(super) async fn send(&self, letter: Letter<'_>) {
        let to = To { inbox: letter.to, request: letter.request.unwrap_or_default() };
        let (seq, control) = (letter.seq, letter.control.clone());
        if let Err(error) = self.send_or_refuse(letter).await {
            tracing::error!(%error, "an answer cannot be sent");
            let error = A2aError::internal(format!("the answer cannot be sent: {error}"));
            let instead = Letter { seq, control, ..Letter::error(to, &error) };
            // An error object fits every server, so this is the end of it.
            let _ = self.send_or_refuse(instead).await;
        }
    }

    async fn send_or_refuse(&self, letter: Letter<'_>) -> Result<(), ChunkError> {
        if letter.body.len() > self.body_bytes_max {
            return Err(ChunkError::Large(self.body_bytes_max));
        }
        let headers = self.headers(&letter);
        let id = format!("{}.{}", self.replica, self.cut_up.fetch_add(1, Ordering::Relaxed));
        for (headers, piece) in chunk::cut(&id, headers, letter.body, self.client.max_payload())? {
            let subject = letter.to.to_owned();
            let sent = match &letter.control {
                Some(control) => self.client.publish_with_reply_and_headers(subject, control.clone(), headers, piece).await,
                None => self.client.publish_with_headers(subject, headers, piece).await,
            };
            if let Err(error) = sent {
                // The client is closed, and so is everybody's subscription.
                tracing::debug!(%error, "nothing can be sent any more");
            }
        }
        Ok(())
    }

    fn headers(&self, letter: &Letter<'_>) -> HeaderMap {
        let mut headers = letter.headers.clone();
        headers.insert(header::STATUS, letter.status.as_str());
        let digest = (!letter.body.is_empty()).then(|| digest(&letter.body));
        if let Some(digest) = &digest {
            headers.insert(header::DIGEST, digest.as_str());
        }
        if let Some(seq) = letter.seq {
            header::put_number(&mut headers, header::SEQ, seq);
        }
        if let Some(signer) = self.signer.as_ref().filter(|_| letter.status.is_signed()) {
            let status = Some(letter.status.as_str().to_owned());
            let iat = (self.clock)().timestamp();
            let (sub, request) = (letter.to.to_owned(), letter.request.map(str::to_owned));
            let claims = Claims { iat, sub, digest, request, status, seq: letter.seq, ..Claims::default() };
            // Claims are text and numbers; writing them cannot fail.
            if let Ok(signature) = signer.sign(&claims) {
                header::put(&mut headers, header::SIGNATURE, &signature);
            }
        }
        headers
    }

    /// Something that is no answer, as JSON: to `$SRV` questions, and heartbeats of the replica.
    pub(super) async fn tell(&self, subject: &str, value: &serde_json::Value) {
        if let Err(error) = self.client.publish(subject.to_owned(), value.to_string().into()).await {
            tracing::debug!(%error, "nothing can be sent any more");
        }
    }
}
