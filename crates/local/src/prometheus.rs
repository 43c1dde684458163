//! A private Prometheus, with the configuration the caller gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::probe::{Probe, http};
use crate::server::{Launch, Server};
use crate::spawn::Program;
use crate::{Error, Result};

/// The data of a demo; a private server must not fill the disk of somebody who forgot it.
const RETENTION: &str = "24h";
/// Between two looks at the targets.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How to start it.
pub struct Options {
    /// The prometheus binary, from [`crate::install`].
    pub program: PathBuf,
    /// Configuration, log and data go here; created when missing. Relative rule files are looked up here.
    pub dir: PathBuf,
    /// HTTP port; `None` for any free one.
    pub port: Option<u16>,
    /// The whole `prometheus.yml`.
    pub config: String,
}

/// A running Prometheus.
pub struct Prometheus {
    /// The process: stop, kill, restart.
    pub server: Server,
    port: u16,
    dir: PathBuf,
}

impl Prometheus {
    /// Starts it and waits until it is ready to answer queries.
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
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where configuration, log and data are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replaces the configuration of the running server.
    pub async fn reload(&self, config: &str) -> Result<()> {
        write_config(&self.dir, config)?;
        reload("Prometheus", &self.url()).await
    }

    /// Waits until every target of `job` was scraped with success.
    pub async fn await_target_up(&self, job: &str, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while !self.targets_up(job).await? {
            if Instant::now() > deadline {
                return Err(Error::Waited { what: format!("a scrape of Prometheus's targets of job {job}"), within });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn targets_up(&self, job: &str) -> Result<bool> {
        let failed = |source| Error::Http { doing: "asking Prometheus for its targets", source };
        let url = format!("{}/api/v1/targets?state=active", self.url());
        let answer = http().get(url).send().await.map_err(failed)?.json::<Value>().await.map_err(failed)?;
        let active = answer.pointer("/data/activeTargets").and_then(Value::as_array);
        let mut of_job =
            active.into_iter().flatten().filter(|target| target.pointer("/labels/job") == Some(&job.into())).peekable();
        Ok(of_job.peek().is_some() && of_job.all(|target| target.get("health") == Some(&"up".into())))
    }
}

fn launch(options: &Options, port: u16) -> Launch {
    let dir = options.dir.display();
    Launch {
        name: "Prometheus",
        program: Program {
            path: options.program.clone(),
            args: vec![
                format!("--config.file={dir}/prometheus.yml"),
                format!("--storage.tsdb.path={dir}/data"),
                format!("--storage.tsdb.retention.time={RETENTION}"),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--web.enable-lifecycle".into(),
            ],
            dir: options.dir.clone(),
            user: None,
            orphan_signal: Signal::SIGTERM,
        },
        log: options.dir.join("prometheus.log"),
        probe: Probe::Http(format!("http://127.0.0.1:{port}/-/ready")),
        stop_signal: Signal::SIGTERM,
    }
}

fn write_config(dir: &Path, config: &str) -> Result<()> {
    let path = dir.join("prometheus.yml");
    std::fs::write(&path, config).map_err(Error::file("writing", &path))
}

/// `POST /-/reload`, as Prometheus and Alertmanager both have it.
pub(crate) async fn reload(server: &'static str, url: &str) -> Result<()> {
    let failed = |source| Error::Http { doing: "asking for a reload", source };
    let answer = http().post(format!("{url}/-/reload")).send().await.map_err(failed)?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(Error::Configuration { server, answer: answer.text().await.map_err(failed)? })
}
