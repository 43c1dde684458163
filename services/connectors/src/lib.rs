//! The connectors role: MCP servers through which Paramedic, or any MCP client, reaches the
//! outside. Slack and Jira so far.
//!
//! Owns the providers' rules: methods, limits, error codes, how an effect is found again when its
//! answer was lost. It decides nothing: what is posted where is the caller's business.

pub mod jira;
mod key;
mod look;
pub mod slack;

use mcp::server::{JoinTrace, ServeError, Surface};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// Which connectors are served, and to whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who may call.
    pub surface: Surface,
    /// Slack; without it there is no `/mcp/slack`.
    pub slack: Option<slack::Config>,
    /// Jira; without it there is no `/mcp/jira`.
    pub jira: Option<jira::Config>,
}

/// Why the connectors cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The surface itself is wrong.
    #[error("serve the connectors")]
    Serve(#[from] ServeError),
    /// No HTTP client for the provider.
    #[error("set up the HTTP client for {provider}; are TLS roots installed on this machine?")]
    Http {
        /// Which provider.
        provider: &'static str,
        /// What failed.
        #[source]
        source: reqwest::Error,
    },
    /// A configured address is no base address.
    #[error("{setting} = {url} is no address to build on: give scheme and host, such as {example}")]
    Url {
        /// The setting.
        setting: &'static str,
        /// Its value.
        url: String,
        /// A good one.
        example: &'static str,
    },
}

/// The routes of all configured connectors, `/mcp/{connector}`. `stop` ends open streams;
/// `join_trace` ties each call to its caller's trace.
pub fn router(config: Config, stop: &CancellationToken, join_trace: Option<JoinTrace>) -> Result<axum::Router, SetupError> {
    let mut router = axum::Router::new();
    if let Some(slack) = config.slack {
        let connector = slack::Connector::new(slack, join_trace)?;
        router = router.merge(mcp::server::mount("slack", connector, &config.surface, stop.clone())?);
    }
    if let Some(jira) = config.jira {
        let connector = jira::Connector::new(jira, join_trace)?;
        router = router.merge(mcp::server::mount("jira", connector, &config.surface, stop.clone())?);
    }
    Ok(router)
}

/// `base` with `path` appended, whatever slashes either has.
fn join(base: &url::Url, path: &[&str]) -> Option<url::Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

/// The `attempt` of a call that names none.
fn first_attempt() -> u32 {
    1
}
