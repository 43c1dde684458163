//! On which ways clients reach the agents, and the key by which they know them: what cards say beside what an agent does.

use std::collections::BTreeMap;

use a2a::card::{CardError, SignKey, sign};
use a2a::{A2aError, AgentCard, AgentInterface};
use a2a_nats::{Address, BINDING, Signer};
use incident::task::Role;
use tasks::PushSigner;
use url::Url;

use crate::config::{A2aEdge, Signing};

/// A configuration of the ways that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaysError {
    /// The key signs nothing.
    #[error(
        "gateway.a2a.signing.key must be a P-256 private key in PKCS#8 PEM: \
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    )]
    Key,
    /// A port is given to a role that takes no work.
    #[error("gateway.a2a.grpc.{0} cannot be: the agents that take work are diagnostics, remediation and communication")]
    NoAgent(Role),
}

/// What the agents sign with.
#[derive(Debug, Clone)]
struct Keys {
    kid: String,
    card: SignKey,
    push: PushSigner,
    nats: Signer,
}

/// The ways to the agents.
#[derive(Debug, Clone)]
pub struct Ways {
    /// The gateway's own address, without a slash at the end.
    url: String,
    nats: Option<String>,
    grpc: BTreeMap<Role, String>,
    keys: Option<Keys>,
}

impl Ways {
    /// By the gateway's address, and what the configuration says beside it.
    ///
    /// # Errors
    /// If the key is none, or a port is another role's than an agent's.
    pub fn new(url: &Url, edge: &A2aEdge) -> Result<Self, WaysError> {
        if let Some(role) = edge.grpc.keys().find(|role| !super::AGENTS.contains(role)) {
            return Err(WaysError::NoAgent(*role));
        }
        let text = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            url: text(url),
            nats: edge.nats_url.as_ref().map(text),
            grpc: edge.grpc.iter().map(|(role, grpc)| (*role, grpc.address())).collect(),
            keys: edge.signing.as_ref().map(Keys::read).transpose()?,
        })
    }

    /// Where an agent is to be found by whoever asks.
    pub(super) fn public(&self, path: &str, role: Option<Role>) -> Vec<AgentInterface> {
        let url = format!("{}/a2a/{path}", self.url);
        let http = [a2a::card::JSON_RPC, a2a::card::HTTP_JSON].map(|binding| AgentInterface::new(&url, binding));
        let grpc = role.and_then(|role| self.grpc.get(&role)).map(|address| AgentInterface::new(address, a2a::card::GRPC));
        http.into_iter().chain(grpc).collect()
    }

    /// Whether there is a way that only clients are told of.
    pub(super) const fn has_private(&self) -> bool {
        self.nats.is_some()
    }

    /// The card with the way over NATS, which is another for each tenant: who has not shown who they are learns no tenant's name.
    pub(super) fn with_private(&self, card: AgentCard, tenant: &str, agent: Role) -> Result<AgentCard, A2aError> {
        let Some(server) = &self.nats else { return self.signed(card) };
        let address = Address::new(tenant, agent.as_str()).map_err(|error| A2aError::internal(error.to_string()))?;
        let mut card = AgentCard { signatures: vec![], ..card };
        card.supported_interfaces
            .push(AgentInterface { tenant: Some(tenant.to_owned()), ..AgentInterface::new(address.url(server), BINDING) });
        self.signed(card)
    }

    /// The card with our signature, if we have a key.
    pub(super) fn signed(&self, card: AgentCard) -> Result<AgentCard, A2aError> {
        let Some(keys) = &self.keys else { return Ok(card) };
        let unwritable = |error: CardError| A2aError::internal(format!("the card cannot be signed: {error}"));
        sign(&card, &keys.card, &keys.kid, None).map_err(unwritable)
    }

    /// Signs posts to clients.
    pub(super) fn push_signer(&self) -> Option<PushSigner> {
        self.keys.as_ref().map(|keys| keys.push.clone())
    }

    /// Signs answers over NATS.
    pub(super) fn nats_signer(&self) -> Option<Signer> {
        self.keys.as_ref().map(|keys| keys.nats.clone())
    }
}

impl Keys {
    fn read(signing: &Signing) -> Result<Self, WaysError> {
        let (kid, pem) = (signing.kid.clone(), signing.key.reveal());
        let card = SignKey::from_pem(pem).map_err(|_| WaysError::Key)?;
        let push = PushSigner::from_pem(&kid, pem).map_err(|_| WaysError::Key)?;
        let nats = Signer::from_pem(kid.clone(), pem).map_err(|_| WaysError::Key)?;
        Ok(Self { kid, card, push, nats })
    }
}
