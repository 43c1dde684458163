//! Sending requests.

use std::sync::Arc;
use std::time::Duration;

use a2a::parameters::{EXTENSIONS_PARAMETER, VERSION, VERSION_PARAMETER, write_extensions};
use a2a::{A2aError, Caller};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;

use super::exchange::{Asked, Exchange, Heard};
use super::failure::Failure;
use super::options::ClientOptions;
use crate::address::{Address, AddressError};
use crate::method::Method;
use crate::server::{HEARTBEAT_MAX, HEARTBEAT_MIN, SILENT_BEATS_MAX};
use crate::sign::{Claims, fingerprint};
use crate::{chunk, digest, header, server};

/// The connection and how it is used.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) options: ClientOptions,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) caller: &'a Caller,
    pub(super) method: Method,
    pub(super) body: Bytes,
    /// How long the answer may take.
    pub(super) within: Duration,
    /// Frames that there is room for; for streams.
    pub(super) window: Option<usize>,
}

impl Link {
    pub(super) fn new(client: Client, options: ClientOptions) -> Result<Self, A2aError> {
        options.address.asked_by(&options.sender).map_err(|error| unfit(&error))?;
        // The agent keeps within these bounds too; silence must mean the same on both sides.
        let heartbeat = options.heartbeat.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        Ok(Self { client, options: ClientOptions { heartbeat, ..options } })
    }

    pub(super) fn caller(&self) -> Caller {
        let tenant = self.options.address.tenant().to_owned();
        Caller { tenant, sender: self.options.sender.clone(), ..Caller::default() }
    }

    /// So long without a word, and the other side is gone.
    pub(super) fn silence_max(&self) -> Duration {
        self.options.heartbeat * SILENT_BEATS_MAX
    }

    /// How often the connection was made: an answer that was on its way when it was lost does not come any more.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Sends a request, all pieces of it, and listens for what comes of it.
    pub(super) async fn ask(self: &Arc<Self>, question: Question<'_>) -> Result<Exchange, Failure> {
        let down = |error: &dyn std::error::Error| Failure::Unfit(A2aError::unavailable(format!("NATS: {error}")));
        let address = Address::new(&question.caller.tenant, self.options.address.agent());
        let subject = address.and_then(|address| address.asked_by(&question.caller.sender));
        let subject = subject.map_err(|error| Failure::Unfit(unfit(&error)))?;
        let inbox = self.client.new_inbox();
        let headers = self.headers(&question, &subject, &inbox);
        let request = fingerprint(&subject, &inbox, Some(&headers));
        let id = server::unique(&self.client);
        let pieces = chunk::cut(&id, headers, question.body, self.client.max_payload());
        let mut pieces =
            pieces.map_err(|error| Failure::Unfit(A2aError::resource_exhausted(error.to_string(), None)))?.into_iter();
        let listening = self.client.subscribe(inbox.clone()).await.map_err(|error| down(&error))?;
        let owner = format!("{}.{}", question.caller.tenant, self.options.address.agent());
        let asked = Asked { subject: subject.clone(), inbox: inbox.clone(), request, owner };
        let mut exchange = Exchange::new(self.clone(), asked, listening);
        if let Some((headers, piece)) = pieces.next() {
            let sent = self.client.publish_with_reply_and_headers(subject, inbox.clone(), headers, piece).await;
            sent.map_err(|error| down(&error))?;
        }
        if pieces.len() > 0 {
            let control = self.continued(&mut exchange).await?;
            for (headers, piece) in pieces {
                let sent = self.client.publish_with_reply_and_headers(control.clone(), inbox.clone(), headers, piece).await;
                sent.map_err(|error| down(&error))?;
            }
        }
        Ok(exchange)
    }

    /// Where a replica wants the other pieces.
    async fn continued(&self, exchange: &mut Exchange) -> Result<String, Failure> {
        loop {
            match exchange.hear(self.silence_max()).await? {
                Heard::Continue => return exchange.control(0).ok_or(Failure::Broken),
                Heard::Error(error) => return Err(Failure::Told(error)),
                Heard::Unproved(error) => return Err(Failure::Unfit(error)),
                Heard::Beat(_) | Heard::Broken => {}
                Heard::Answer(_) | Heard::Frame(..) | Heard::Resume => return Err(Failure::Broken),
            }
        }
    }

    fn headers(&self, question: &Question<'_>, subject: &str, inbox: &str) -> HeaderMap {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let digest = digest::digest(&question.body);
        let extensions = &question.caller.extensions;
        let extensions = (!extensions.is_empty()).then(|| write_extensions(extensions));
        let mut headers = HeaderMap::new();
        headers.insert(VERSION_PARAMETER, VERSION);
        headers.insert(a2a::nats::METHOD_HEADER, question.method.as_str());
        headers.insert(header::DIGEST, digest.as_str());
        header::put_number(&mut headers, header::TIMEOUT, millis(question.within));
        header::put_number(&mut headers, header::HEARTBEAT, millis(self.options.heartbeat));
        if let Some(window) = question.window {
            header::put_number(&mut headers, header::WINDOW, window);
        }
        if let Some(extensions) = &extensions {
            header::put(&mut headers, EXTENSIONS_PARAMETER, extensions);
        }
        if let Some(traceparent) = (self.options.tracing.current)() {
            header::put(&mut headers, header::TRACEPARENT, &traceparent);
        }
        if let Some(signer) = &self.options.signer {
            let claims = Claims {
                iat: (self.options.clock)().timestamp(),
                sub: subject.to_owned(),
                digest: Some(digest),
                method: Some(question.method.as_str().to_owned()),
                extensions,
                reply: Some(inbox.to_owned()),
                ..Claims::default()
            };
            // Claims are text and numbers; writing them cannot fail.
            if let Ok(signature) = signer.sign(&claims) {
                header::put(&mut headers, header::SIGNATURE, &signature);
            }
        }
        headers
    }
}

fn unfit(error: &AddressError) -> A2aError {
    A2aError::invalid_request(error.to_string())
}
