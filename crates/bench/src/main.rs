//! `make bench`: measures what Paramedic promises about speed and size, beside yardsticks taken in the same run, and says where the
//! time goes. It never fails for being slow: figures are for reading. It starts servers of its own and stops them.

mod a2a;
mod audit;
mod batch;
mod body;
mod chain;
mod figures;
mod group;
mod intake;
mod load;
mod machine;
mod memory;
mod path;
mod process;
mod report;
mod serve;
mod stage;
mod storm;
mod tap;
mod trace;
mod watch;
mod world;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use figures::{line, note};
use intake::Pace;

/// Incidents that count.
const INCIDENTS: usize = 50;
/// Enough to see whether it works.
const INCIDENTS_QUICK: usize = 5;

#[derive(Debug, Parser)]
#[command(about = "Measures Paramedic on this machine")]
struct Arguments {
    #[command(subcommand)]
    server: Option<Server>,
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
    /// Short measurements: to see whether the bench works, not to read figures from.
    #[arg(long)]
    quick: bool,
    /// Also print the usual and the slowest incident step by step.
    #[arg(long)]
    timeline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Webhooks accepted.
    Intake,
    /// Incidents handled, and memory.
    Path,
    /// A2A tasks over every binding.
    A2a,
    /// Alerts while very much is open, and a storm of them.
    Storm,
    /// What the metric watch sees, and what it only thinks it sees.
    Watch,
}

/// Yardsticks, which run as processes of their own.
#[derive(Debug, Subcommand)]
enum Server {
    /// axum that parses and answers.
    #[command(name = "serve-bare", hide = true)]
    Bare {
        /// Where to listen.
        listen: SocketAddr,
    },
    /// The same, with a durable write.
    #[command(name = "serve-floor", hide = true)]
    Floor {
        /// Where to listen.
        listen: SocketAddr,
        /// Where NATS is.
        nats: String,
        /// Its administrator's password: of a server that lives as long as this run.
        password: String,
    },
    /// An agent on NATS that stores nothing.
    #[command(name = "serve-instant", hide = true)]
    Instant {
        /// Where NATS is.
        nats: String,
    },
}

fn main() -> ExitCode {
    // One provider of cryptography for every TLS client in the process; it can only be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    // Everything is started from this, the main thread: see `process`.
    let ended = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(dispatch(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(arguments: Arguments) -> Result<()> {
    match arguments.server {
        Some(Server::Bare { listen }) => serve::bare(listen).await,
        Some(Server::Floor { listen, nats, password }) => serve::floor(listen, &stage::connect(&nats, password).await?).await,
        Some(Server::Instant { nats }) => a2a::serve_instant(&nats).await,
        None => {
            tokio::select! {
                measured = measure(&arguments) => measured,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    let folder = folder()?;
    machine::describe(folder.path())?;
    // Dropped after everything that runs in it.
    let _group = group::join();
    let pace = if arguments.quick { Pace::QUICK } else { Pace::FULL };
    let is_wanted = |part| arguments.only.is_none_or(|only| only == part);
    if is_wanted(Part::Intake) {
        intake::run(&sub_folder(folder.path(), "intake")?, pace).await?;
    }
    if is_wanted(Part::Path) {
        let counted = if arguments.quick { INCIDENTS_QUICK } else { INCIDENTS };
        incidents(&sub_folder(folder.path(), "path")?, counted + path::WARM_UP, arguments.timeline).await?;
    }
    if is_wanted(Part::A2a) {
        a2a::run(&sub_folder(folder.path(), "a2a")?, pace).await?;
    }
    if is_wanted(Part::Storm) {
        let size = if arguments.quick { storm::Size::QUICK } else { storm::Size::FULL };
        storm::run(&sub_folder(folder.path(), "storm")?, size).await?;
    }
    if is_wanted(Part::Watch) {
        watch::run(arguments.quick);
    }
    machine::load_line("after");
    line(&format!("took        {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

async fn incidents(dir: &Path, count: usize, timeline: bool) -> Result<()> {
    let scene = path::Scene::start(dir, count).await?;
    let idle = memory::idle(&scene).await?;
    let watch = memory::Watch::start(scene.process.pid());
    let measured = scene.measure(count).await?;
    report::print(&scene, &measured);
    if timeline {
        report::timeline(&scene, &measured);
    }
    memory::run(&scene, idle, watch.peak()).await?;
    scene.process.stop().await
}

/// On the disk that is built on, because a temporary folder may be in memory; others may pass through, as Postgres' user must.
fn folder() -> Result<tempfile::TempDir> {
    let passable = std::fs::Permissions::from_mode(0o711);
    let own = std::env::current_exe().context("finding our own binary")?;
    let beside = own.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix("bench-").permissions(passable).tempdir_in(beside);
    made.with_context(|| format!("creating a folder in {}", beside.display()))
}

fn sub_folder(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
    Ok(path)
}
