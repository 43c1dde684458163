//! A NATS server of the test's own.

use anyhow::{Context, Result};
use local::Server;

use crate::{Folder, programs};

/// A running nats-server with JetStream and an empty store. Dropping it kills it.
pub struct Nats {
    running: local::nats::Nats,
    _folder: Folder,
}

/// Starts one; `config` is appended to its configuration (users, permissions, limits).
pub async fn nats(config: &str) -> Result<Nats> {
    let (environment, progress) = programs();
    let program = local::install::nats(&environment, &progress).await?;
    let folder = Folder::new()?;
    let options = local::nats::Options { program, dir: folder.join("nats"), port: None, config: config.to_owned() };
    let running = local::nats::Nats::start(options).await.context("starting NATS for a test")?;
    Ok(Nats { running, _folder: folder })
}

impl Nats {
    /// Without credentials: `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// `/varz`, `/jsz`, `/connz`.
    pub fn monitor_url(&self) -> String {
        self.running.monitor_url()
    }

    /// The process: stop, kill, restart on the same port and store.
    pub fn server(&mut self) -> &mut Server {
        &mut self.running.server
    }
}
