//! Where the servers are that `paramedic up` started: commands beside it find them here.

use std::path::Path;

use anyhow::Context as _;
use runtime::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::config::Config;

const SERVERS_FILE: &str = "servers.toml";

/// Addresses of the servers that are in use.
#[derive(Debug, Serialize, Deserialize)]
struct Servers {
    nats_url: String,
    database_url: String,
}

/// Leaves the addresses beside the configuration.
pub(crate) fn leave(home: &Path, config: &Config) -> anyhow::Result<()> {
    let servers = Servers { nats_url: config.nats.url.clone(), database_url: config.admin_database_url()?.to_owned() };
    crate::up::write_private(&home.join(SERVERS_FILE), &toml::to_string(&servers)?)
}

/// What a command talks to beside the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The bus.
    Nats,
    /// The database.
    Postgres,
}

/// The configuration, with the addresses that `up` left for what is `needed` and not named.
pub(crate) fn config(path: &Path, needed: &[Server]) -> anyhow::Result<Config> {
    let mut config = Config::load(path)?;
    let is_missing = |server: &Server| match server {
        Server::Nats => config.nats.url.is_empty(),
        Server::Postgres => config.database.url.is_none(),
    };
    if !needed.iter().any(is_missing) {
        return Ok(config);
    }
    let left = path.with_file_name(SERVERS_FILE);
    let text = std::fs::read_to_string(&left)
        .with_context(|| format!("{} names no servers, and no `paramedic up` has left {}", path.display(), left.display()))?;
    let servers: Servers = toml::from_str(&text)?;
    if config.nats.url.is_empty() {
        config.nats.url = servers.nats_url;
    }
    if config.database.url.is_none() {
        config.database.url = Some(Secret::new(servers.database_url));
    }
    Ok(config)
}
