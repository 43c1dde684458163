//! `paramedic a2a conformance-agent`: the agent for conformance tests, with private servers unless others are named.

use std::path::Path;

use anyhow::{Context as _, bail};
use conformance::Host;
use incident::task::Role;
use local::install::{self, Environment};
use local::nats::Nats;
use local::postgres::{Durability, Postgres};
use runtime::clock;
use store::{Options, Store};
use tasks::Surroundings;
use tokio::net::TcpListener;

use crate::args::ConformanceAgent;
use crate::output::line;
use crate::up::{asked_to_stop, create_database, progress};

/// The engine's tables stand in a database of their own.
const DATABASE: &str = "paramedic_conformance";

pub(super) async fn run(arguments: &ConformanceAgent) -> anyhow::Result<()> {
    check_exposure(arguments)?;
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!("listening on {}: choose another address with --listen 127.0.0.1:PORT (0: any free one)", arguments.listen)
    })?;
    let home = &arguments.home;
    std::fs::create_dir_all(home).with_context(|| format!("creating {}", home.display()))?;
    let (mut nats, mut postgres) = tokio::try_join!(start_nats(arguments, home), start_postgres(arguments, home))?;
    let nats_url = nats.as_ref().map(Nats::url).or_else(|| arguments.nats_url.clone()).context("NATS has no address")?;
    let database = postgres.as_ref().map(|server| server.url_of(DATABASE)).or_else(|| arguments.database_url.clone());
    let store = connect(&database.context("Postgres has no address")?).await?;
    let client = async_nats::connect(&nats_url).await.with_context(|| format!("connecting to {nats_url}"))?;
    let listens = listener.local_addr()?;
    let url = arguments
        .public_url
        .as_ref()
        .map_or_else(|| format!("http://{listens}"), |url| url.as_str().trim_end_matches('/').into());
    line(&format!(
        "The conformance agent listens. Everybody may call it; a bearer token is taken as the caller's name.\n\
         \x20 card               {url}{}\n\
         \x20 JSON-RPC           {url}/\n\
         \x20 HTTP+JSON          {url}/message:send, {url}/tasks, …\n\
         \x20 gRPC               {} (without TLS)\n\
         \x20 NATS               {nats_url}/a2a.{}.{}\n\n\
         Ctrl-C stops it, and the servers that it started.",
        a2a::card::WELL_KNOWN_PATH,
        listens,
        conformance::TENANT,
        conformance::AGENT,
    ));
    let surroundings = Surroundings { now: clock::now, random: clock::random };
    let public_url = arguments.public_url.clone();
    let host = Host { listener, public_url, store, nats: Some((client, nats_url)), surroundings };
    let stop = async { drop(asked_to_stop().await) };
    let ended = Box::pin(conformance::serve(host, stop)).await;
    if let Some(nats) = nats.as_mut() {
        nats.server.stop().await.context("stopping NATS")?;
    }
    if let Some(postgres) = postgres.as_mut() {
        postgres.server.stop().await.context("stopping PostgreSQL")?;
    }
    Ok(ended?)
}

/// Whoever reaches the agent may have it post to addresses that only this machine reaches.
fn check_exposure(arguments: &ConformanceAgent) -> anyhow::Result<()> {
    let ip = arguments.listen.ip();
    if !ip.is_loopback() && !arguments.expose {
        bail!(
            "others reach {ip}, and everybody who reaches the agent may have it post anywhere: choose --listen 127.0.0.1:PORT, or add \
             --expose if that is meant"
        );
    }
    if ip.is_unspecified() && arguments.public_url.is_none() {
        bail!("{ip} is no address that clients can call: say with --public-url http://HOST:PORT where they reach the agent");
    }
    Ok(())
}

async fn start_nats(arguments: &ConformanceAgent, home: &Path) -> anyhow::Result<Option<Nats>> {
    if arguments.nats_url.is_some() {
        return Ok(None);
    }
    let program = install::nats(&Environment::from_process(), &progress).await?;
    let options = local::nats::Options { program, dir: home.join("nats"), port: None, node: None, config: String::new() };
    Ok(Some(Nats::start(options).await?))
}

async fn start_postgres(arguments: &ConformanceAgent, home: &Path) -> anyhow::Result<Option<Postgres>> {
    if arguments.database_url.is_some() {
        return Ok(None);
    }
    let programs = install::postgres(&Environment::from_process(), &progress).await?;
    let dir = home.join("postgres");
    let options = local::postgres::Options { programs, dir, port: None, durability: Durability::Durable, settings: vec![] };
    let postgres = Postgres::start(options).await?;
    create_database(&postgres.url(), DATABASE).await?;
    Ok(Some(postgres))
}

/// Brings the schema up to date, and connects with a login that may use nothing else.
async fn connect(admin_url: &str) -> anyhow::Result<Store> {
    let password = clock::random_hex::<16>().context("the operating system gives no random bytes")?;
    store::migrate(admin_url, &[(Role::Gateway, password.clone())]).await.context("migrating the database")?;
    let url = store::role_url(admin_url, Role::Gateway, &password)?;
    Store::connect(&Options::new(url, Role::Gateway)).await.context("connecting to Postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_let_in_only_if_that_is_said() {
        let check = |listen: &str, expose: bool, public_url: Option<&str>| {
            let arguments = ConformanceAgent {
                listen: listen.parse().unwrap(),
                expose,
                public_url: public_url.map(|url| url.parse().unwrap()),
                home: "unused".into(),
                nats_url: None,
                database_url: None,
            };
            check_exposure(&arguments).map_err(|error| error.to_string())
        };
        let here = Some("http://kit.example:9999");
        for allowed in [
            check("127.0.0.1:9999", false, None),
            check("[::1]:9999", false, here),
            check("192.0.2.1:9999", true, None),
            check("0.0.0.0:9999", true, here),
        ] {
            assert_eq!(allowed, Ok(()));
        }
        for (refused, said) in [
            (check("192.0.2.1:9999", false, None), "--expose"),
            (check("0.0.0.0:9999", false, here), "--expose"),
            (check("[::]:9999", true, None), "--public-url"),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
