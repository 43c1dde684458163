//! Where an agent is: subjects, the card's key, and the URL that stands in cards. Nothing else builds or takes apart a subject.

use std::fmt;

/// `protocolBinding` of this binding in agent cards. A change that breaks peers gets another URI.
pub const BINDING: &str = "https://paramedic.dev/a2a/bindings/nats/v1";
/// The queue group of an agent's replicas. One name for all: the subject tells agents apart.
pub const QUEUE_GROUP: &str = "a2a";
/// Longest token; what bus, stores and logs of others take without trouble.
const TOKEN_CHARS_MAX: usize = 63;

/// A text that names no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not one plain token of a subject.
    #[error("the {what} {text:?} must be 1 to {TOKEN_CHARS_MAX} characters out of a-z, A-Z, 0-9, '_' and '-'")]
    Token {
        /// Of what.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// Not a URL of this binding.
    #[error("{0:?} must look like nats://host:4222/a2a.tenant.agent")]
    Url(String),
}

/// One agent of one tenant: `a2a.<tenant>.<agent>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    tenant: String,
    agent: String,
}

impl Address {
    /// Of these names.
    ///
    /// # Errors
    /// If one of them is no token.
    pub fn new(tenant: impl Into<String>, agent: impl Into<String>) -> Result<Self, AddressError> {
        Ok(Self { tenant: token("tenant", tenant.into())?, agent: token("agent", agent.into())? })
    }

    /// Reads the `url` of a card's interface: the server's URL, and who is meant there.
    ///
    /// # Errors
    /// If it is none of this binding.
    pub fn from_url(url: &str) -> Result<(String, Self), AddressError> {
        let bad = || AddressError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').ok_or_else(bad)?;
        if host.is_empty() || !["nats", "tls", "ws", "wss"].contains(&scheme) {
            return Err(bad());
        }
        match path.split('.').collect::<Vec<_>>().as_slice() {
            ["a2a", tenant, agent] => Ok((format!("{scheme}://{host}"), Self::new(*tenant, *agent)?)),
            _ => Err(bad()),
        }
    }

    /// The `url` of a card's interface, for a server such as `nats://nats.example:4222`.
    pub fn url(&self, server: &str) -> String {
        format!("{}/{self}", server.trim_end_matches('/'))
    }

    /// Whose agent it is.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Which one.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// Where one sender asks it.
    ///
    /// # Errors
    /// If the sender is no token.
    pub fn asked_by(&self, sender: &str) -> Result<String, AddressError> {
        Ok(format!("{self}.rpc.{}", token("sender", sender.to_owned())?))
    }

    /// Where all its senders ask it.
    pub fn requests(&self) -> String {
        format!("{self}.rpc.*")
    }

    /// Where senders control what one replica does for them: `<sender>.<replica>.<exchange>.<number>`.
    pub(crate) fn controls(&self, replica: &str) -> String {
        format!("{self}.rpc.*.{replica}.*.*")
    }

    /// Where it says that it lives.
    pub fn alive(&self) -> String {
        format!("{self}.alive")
    }

    /// The key of its card in the bucket.
    pub fn card_key(&self) -> String {
        format!("{}.{}", self.tenant, self.agent)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a2a.{}.{}", self.tenant, self.agent)
    }
}

/// The name under which all agents of a tenant answer `$SRV` requests.
pub(crate) fn service_name(tenant: &str) -> String {
    format!("a2a-{tenant}")
}

/// Whether a sender may want answers there. An agent that answered anywhere would speak for whoever asks it: into a bucket, or to
/// another agent.
pub(crate) fn is_inbox(subject: &str) -> bool {
    subject.starts_with("_INBOX") && subject.contains('.')
}

/// Who controls which exchange, as a control subject says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlSubject<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) exchange: u64,
    /// The frame that it speaks of.
    pub(crate) number: u64,
}

impl<'a> ControlSubject<'a> {
    pub(crate) fn read(subject: &'a str) -> Option<Self> {
        match subject.split('.').collect::<Vec<_>>().as_slice() {
            ["a2a", tenant, _, "rpc", sender, _, exchange, number] => {
                Some(Self { tenant, sender, exchange: exchange.parse().ok()?, number: number.parse().ok()? })
            }
            _ => None,
        }
    }
}

fn token(what: &'static str, text: String) -> Result<String, AddressError> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_plain && (1..=TOKEN_CHARS_MAX).contains(&text.len()) { Ok(text) } else { Err(AddressError::Token { what, text }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_read_back_as_themselves() {
        let address = Address::new("acme", "diagnostics").unwrap();
        let url = address.url("nats://nats.example:4222/");
        assert_eq!(url, "nats://nats.example:4222/a2a.acme.diagnostics");
        assert_eq!(Address::from_url(&url).unwrap(), ("nats://nats.example:4222".to_owned(), address));
    }

    #[test]
    fn what_names_no_agent_is_refused() {
        for url in ["", "nats://host", "nats:///a2a.a.b", "https://host/a2a.a.b", "nats://host/a2a.a", "nats://host/a2a.a.*"] {
            assert!(Address::from_url(url).is_err(), "{url}");
        }
        for name in ["", "a.b", "*", ">", "a b", "ä", &"x".repeat(64)] {
            assert!(Address::new(name, "a").is_err() && Address::new("a", "a").unwrap().asked_by(name).is_err(), "{name}");
        }
    }

    #[test]
    fn control_subjects_name_sender_exchange_and_frame() {
        let read = ControlSubject::read("a2a.acme.diagnostics.rpc.shop.r1.7.42");
        assert_eq!(read, Some(ControlSubject { tenant: "acme", sender: "shop", exchange: 7, number: 42 }));
        assert_eq!(ControlSubject::read("a2a.acme.diagnostics.rpc.shop"), None);
        assert_eq!(ControlSubject::read("a2a.acme.diagnostics.rpc.shop.r1.x.42"), None);
    }
}
