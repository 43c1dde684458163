//! The way of one request: let in or refused, its body collected and checked, worked on, answered.

use std::sync::Arc;

use a2a::{A2aError, A2aService, ErrorKind};
use async_nats::Message;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::Server;
use super::envelope::Envelope;
use super::exchanges::Said;
use super::gate::{Pass, Share};
use super::operate::{Answer, operate};
use super::post::{Letter, To};
use super::{attend, stream};
use crate::address::is_inbox;
use crate::chunk::{Assembly, ChunkError, Label};
use crate::digest::digest;
use crate::header::{self, Status};
use crate::sign::{Claims, fingerprint};
use crate::trust::{Distrust, Proof};

/// Lets a request in and works on it aside, or refuses it at once.
pub(super) async fn take<S: A2aService>(server: &Arc<Server<S>>, place: usize, message: Message, running: &mut JoinSet<()>) {
    let Some(inbox) = message.reply.as_ref().map(ToString::to_string).filter(|inbox| is_inbox(inbox)) else {
        tracing::debug!(subject = %message.subject, "a request that wants its answer nowhere, or where no inbox is");
        return;
    };
    let read = Envelope::read(server, place, inbox.clone(), &message);
    let entered = read.and_then(|envelope| {
        if envelope.length > server.options.limits.body_bytes_max {
            return Err(large(server));
        }
        let bytes = envelope.length + message.headers.as_ref().map_or(0, header::size);
        Ok((server.gate.enter(envelope.method, &envelope.owner(), bytes)?, envelope))
    });
    match entered {
        Ok((pass, envelope)) => {
            let span = span(server, &envelope, &message);
            running.spawn(handle(server.clone(), envelope, message, pass).instrument(span));
        }
        Err(error) => {
            server.stats.note(std::time::Duration::ZERO, Some(&error));
            let request = fingerprint(&message.subject, &inbox, message.headers.as_ref());
            server.post.send(Letter::error(To { inbox: &inbox, request: &request }, &error)).await;
        }
    }
}

fn span<S>(server: &Server<S>, envelope: &Envelope, message: &Message) -> tracing::Span {
    let span = tracing::info_span!(
        "a2a over nats",
        method = envelope.method.as_str(),
        tenant = envelope.caller.tenant,
        sender = envelope.caller.sender,
        agent = envelope.address.agent(),
    );
    if let Some(traceparent) = header::get(message.headers.as_ref(), header::TRACEPARENT) {
        (server.options.tracing.adopt)(&span, traceparent);
    }
    span
}

async fn handle<S: A2aService>(server: Arc<Server<S>>, envelope: Envelope, message: Message, pass: Pass) {
    let started = Instant::now();
    let Pass { place, body } = pass;
    // The request's body and its bytes are given back with the work, before a stream begins.
    let work = work(&server, &envelope, message, body);
    let answered = match attend::attend(&server, &envelope, work).await {
        Ok(Answer::Body(body)) => Ok(Some(body)),
        Ok(Answer::Stream(events)) => {
            stream::run(&server, &envelope, events).await;
            Ok(None)
        }
        Err(error) => Err(error),
    };
    // Counted before the answer is out: who has it may ask how much there was to do.
    drop(place);
    server.stats.note(started.elapsed(), answered.as_ref().err());
    match answered {
        Ok(Some(body)) => server.post.send(Letter::ok(envelope.to(), body, &envelope.extensions)).await,
        Ok(None) => {}
        Err(error) => {
            if error.kind == ErrorKind::Internal {
                tracing::error!(%error, "a request failed");
            }
            server.post.send(Letter::error(envelope.to(), &error)).await;
        }
    }
}

/// From the first message of a request to what the service makes of it.
async fn work<S: A2aService>(
    server: &Server<S>,
    envelope: &Envelope,
    message: Message,
    _bytes: Share,
) -> Result<Answer, A2aError> {
    let headers = message.headers.clone().unwrap_or_default();
    let text = |name| header::get(Some(&headers), name).map(str::to_owned);
    let subject = message.subject.to_string();
    let body = match &envelope.label {
        Some(label) => collect(server, envelope, label, message.payload).await?,
        None => message.payload,
    };
    let claimed = text(header::DIGEST).ok_or_else(|| A2aError::invalid_request("the header A2A-Digest is missing"))?;
    if claimed != digest(&body) {
        return Err(A2aError::invalid_request("the body has another digest than A2A-Digest says"));
    }
    let claims = Claims {
        sub: subject,
        digest: Some(claimed),
        method: Some(envelope.method.as_str().to_owned()),
        extensions: text(a2a::parameters::EXTENSIONS_PARAMETER),
        reply: Some(envelope.inbox.clone()),
        ..Claims::default()
    };
    prove(server, envelope, text(header::SIGNATURE).as_deref(), &claims)?;
    operate(&*server.service, &envelope.caller, envelope.method, &body).await
}

fn prove<S>(server: &Server<S>, envelope: &Envelope, signature: Option<&str>, claims: &Claims) -> Result<(), A2aError> {
    let (trust, now) = (&server.options.trust, (server.options.clock)());
    let checked = trust.check(&envelope.owner(), signature, claims, now);
    let noted = checked.and_then(|proof| match proof {
        Proof::Proved => server.replays.note(&envelope.inbox, now),
        Proof::None => Ok(()),
    });
    noted.map_err(|distrust| match distrust {
        Distrust::Busy => server.gate.busy("too many signed requests"),
        other => A2aError::new(ErrorKind::Unauthenticated, other.to_string()).with("scheme", header::SIGNATURE),
    })
}

fn large<S>(server: &Server<S>) -> A2aError {
    let max = server.options.limits.body_bytes_max;
    A2aError::resource_exhausted(format!("a request has at most {max} bytes"), None).with("bytesMax", max.to_string())
}

/// Lets the sender send the other pieces, to this replica. Each must come soon after the one before it; whatever else the sender says
/// meanwhile gives it no more time.
async fn collect<S: A2aService>(server: &Server<S>, envelope: &Envelope, label: &Label, first: Bytes) -> Result<Bytes, A2aError> {
    let limits = &server.options.limits;
    let unfit = |error: ChunkError| match error {
        ChunkError::Large(_) => large(server),
        other => A2aError::invalid_request(other.to_string()),
    };
    if label.length.is_none() || !label.is_first() {
        return Err(A2aError::invalid_request("the first piece of a request must come first and have A2A-Length"));
    }
    let mut assembly = Assembly::begin(label, limits.body_bytes_max).map_err(unfit)?;
    if let Some(body) = assembly.add(label, first).map_err(unfit)? {
        return Ok(body);
    }
    let mut exchange = server.exchanges.open(&envelope.address, &envelope.caller.sender, &server.replica, label.count);
    let control = Some(exchange.control(0));
    server.post.send(Letter { control, ..Letter::new(&envelope.inbox, Status::Continue, Bytes::new()) }).await;
    let mut next_by = Instant::now() + limits.piece_within;
    loop {
        match timeout_at(next_by, exchange.next()).await {
            Ok(Said::Piece(label, piece)) if assembly.is_of(&label) => {
                let missing = assembly.missing();
                if let Some(body) = assembly.add(&label, piece).map_err(unfit)? {
                    return Ok(body);
                }
                if assembly.missing() < missing {
                    next_by = Instant::now() + limits.piece_within;
                }
            }
            Ok(Said::Cancel) => return Err(A2aError::invalid_request("the sender took the request back")),
            Ok(Said::Piece(..) | Said::Ack(_) | Said::Resume { .. }) => {}
            Err(_) => {
                let (missing, millis) = (assembly.missing(), limits.piece_within.as_millis());
                let what = format!("{missing} pieces of the request did not come within {millis} ms; send it again");
                return Err(A2aError::unavailable(what));
            }
        }
    }
}
