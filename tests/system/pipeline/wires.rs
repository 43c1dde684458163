//! Wires between the program and what it uses, so that a test can cut them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use reqwest::Url;
use serde_json::Value;
use testkit::{Cluster, Prometheus, Wire};

/// The program's way to each server whose connections are cut.
pub(crate) struct Wires {
    /// To the Kubernetes API.
    pub(crate) kubernetes: Wire,
    /// To Prometheus, if there is one.
    pub(crate) prometheus: Option<Wire>,
    /// To Postgres.
    pub(crate) postgres: Wire,
    kubeconfig: PathBuf,
}

/// Where a server listens, all of ours on loopback.
fn address(url: &str) -> Result<SocketAddr> {
    let url = Url::parse(url).with_context(|| format!("{url} is no address"))?;
    let port = url.port_or_known_default().with_context(|| format!("{url} has no port"))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The same URL, but with another port.
fn through(url: &str, wire: &Wire) -> Result<String> {
    let port = address(url)?.port();
    Ok(url.replacen(&format!("127.0.0.1:{port}"), &wire.address().to_string(), 1))
}

impl Wires {
    /// Lays them, and leaves a kubeconfig that uses them in `home`.
    pub(super) async fn lay(home: &Path, cluster: &Cluster, prometheus: Option<&Prometheus>, postgres: &str) -> Result<Self> {
        let text = std::fs::read_to_string(&cluster.kubeconfig).context("reading the kubeconfig")?;
        let mut config: Value = serde_yaml_ng::from_str(&text)?;
        let server = config.pointer_mut("/clusters/0/cluster/server").context("a kubeconfig names a server")?;
        let url = server.as_str().context("a server's address is text")?.to_owned();
        let kubernetes = Wire::to(address(&url)?).await?;
        *server = through(&url, &kubernetes)?.into();
        let kubeconfig = home.join("kubeconfig");
        std::fs::write(&kubeconfig, serde_yaml_ng::to_string(&config)?).context("writing a kubeconfig")?;
        let prometheus = match prometheus {
            Some(prometheus) => Some(Wire::to(address(&prometheus.url())?).await?),
            None => None,
        };
        let postgres = Wire::to_postgres(address(postgres)?).await?;
        Ok(Self { kubernetes, prometheus, postgres, kubeconfig })
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Prometheus as the program reaches it.
    pub(super) fn prometheus_url(&self) -> Option<String> {
        self.prometheus.as_ref().map(|wire| format!("http://{}", wire.address()))
    }

    /// Postgres as the program reaches it.
    pub(super) fn postgres_url(&self, directly: &str) -> Result<String> {
        through(directly, &self.postgres)
    }
}
