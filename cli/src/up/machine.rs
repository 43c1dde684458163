//! What `up` and `demo` run on this machine: servers of their own, and every role in this process. It stops what it started, and
//! nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use incident::task::Role;
use local::Server;
use local::install::{self, Environment, PostgresPrograms};
use local::nats::Nats;
use local::postgres::{Durability, Postgres};
use runtime::health::Needs;
use runtime::lifecycle::Lifecycle;
use runtime::secret::Secret;
use tokio::signal::unix::{SignalKind, signal};

use super::home::Home;
use super::settings::{self, Tokens};
use crate::api::{CLIENT_FILE, ClientFile};
use crate::config::Config;
use crate::output::line;
use crate::roles::Process;

/// The database of a private Postgres.
const DATABASE: &str = "paramedic";

/// What has been started so far.
#[derive(Default)]
pub(crate) struct Machine {
    /// The life of the roles.
    pub(crate) life: Lifecycle,
    nats: Option<Nats>,
    postgres: Option<Postgres>,
}

/// Where the servers' programs are; none for a server that is named by NATS_URL, DATABASE_URL or the configuration.
pub(crate) struct Programs {
    nats: Option<PathBuf>,
    postgres: Option<PostgresPrograms>,
}

/// How the running gateway is reached.
pub(crate) struct Front {
    /// Its address for people.
    pub(crate) url: String,
    /// What it accepts.
    pub(crate) tokens: Tokens,
}

/// Finds what the configuration needs on this machine, or installs it, with progress shown.
pub(crate) async fn find(config: &Config, environment: &Environment) -> anyhow::Result<Programs> {
    let mut programs = Programs { nats: None, postgres: None };
    if config.nats.url.is_empty() {
        programs.nats = Some(install::nats(environment, &progress).await?);
    }
    if config.database.url.is_none() {
        programs.postgres = Some(install::postgres(environment, &progress).await?);
    }
    Ok(programs)
}

/// A line of an installer.
pub(crate) fn progress(text: &str) {
    line(&format!("  {text}"));
}

/// Resolves when somebody wants the process to end: Ctrl-C, a supervisor, a terminal that is closed.
pub(crate) async fn asked_to_stop() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
        _ = hang_up.recv() => tracing::info!(signal = "SIGHUP", "stopping"),
    }
    Ok(())
}

impl Machine {
    /// Starts the private servers and writes their addresses into `config`.
    pub(crate) async fn start_servers(&mut self, home: &Path, config: &mut Config, programs: Programs) -> anyhow::Result<()> {
        let users = crate::migrate::nats_users(config)?;
        let Self { nats, postgres, .. } = self;
        let start_nats = async {
            if let Some(program) = programs.nats {
                let options = local::nats::Options { program, dir: home.join("nats"), port: None, node: None, config: users };
                *nats = Some(Nats::start(options).await?);
            }
            anyhow::Ok(())
        };
        let start_postgres = async {
            if let Some(programs) = programs.postgres {
                let (dir, settings) = (home.join("postgres"), vec![]);
                let options = local::postgres::Options { programs, dir, port: None, durability: Durability::Durable, settings };
                let started = postgres.insert(Postgres::start(options).await?);
                settings::create_database(&started.url(), DATABASE).await?;
            }
            Ok(())
        };
        tokio::try_join!(start_nats, start_postgres)?;
        if let Some(nats) = nats {
            config.nats.url = nats.url();
        }
        if let Some(postgres) = postgres {
            config.database.url = Some(Secret::new(postgres.url_of(DATABASE)));
        }
        Ok(())
    }

    /// Says which servers are in use.
    pub(crate) fn servers(&self, config: &Config) -> Vec<String> {
        let nats = match &self.nats {
            Some(nats) => format!("NATS with JetStream on {} (every message fsynced)", nats.url()),
            None => format!("NATS at {}, which is not ours to stop", address(&config.nats.url)),
        };
        let url = config.database.url.as_ref().map(Secret::reveal).unwrap_or_default();
        let postgres = match &self.postgres {
            Some(postgres) => format!("PostgreSQL on 127.0.0.1:{}, data in {}", postgres.port(), postgres.dir().display()),
            None => format!("PostgreSQL at {}, which is not ours to stop", address(url)),
        };
        vec![nats, postgres]
    }

    /// Brings database and bus up to date, starts every role, and leaves the addresses for the commands beside this one.
    pub(crate) async fn start_roles(&mut self, home: &Home) -> anyhow::Result<Front> {
        let mut config = home.config.clone();
        settings::wire_connectors(&mut config).await?;
        crate::migrate::migrate(&config).await?;
        let listen = config.gateway.as_ref().map(|gateway| gateway.listen).context("the configuration has no [gateway]")?;
        let front = Front { url: format!("http://{listen}"), tokens: settings::read_tokens(&home.path)? };
        crate::running::leave(&home.path, &config)?;
        let process = Process { config, base: home.path.clone(), life: self.life.clone() };
        let mut needs: Vec<Needs> = Vec::new();
        for role in Role::ALL {
            process.start(role, &mut needs).await?;
        }
        let client = ClientFile { url: front.url.clone(), token: front.tokens.person.clone() };
        settings::write_private(&home.path.join(CLIENT_FILE), &toml::to_string(&client)?)?;
        Ok(front)
    }

    /// Watches for ever. A server that ends under us is an error that says where to look; a role that does has logged why.
    pub(crate) async fn watch(&mut self) -> anyhow::Result<()> {
        let (nats, postgres) = (self.nats.as_mut().map(|nats| &mut nats.server), self.postgres.as_mut().map(|p| &mut p.server));
        tokio::select! {
            result = ended("NATS", nats) => result,
            result = ended("PostgreSQL", postgres) => result,
        }
    }

    /// Lets the roles finish what they are doing, then stops the servers.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let roles = self.life.finish().await;
        if let Some(nats) = self.nats.as_mut() {
            nats.server.stop().await.context("stopping NATS")?;
        }
        if let Some(postgres) = self.postgres.as_mut() {
            postgres.server.stop().await.context("stopping PostgreSQL")?;
        }
        roles
    }
}

async fn ended(name: &str, server: Option<&mut Server>) -> anyhow::Result<()> {
    let Some(server) = server else { return std::future::pending().await };
    let status = server.ended().await?.map_or_else(|| "stopped".to_owned(), |status| status.to_string());
    bail!("{name} ended under us ({status}); its last words: {}", server.log().display())
}

/// An address for people: without login, password and options, which may hold passwords too.
fn address(url: &str) -> String {
    let Ok(mut parsed) = url.parse::<url::Url>() else { return "the configured address".to_owned() };
    // Refused only where an address has no place for a user; then there is none.
    let _ = parsed.set_password(None).and_then(|()| parsed.set_username(""));
    parsed.set_query(None);
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:s3cret@nats.example:4222", "nats://nats.example:4222"),
            ("postgres://me:s3cret@db.example:5432/paramedic", "postgres://db.example:5432/paramedic"),
            ("postgres://db.example/paramedic?user=me&password=s3cret", "postgres://db.example/paramedic"),
            ("host=db.example password=s3cret", "the configured address"),
        ] {
            assert_eq!(address(url), shown);
        }
    }
}
