//! What all bindings do with a request once they have read it: who calls, under which parameters, within which limits.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use a2a::parameters::{self, EXTENSIONS_PARAMETER, ServiceParameters};
use a2a::{A2aError, A2aService, AgentCard, Caller, EventStream, Validate as _};
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::form_urlencoded;

use super::Options;
use super::auth::Authenticate;
use super::body::{Room, kib};
use super::senders::{Held, STREAM_AGAIN_AFTER, Senders, Shares, What};
use crate::operation::{Ask as _, Call};

/// One agent, with its doors and limits.
pub(super) struct Host<S, A> {
    service: Arc<S>,
    doors: A,
    card: AgentCard,
    pub(super) options: Options,
    room: Room,
    streams: Arc<Semaphore>,
    senders: Arc<Senders>,
}

/// What a request takes until it is answered: an operation of its sender's, and memory.
pub(super) struct Place {
    _operation: Held,
    _share: Held,
    _room: OwnedSemaphorePermit,
}

/// A caller who was let in and speaks our version.
#[derive(Debug, Clone, Default)]
pub(super) struct Admitted {
    pub(super) caller: Caller,
    /// The extensions that both sides speak.
    active: BTreeSet<String>,
}

impl Admitted {
    /// Says in the answer which extensions were used.
    pub(super) fn sign(&self, mut response: Response) -> Response {
        if !self.active.is_empty()
            && let Ok(value) = HeaderValue::try_from(parameters::write_extensions(&self.active))
        {
            response.headers_mut().insert(EXTENSIONS_HEADER, value);
        }
        response
    }
}

/// [`EXTENSIONS_PARAMETER`] as a header.
const EXTENSIONS_HEADER: axum::http::HeaderName = axum::http::HeaderName::from_static("a2a-extensions");

impl<S: A2aService, A: Authenticate> Host<S, A> {
    pub(super) fn new(service: Arc<S>, doors: A, options: Options) -> Self {
        let room = Room::new(options.requests_kib_max, options.body_bytes_max, options.body_within);
        let (card, streams) = (service.card(), Arc::new(Semaphore::new(options.streams_max)));
        let shares = Shares {
            operations: options.sender_operations_max,
            streams: options.sender_streams_max,
            // One of the largest at least, which nobody could send otherwise.
            kib: options.sender_kib_max.max(kib(options.body_bytes_max)),
        };
        Self { service, doors, card, options, room, streams, senders: Arc::new(Senders::new(shares)) }
    }

    /// Who calls. Asked first: strangers cost no more than their headers.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Caller, A2aError> {
        let caller = self.doors.authenticate(&parts.headers).await;
        caller.inspect_err(|error| tracing::info!(why = error.message, "a caller was not let in"))
    }

    /// The whole body of a request of this caller's, and the place that is to be kept until it is answered.
    pub(super) async fn receive(&self, caller: &Caller, body: Body) -> Result<(Bytes, Place), A2aError> {
        let operation = self.senders.take(caller, What::Operations, 1)?;
        let mut share = self.senders.take(caller, What::Kib, self.room.most(&body))?;
        let (body, room) = self.room.read(body).await?;
        share.keep(kib(body.len()));
        Ok((body, Place { _operation: operation, _share: share, _room: room }))
    }

    /// Checks version and extensions (§3.6, §4.6).
    pub(super) fn admit(&self, caller: Caller, parts: &Parts) -> Result<Admitted, A2aError> {
        let declared = service_parameters(parts)?.extensions;
        parameters::check_extensions(&self.card, &declared)?;
        let active = parameters::active_extensions(&self.card, &declared);
        Ok(Admitted { caller: Caller { extensions: declared, ..caller }, active })
    }

    /// Has the service do a request that is answered at once.
    pub(super) async fn run<C: Call>(&self, caller: &Caller, mut request: C::Request) -> Result<C::Reply, A2aError> {
        tracing::Span::current().record("operation", C::OPERATION.as_str());
        // The same words for every other tenant, whether there is one of that name or not.
        if request.tenant().as_ref().is_some_and(|tenant| *tenant != caller.tenant) {
            return Err(A2aError::invalid_field("tenant", "must be absent or the caller's own"));
        }
        request.validate()?;
        let is_blocking = C::is_blocking(&request);
        let call = C::call(&*self.service, caller, request);
        if is_blocking {
            return call.await;
        }
        let late = |_| A2aError::unavailable("the agent does not answer in time; it is not known whether it did what was asked");
        tokio::time::timeout(self.options.answer_within, call).await.map_err(late)?
    }

    /// Has the service do a request that is answered by events. The places are taken before anything is done.
    pub(super) async fn stream<C: Call<Reply = EventStream>>(
        &self,
        caller: &Caller,
        request: C::Request,
    ) -> Result<EventStream, A2aError> {
        let share = self.senders.take(caller, What::Streams, 1)?;
        let full = |_| A2aError::resource_exhausted("too many streams at once", Some(STREAM_AGAIN_AFTER));
        let place = self.streams.clone().try_acquire_owned().map_err(full)?;
        let events = self.run::<C>(caller, request).await?;
        let events = AssertUnwindSafe(events).catch_unwind().map(move |event| {
            // The stream owns its places; whoever drops it gives them back.
            let _ = (&place, &share);
            event.unwrap_or_else(|_| {
                tracing::error!("a stream of events panicked");
                Err(A2aError::internal("something is wrong here; the log says more"))
            })
        });
        Ok(Box::pin(events))
    }
}

/// From headers, and from the query where a client cannot set headers.
fn service_parameters(parts: &Parts) -> Result<ServiceParameters, A2aError> {
    let is_parameter =
        |name: &str| [parameters::VERSION_PARAMETER, EXTENSIONS_PARAMETER].iter().any(|own| own.eq_ignore_ascii_case(name));
    let headers = parts.headers.iter().filter(|(name, _)| is_parameter(name.as_str()));
    // A value that is no text is no version either.
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("?")));
    let Some(query) = parts.uri.query() else { return ServiceParameters::read(headers) };
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    ServiceParameters::read(headers.chain(query.iter().map(|(name, value)| (&**name, &**value))))
}

/// The parameters of a GET, without those that every request may have.
pub(super) fn query(uri: &Uri) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}
