//! What stands around a request: who sends it, what it asks, and how it wants to be answered.

use std::time::Duration;

use a2a::parameters::{ServiceParameters, active_extensions, check_extensions, write_extensions};
use a2a::{A2aError, A2aService, Caller};
use async_nats::Message;

use super::Server;
use super::options::{HEARTBEAT_MAX, HEARTBEAT_MIN};
use super::post::To;
use crate::address::Address;
use crate::chunk::Label;
use crate::header;
use crate::method::Method;
use crate::sign::fingerprint;

/// A request before its body is looked at.
pub(super) struct Envelope {
    pub(super) address: Address,
    /// As the server of NATS let it speak.
    pub(super) caller: Caller,
    pub(super) inbox: String,
    /// What its answers name it by.
    pub(super) request: String,
    pub(super) method: Method,
    /// How long the answer may take.
    pub(super) within: Duration,
    /// How often to say that it is being worked on.
    pub(super) beat: Option<Duration>,
    /// Frames that the client takes without acknowledging one.
    pub(super) frames_max: usize,
    /// Bytes of the whole body.
    pub(super) length: usize,
    /// For a body in pieces.
    pub(super) label: Option<Label>,
    /// Extensions that both sides speak, for the answer.
    pub(super) extensions: String,
}

impl Envelope {
    /// Reads it off the subject, on which this server heard it as the `place`th of its addresses, and the headers.
    pub(super) fn read<S: A2aService>(
        server: &Server<S>,
        place: usize,
        inbox: String,
        message: &Message,
    ) -> Result<Self, A2aError> {
        let headers = message.headers.as_ref();
        let pairs = headers.into_iter().flat_map(header::pairs);
        let ServiceParameters { extensions } = ServiceParameters::read(pairs)?;
        let method = header::get(headers, a2a::nats::METHOD_HEADER);
        let method: Method = method.ok_or_else(|| A2aError::invalid_request("the header A2A-Method is missing"))?.parse()?;
        if method != Method::GetAgentCard {
            check_extensions(&server.card, &extensions)?;
        }
        let address = server.addresses.get(place).ok_or_else(|| A2aError::internal("heard on no subject of ours"))?.clone();
        let sender = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
        // NATS lets more through than stores and logs do.
        address.asked_by(&sender).map_err(|error| A2aError::invalid_request(error.to_string()))?;
        let limits = &server.options.limits;
        let millis = |name| header::number(headers, name).map(Duration::from_millis);
        let window = header::number(headers, header::WINDOW).and_then(|frames| usize::try_from(frames).ok());
        let label = Label::read(headers).map_err(|error| A2aError::invalid_request(error.to_string()))?;
        Ok(Self {
            request: fingerprint(&message.subject, &inbox, headers),
            inbox,
            method,
            within: millis(header::TIMEOUT).unwrap_or(limits.deadline_default).min(limits.deadline_max),
            beat: millis(header::HEARTBEAT).map(|beat| beat.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX)),
            frames_max: window.unwrap_or(usize::MAX).min(limits.window_frames_max),
            length: label.as_ref().and_then(|label| label.length).unwrap_or(message.payload.len()),
            label,
            extensions: write_extensions(&active_extensions(&server.card, &extensions)),
            caller: Caller { tenant: address.tenant().to_owned(), sender, extensions },
            address,
        })
    }

    /// Where its answers go.
    pub(super) fn to(&self) -> To<'_> {
        To { inbox: &self.inbox, request: &self.request }
    }

    /// Who answers for it, and whose keys sign it.
    pub(super) fn owner(&self) -> String {
        format!("{}.{}", self.caller.tenant, self.caller.sender)
    }
}
