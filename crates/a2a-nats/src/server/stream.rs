//! One stream: frames numbered without gaps, never more of them under way than the client has room for, kept until it has them.

use a2a::{A2aError, A2aService, ErrorKind, EventStream, StreamResponse};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};

use super::envelope::Envelope;
use super::exchanges::{Exchange, Said};
use super::options::{HEARTBEAT_MAX, HEARTBEAT_MIN, SILENT_BEATS_MAX};
use super::post::{Letter, Post, To, error_body, extensions_named, service_error};
use super::window::{Content, Frame, Window};
use super::{Server, Stage, reached};
use crate::header::Status;

/// A stream to one client.
struct Outlet<'a> {
    post: &'a Post,
    envelope: &'a Envelope,
    exchange: Exchange,
    window: Window,
    /// Moves when the client resumes elsewhere.
    inbox: String,
    /// What the service said last, until there is room for it.
    next: Option<Content>,
    /// The service has said its last.
    is_over: bool,
}

/// Runs until the client has everything, takes it back, is silent for too long, or this replica stops.
pub(super) async fn run<S: A2aService>(server: &Server<S>, envelope: &Envelope, mut events: EventStream) {
    let limits = &server.options.limits;
    let mut outlet = Outlet {
        post: &server.post,
        envelope,
        exchange: server.exchanges.open(&envelope.address, &envelope.caller.sender, &server.replica, 0),
        window: Window::new(envelope.frames_max, limits.window_bytes_max),
        inbox: envelope.inbox.clone(),
        next: None,
        is_over: false,
    };
    let every: Duration = envelope.beat.unwrap_or(limits.heartbeat).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
    let mut beat = interval_at(Instant::now() + every, every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    let mut stage = server.stage.subscribe();
    while !(outlet.is_over && outlet.next.is_none() && outlet.window.is_empty()) {
        tokio::select! {
            // What was said is heard before silence is judged: this process may have been the one that slept.
            biased;
            said = outlet.exchange.next() => {
                heard_at = Instant::now();
                match said {
                    Said::Ack(seq) => outlet.window.acknowledge(seq),
                    Said::Resume { after, inbox } => outlet.resume(after, inbox).await,
                    Said::Cancel => return,
                    Said::Piece(..) => {}
                }
            }
            _ = beat.tick() => {
                if heard_at.elapsed() > every * SILENT_BEATS_MAX {
                    tracing::info!("the client of a stream is silent; it can subscribe again");
                    return;
                }
                outlet.note(Status::Heartbeat).await;
            }
            () = reached(&mut stage, Stage::Draining) => {
                outlet.note(Status::Resume).await;
                return;
            }
            event = events.next(), if !outlet.is_over && outlet.next.is_none() => {
                if matches!(&event, Some(Err(error)) if error.kind == ErrorKind::Unavailable) {
                    // The service stops, or its store does not answer just now; the task goes on, and with it the stream, elsewhere.
                    outlet.note(Status::Resume).await;
                    return;
                }
                outlet.take(event);
            }
        }
        outlet.send_next().await;
    }
}

impl Outlet<'_> {
    /// What the service says becomes the next frame.
    fn take(&mut self, event: Option<Result<StreamResponse, A2aError>>) {
        let (status, headers, body) = match event.map(|event| event.and_then(|event| write(&event))) {
            Some(Ok(body)) => (Status::Ok, extensions_named(&self.envelope.extensions), body),
            Some(Err(error)) => (Status::Error, service_error(&error), error_body(&error)),
            None => (Status::End, HeaderMap::new(), Bytes::new()),
        };
        self.is_over = status != Status::Ok;
        self.next = Some(Content { status, headers, body });
    }

    /// As soon as the client has room.
    async fn send_next(&mut self) {
        if let Some(content) = self.next.take_if(|content| self.window.has_room(content.body.len())) {
            let frame = self.window.add(content);
            self.send(&frame).await;
        }
    }

    /// What the client does not have goes to where it listens now, and a heartbeat, so that it hears something in any case.
    async fn resume(&mut self, after: u64, inbox: String) {
        self.window.acknowledge(after);
        self.inbox = inbox;
        let frames: Vec<Frame> = self.window.outstanding().cloned().collect();
        for frame in &frames {
            self.send(frame).await;
        }
        self.note(Status::Heartbeat).await;
    }

    async fn send(&self, frame: &Frame) {
        let to = To { inbox: &self.inbox, ..self.envelope.to() };
        let Content { status, headers, body } = frame.content.clone();
        let (seq, control) = (Some(frame.seq), Some(self.exchange.control(frame.seq)));
        self.post.send(Letter { seq, control, headers, ..Letter::answer(to, status, body) }).await;
    }

    /// Something that is no frame; it says how far the frames are. Answering it acknowledges nothing new: it shows that the client lives.
    async fn note(&self, status: Status) {
        let control = Some(self.exchange.control(self.window.acknowledged()));
        let letter = Letter::new(&self.inbox, status, Bytes::new());
        self.post.send(Letter { seq: Some(self.window.last()), control, ..letter }).await;
    }
}

fn write(event: &StreamResponse) -> Result<Bytes, A2aError> {
    let written = serde_json::to_vec(event).map(Bytes::from);
    written.map_err(|error| A2aError::internal(format!("an event cannot be written: {error}")))
}
