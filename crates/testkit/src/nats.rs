//! A NATS server of the test's own, or a cluster of three.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use local::Server;
use local::nats::{Node, Options};

use crate::{Folder, eventually, programs};

/// As many as survive the loss of one.
const CLUSTER_NODES: usize = 3;
/// A cluster elects its first leader within a second or two.
const CLUSTER_WITHIN: std::time::Duration = std::time::Duration::from_mins(1);

/// A running nats-server, or several that are one cluster, with JetStream and an empty store. Dropping it kills all.
pub struct Nats {
    first: local::nats::Nats,
    others: Vec<local::nats::Nats>,
    _folder: Folder,
}

/// Starts one; `config` is appended to its configuration (users, permissions, limits).
pub async fn nats(config: &str) -> Result<Nats> {
    let (environment, progress) = programs();
    let program = local::install::nats(&environment, &progress).await?;
    let folder = Folder::new()?;
    let options = Options { program, dir: folder.join("nats"), port: None, node: None, config: config.to_owned() };
    let running = local::nats::Nats::start(options).await.context("starting NATS for a test")?;
    Ok(Nats { first: running, others: vec![], _folder: folder })
}

/// Starts a cluster of three; streams with three copies go on when any one of them is away.
pub async fn nats_cluster(config: &str) -> Result<Nats> {
    let (environment, progress) = programs();
    let program = local::install::nats(&environment, &progress).await?;
    let folder = Folder::new()?;
    let ports = local::free_ports::<CLUSTER_NODES>()?;
    let nodes = ports.iter().enumerate().map(|(n, port)| {
        let others = ports.iter().copied().filter(|other| other != port).collect();
        let node = Node { name: node_name(n), route_port: *port, routes: others };
        let dir = folder.join(&node.name);
        let options = Options { program: program.clone(), dir, port: None, node: Some(node), config: config.to_owned() };
        local::nats::Nats::start(options)
    });
    let mut others = try_join_all(nodes).await.context("starting a NATS cluster for a test")?;
    let cluster = Nats { first: others.remove(0), others, _folder: folder };
    cluster.is_whole().await?;
    Ok(cluster)
}

fn node_name(n: usize) -> String {
    format!("node-{}", n + 1)
}

impl Nats {
    fn nodes(&self) -> impl Iterator<Item = &local::nats::Nats> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Without credentials: `nats://127.0.0.1:PORT`; of a cluster all, with commas between them.
    pub fn url(&self) -> String {
        self.urls().join(",")
    }

    /// Each server's address.
    pub fn urls(&self) -> Vec<String> {
        self.nodes().map(local::nats::Nats::url).collect()
    }

    /// `/varz`, `/jsz`, `/connz` of the first server.
    pub fn monitor_url(&self) -> String {
        self.first.monitor_url()
    }

    /// The first server's process: stop, kill, restart on the same port and store.
    pub fn server(&mut self) -> &mut Server {
        &mut self.first.server
    }

    /// The process of the cluster's server of this name.
    pub fn node(&mut self, name: &str) -> Result<&mut Server> {
        let nodes = std::iter::once(&mut self.first).chain(&mut self.others);
        let found = nodes.enumerate().find(|(n, _)| node_name(*n) == name);
        let (_, node) = found.with_context(|| format!("no server of this cluster is called {name:?}"))?;
        Ok(&mut node.server)
    }

    /// Waits until every server says that it and all it holds are well.
    pub async fn is_whole(&self) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let pages: Vec<String> = self.nodes().map(|node| format!("{}/healthz", node.monitor_url())).collect();
        eventually("a NATS cluster that is whole", CLUSTER_WITHIN, async || {
            for page in &pages {
                http.get(page).send().await.ok()?.error_for_status().ok()?;
            }
            Some(())
        })
        .await
    }
}
