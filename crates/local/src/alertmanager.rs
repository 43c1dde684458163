//! A private Alertmanager, alone (no cluster), with the configuration the caller gives.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::probe::Probe;
use crate::prometheus::reload;
use crate::server::{Launch, Server};
use crate::spawn::Program;
use crate::{Error, Result};

/// How to start it.
pub struct Options {
    /// The alertmanager binary, from [`crate::install`].
    pub program: PathBuf,
    /// Configuration, log and data (silences, notification log) go here; created when missing.
    pub dir: PathBuf,
    /// HTTP port; `None` for any free one.
    pub port: Option<u16>,
    /// The whole `alertmanager.yml`.
    pub config: String,
}

/// A running Alertmanager.
pub struct Alertmanager {
    /// The process: stop, kill, restart.
    pub server: Server,
    port: u16,
    dir: PathBuf,
}

impl Alertmanager {
    /// Starts it and waits until it is ready to take alerts.
    pub async fn start(mut options: Options) -> Result<Self> {
        // The program may change its working directory.
        options.dir = std::path::absolute(&options.dir).map_err(Error::file("finding", &options.dir))?;
        std::fs::create_dir_all(&options.dir).map_err(Error::file("creating the folder", &options.dir))?;
        write_config(&options.dir, &options.config)?;
        let launch = |[any_port]: [u16; 1]| Ok(launch(&options, options.port.unwrap_or(any_port)));
        let (server, [any_port]) = Server::start_on_free_ports(launch).await?;
        Ok(Self { server, port: options.port.unwrap_or(any_port), dir: options.dir })
    }

    /// Its HTTP address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Host and port, as a Prometheus configuration wants it.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where configuration, log and data are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replaces the configuration of the running server.
    pub async fn reload(&self, config: &str) -> Result<()> {
        write_config(&self.dir, config)?;
        reload("Alertmanager", &self.url()).await
    }
}

fn launch(options: &Options, port: u16) -> Launch {
    let dir = options.dir.display();
    Launch {
        name: "Alertmanager",
        program: Program {
            path: options.program.clone(),
            args: vec![
                format!("--config.file={dir}/alertmanager.yml"),
                format!("--storage.path={dir}/data"),
                format!("--web.listen-address=127.0.0.1:{port}"),
                // Empty: no gossip, so no second port, which would listen on every interface.
                "--cluster.listen-address=".into(),
            ],
            dir: options.dir.clone(),
            user: None,
            orphan_signal: Signal::SIGTERM,
        },
        log: options.dir.join("alertmanager.log"),
        probe: Probe::Http(format!("http://127.0.0.1:{port}/-/ready")),
        stop_signal: Signal::SIGTERM,
    }
}

fn write_config(dir: &Path, config: &str) -> Result<()> {
    let path = dir.join("alertmanager.yml");
    std::fs::write(&path, config).map_err(Error::file("writing", &path))
}
