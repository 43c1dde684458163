//! Schemas, logins, streams and consumers: made by the administrator, before roles start.

use std::path::Path;

use a2a_nats::Address;
use anyhow::Context as _;
use bus::permissions::Other;
use bus::{Bus, Connect, User};

use crate::config::Config;
use crate::output::line;
use crate::running::{self, Server};

/// `paramedic migrate`: says what was done, so that a Job's log shows that it was.
pub(crate) async fn run(path: &Path) -> anyhow::Result<()> {
    let config = running::config(path, &[Server::Nats, Server::Postgres])?;
    migrate(&config).await?;
    let logins: Vec<&str> = config.database.passwords.keys().map(|role| role.as_str()).collect();
    line(&format!("Database: schemas and logins of {} are up to date.", logins.join(", ")));
    line(&format!("NATS: streams and consumers are up to date, {} of each stream.", copies(config.nats.replicas)));
    Ok(())
}

fn copies(replicas: usize) -> String {
    if replicas == 1 { "one copy".to_owned() } else { format!("{replicas} copies") }
}

/// Brings database and bus up to date; doing it again changes nothing.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<()> {
    store::migrate(config.admin_database_url()?, &config.database_passwords()).await.context("migrating the database")?;
    let admin = admin(config).await?;
    bus::ensure(&admin, &bus::Settings { replicas: config.nats.replicas, ..bus::Settings::default() }).await?;
    let jetstream = async_nats::jetstream::new(admin.client());
    a2a_nats::ensure_bucket(&jetstream, config.nats.replicas).await?;
    Ok(())
}

/// The bus, as its administrator.
pub(crate) async fn admin(config: &Config) -> anyhow::Result<Bus> {
    let password = config.nats.admin_password.as_ref().map(runtime::secret::Secret::to_secret_string);
    Ok(Bus::connect(&Connect::new(config.nats.url.clone(), User::Admin, password)).await?)
}

/// A2A clients that come over NATS: each may call the agents that it may use, as itself.
fn clients(config: &Config) -> anyhow::Result<Vec<Other>> {
    let mut users = vec![];
    for (tenant, section) in &config.tenants {
        for client in &section.a2a_clients {
            let Some(password) = &client.nats_password else { continue };
            let agents = client.agents.iter().map(|agent| Address::new(tenant.as_str(), agent.as_str()));
            let agents = agents.collect::<Result<Vec<_>, _>>()?;
            let user = format!("{tenant}.{}", client.name);
            let permissions = a2a_nats::sender_permissions(&client.name, &agents, &format!("_INBOX_{user}"))
                .with_context(|| format!("tenant {tenant}: a2a_clients {}", client.name))?;
            users.push(Other { user, password: password.to_secret_string(), permissions: permissions.to_string() });
        }
    }
    Ok(users)
}

/// The NATS server's user section for these passwords.
pub(crate) fn nats_users(config: &Config) -> anyhow::Result<String> {
    let admin = config.nats.admin_password.as_ref().context("the configuration has no nats.admin_password")?;
    let roles = config.nats.passwords.iter().map(|(role, password)| (User::Role(*role), password.to_secret_string()));
    let passwords = roles.chain([(User::Admin, admin.to_secret_string())]).collect();
    Ok(bus::permissions::render(&passwords, &clients(config)?)?)
}
