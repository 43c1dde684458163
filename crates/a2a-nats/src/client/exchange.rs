//! Listening for what comes of one request: pieces put together, digests and signatures checked.

use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, ErrorKind};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use super::link::Link;
use crate::chunk::{Assembly, Label};
use crate::digest::digest;
use crate::header::{self, Control, Status};
use crate::sign::Claims;

/// How often to look whether the connection is still the same.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the agent says.
#[derive(Debug)]
pub(super) enum Heard {
    /// The answer of an operation.
    Answer(Bytes),
    /// The next thing of a stream, with its number.
    Frame(u64, Content),
    /// The request failed.
    Error(A2aError),
    /// It is still at it; so many frames are out.
    Beat(u64),
    /// Send the other pieces.
    Continue,
    /// Subscribe again.
    Resume,
    /// Something that was damaged on its way.
    Broken,
    /// Something that a trusted key should have signed, but did not.
    Unproved(A2aError),
}

/// What a frame holds.
#[derive(Debug)]
pub(super) enum Content {
    Event(Bytes),
    Error(A2aError),
    End,
}

/// What was asked.
pub(super) struct Asked {
    pub(super) subject: String,
    pub(super) inbox: String,
    pub(super) request: String,
    pub(super) owner: String,
}

/// One request and its inbox.
pub(super) struct Exchange {
    link: Arc<Link>,
    /// Where the request went; what controls it lies below.
    subject: String,
    inbox: String,
    /// What its answers name the request by.
    request: String,
    listening: Subscriber,
    /// Whose keys sign the answers.
    owner: String,
    /// The replica's conversation, once it has said something. A request that NATS or a retry doubled may have opened two.
    conversation: Option<String>,
    /// A message of which pieces are missing, and its headers.
    assembly: Option<(Assembly, HeaderMap)>,
    connects: u64,
    heard_at: Instant,
}

impl Exchange {
    pub(super) fn new(link: Arc<Link>, asked: Asked, listening: Subscriber) -> Self {
        let (connects, heard_at) = (link.connects(), Instant::now());
        let Asked { subject, inbox, request, owner } = asked;
        Self { link, subject, inbox, request, listening, owner, conversation: None, assembly: None, connects, heard_at }
    }

    /// What is said next, or that nothing is said any more: for operations, which have one answer.
    pub(super) async fn hear(&mut self, silence_max: Duration) -> Result<Heard, Failure> {
        loop {
            match timeout(LOOK_EVERY.min(silence_max), self.next()).await {
                Ok(heard) => return heard,
                Err(_) if self.is_cut() => return Err(Failure::Cut),
                Err(_) if self.heard_at.elapsed() >= silence_max => return Err(Failure::Silent),
                Err(_) => {}
            }
        }
    }

    /// When the agent was last heard of.
    pub(super) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Whether the connection was made anew since this was asked the last time.
    pub(super) fn is_cut(&mut self) -> bool {
        let before = std::mem::replace(&mut self.connects, self.link.connects());
        before != self.connects
    }

    /// What is said next. Nothing is lost if this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let message = self.listening.next().await;
            let message = message.ok_or_else(|| Failure::Unfit(A2aError::unavailable("the connection to NATS was closed")))?;
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(Failure::Nobody);
            }
            if let Some(heard) = self.take(message) {
                return Ok(heard);
            }
        }
    }

    /// `None` if there is nothing to act on (yet).
    fn take(&mut self, message: Message) -> Option<Heard> {
        if !self.is_of_conversation(&message) {
            return None;
        }
        // Also a piece of something large shows that the agent is at it.
        self.heard_at = Instant::now();
        let headers = message.headers.unwrap_or_default();
        match Label::read(Some(&headers)) {
            Ok(None) => self.understand(&headers, message.payload),
            Ok(Some(label)) => {
                let (headers, body) = self.put_together(&label, headers, message.payload)?;
                self.understand(&headers, body)
            }
            Err(_) => Some(Heard::Broken),
        }
    }

    /// Keeps to the replica that spoke first. One that wants to be controlled elsewhere than below our own subject is none of ours.
    fn is_of_conversation(&mut self, message: &Message) -> bool {
        let Some(control) = &message.reply else { return true };
        let conversation = control.rsplit_once('.').map(|(conversation, _)| conversation);
        let own = conversation
            .filter(|conversation| conversation.strip_prefix(&self.subject).is_some_and(|rest| rest.starts_with('.')));
        match (&self.conversation, own) {
            (Some(known), Some(own)) => known == own,
            (None, Some(own)) => {
                self.conversation = Some(own.to_owned());
                true
            }
            (_, None) => false,
        }
    }

    fn put_together(&mut self, label: &Label, headers: HeaderMap, piece: Bytes) -> Option<(HeaderMap, Bytes)> {
        if self.assembly.as_ref().is_none_or(|(assembly, _)| !assembly.is_of(label)) {
            if !label.is_first() {
                return None;
            }
            self.assembly = Assembly::begin(label, self.link.options.body_bytes_max).ok().map(|assembly| (assembly, headers));
        }
        let body = self.assembly.as_mut()?.0.add(label, piece);
        match body {
            Ok(None) => None,
            Ok(Some(body)) => self.assembly.take().map(|(_, headers)| (headers, body)),
            Err(_) => {
                self.assembly = None;
                None
            }
        }
    }

    fn understand(&self, headers: &HeaderMap, body: Bytes) -> Option<Heard> {
        // Others may answer too: a stream of JetStream that takes the subject acknowledges it. They are not meant.
        let status = Status::read(Some(headers))?;
        let seq = header::number(Some(headers), header::SEQ);
        let digest = (!body.is_empty()).then(|| digest(&body));
        if digest.as_deref() != header::get(Some(headers), header::DIGEST) {
            return Some(Heard::Broken);
        }
        if status.is_signed() {
            let status = Some(status.as_str().to_owned());
            let (sub, request) = (self.inbox.clone(), Some(self.request.clone()));
            let claims = Claims { sub, digest, request, status, seq, ..Claims::default() };
            let signature = header::get(Some(headers), header::SIGNATURE);
            let options = &self.link.options;
            if let Err(distrust) = options.trust.check(&self.owner, signature, &claims, (options.clock)()) {
                return Some(Heard::Unproved(A2aError::new(ErrorKind::InvalidAgentResponse, distrust.to_string())));
            }
        }
        Some(match (status, seq) {
            (Status::Ok, None) => Heard::Answer(body),
            (Status::Ok, Some(seq)) => Heard::Frame(seq, Content::Event(body)),
            (Status::Error, None) => Heard::Error(read_error(&body)),
            (Status::Error, Some(seq)) => Heard::Frame(seq, Content::Error(read_error(&body))),
            (Status::End, seq) => Heard::Frame(seq?, Content::End),
            (Status::Heartbeat, seq) => Heard::Beat(seq.unwrap_or_default()),
            (Status::Continue, _) => Heard::Continue,
            (Status::Resume, _) => Heard::Resume,
        })
    }

    /// Where the frame of this number is acknowledged.
    pub(super) fn control(&self, seq: u64) -> Option<String> {
        self.conversation.as_ref().map(|conversation| format!("{conversation}.{seq}"))
    }

    /// Tells the replica something about a frame. It says where we listen, so that NATS tells us if the replica is gone.
    pub(super) async fn say(&self, control: Control, seq: u64) {
        let Some(subject) = self.control(seq) else { return };
        let (inbox, headers) = (self.inbox.clone(), control.headers());
        let client = &self.link.client;
        if let Err(error) = client.publish_with_reply_and_headers(subject, inbox, headers, Bytes::new()).await {
            tracing::debug!(%error, "nothing can be sent any more");
        }
    }
}

fn read_error(body: &[u8]) -> A2aError {
    match serde_json::from_slice(body) {
        Ok(error) => A2aError::from_json_rpc_error(&error),
        Err(_) => A2aError::new(ErrorKind::InvalidAgentResponse, "the agent's error cannot be read"),
    }
}
