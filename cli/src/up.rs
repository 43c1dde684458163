//! `paramedic up`: everything on this machine. Servers that it starts are private and stopped with it; servers that are named by
//! NATS_URL and DATABASE_URL are used and left alone.

mod home;
mod machine;
mod settings;

use std::path::Path;
use std::time::Instant;

use incident::task::Role;
use local::install::Environment;

use crate::args::Up;
use crate::log::LogFile;
use crate::output::line;
use crate::program;
pub(crate) use home::Home;
pub(crate) use machine::{Front, Machine, Programs, asked_to_stop, find, progress};
pub(crate) use settings::{CONFIG_FILE, create_database, write_private};

/// Runs until somebody asks it to stop.
pub(crate) async fn run(arguments: &Up) -> anyhow::Result<()> {
    let mut home = Home::open(arguments)?;
    let log = LogFile::redirect_from_terminal(&home.path)?;
    let _telemetry = runtime::telemetry::start(&home.config.telemetry, "paramedic")?;
    let mut machine = Machine::default();
    let life = machine.life.clone();
    let work = async {
        start(&mut home, &mut machine, log.as_ref().map(LogFile::path)).await?;
        machine.watch().await
    };
    let ended = tokio::select! {
        result = work => result,
        result = asked_to_stop() => {
            line("\nStopping.");
            result
        }
        () = life.stopping() => Ok(()),
    };
    stop(&mut machine, ended).await
}

/// Stops what runs; asked once more, it does not wait.
pub(crate) async fn stop(machine: &mut Machine, ended: anyhow::Result<()>) -> anyhow::Result<()> {
    let stopped = tokio::select! {
        result = machine.stop() => result,
        _ = asked_to_stop() => Err(anyhow::anyhow!("asked twice: what still ran was killed; nothing that was accepted is lost")),
    };
    ended.and(stopped)
}

async fn start(home: &mut Home, machine: &mut Machine, log: Option<&Path>) -> anyhow::Result<()> {
    let programs = find(&home.config, &Environment::from_process()).await?;
    let began = Instant::now();
    machine.start_servers(&home.path, &mut home.config, programs).await?;
    machine.servers(&home.config).iter().for_each(|server| line(server));
    let front = machine.start_roles(home).await?;
    line(&format!("All {} roles are up after {:.1} s.", Role::ALL.len(), began.elapsed().as_secs_f32()));
    announce(&home.path, &front, log);
    Ok(())
}

fn announce(home: &Path, front: &Front, log: Option<&Path>) {
    let Front { url, tokens } = front;
    let (config, webhook) = (home.join(CONFIG_FILE), &tokens.webhook);
    let log = log.map_or_else(|| "JSON lines on standard error".to_owned(), |path| path.display().to_string());
    let (paramedic, home_flag) = (program::name(), program::home_flag(home));
    line(&format!(
        "\nParamedic listens on {url}\n\
         \x20 configuration   {} (tenant \"local\"; add Slack, Jira, Kubernetes and Prometheus there)\n\
         \x20 log             {log}\n\
         \x20 health          {url}/readyz   metrics {url}/metrics\n\n\
         Point Alertmanager at it:\n\
         \x20 receivers:\n\
         \x20   - name: paramedic\n\
         \x20     webhook_configs:\n\
         \x20       - url: {url}/v1/alertmanager/local\n\
         \x20         http_config: {{ authorization: {{ credentials: {webhook} }} }}\n\n\
         Try next, in another terminal:\n\
         \x20 {paramedic} incident list{home_flag}   what is going on\n\
         \x20 {paramedic} approvals{home_flag}       what waits for your yes\n\
         Or stop this one, and break a sample shop to watch it being repaired: make demo\n\n\
         Ctrl-C stops Paramedic and the servers that it started.",
        config.display(),
    ));
}
