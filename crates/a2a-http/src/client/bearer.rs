//! Our bearer token, and where it may go. A card says where requests are to be sent; whoever writes it, or changes it on the way, could
//! name a host of their own.

use secrecy::SecretString;
use url::{Host, Url};

/// A token for the agent whose card was fetched here.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: SecretString,
    /// Where the card was fetched: the token may go to this host, with TLS if the card came so.
    pub card_url: Url,
    /// Where else it may go: scheme, host and port count.
    pub also: Vec<Url>,
}

impl Bearer {
    /// A token that goes to the card's own host only.
    pub const fn new(token: SecretString, card_url: Url) -> Self {
        Self { token, card_url, also: vec![] }
    }

    pub(super) fn may_go_to(&self, url: &Url) -> bool {
        let is_same_host = self.card_url.host() == url.host() || (is_here(&self.card_url) && is_here(url));
        let loses_tls = self.card_url.scheme() == "https" && url.scheme() != "https";
        (is_same_host && !loses_tls) || self.also.iter().any(|also| also.origin() == url.origin())
    }
}

/// Whether an address is on this machine.
pub(super) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stays_with_the_host_and_the_security_of_its_card() {
        let url = |text: &str| -> Url { text.parse().unwrap() };
        for (card, to, may) in [
            ("https://a.example/a2a", "https://a.example/rpc", true),
            ("https://a.example/a2a", "https://A.example:8443/", true),
            ("https://a.example/a2a", "http://a.example/rpc", false),
            ("https://a.example/a2a", "https://b.example/rpc", false),
            ("https://a.example/a2a", "https://evil.a.example/rpc", false),
            ("https://a.example/a2a", "https://a.example@b.example/", false),
            ("https://a.example/a2a", "http://127.0.0.1/", false),
            ("https://a.example/a2a", "https://partner.example/rpc", true),
            ("https://a.example/a2a", "http://partner.example/rpc", false),
            ("https://a.example/a2a", "https://partner.example:444/rpc", false),
            ("http://a.example/", "https://a.example/", true),
            ("http://a.example/", "http://a.example:9/", true),
            ("http://localhost:8080/", "http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", "http://0.0.0.0:8080/", true),
            ("https://localhost/", "http://127.0.0.1/", false),
        ] {
            let also = vec![url("https://partner.example")];
            let bearer = Bearer { also, ..Bearer::new("a token".into(), url(card)) };
            assert_eq!(bearer.may_go_to(&url(to)), may, "{card} {to}");
        }
    }
}
