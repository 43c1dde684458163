//! The sender's side: an agent that lives elsewhere, as a service.

mod call;
mod exchange;
mod failure;
mod follow;
mod link;
mod options;
mod reader;
mod seen;
mod service;

use std::sync::Arc;

use a2a::{A2aError, AgentCard, Caller};
use async_nats::Client;
use bytes::Bytes;

use self::link::Link;
pub use self::options::ClientOptions;
use crate::method::Method;

/// An agent on NATS. Cheap to clone.
///
/// It implements [`a2a::A2aService`]: each operation goes to the agent as the given [`Caller`], whose tenant and sender must be those
/// that the connection's user may speak as. Requests are sent again, with the same message id, as long as the deadline allows.
#[derive(Clone)]
pub struct NatsClient {
    link: Arc<Link>,
    card: Arc<AgentCard>,
}

impl NatsClient {
    /// Asks the agent for its card. The connection's inbox prefix should be the user's own.
    ///
    /// # Errors
    /// If nobody answers within the deadline, or the card is not signed by one of the keys, if any are given.
    pub async fn connect(client: Client, options: ClientOptions) -> Result<Self, A2aError> {
        let link = Arc::new(Link::new(client, options)?);
        let card = Arc::new(fetch(&link).await?);
        Ok(Self { link, card })
    }

    /// The caller that this client was made for.
    pub fn caller(&self) -> Caller {
        self.link.caller()
    }

    /// The public card as it is now.
    ///
    /// # Errors
    /// As for [`NatsClient::connect`].
    pub async fn fetch_card(&self) -> Result<AgentCard, A2aError> {
        fetch(&self.link).await
    }
}

async fn fetch(link: &Arc<Link>) -> Result<AgentCard, A2aError> {
    let caller = link.caller();
    let body = call::call(link, &caller, Method::GetAgentCard, Bytes::new(), call::Repeat::Always).await?;
    let card: AgentCard = a2a::read(&body).map_err(A2aError::in_response)?;
    let keys = &link.options.card_keys;
    if !keys.is_empty() {
        let refused = |error: a2a::card::CardError| A2aError::new(a2a::ErrorKind::InvalidAgentResponse, error.to_string());
        a2a::card::verify(&card, keys).map_err(refused)?;
    }
    Ok(card)
}
