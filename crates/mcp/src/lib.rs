//! Connector kit: what every MCP server of ours and its callers share.
//!
//! Owns the HTTP surface a connector is served on ([`server`]), the one way requests leave for
//! a provider ([`outgoing`]), the typed error both sides speak ([`ToolFault`]) and the client
//! that agents call tools with ([`Client`]). It knows no provider: methods, scopes and error
//! codes of Slack, Jira and the rest belong to the connectors. No secret may pass through it
//! into a log, a result or an error.

pub mod client;
mod escape;
mod fault;
mod metrics;
pub mod outgoing;
pub mod server;
mod wire;

pub use client::{CallError, Client, Sent};
pub use escape::escape_mrkdwn;
pub use fault::{FaultKind, ToolFault};

use std::time::Duration;

/// How long a TCP connection may take: a peer that needs longer is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections kept open per host: enough for the incidents one process handles at once.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// The settings every HTTP client here shares: no redirects (a bearer token must not follow
/// one to another host), bounded connecting, keep-alive.
///
/// `reqwest` takes its TLS provider from the process; the first caller installs *ring*, and a
/// process that chose its own before keeps it.
fn http_client(url: &url::Url) -> reqwest::ClientBuilder {
    // "Already installed" is the only error, and means what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_nodelay(true);
    // A proxy from the environment is for the outside world, never for this machine.
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if is_loopback { builder.no_proxy() } else { builder }
}
