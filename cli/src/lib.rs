//! The `paramedic` command: parses, dispatches, says what went wrong.
//!
//! A library only so that tests can reach the readers of what people write: [`texts`]. No other crate builds on it.

mod a2a;
mod api;
mod args;
mod check;
mod commands;
mod config;
mod demo;
mod log;
mod migrate;
mod output;
mod program;
mod roles;
mod run;
mod runbooks;
mod running;
mod up;
mod watches;

/// What people write, read from text alone: without files beside it, the network or the environment.
pub mod texts {
    pub use crate::check::config;
    pub use crate::roles::topology_of as topology;
    pub use crate::runbooks::parse as runbook;
    pub use crate::watches::parse as watch_rules;
}

use std::process::ExitCode;

use args::{Arguments, Command, ConfigCommand, RunbookCommand, WatchCommand};
use clap::Parser as _;
use commands::{approvals, audit, dead, incidents, runbook, schemas, silences, watch};
use tokio::runtime::{Builder, Runtime};

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One provider of cryptography for every TLS client in the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = runtime().map_err(Into::into).and_then(|runtime| runtime.block_on(dispatch(arguments.command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("paramedic: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Threads for half of the cores. All that runs here waits for NATS, Postgres and others most of the time; fewer threads wake each other
/// less often (a sixth less CPU time for an incident on two cores), and leave room for those that are waited for.
fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread().worker_threads(cores.div_ceil(2)).enable_all().build()
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        // Boxed: they are by far the largest of these, and would make all of them as large.
        Command::Up(arguments) => Box::pin(up::run(&arguments)).await,
        Command::Demo(arguments) => Box::pin(demo::run(arguments)).await,
        Command::Run { role, config } => run::run(role, &config.config).await,
        Command::Migrate { config } => migrate::run(&config.config).await,
        Command::Config { command: ConfigCommand::Check { config } } => check::run(&config.config),
        Command::Config { command: ConfigCommand::PublicKey { config, a2a: true } } => run::a2a_public_key(&config.config),
        Command::Config { command: ConfigCommand::PublicKey { config, a2a: false } } => run::public_key(&config.config),
        Command::Schemas { folder } => schemas::write(&folder),
        Command::Runbook { command: RunbookCommand::Check { paths, output } } => runbook::check(&paths, output),
        Command::Watch { command: WatchCommand::Check { paths, output } } => watch::check(&paths, output),
        Command::Watch { command: WatchCommand::Test(test) } => watch::test(&test),
        Command::Incident { command, connection } => incidents::run(command, &connection).await,
        Command::Silence { command, connection } => Box::pin(silences::run(command, &connection)).await,
        Command::Approvals { id: Some(id), connection, .. } => approvals::show_one(&id, &connection).await,
        Command::Approvals { id: None, after, connection } => approvals::list(after, &connection).await,
        Command::Approve { id, digest, connection } => approvals::approve(&id, digest.as_deref(), &connection).await,
        Command::Reject { id, reason, connection } => approvals::reject(&id, &reason, &connection).await,
        Command::Audit { command } => audit::run(command).await,
        Command::Dead { command, config, output } => dead::run(command, &config.config, output).await,
        Command::A2a { command } => a2a::run(command).await,
        Command::NatsUsers { config } => run::nats_users(&config.config),
    }
}
