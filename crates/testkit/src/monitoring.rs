//! A Prometheus and an Alertmanager of the test's own.

use anyhow::{Context, Result};
use local::Server;
use local::install::{Suite, monitoring, monitoring_of};

use crate::{Folder, programs};

/// A running Prometheus. Dropping it kills it.
pub struct Prometheus {
    /// Address, reload, waiting for targets.
    pub running: local::prometheus::Prometheus,
    _folder: Folder,
}

/// A running Alertmanager. Dropping it kills it.
pub struct Alertmanager {
    /// Address, reload.
    pub running: local::alertmanager::Alertmanager,
    _folder: Folder,
}

/// Starts a Prometheus with this `prometheus.yml`; `rules` is written beside it as `rules.yml`.
pub async fn prometheus(config: &str, rules: &str) -> Result<Prometheus> {
    let (environment, progress) = programs();
    let program = monitoring(&environment, &progress).await?.prometheus;
    let folder = Folder::new()?;
    let dir = folder.join("prometheus");
    std::fs::create_dir_all(&dir).context("creating Prometheus' folder")?;
    std::fs::write(dir.join("rules.yml"), rules).context("writing Prometheus' rules")?;
    let options = local::prometheus::Options { program, dir, port: None, config: config.into() };
    let running = local::prometheus::Prometheus::start(options).await?;
    Ok(Prometheus { running, _folder: folder })
}

/// Starts the Alertmanager of a Debian suite (so, of a known version; `None`: any), with this `alertmanager.yml`.
pub async fn alertmanager(suite: Option<Suite>, config: &str) -> Result<Alertmanager> {
    let (environment, progress) = programs();
    let programs = match suite {
        Some(suite) => monitoring_of(&environment, suite, &progress).await?,
        None => monitoring(&environment, &progress).await?,
    };
    let folder = Folder::new()?;
    let dir = folder.join("alertmanager");
    let program = programs.alertmanager;
    let options = local::alertmanager::Options { program, dir, port: None, config: config.into() };
    let running = local::alertmanager::Alertmanager::start(options).await?;
    Ok(Alertmanager { running, _folder: folder })
}

impl Prometheus {
    /// Without a slash at the end.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// The process: stop, kill, restart.
    pub fn server(&mut self) -> &mut Server {
        &mut self.running.server
    }
}

impl Alertmanager {
    /// Without a slash at the end.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// The process: stop, kill, restart.
    pub fn server(&mut self) -> &mut Server {
        &mut self.running.server
    }
}
