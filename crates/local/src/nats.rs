//! A private nats-server with JetStream, every acknowledged message on disk.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::probe::Probe;
use crate::server::{Launch, Server};
use crate::spawn::Program;
use crate::{Error, Result};

/// A server's place in a cluster of its own kind.
pub struct Node {
    /// Its name, unlike the others'.
    pub name: String,
    /// Where the others reach it.
    pub route_port: u16,
    /// Where it reaches the others.
    pub routes: Vec<u16>,
}

/// How to start it.
pub struct Options {
    /// The nats-server binary, from [`crate::install`].
    pub program: PathBuf,
    /// Configuration, log and JetStream's store go here; created when missing.
    pub dir: PathBuf,
    /// Client port; `None` for any free one.
    pub port: Option<u16>,
    /// Its place in a cluster; `None` for a server that is alone.
    pub node: Option<Node>,
    /// Appended to the configuration: users, permissions, limits. Not `jetstream`, `port` or `http`, which are ours.
    pub config: String,
}

/// A running nats-server.
pub struct Nats {
    /// The process: stop, kill, restart.
    pub server: Server,
    port: u16,
    monitor_port: u16,
    dir: PathBuf,
}

impl Nats {
    /// Starts it and waits until JetStream answers.
    pub async fn start(mut options: Options) -> Result<Self> {
        options.dir = std::path::absolute(&options.dir).map_err(Error::file("finding", &options.dir))?;
        let store = options.dir.join("jetstream");
        std::fs::create_dir_all(&store).map_err(Error::file("creating the folder", &store))?;
        let launch = |[any_port, monitor_port]: [u16; 2]| launch(&options, options.port.unwrap_or(any_port), monitor_port);
        let (server, [any_port, monitor_port]) = Server::start_on_free_ports(launch).await?;
        let port = options.port.unwrap_or(any_port);
        Ok(Self { server, port, monitor_port, dir: options.dir })
    }

    /// For clients, without credentials: `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The client port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The HTTP monitor: `/varz`, `/jsz`, `/connz`, `/healthz`.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Where configuration, log and store are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn launch(options: &Options, port: u16, monitor_port: u16) -> Result<Launch> {
    let config = options.dir.join("nats.conf");
    let text = configuration(options, port, monitor_port);
    std::fs::write(&config, text).map_err(Error::file("writing", &config))?;
    Ok(Launch {
        name: "nats-server",
        program: Program {
            path: options.program.clone(),
            args: vec!["--config".into(), config.display().to_string()],
            dir: options.dir.clone(),
            user: None,
            orphan_signal: Signal::SIGTERM,
        },
        log: options.dir.join("nats.log"),
        probe: Probe::Http(format!("http://127.0.0.1:{monitor_port}/healthz?js-enabled-only=true")),
        stop_signal: Signal::SIGTERM,
    })
}

fn configuration(options: &Options, port: u16, monitor_port: u16) -> String {
    let store = options.dir.join("jetstream").display().to_string();
    let (name, cluster) = match &options.node {
        None => ("paramedic-local", String::new()),
        Some(node) => (node.name.as_str(), cluster(node)),
    };
    // Without `sync_interval: always` the server acknowledges what is not on disk yet, and a power cut loses it.
    format!(
        "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor_port}\"\nserver_name: {name:?}\n\
         jetstream {{\n  store_dir: {store:?}\n  sync_interval: always\n}}\n{cluster}{}\n",
        options.config
    )
}

fn cluster(node: &Node) -> String {
    let routes: Vec<String> = node.routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let (port, routes) = (node.route_port, routes.join(", "));
    format!("cluster {{\n  name: paramedic-local\n  listen: \"127.0.0.1:{port}\"\n  routes: [{routes}]\n}}\n")
}
