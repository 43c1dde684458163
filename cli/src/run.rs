//! `paramedic run ROLE`: one role, as a deployment runs it.

use std::path::Path;

use anyhow::Context as _;
use incident::task::Role;
use runtime::lifecycle::Lifecycle;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::output::line;
use crate::roles::{Process, signing_key};

pub(crate) async fn run(role: Role, path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let _telemetry = runtime::telemetry::start(&config.telemetry, role.as_str())?;
    let life = Lifecycle::default();
    let health = config.process.health_listen;
    let base = path.parent().unwrap_or(Path::new(".")).to_owned();
    let process = Process { config, base, life: life.clone() };
    let mut needs = Vec::new();
    process.start(role, &mut needs).await?;
    let listener = TcpListener::bind(health).await.with_context(|| format!("listening on {health} (process.health_listen)"))?;
    let stopping = life.clone();
    life.spawn("health", async move {
        let pages = runtime::health::router(needs);
        Ok(axum::serve(listener, pages).with_graceful_shutdown(async move { stopping.stopping().await }).await?)
    });
    life.run_until_stopped().await
}

pub(crate) fn a2a_public_key(path: &Path) -> anyhow::Result<()> {
    let gateway = Config::load(path)?.gateway.context("the configuration has no [gateway]")?;
    let signing = gateway.a2a.signing.context("the configuration has no [gateway.a2a.signing]")?;
    let key = a2a::card::SignKey::from_pem(signing.key.reveal()).map_err(|_| gateway::WaysError::Key)?;
    line(key.verify_key().to_pem()?.trim_end());
    Ok(())
}

pub(crate) fn public_key(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let gateway = config.gateway.context("the configuration has no [gateway]")?;
    line(&hex::encode(signing_key(gateway.signing_key.reveal())?.verifying_key().to_bytes()));
    Ok(())
}

pub(crate) fn nats_users(path: &Path) -> anyhow::Result<()> {
    line(crate::migrate::nats_users(&Config::load(path)?)?.trim_end());
    Ok(())
}
